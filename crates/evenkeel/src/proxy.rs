//! `evenkeel proxy`: serving without a file.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use evenkeel_config::Plan;
use evenkeel_config::plan::Admin;
use evenkeel_control::Source;

use crate::output::refuse;
use crate::run::run;

/// The least that a proxy needs to know.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to listen; may be repeated
    #[arg(long, value_name = "ADDR", required = true)]
    listen: Vec<String>,
    /// Where to forward to; may be repeated
    #[arg(long, value_name = "ADDR", required = true)]
    to: Vec<String>,
    /// What is spoken: http, or tcp, which passes bytes through [default: http]
    #[arg(long, value_name = "NAME")]
    protocol: Option<String>,
    /// How an endpoint is picked: round-robin, least-connections, random, two-choices, peak-ewma, adaptive,
    /// ring-hash or maglev; the last two by the client's address
    #[arg(long, value_name = "NAME")]
    balance: Option<String>,
    /// Probe this path, and forward only to endpoints that answer it well
    #[arg(long, value_name = "PATH")]
    health: Option<String>,
    /// Where metrics, health, API and dashboard are served; `off` for nowhere [default: 127.0.0.1:9900]
    #[arg(long, value_name = "ADDR", value_parser = admin_address)]
    admin: Option<AdminAddress>,
}

#[derive(Debug, Clone, Copy)]
enum AdminAddress {
    At(SocketAddr),
    Off,
}

fn admin_address(text: &str) -> Result<AdminAddress, String> {
    if text == "off" {
        return Ok(AdminAddress::Off);
    }
    text.parse()
        .map(AdminAddress::At)
        .map_err(|_| "it is an IP address and a port, such as 127.0.0.1:9900, or off".to_owned())
}

pub(crate) fn proxy(arguments: &Arguments) -> ExitCode {
    let Arguments { listen, to, protocol, balance, health, admin } = arguments;
    match Plan::for_endpoints(listen, to, protocol.as_deref(), balance.as_deref(), health.as_deref()) {
        Ok(mut plan) => {
            match *admin {
                Some(AdminAddress::At(address)) => plan.admin = Some(Admin { hosts: Vec::new(), address }),
                Some(AdminAddress::Off) => plan.admin = None,
                None => {}
            }
            run(plan, Source::Given)
        }
        Err(report) => refuse(&report),
    }
}
