//! The site of an experiment: a directory, and parts that are processes of their own, on ports that the system
//! chooses. Everything is gone when it is dropped.
//!
//! A part is a process of this very binary (`evenkeel part …`), so that nothing else has to be built or found. It ends
//! with the thread that started it, however that ends.

mod ask;
mod hole;
mod metrics;
mod part;
mod processes;
mod processors;
mod relay;
mod throttle;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use ask::{Answer, ask};
pub use hole::Hole;
pub use metrics::Metrics;
pub use part::Part;
pub use processes::Scheduled;
pub use processors::{Processors, Usage};
pub use relay::Relay;
pub use throttle::Throttle;
pub use watch::{Look, Series, Watch};

use crate::ports::Reserved;
use crate::scratch::Scratch;

pub(crate) use part::ticks;

/// Where parts are started.
#[derive(Debug)]
pub struct Site {
    scratch: Scratch,
    program: PathBuf,
}

/// The kinds of parts, and what they say when they are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Proxy,
    Toy,
    Kv,
}

impl Site {
    /// Parts are processes of `program`, which has the command `part`.
    ///
    /// # Errors
    /// No directory can be made for them.
    pub fn new(program: PathBuf) -> io::Result<Self> {
        Ok(Self { scratch: Scratch::new()?, program })
    }

    /// A directory that lasts as long as the site: for databases, snapshots.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Starts a toy backend with these flags, on a port of its own; its database is filled when this returns.
    ///
    /// # Errors
    /// It does not start; the sentence has what it said.
    pub fn toy(&self, name: &str, flags: &[&str]) -> io::Result<Part> {
        let port = Reserved::new(0, &[])?;
        let listen = port.address.to_string();
        let mut words = vec!["toy-backend", "--listen", &listen, "--name", name];
        words.extend(flags);
        Part::start(self, Kind::Toy, name, &words, Some(port))
    }

    /// Starts a cache server with these flags, on a port of its own.
    ///
    /// # Errors
    /// It does not start; the sentence has what it said.
    pub fn kv(&self, name: &str, flags: &[&str]) -> io::Result<Part> {
        let port = Reserved::new(0, &[])?;
        let listen = port.address.to_string();
        let mut words = vec!["kv", "--listen", &listen, "--metrics", "127.0.0.1:0", "--threads", "1"];
        words.extend(flags);
        Part::start(self, Kind::Kv, name, &words, Some(port))
    }

    /// Starts a proxy. Its configuration has a listener `web` on a port of its own and an admin address; `rest` is
    /// appended to it. It is ready, its first probes made, when this returns.
    ///
    /// # Errors
    /// It does not start; the sentence has what it said.
    pub fn proxy(&self, name: &str, configuration: &Configuration<'_>) -> io::Result<Part> {
        let file = self.path().join(format!("{name}.toml"));
        std::fs::write(&file, configuration.text())?;
        let file = file.to_str().ok_or_else(|| io::Error::other("the temporary directory is not UTF-8"))?;
        Part::start(self, Kind::Proxy, name, &["proxy", "--config", file], None)
    }
}

/// A proxy's configuration.
#[derive(Debug, Clone, Default)]
pub struct Configuration<'a> {
    /// How many workers; without it one per core.
    pub workers: Option<usize>,
    /// Keys of the listener `web`, which listens at 127.0.0.1 and has the upstream `app`.
    pub listener: &'a str,
    /// The endpoints of the upstream `app`.
    pub endpoints: &'a [SocketAddr],
    /// Its other keys: `balance = "least-connections"`.
    pub upstream: &'a str,
    /// More tables: `[upstream.app.health]`.
    pub rest: &'a str,
}

impl Configuration<'_> {
    /// As a file.
    pub fn text(&self) -> String {
        let workers = self.workers.map(|workers| format!("workers = {workers}\n")).unwrap_or_default();
        let endpoints: Vec<String> =
            self.endpoints.iter().map(|endpoint| format!("\"{endpoint}\"")).collect();
        format!(
            "[server]\n{workers}shutdown_timeout = \"1s\"\n\n[admin]\naddress = \"127.0.0.1:0\"\n\n[log]\naccess = \"off\"\n\n\
             [listener.web]\naddress = \"127.0.0.1:0\"\nupstream = \"app\"\n{}\n\n\
             [upstream.app]\nendpoints = [{}]\n{}\n\n{}\n",
            self.listener,
            endpoints.join(", "),
            self.upstream,
            self.rest,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_a_good_one() {
        let endpoints = ["127.0.0.1:9001".parse().unwrap(), "127.0.0.1:9002".parse().unwrap()];
        let configuration = Configuration {
            workers: Some(1),
            endpoints: &endpoints,
            upstream: "balance = \"least-connections\"",
            rest: "[upstream.app.health]\npath = \"/healthz\"",
            ..Configuration::default()
        };
        let checked = evenkeel_config::parse(&configuration.text(), "lab").unwrap();
        assert_eq!(checked.plan.upstreams[0].endpoints.len(), 2);
    }
}
