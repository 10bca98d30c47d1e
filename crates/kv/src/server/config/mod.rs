//! [`Config`]: what can be changed while the server runs, and [`Configs`], the one in force.

mod parameters;
pub(crate) mod units;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, PoisonError};

use crate::command::{Settings, glob};
use crate::error::Error;
use crate::resp::Limits;
use crate::server::clients::Kind;
use crate::server::mailbox::OutputLimit;
use crate::store::Policy;

/// Everything `CONFIG SET` knows.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Bytes that data may take; 0 is no limit.
    pub(crate) maxmemory: usize,
    pub(crate) policy: Policy,
    /// Empty: none is asked for.
    pub(crate) password: Vec<u8>,
    /// For the primary; empty: none.
    pub(crate) primary_password: Vec<u8>,
    pub(crate) maxclients: usize,
    /// Seconds after which an idle client is closed; 0 is never.
    pub(crate) timeout: u64,
    /// Seconds of silence before the system asks whether a client is still there; 0 is never.
    pub(crate) keepalive: u64,
    /// Microseconds; -1 is never.
    pub(crate) slowlog_threshold: i64,
    pub(crate) slowlog_length: usize,
    /// Most bytes of one command.
    pub(crate) query_limit: usize,
    pub(crate) normal_output: OutputLimit,
    pub(crate) replica_output: OutputLimit,
    pub(crate) pubsub_output: OutputLimit,
    pub(crate) settings: Settings,
    /// Bytes of the stream kept for replicas that come back.
    pub(crate) backlog_size: usize,
    /// Seconds they are kept without a replica; 0 is for ever.
    pub(crate) backlog_ttl: u64,
    /// Seconds between two signs of life to replicas.
    pub(crate) replica_ping_period: u64,
    /// Seconds without a sign of life after which the other side of a replication is given up.
    pub(crate) replication_timeout: u64,
    /// Whether a replica answers while it has no connection to its primary.
    pub(crate) serves_stale: bool,
    /// Whether a replica refuses commands that write.
    pub(crate) replica_read_only: bool,
    /// Seconds between snapshots if something changed; 0 is none on its own.
    pub(crate) snapshot_interval: u64,
    /// What cannot be changed.
    pub(crate) fixed: Fixed,
}

/// What was chosen at the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fixed {
    pub(crate) port: u16,
    pub(crate) bind: String,
    /// Directory of the snapshot, and its name there.
    pub(crate) directory: String,
    pub(crate) snapshot: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            maxmemory: 0,
            policy: Policy::default(),
            password: Vec::new(),
            primary_password: Vec::new(),
            maxclients: 10_000,
            timeout: 0,
            keepalive: 300,
            slowlog_threshold: 10_000,
            slowlog_length: 128,
            query_limit: 1 << 30,
            normal_output: OutputLimit::default(),
            replica_output: OutputLimit { hard: 256 << 20, soft: 64 << 20, seconds: 60 },
            pubsub_output: OutputLimit { hard: 32 << 20, soft: 8 << 20, seconds: 60 },
            // As Debian's Redis 7.0 has it.
            settings: Settings { hash_compact: (512, 64), ..Settings::default() },
            backlog_size: 16 << 20,
            backlog_ttl: 3600,
            replica_ping_period: 10,
            replication_timeout: 60,
            serves_stale: true,
            replica_read_only: true,
            snapshot_interval: 0,
            fixed: Fixed::default(),
        }
    }
}

impl Config {
    /// What a client that has shown its password may ask for at once.
    pub(crate) fn limits(&self) -> Limits {
        Limits { bulk: self.settings.longest_string, command: self.query_limit, ..Limits::default() }
    }

    /// How much may wait for clients of a kind.
    pub(crate) fn output_limit(&self, kind: Kind) -> OutputLimit {
        match kind {
            Kind::Normal | Kind::Primary => self.normal_output,
            Kind::Replica => self.replica_output,
            Kind::Pubsub => self.pubsub_output,
        }
    }

    /// The parameters whose names match one of the patterns, each once, with their values.
    pub(crate) fn matching<'a>(
        &self,
        patterns: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Vec<(&'static str, String)> {
        let matches = |name: &str| {
            let name = name.as_bytes();
            patterns.clone().any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name))
        };
        parameters::ALL
            .iter()
            .flat_map(|parameter| parameter.names.iter().map(move |name| (*name, parameter)))
            .filter(|(name, _)| matches(name))
            .map(|(name, parameter)| (name, (parameter.show)(self)))
            .collect()
    }

    /// Another configuration, in which the pairs of names and values hold.
    ///
    /// # Errors
    /// One is unknown, cannot be changed, is given twice or has a value that makes no sense: then nothing is changed.
    pub(crate) fn with(&self, pairs: &[(&[u8], &[u8])]) -> Result<Self, Error> {
        let mut changed = self.clone();
        let mut seen: Vec<&'static str> = Vec::new();
        for (name, value) in pairs {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            let known = parameters::ALL.iter().find(|parameter| parameter.names.contains(&name.as_str()));
            let Some(parameter) = known else {
                let text = format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'");
                return Err(Error::told(text));
            };
            let refused = |why: &str| {
                Error::told(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
            };
            let Some(change) = parameter.change else { return Err(refused("can't set immutable config")) };
            let canonical = parameter.names.first().copied().unwrap_or_default();
            if seen.contains(&canonical) {
                return Err(refused("duplicate parameter"));
            }
            seen.push(canonical);
            let value = String::from_utf8_lossy(value);
            change(&mut changed, &value).map_err(|why| refused(&why))?;
        }
        changed.settings.counts_frequency = changed.policy.counts_frequency();
        Ok(changed)
    }
}

/// The configuration in force, which readers keep a reference to until there is another.
#[derive(Debug)]
pub(crate) struct Configs {
    version: AtomicU64,
    current: Mutex<Arc<Config>>,
}

impl Configs {
    /// Begins with this one.
    pub(crate) fn new(config: Config) -> Self {
        Self { version: AtomicU64::new(1), current: Mutex::new(Arc::new(config)) }
    }

    /// Changes with every change.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// The one in force.
    pub(crate) fn current(&self) -> Arc<Config> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another in force, made from the current one.
    ///
    /// # Errors
    /// Those of `change`; then nothing changes.
    pub(crate) fn change(
        &self,
        change: impl FnOnce(&Config) -> Result<Config, Error>,
    ) -> Result<Arc<Config>, Error> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let config = Arc::new(change(&current)?);
        *current = config.clone();
        self.version.fetch_add(1, Release);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        Config::default().with(&pairs).map_err(|error| error.text().to_owned())
    }

    #[test]
    fn several_are_set_together_or_not_at_all() {
        let config = with(&[("maxmemory", "100mb"), ("MaxMemory-Policy", "allkeys-lfu")]).unwrap();
        assert_eq!(config.maxmemory, 100 << 20);
        assert!(config.settings.counts_frequency);
        for (pairs, error) in [
            (
                &[("maxmemory", "1"), ("nothing", "1")][..],
                "ERR Unknown option or number of arguments for CONFIG SET - 'nothing'",
            ),
            (
                &[("timeout", "1"), ("timeout", "2")],
                "ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter",
            ),
            (
                &[("databases", "3")],
                "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
            ),
            (
                &[("timeout", "x")],
                "ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer",
            ),
        ] {
            assert_eq!(with(pairs).unwrap_err(), error);
        }
    }

    #[test]
    fn what_is_shown_can_be_set() {
        let config = Config::default();
        let all = config.matching([b"*".as_slice()].into_iter());
        assert!(all.len() > 20);
        for (name, value) in all {
            match config.with(&[(name.as_bytes(), value.as_bytes())]) {
                Ok(same) => assert_eq!(format!("{same:?}"), format!("{config:?}"), "{name}"),
                Err(error) => {
                    assert!(error.text().ends_with("can't set immutable config"), "{name}: {error}")
                }
            }
        }
    }

    #[test]
    fn patterns_choose() {
        let config = Config::default();
        let chosen = config.matching([b"MAXMEMORY*".as_slice(), b"maxmemory", b"nothing"].into_iter());
        let names: Vec<_> = chosen.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["maxmemory", "maxmemory-policy"]);
    }
}
