//! `evenkeel explain`: where a request goes and why, by the file or by a running proxy.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use evenkeel_control::Question;
use serde::Deserialize;

use crate::admin::Which;
use crate::command::File;
use crate::output::{refuse, say, show};

/// It would be answered by Evenkeel itself, for nobody may take it.
const REJECTED: u8 = 2;

/// The request, and who is asked.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration; without it ./evenkeel.toml, else /etc/evenkeel/evenkeel.toml
    #[arg(short, long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// A header of the request; may be repeated
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The listener it arrives at; without it those on the URL's port, else all
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The address of the client whose connection it comes on, for upstreams that hash it
    #[arg(long, value_name = "ADDR")]
    client: Option<IpAddr>,
    /// Ask the running proxy, which knows which endpoints are up
    #[arg(long)]
    live: bool,
    /// The running proxy's admin address; asks it, as --live does
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The request's method
    method: String,
    #[arg(help = "Its URL, such as http://api.example.com/v1/users")]
    url: String,
}

pub(crate) fn explain(arguments: &Arguments) -> Result<ExitCode, String> {
    let question = Question::new(&arguments.method, &arguments.url, &arguments.header)
        .map(|question| Question {
            listener: arguments.listener.clone(),
            client: arguments.client,
            ..question
        })
        .map_err(|wrong| wrong.to_string())?;
    if arguments.live || arguments.admin.is_some() {
        return ask(arguments);
    }
    let file = File { config: arguments.config.clone() };
    let plan = match evenkeel_config::load(&file.existing()?) {
        Ok(checked) => {
            show(&checked.warnings);
            checked.plan
        }
        Err(report) => return Ok(refuse(&report)),
    };
    let explanation = evenkeel_control::explain(&plan, &question, None);
    if explanation.listeners.is_empty() {
        let known: Vec<_> = plan.listeners.iter().map(|listener| listener.name.as_str()).collect();
        let name = arguments.listener.as_deref().unwrap_or_default();
        return Err(format!("there is no listener {name}; these are there: {}", known.join(", ")));
    }
    let text = if arguments.json {
        serde_json::to_string(&explanation).map_err(|error| error.to_string())? + "\n"
    } else {
        explanation.to_string()
    };
    say(&text).map(|_| code(explanation.routed))
}

/// Asks a running proxy.
fn ask(arguments: &Arguments) -> Result<ExitCode, String> {
    #[derive(Deserialize)]
    struct Explained {
        routed: bool,
        text: String,
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("method", &arguments.method).append_pair("url", &arguments.url);
    for header in &arguments.header {
        query.append_pair("header", header);
    }
    if let Some(listener) = &arguments.listener {
        query.append_pair("listener", listener);
    }
    if let Some(client) = &arguments.client {
        query.append_pair("client", &client.to_string());
    }
    let which = Which { admin: arguments.admin.clone(), config: arguments.config.clone() };
    let json = which.admin()?.text(&format!("/api/v1/explain?{}", query.finish()))?;
    let explained: Explained = serde_json::from_str(&json).map_err(|error| {
        format!("the answer is not understood ({error}); use the evenkeel that runs there")
    })?;
    say(if arguments.json { &json } else { &explained.text }).map(|_| code(explained.routed))
}

fn code(is_routed: bool) -> ExitCode {
    if is_routed { ExitCode::SUCCESS } else { ExitCode::from(REJECTED) }
}
