//! The commands: what may be typed, and who does it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{check, demo, explain, lab, load, operate, output, proxy, ready, run, status, top};

/// A load balancer and reverse proxy for HTTP services
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, max_term_width = 100)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Serve by a configuration file
    Run(File),
    /// Check a configuration file and show everything that is wrong with it
    Check(File),
    /// Serve without a file
    Proxy(proxy::Arguments),
    /// Watch a whole cluster in this process, and break it: proxy, three backends, cache, clients
    Demo(demo::Arguments),
    /// Measure what happens at scale, under failure and under load, on real parts; fails if a promise is broken
    Lab(lab::Arguments),
    /// Send requests at a rate and tell what became of them
    Load(load::Arguments),
    /// Ask a server whether it is ready, as the exit status; for health checks
    Ready(ready::Arguments),
    /// Tell where a request goes and why: listener, route, upstream, endpoint
    Explain(explain::Arguments),
    /// Show how a running proxy is doing
    Status(status::Arguments),
    /// Watch a running proxy, every second anew
    Top(top::Arguments),
    /// Give an endpoint no new requests
    Drain(operate::Drain),
    /// Give a drained endpoint requests again
    Undrain(operate::Drain),
    /// Set the weight of an endpoint, until a restart or until the file changes it
    Weight(operate::Weight),
    /// Have a running proxy read its configuration file again
    Reload(operate::Reload),
}

/// Where a configuration is when nobody names one.
const HERE: &str = "./evenkeel.toml";
const SYSTEM: &str = "/etc/evenkeel/evenkeel.toml";

/// A configuration file.
#[derive(Debug, Args)]
pub(crate) struct File {
    /// The configuration; without it ./evenkeel.toml, else /etc/evenkeel/evenkeel.toml
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl File {
    /// The file named, or the one there is.
    pub(crate) fn path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| {
            let here = Path::new("evenkeel.toml");
            if here.exists() { here.into() } else { SYSTEM.into() }
        })
    }

    /// The same, where nothing can be done without one.
    ///
    /// # Errors
    /// None is named, and none is where one is looked for.
    pub(crate) fn existing(&self) -> Result<PathBuf, String> {
        let path = self.path();
        // What cannot be looked at is somebody's: reading it tells why not.
        if self.config.is_some() || path.try_exists().unwrap_or(true) {
            return Ok(path);
        }
        Err(format!(
            "there is no configuration, neither {HERE} nor {SYSTEM}; name one with -c FILE, \
             or start without one: evenkeel proxy --listen 127.0.0.1:8080 --to HOST:PORT"
        ))
    }
}

impl Command {
    pub(crate) fn run(self) -> ExitCode {
        let outcome = match self.action {
            Action::Run(file) => return run::run_file(&file),
            Action::Check(file) => return check::check(&file),
            Action::Proxy(arguments) => return proxy::proxy(&arguments),
            Action::Demo(arguments) => return demo::demo(&arguments),
            Action::Lab(arguments) => lab::lab(&arguments),
            Action::Load(arguments) => load::load(&arguments),
            Action::Ready(arguments) => ready::ready(&arguments),
            Action::Explain(arguments) => explain::explain(&arguments),
            Action::Status(arguments) => status::status(&arguments),
            Action::Top(arguments) => top::top(&arguments),
            Action::Drain(arguments) => operate::drain(&arguments, true),
            Action::Undrain(arguments) => operate::drain(&arguments, false),
            Action::Weight(arguments) => operate::weight(&arguments),
            Action::Reload(arguments) => operate::reload(&arguments),
        };
        outcome.unwrap_or_else(|problem| output::fail(&problem))
    }
}
