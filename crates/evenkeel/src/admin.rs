//! Talking to a running proxy: where its admin address is, and what it says there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::de::DeserializeOwned;

use crate::client::{self, Answer};
use crate::command::File;
use crate::view::{Endpoint, Status, Upstream};

/// Where the admin address is when nobody says otherwise.
const USUAL: &str = "127.0.0.1:9900";
/// For an answer about what is known.
const PATIENCE: Duration = Duration::from_secs(5);
/// For the answer to a reload, which waits for the first probes of new endpoints.
const RELOAD_PATIENCE: Duration = Duration::from_secs(30);
/// What a path segment cannot have as it is.
const SEGMENT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'/').add(b'?').add(b'#').add(b'%').add(b'"').add(b'<').add(b'>');

/// Which running proxy.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The running proxy's admin address; without it the configuration's admin.address, else 127.0.0.1:9900
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,
    /// The configuration it runs by, for its admin.address
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// The admin address of a proxy that presumably runs.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    address: String,
}

impl Which {
    /// Where to ask.
    ///
    /// # Errors
    /// The configuration named has no admin address that could be asked.
    pub(crate) fn admin(&self) -> Result<Admin, String> {
        if let Some(address) = &self.admin {
            return Ok(Admin { address: address.clone() });
        }
        let file = File { config: self.config.clone() };
        let path = file.path();
        let plan = match evenkeel_config::load(&path) {
            Ok(checked) => checked.plan,
            // A file that nobody named may be missing or broken: the proxy runs by what it read before.
            Err(_) if self.config.is_none() => return Ok(Admin { address: USUAL.into() }),
            Err(report) => {
                return Err(format!(
                    "{} does not tell the admin address, for it is wrong (evenkeel check shows how); \
                     name the address with --admin ADDR",
                    report.file()
                ));
            }
        };
        match plan.admin {
            Some(admin) if admin.address.port() == 0 => Err(format!(
                "{} lets the system choose the admin port; name the address that the log tells with --admin ADDR",
                path.display()
            )),
            Some(admin) => Ok(Admin { address: reachable(admin.address).to_string() }),
            None => Err(format!(
                "the admin address is switched off in {}; remove admin.address = \"off\" and restart",
                path.display()
            )),
        }
    }
}

/// Where a program on this machine finds somebody who listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

impl Admin {
    /// Asks for a path and takes the answer apart.
    ///
    /// # Errors
    /// Nobody answers, somebody else does, or it refuses.
    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        self.understood(&self.text(path)?)
    }

    /// The same as text.
    ///
    /// # Errors
    /// As [`Admin::read`].
    pub(crate) fn text(&self, path: &str) -> Result<String, String> {
        self.done(self.ask("GET", path, PATIENCE)?)
    }

    /// Has something done to an endpoint; gives how it is then.
    ///
    /// # Errors
    /// As [`Admin::read`].
    pub(crate) fn change(&self, upstream: &str, endpoint: &str, verb: &str) -> Result<Endpoint, String> {
        let (upstream, endpoint) =
            (utf8_percent_encode(upstream, SEGMENT), utf8_percent_encode(endpoint, SEGMENT));
        let path = format!("/api/v1/upstreams/{upstream}/endpoints/{endpoint}/{verb}");
        self.understood(&self.done(self.ask("POST", &path, PATIENCE)?)?)
    }

    /// Has the configuration read again.
    ///
    /// # Errors
    /// As [`Admin::read`]; the report when it is refused.
    pub(crate) fn reload(&self) -> Result<(), String> {
        self.done(self.ask("POST", "/api/v1/reload", RELOAD_PATIENCE)?).map(|_| ())
    }

    /// The upstream and endpoint that somebody means by `upstream/endpoint`, or by an endpoint that only one
    /// upstream has.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub(crate) fn find(&self, name: &str) -> Result<(String, String), String> {
        let status: Status = self.read("/api/v1/status")?;
        find(&status.upstreams, name)
    }

    fn ask(&self, method: &str, path: &str, patience: Duration) -> Result<Answer, String> {
        let at = &self.address;
        let answer = client::ask(at, method, path, patience).map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => format!(
                "nothing answers at {at} (connection refused); start evenkeel, or name its admin address with --admin ADDR"
            ),
            io::ErrorKind::TimedOut => {
                format!("{at} did not answer in time; see whether evenkeel runs there, and what its log says")
            }
            io::ErrorKind::InvalidData => self.stranger(),
            _ => format!("cannot ask {at}: {error}; name evenkeel's admin address with --admin ADDR"),
        })?;
        if answer.is_ours { Ok(answer) } else { Err(self.stranger()) }
    }

    fn stranger(&self) -> String {
        format!(
            "what answers at {} is not evenkeel's admin address; name that with --admin ADDR",
            self.address
        )
    }

    fn done(&self, answer: Answer) -> Result<String, String> {
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        #[derive(serde::Deserialize)]
        struct Refused {
            error: String,
        }
        Err(match serde_json::from_str::<Refused>(&answer.body) {
            Ok(refused) => refused.error.trim_end().to_owned(),
            Err(_) => format!("{} answered with {}: {}", self.address, answer.status, answer.body.trim_end()),
        })
    }

    fn understood<T: DeserializeOwned>(&self, text: &str) -> Result<T, String> {
        serde_json::from_str(text).map_err(|error| {
            format!(
                "the answer of {} is not understood ({error}); use the evenkeel of the version that runs there",
                self.address
            )
        })
    }
}

fn find(upstreams: &[Upstream], name: &str) -> Result<(String, String), String> {
    let all: Vec<_> = upstreams
        .iter()
        .flat_map(|upstream| {
            upstream.endpoints.iter().map(|endpoint| (upstream.name.as_str(), endpoint.address.as_str()))
        })
        .collect();
    let meant: Vec<_> = all
        .iter()
        .filter(|(upstream, endpoint)| {
            *endpoint == name
                || name.strip_prefix(upstream).and_then(|rest| rest.strip_prefix('/')) == Some(endpoint)
        })
        .collect();
    let listed = |pairs: &[&(&str, &str)]| {
        let mut names: Vec<_> =
            pairs.iter().take(10).map(|(upstream, endpoint)| format!("{upstream}/{endpoint}")).collect();
        if pairs.len() > 10 {
            names.push(format!("{} more", pairs.len() - 10));
        }
        names.join(", ")
    };
    match meant.as_slice() {
        [(upstream, endpoint)] => Ok(((*upstream).to_owned(), (*endpoint).to_owned())),
        [] => {
            let known: Vec<_> = all.iter().collect();
            Err(format!("there is no endpoint {name}; these are there: {}", listed(&known)))
        }
        several => Err(format!("several upstreams have an endpoint {name}; say which: {}", listed(several))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(name: &str, endpoints: &[&str]) -> Upstream {
        let endpoints = endpoints.iter().map(|address| {
            serde_json::from_value(serde_json::json!({ "address": address, "up": true, "weight": 1 }))
                .unwrap()
        });
        Upstream { name: name.into(), balance: "random".into(), endpoints: endpoints.collect() }
    }

    #[test]
    fn an_endpoint_is_named_alone_where_it_is_alone() {
        let upstreams = [
            upstream("app", &["127.0.0.1:1", "unix:/run/a.sock"]),
            upstream("api", &["127.0.0.1:1", "127.0.0.1:2"]),
        ];
        let is = |name: &str, upstream: &str, endpoint: &str| {
            assert_eq!(find(&upstreams, name), Ok((upstream.to_owned(), endpoint.to_owned())), "{name}");
        };
        is("127.0.0.1:2", "api", "127.0.0.1:2");
        is("api/127.0.0.1:1", "api", "127.0.0.1:1");
        is("unix:/run/a.sock", "app", "unix:/run/a.sock");
        is("app/unix:/run/a.sock", "app", "unix:/run/a.sock");
        let several = find(&upstreams, "127.0.0.1:1").unwrap_err();
        assert!(several.ends_with("say which: app/127.0.0.1:1, api/127.0.0.1:1"), "{several}");
        let none = find(&upstreams, "app/127.0.0.1:2").unwrap_err();
        assert!(none.contains("no endpoint app/127.0.0.1:2") && none.contains("api/127.0.0.1:2"), "{none}");
    }

    #[test]
    fn who_listens_everywhere_is_found_on_loopback() {
        for (address, at) in
            [("0.0.0.0:9", "127.0.0.1:9"), ("[::]:9", "[::1]:9"), ("10.0.0.1:9", "10.0.0.1:9")]
        {
            assert_eq!(reachable(address.parse().unwrap()).to_string(), at);
        }
    }
}
