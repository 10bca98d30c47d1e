//! `evenkeel status`: how a running proxy is doing, once.

use std::process::ExitCode;

use clap::Args;

use crate::admin::Which;
use crate::output::say;
use crate::table::{Side, span, table};
use crate::view::{Endpoint, Status};

/// How it is shown.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Print what the admin API says, as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn status(arguments: &Arguments) -> Result<ExitCode, String> {
    let admin = arguments.which.admin()?;
    let text = if arguments.json {
        admin.text("/api/v1/status")?
    } else {
        let status: Status = admin.read("/api/v1/status")?;
        let mut lines = head(&status);
        lines.push(String::new());
        lines.extend(endpoints(&status));
        lines.join("\n") + "\n"
    };
    say(&text).map(|_| ExitCode::SUCCESS)
}

/// What is true of the process.
pub(crate) fn head(status: &Status) -> Vec<String> {
    let state = match (status.draining, status.ready) {
        (true, _) => "stopping",
        (false, true) => "ready",
        (false, false) => "not ready, the first probes are not done",
    };
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let mut lines = vec![format!(
        "evenkeel {}: {state}, up for {}, {} worker{}",
        status.version,
        span(status.uptime_seconds),
        status.workers,
        plural(status.workers)
    )];
    lines.extend(status.refused_reload.iter().map(|refused| {
        format!(
            "the last reload, {} ago, was refused: {}; what was in force before still is, \
             and `evenkeel check` or the log tells more",
            span(refused.ago_seconds),
            refused.words.lines().next().unwrap_or_default()
        )
    }));
    lines.extend(status.listeners.iter().map(|listener| {
        let n = listener.connections;
        let protocol = if listener.protocol == "tcp" { " (tcp)" } else { "" };
        format!("listener {}{protocol} on {}: {n} connection{}", listener.name, listener.address, plural(n))
    }));
    lines
}

fn endpoints(status: &Status) -> Vec<String> {
    let columns = [
        ("UPSTREAM", Side::Left),
        ("BALANCE", Side::Left),
        ("ENDPOINT", Side::Left),
        ("STATE", Side::Left),
        ("WEIGHT", Side::Right),
        ("IN FLIGHT", Side::Right),
        ("FOR", Side::Right),
        ("LAST FINDING", Side::Left),
    ];
    let rows = status.upstreams.iter().flat_map(|upstream| {
        upstream.endpoints.iter().map(|endpoint| {
            vec![
                upstream.name.clone(),
                upstream.balance.clone(),
                named(endpoint),
                endpoint.state().to_owned(),
                endpoint.weight.to_string(),
                endpoint.in_flight.to_string(),
                endpoint.since_seconds.map(span).unwrap_or_else(|| "-".into()),
                endpoint.finding().to_owned(),
            ]
        })
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

/// An endpoint's address, and that it is a backup.
pub(crate) fn named(endpoint: &Endpoint) -> String {
    if endpoint.backup { format!("{} (backup)", endpoint.address) } else { endpoint.address.clone() }
}
