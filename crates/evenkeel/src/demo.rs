//! `evenkeel demo`: a whole cluster in this process, to be watched and broken.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use evenkeel_lab::demo::DemoOptions;

use crate::time::time;

/// How the demo is run.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Requests per second of its own clients
    #[arg(long, value_name = "N", default_value_t = 200.0, value_parser = rate)]
    rate: f64,
    /// Send no requests
    #[arg(long, conflicts_with = "rate")]
    no_load: bool,
    /// End after this time, such as 30s or 5m; else with Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = time)]
    duration: Option<Duration>,
    /// Print the configuration of its proxy and end
    #[arg(long)]
    show_config: bool,
}

/// Runs the demo, or shows its configuration.
pub(crate) fn demo(arguments: &Arguments) -> ExitCode {
    let options = DemoOptions {
        rate: Some(arguments.rate).filter(|_| !arguments.no_load),
        duration: arguments.duration,
        ..DemoOptions::default()
    };
    match arguments.show_config {
        true => evenkeel_lab::demo::configuration(&options.cluster),
        false => evenkeel_lab::demo::demo(&options),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected requests per second from 0.1 to 100000".to_owned()),
    }
}
