//! How a cache is used, as a struct for programs and as flags for people; the URL that names it.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};

use crate::latency::parse_duration;

/// A cache before the database, and how it is used. The flags of `toy-backend` and [`CacheOptions::new`] have the
/// same defaults.
#[derive(Clone, Debug, clap::Args)]
pub struct CacheOptions {
    /// Redis-compatible cache before `/items/{id}` and `/items?name=`, such as redis://user:password@127.0.0.1:6379/0
    #[arg(long = "cache", value_name = "URL", required = false)]
    pub url: CacheUrl,
    /// How long a row stays in the cache
    #[arg(long = "cache-ttl", requires = "url", value_name = "TIME", value_parser = parse_duration, default_value = "60s")]
    pub ttl: Duration,
    /// How long it stays in the cache that there is no such row
    #[arg(long = "cache-absent-ttl", requires = "url", value_name = "TIME", value_parser = parse_duration, default_value = "5s")]
    pub absent_ttl: Duration,
    /// How long an answer of the cache is waited for; then the database answers
    #[arg(long = "cache-timeout", requires = "url", value_name = "TIME", value_parser = parse_duration, default_value = "50ms")]
    pub timeout: Duration,
    /// How long nothing is cached under a key that was just written, so that what was read before the write cannot
    /// come back; 0s only deletes the key
    #[arg(long = "cache-fence", requires = "url", value_name = "TIME", value_parser = parse_duration, default_value = "500ms")]
    pub fence: Duration,
    /// What a write does to the cache
    #[arg(long = "cache-policy", requires = "url", value_name = "POLICY", value_enum, default_value_t = CachePolicy::Invalidate)]
    pub policy: CachePolicy,
    /// How much longer than its time a row may be answered if the database fails; 0s for never
    #[arg(long = "cache-serve-stale", requires = "url", value_name = "TIME", value_parser = parse_duration, default_value = "0s")]
    pub serve_stale: Duration,
    /// A replica of the cache to look into; what is stored and invalidated still goes to --cache
    #[arg(long = "cache-read", requires = "url", value_name = "URL")]
    pub read: Option<CacheUrl>,
}

/// What a write does to the cache once the database has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CachePolicy {
    /// The row and the lists it is in are removed
    #[default]
    Invalidate,
    /// The new row is stored, the lists it is in are removed
    WriteThrough,
    /// Nothing: what is cached is found until its time is over
    TtlOnly,
}

impl CacheOptions {
    /// The cache at `url`, with the defaults of the flags.
    pub fn new(url: CacheUrl) -> CacheOptions {
        CacheOptions {
            url,
            ttl: Duration::from_secs(60),
            absent_ttl: Duration::from_secs(5),
            timeout: Duration::from_millis(50),
            fence: Duration::from_millis(500),
            policy: CachePolicy::Invalidate,
            serve_stale: Duration::ZERO,
            read: None,
        }
    }

    /// Says what does not go together.
    pub(crate) fn check(&self) -> io::Result<()> {
        let wrong = |sentence: String| Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
        for (flag, time) in [
            ("--cache-ttl", self.ttl),
            ("--cache-absent-ttl", self.absent_ttl),
            ("--cache-timeout", self.timeout),
        ] {
            if time < Duration::from_millis(1) {
                return wrong(format!("{flag} is {time:?}, but has to be at least 1ms"));
            }
        }
        if !self.fence.is_zero() && self.fence < self.timeout * 4 {
            return wrong(format!(
                "--cache-fence is {:?}, but has to be 0s or at least four times --cache-timeout ({:?})",
                self.fence, self.timeout
            ));
        }
        // Until then a row that was read before a write may be stored, and must find what the write has stored.
        if self.policy == CachePolicy::WriteThrough && self.ttl < self.fence / 2 {
            return wrong(format!(
                "--cache-ttl is {:?}, but has to be at least half of --cache-fence ({:?}) with --cache-policy write-through",
                self.ttl, self.fence
            ));
        }
        Ok(())
    }
}

/// Where a cache is, and with which user, password and database. Displayed without the password.
#[derive(Clone)]
pub struct CacheUrl {
    host: String,
    port: u16,
    login: RedisConnectionInfo,
}

/// Why a text is no [`CacheUrl`]; a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheUrlError(String);

impl CacheUrl {
    /// For dialling.
    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// For greeting.
    pub(super) fn login(&self) -> &RedisConnectionInfo {
        &self.login
    }
}

impl FromStr for CacheUrl {
    type Err = CacheUrlError;

    fn from_str(text: &str) -> Result<CacheUrl, CacheUrlError> {
        let expected = |reason: &str| {
            // The text may hold a password: it is not repeated.
            let shape = "expected redis://[[user]:password@]HOST[:PORT][/DB], such as redis://127.0.0.1:6379";
            CacheUrlError(format!("{reason}; {shape}"))
        };
        if !text.starts_with("redis://") {
            return Err(expected("it does not begin with redis://"));
        }
        let info = text.into_connection_info().map_err(|error| {
            let reason = error.to_string();
            expected(reason.split(" - ").next().unwrap_or(&reason))
        })?;
        match info.addr() {
            ConnectionAddr::Tcp(host, port) => Ok(CacheUrl {
                host: host.clone(),
                port: *port,
                login: info.redis_settings().clone().set_skip_set_lib_name(),
            }),
            _ => Err(expected("it names no host and port")),
        }
    }
}

impl fmt::Display for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redis://")?;
        match (self.login.username(), self.login.password()) {
            (None, None) => {}
            (user, None) => write!(f, "{}@", user.unwrap_or_default())?,
            (user, Some(_)) => write!(f, "{}:***@", user.unwrap_or_default())?,
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port)?,
            false => write!(f, "{}:{}", self.host, self.port)?,
        }
        match self.login.db() {
            0 => Ok(()),
            database => write!(f, "/{database}"),
        }
    }
}

impl fmt::Debug for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CacheUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CacheUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (text, shown) in [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379"),
            ("redis://cache.local:6380/", "redis://cache.local:6380"),
            ("redis://:secret@[::1]:6380/3", "redis://:***@[::1]:6380/3"),
            ("redis://toy:se%2Fcret@10.0.0.1:1", "redis://toy:***@10.0.0.1:1"),
        ] {
            let url: CacheUrl = text.parse().unwrap();
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
        }
        let url: CacheUrl = "redis://toy:se%2Fcret@[::1]:1/3".parse().unwrap();
        assert_eq!(url.address(), ("::1", 1));
        assert_eq!((url.login().username(), url.login().password()), (Some("toy"), Some("se/cret")));
    }

    #[test]
    fn what_is_no_url_says_what_is() {
        for text in [
            "127.0.0.1:6379",
            "http://127.0.0.1",
            "rediss://127.0.0.1",
            "redis+unix:///tmp/x",
            "redis://",
            "redis://127.0.0.1:port",
            "redis://:secret@127.0.0.1/first",
        ] {
            let error = text.parse::<CacheUrl>().unwrap_err().to_string();
            assert!(error.contains("such as redis://127.0.0.1:6379"), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_written_through_outlives_a_late_reader() {
        let options = CacheOptions {
            ttl: Duration::from_millis(249),
            policy: CachePolicy::WriteThrough,
            ..CacheOptions::new("redis://h".parse().unwrap())
        };
        assert!(options.check().unwrap_err().to_string().contains("half of --cache-fence (500ms)"));
        assert!(CacheOptions { ttl: Duration::from_millis(250), ..options.clone() }.check().is_ok());
        assert!(CacheOptions { policy: CachePolicy::TtlOnly, ..options }.check().is_ok());
    }

    #[test]
    fn times_go_together() {
        let options = CacheOptions::new("redis://h".parse().unwrap());
        assert!(options.check().is_ok());
        assert!(CacheOptions { fence: Duration::ZERO, ..options.clone() }.check().is_ok());
        let short = CacheOptions { fence: Duration::from_millis(199), ..options.clone() };
        assert!(short.check().unwrap_err().to_string().contains("four times --cache-timeout"));
        let none = CacheOptions { ttl: Duration::ZERO, ..options };
        assert!(none.check().unwrap_err().to_string().contains("--cache-ttl is 0ns"));
    }
}
