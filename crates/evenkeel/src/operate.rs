//! `evenkeel drain`, `undrain`, `weight` and `reload`: what operators have a running proxy do.

use std::process::ExitCode;

use clap::Args;

use crate::admin::Which;
use crate::output::say;
use crate::view::Endpoint;

/// Which endpoint.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    which: Which,
    /// The endpoint: UPSTREAM/ADDRESS, or the address alone where only one upstream has it
    #[arg(value_name = "ENDPOINT")]
    endpoint: String,
}

/// Which endpoint, and its weight.
#[derive(Debug, Args)]
pub(crate) struct Weight {
    #[command(flatten)]
    endpoint: Drain,
    /// Its share of the traffic relative to the others; with 0 it gets no new requests
    #[arg(value_name = "WEIGHT")]
    weight: u16,
}

/// Which proxy.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    which: Which,
}

pub(crate) fn drain(arguments: &Drain, draining: bool) -> Result<ExitCode, String> {
    arguments.change(if draining { "drain" } else { "undrain" })
}

pub(crate) fn weight(arguments: &Weight) -> Result<ExitCode, String> {
    arguments.endpoint.change(&format!("weight?weight={}", arguments.weight))
}

pub(crate) fn reload(arguments: &Reload) -> Result<ExitCode, String> {
    arguments.which.admin()?.reload()?;
    say("the configuration was reloaded\n").map(|_| ExitCode::SUCCESS)
}

impl Drain {
    fn change(&self, verb: &str) -> Result<ExitCode, String> {
        let admin = self.which.admin()?;
        let (upstream, endpoint) = admin.find(&self.endpoint)?;
        let now: Endpoint = admin.change(&upstream, &endpoint, verb)?;
        let state = now.state();
        let text =
            format!("{upstream}/{endpoint} is {state}, weight {}, {} in flight\n", now.weight, now.in_flight);
        say(&text).map(|_| ExitCode::SUCCESS)
    }
}
