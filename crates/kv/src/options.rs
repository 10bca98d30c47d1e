//! Everything about a cache server that can be chosen, as a struct for programs and as flags for people.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::server::units::{parse_duration, parse_size};
use crate::store::Policy;

/// How one cache server behaves. [`Options::default`] and the flags of `evenkeel-kv` have the same defaults.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = parse_listen, default_value_t = Options::default().listen)]
    pub listen: SocketAddr,
    /// Threads that serve connections; without it one for each processor
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub threads: Option<usize>,
    /// What the data may take, such as 100mb or 2gb; 0 is no limit
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, default_value = "0")]
    pub maxmemory: usize,
    /// Which keys go when there is no more room: noeviction, allkeys-s3fifo, allkeys-lru, allkeys-lfu, allkeys-random,
    /// volatile-s3fifo, volatile-lru, volatile-lfu, volatile-random or volatile-ttl
    #[arg(long, value_name = "NAME", value_parser = parse_policy, default_value = Options::default().maxmemory_policy.name())]
    pub maxmemory_policy: Policy,
    /// Connections at once
    #[arg(long, value_name = "N", value_parser = parse_positive, default_value_t = Options::default().maxclients)]
    pub maxclients: usize,
    /// Close connections that have been idle for so long; 0s is never
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "0s")]
    pub timeout: Duration,
    /// Password clients have to show; everybody on this machine can read it here, so prefer --requirepass-file
    #[arg(long, value_name = "PASSWORD", conflicts_with = "requirepass_file")]
    pub requirepass: Option<String>,
    /// File whose first line is the password clients have to show
    #[arg(long, value_name = "FILE")]
    pub requirepass_file: Option<PathBuf>,
    /// Without a password, listen only where this machine alone can connect: on or off
    #[arg(long, value_name = "on|off", value_parser = parse_switch, action = clap::ArgAction::Set, default_value = "on")]
    pub protected: bool,
    /// Address for Prometheus: /metrics, /livez, /readyz; without it there is none
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub metrics: Option<SocketAddr>,
    /// File for snapshots of the data: loaded at the start, saved at a graceful stop and when asked to
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Save a snapshot so often if something changed, such as 5m; without it only when asked to and at the end
    #[arg(long, value_name = "TIME", value_parser = parse_interval, requires = "snapshot")]
    pub snapshot_interval: Option<Duration>,
    /// Follow this server, as its replica
    #[arg(long, value_name = "HOST:PORT")]
    pub replicaof: Option<String>,
    /// File whose first line is the password of the server that is followed
    #[arg(long, value_name = "FILE")]
    pub masterauth_file: Option<PathBuf>,
    /// A parameter of CONFIG SET, such as slowlog-log-slower-than=1000; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub set: Vec<(String, String)>,
    /// How long a graceful stop waits for clients to take their answers
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "10s")]
    pub shutdown_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 6380)),
            threads: None,
            maxmemory: 0,
            maxmemory_policy: Policy::default(),
            maxclients: 10_000,
            timeout: Duration::ZERO,
            requirepass: None,
            requirepass_file: None,
            protected: true,
            metrics: None,
            snapshot: None,
            snapshot_interval: None,
            replicaof: None,
            masterauth_file: None,
            set: Vec::new(),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Says what is wrong with options that were not read from flags, or contradict each other.
    pub(crate) fn check(&self) -> io::Result<()> {
        let wrong = |sentence: String| Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
        for (what, number) in [("threads", self.threads), ("maxclients", Some(self.maxclients))] {
            if number == Some(0) {
                return wrong(format!("{what} is 0, but has to be at least 1"));
            }
        }
        let is_open = self.requirepass.is_none() && self.requirepass_file.is_none();
        if is_open && self.protected && !self.listen.ip().is_loopback() {
            return wrong(format!(
                "{} can be reached from other machines and there is no password: everybody there could read and \
                 delete everything. Set one with --requirepass-file, or listen on 127.0.0.1, or say --protected off if \
                 the network keeps others out",
                self.listen
            ));
        }
        Ok(())
    }

    /// The password clients have to show; empty for none.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub(crate) fn password(&self) -> io::Result<String> {
        match &self.requirepass_file {
            Some(path) => first_line(path, "--requirepass-file"),
            None => Ok(self.requirepass.clone().unwrap_or_default()),
        }
    }

    /// The password of the server that is followed; empty for none.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub(crate) fn primary_password(&self) -> io::Result<String> {
        self.masterauth_file
            .as_deref()
            .map_or(Ok(String::new()), |path| first_line(path, "--masterauth-file"))
    }
}

fn first_line(path: &Path, flag: &str) -> io::Result<String> {
    let wrong = |kind, why: String| io::Error::new(kind, format!("{} ({flag}): {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(error.kind(), error.to_string()))?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(wrong(io::ErrorKind::InvalidData, "the first line is empty".to_owned())),
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:6380 or [::1]:0".to_owned())
}

fn parse_positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number, at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn parse_memory(text: &str) -> Result<usize, String> {
    parse_size(text).ok_or_else(|| "expected a size, such as 100mb or 2gb".to_owned())
}

fn parse_policy(text: &str) -> Result<Policy, String> {
    Policy::named(text).ok_or_else(|| {
        let names: Vec<_> = Policy::all().map(Policy::name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn parse_time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a time with a unit, such as 500ms, 10s or 5m".to_owned())
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        time if time < Duration::from_secs(1) => Err("expected at least 1s".to_owned()),
        time => Ok(time),
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        options: Options,
    }

    fn parse(flags: &[&str]) -> Result<Options, String> {
        let words = std::iter::once("evenkeel-kv").chain(flags.iter().copied());
        Flags::try_parse_from(words).map(|flags| flags.options).map_err(|error| error.to_string())
    }

    #[test]
    fn no_flags_are_the_defaults() {
        assert_eq!(format!("{:?}", parse(&[]).unwrap()), format!("{:?}", Options::default()));
    }

    #[test]
    fn every_flag_reaches_its_option() {
        let options = parse(&[
            "--listen=[::1]:0",
            "--threads=2",
            "--maxmemory=100mb",
            "--maxmemory-policy=allkeys-lru",
            "--maxclients=5",
            "--timeout=5m",
            "--requirepass=secret",
            "--protected=off",
            "--metrics=127.0.0.1:9121",
            "--snapshot=/tmp/data.rdb",
            "--snapshot-interval=60s",
            "--replicaof=host:6379",
            "--masterauth-file=/tmp/password",
            "--set=timeout=5",
            "--set=save=",
            "--shutdown-timeout=1500ms",
        ])
        .unwrap();
        assert_eq!(options.listen, "[::1]:0".parse().unwrap());
        assert_eq!((options.threads, options.maxmemory, options.maxclients), (Some(2), 100 << 20, 5));
        assert_eq!(options.maxmemory_policy, Policy::AllKeysLru);
        assert_eq!((options.timeout, options.protected), (Duration::from_secs(300), false));
        assert_eq!(options.password().unwrap(), "secret");
        assert_eq!(options.metrics, Some("127.0.0.1:9121".parse().unwrap()));
        assert_eq!(options.snapshot, Some(PathBuf::from("/tmp/data.rdb")));
        assert_eq!(options.snapshot_interval, Some(Duration::from_secs(60)));
        assert_eq!(options.replicaof.as_deref(), Some("host:6379"));
        assert_eq!(options.masterauth_file, Some(PathBuf::from("/tmp/password")));
        let pairs: Vec<_> = options.set.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("timeout", "5"), ("save", "")]);
        assert_eq!(options.shutdown_timeout, Duration::from_millis(1500));
    }

    #[test]
    fn bad_values_name_the_flag_and_say_what_is_expected() {
        for (flag, value, expected) in [
            ("--listen", "6380", "such as 127.0.0.1:6380"),
            ("--threads", "0", "at least 1"),
            ("--maxmemory", "lots", "such as 100mb"),
            ("--maxmemory-policy", "lru", "allkeys-lru"),
            ("--timeout", "10", "with a unit"),
            ("--protected", "yes", "on or off"),
            ("--set", "timeout", "NAME=VALUE"),
        ] {
            let error = parse(&[flag, value]).unwrap_err();
            assert!(error.contains(flag) && error.contains(expected), "{flag} {value}: {error}");
        }
        assert!(parse(&["--snapshot-interval=60s"]).unwrap_err().contains("--snapshot <FILE>"));
    }

    #[test]
    fn a_server_for_everybody_needs_a_password() {
        let everywhere = Options { listen: "0.0.0.0:0".parse().unwrap(), ..Options::default() };
        let error = everywhere.check().unwrap_err().to_string();
        assert!(error.contains("--requirepass-file") && error.contains("0.0.0.0:0"), "{error}");
        assert!(Options { protected: false, ..everywhere.clone() }.check().is_ok());
        assert!(Options { requirepass: Some("x".into()), ..everywhere }.check().is_ok());
        assert!(Options::default().check().is_ok());
        assert!(Options { threads: Some(0), ..Options::default() }.check().is_err());
    }
}
