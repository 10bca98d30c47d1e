//! Everything about a toy backend that can be chosen, as a struct for programs and as flags for people.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::cache::CacheOptions;
use crate::latency::{Latency, parse_duration};

/// How one toy backend behaves. [`Options::default`] and the flags of `toy-backend` have the same defaults.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = parse_listen, default_value_t = Options::default().listen)]
    pub listen: SocketAddr,
    /// Name this backend answers with: visible ASCII, no spaces
    #[arg(long, env = "TOY_BACKEND_NAME", value_parser = parse_name, default_value_t = Options::default().name)]
    pub name: String,
    /// Threads that serve connections
    #[arg(long, value_name = "N", value_parser = parse_positive, default_value_t = Options::default().threads)]
    pub threads: usize,
    /// Connections that may wait to be accepted while all threads are busy; the system may allow fewer
    #[arg(long, value_name = "N", default_value_t = Options::default().backlog)]
    pub backlog: u32,
    /// Time added to every request: none, fixed:5ms, uniform:1ms-9ms, exponential:5ms (mean) or
    /// lognormal:5ms,0.8 (median, sigma)
    #[arg(long, value_name = "DISTRIBUTION", default_value_t = Options::default().latency)]
    pub latency: Latency,
    /// Requests served at once, the others wait in order; without it there is no limit
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub capacity: Option<usize>,
    /// SQLite file, filled on first start; without it the database is private to the process and in memory
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
    /// Rows made when the database is new
    #[arg(long, value_name = "N", default_value_t = Options::default().rows)]
    pub rows: u32,
    /// Whether `/items?name=` has an index to use: on or off
    #[arg(long, value_name = "on|off", value_parser = parse_switch, action = clap::ArgAction::Set, default_value = "on")]
    pub name_index: bool,
    /// Database connections, each on a thread of its own
    #[arg(long, value_name = "N", value_parser = parse_positive, default_value_t = Options::default().database_pool)]
    pub database_pool: usize,
    /// Requests that may wait for a database connection; one more is answered with 503
    #[arg(long, value_name = "N", default_value_t = Options::default().database_queue)]
    pub database_queue: usize,
    /// Time each query takes on its connection beyond its work, as one to a database over a network does: a
    /// distribution as for --latency
    #[arg(long, value_name = "DISTRIBUTION", default_value_t = Options::default().database_latency)]
    pub database_latency: Latency,
    /// How long a request waits for the database, queue and query together; then it is answered with 503, and a write
    /// may be carried out yet. Without it there is no limit
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub database_timeout: Option<Duration>,
    /// A cache before the database, or none
    #[command(flatten)]
    pub cache: Option<CacheOptions>,
    /// How long a graceful stop waits for running requests
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    pub shutdown_timeout: Duration,
    /// Seed of latencies and failures, to repeat a run; without it each run differs
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9001)),
            name: "toy".to_owned(),
            threads: 1,
            backlog: 4096,
            latency: Latency::None,
            capacity: None,
            database: None,
            rows: 200_000,
            name_index: true,
            database_pool: 4,
            database_queue: 256,
            database_latency: Latency::None,
            database_timeout: None,
            cache: None,
            shutdown_timeout: Duration::from_secs(10),
            seed: None,
        }
    }
}

impl Options {
    /// Says what is wrong with options that were not read from flags; flags were checked when parsed.
    pub(crate) fn check(&self) -> io::Result<()> {
        let wrong = |sentence: String| Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
        if let Err(reason) = parse_name(&self.name) {
            return wrong(format!("the name `{}` cannot be used: {reason}", self.name));
        }
        for (what, number) in [
            ("threads", Some(self.threads)),
            ("database_pool", Some(self.database_pool)),
            ("capacity", self.capacity),
        ] {
            if number == Some(0) {
                return wrong(format!("{what} is 0, but has to be at least 1"));
            }
        }
        if self.database_timeout.is_some_and(|time| time < Duration::from_millis(1)) {
            return wrong("--database-timeout has to be at least 1ms".to_owned());
        }
        self.cache.as_ref().map_or(Ok(()), CacheOptions::check)
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:9001 or [::1]:0".to_owned())
}

fn parse_name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("expected at least one character".to_owned()),
        _ if text.len() > 64 => Err("expected at most 64 characters".to_owned()),
        _ if !text.bytes().all(|b| b.is_ascii_graphic()) => {
            Err("expected visible ASCII characters without spaces".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

fn parse_positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number, at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cache::CachePolicy;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        options: Options,
    }

    fn parse(flags: &[&str]) -> Result<Options, String> {
        let words = std::iter::once("toy-backend").chain(flags.iter().copied());
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
            "--name=b",
            "--threads=2",
            "--backlog=9",
            "--latency=uniform:1ms-9ms",
            "--capacity=3",
            "--database=/tmp/x.db",
            "--rows=10",
            "--name-index=off",
            "--database-pool=5",
            "--database-queue=0",
            "--database-latency=fixed:5ms",
            "--database-timeout=9ms",
            "--cache=redis://:secret@127.0.0.1:6380/2",
            "--cache-ttl=5s",
            "--cache-absent-ttl=6s",
            "--cache-timeout=7ms",
            "--cache-fence=8s",
            "--cache-policy=write-through",
            "--cache-serve-stale=9s",
            "--cache-read=redis://127.0.0.1:6381",
            "--shutdown-timeout=1500ms",
            "--seed=7",
        ])
        .unwrap();
        assert_eq!(options.listen, "[::1]:0".parse().unwrap());
        assert_eq!((options.name.as_str(), options.threads, options.capacity), ("b", 2, Some(3)));
        assert_eq!(options.backlog, 9);
        assert_eq!(options.latency.to_string(), "uniform:1ms-9ms");
        assert_eq!(options.database, Some(PathBuf::from("/tmp/x.db")));
        assert_eq!((options.rows, options.name_index), (10, false));
        assert_eq!((options.database_pool, options.database_queue), (5, 0));
        assert_eq!(options.database_latency, Latency::Fixed(Duration::from_millis(5)));
        assert_eq!(options.database_timeout, Some(Duration::from_millis(9)));
        let cache = options.cache.unwrap();
        assert_eq!((cache.policy, cache.serve_stale), (CachePolicy::WriteThrough, Duration::from_secs(9)));
        assert_eq!(cache.read.unwrap().to_string(), "redis://127.0.0.1:6381");
        assert_eq!(cache.url.to_string(), "redis://:***@127.0.0.1:6380/2");
        assert_eq!((cache.ttl, cache.absent_ttl), (Duration::from_secs(5), Duration::from_secs(6)));
        assert_eq!((cache.timeout, cache.fence), (Duration::from_millis(7), Duration::from_secs(8)));
        assert_eq!((options.shutdown_timeout, options.seed), (Duration::from_millis(1500), Some(7)));
    }

    #[test]
    fn a_cache_has_the_same_defaults_in_flags_and_struct() {
        let flags = parse(&["--cache=redis://127.0.0.1:6380"]).unwrap().cache.unwrap();
        let options = CacheOptions::new("redis://127.0.0.1:6380".parse().unwrap());
        assert_eq!(format!("{flags:?}"), format!("{options:?}"));
        for flag in ["--cache-ttl=5s", "--cache-policy=ttl-only", "--cache-read=redis://127.0.0.1:6380"] {
            let error = parse(&[flag]).unwrap_err();
            assert!(error.contains("--cache <URL>"), "{error}");
        }
    }

    #[test]
    fn bad_values_name_the_flag_and_say_what_is_expected() {
        for (flag, value, expected) in [
            ("--listen", "9001", "such as 127.0.0.1:9001"),
            ("--name", "two words", "without spaces"),
            ("--threads", "0", "at least 1"),
            ("--capacity", "none", "at least 1"),
            ("--latency", "5ms", "fixed:5ms"),
            ("--database-latency", "5ms", "fixed:5ms"),
            ("--name-index", "true", "on or off"),
            ("--cache", "127.0.0.1:6379", "such as redis://127.0.0.1:6379"),
            ("--cache-policy", "none", "write-through"),
            ("--shutdown-timeout", "10", "with a unit"),
        ] {
            let error = parse(&[flag, value]).unwrap_err();
            assert!(error.contains(flag) && error.contains(expected), "{flag} {value}: {error}");
        }
    }

    #[test]
    fn a_program_gets_the_same_checks() {
        assert!(Options::default().check().is_ok());
        let error = Options { database_pool: 0, ..Options::default() }.check().unwrap_err();
        assert!(error.to_string().contains("database_pool is 0"), "{error}");
        let options = Options { database_timeout: Some(Duration::ZERO), ..Options::default() };
        assert!(options.check().unwrap_err().to_string().contains("at least 1ms"));
        let error = Options { name: "a b".into(), ..Options::default() }.check().unwrap_err();
        assert!(error.to_string().contains("`a b`"), "{error}");
    }
}
