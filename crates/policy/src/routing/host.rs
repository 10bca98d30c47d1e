//! Host patterns, and the form in which hosts are compared.

use std::fmt;
use std::str::FromStr;

/// The longest host that can match: a DNS name has at most 253 characters, an address fewer.
const MAX: usize = 255;

/// A pattern for a request's host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host, in lower case.
    Exact(String),
    /// Any host below this one, at any depth, in lower case: `*.example.com` is `Wildcard("example.com")`
    /// and takes `a.example.com` and `a.b.example.com`, not `example.com`.
    Wildcard(String),
}

impl HostPattern {
    /// Whether it takes this host.
    #[must_use]
    pub fn takes(&self, host: &[u8]) -> bool {
        let mut buffer = Lowered::default();
        let Some(host) = buffer.lower(host) else { return false };
        match self {
            Self::Exact(name) => name.as_bytes() == host,
            Self::Wildcard(suffix) => {
                let above = host.strip_suffix(suffix.as_bytes()).and_then(|rest| rest.strip_suffix(b"."));
                above.is_some_and(|labels| !labels.is_empty())
            }
        }
    }

    /// How specific it is: exact before wildcard, longer before shorter.
    pub(super) fn rank(&self) -> (bool, usize) {
        match self {
            Self::Exact(_) => (true, 0),
            Self::Wildcard(suffix) => (false, suffix.len()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

impl FromStr for HostPattern {
    type Err = BadHostPattern;

    fn from_str(text: &str) -> Result<Self, BadHostPattern> {
        let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if let Some(address) = lower.strip_prefix('[') {
            let address = address.strip_suffix(']').ok_or(BadHostPattern::Port)?;
            return match address.parse::<std::net::Ipv6Addr>() {
                Ok(_) => Ok(Self::Exact(lower)),
                Err(_) => Err(BadHostPattern::Character),
            };
        }
        let name = lower.strip_prefix("*.").unwrap_or(&lower);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if lower.is_empty() {
            Err(BadHostPattern::Empty)
        } else if name.contains('*') {
            Err(BadHostPattern::Wildcard)
        } else if name.contains(':') {
            Err(BadHostPattern::Port)
        } else if !name.bytes().all(allowed) {
            Err(BadHostPattern::Character)
        } else if name.split('.').any(str::is_empty) {
            Err(BadHostPattern::EmptyLabel)
        } else if name.len() > 253 {
            Err(BadHostPattern::TooLong)
        } else if name.len() < lower.len() {
            Ok(Self::Wildcard(name.to_owned()))
        } else {
            Ok(Self::Exact(lower))
        }
    }
}

/// Why a text is no host pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHostPattern {
    /// Nothing there.
    Empty,
    /// A `*` elsewhere than in front.
    Wildcard,
    /// A port or an address without brackets.
    Port,
    /// A character no host has.
    Character,
    /// Two dots in a row, or one in front.
    EmptyLabel,
    /// Longer than a name can be.
    TooLong,
}

impl fmt::Display for BadHostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a host pattern cannot be empty; leave `host` out to take every host",
            Self::Wildcard => {
                "`*` stands for whole labels in front only, as in \"*.example.com\"; leave `host` out to take every host"
            }
            Self::Port => "a host pattern has no port; an IPv6 address is written as \"[::1]\"",
            Self::Character => {
                "a host has ASCII letters, digits, `-`, `_` and `.` only; write other names in their xn-- form"
            }
            Self::EmptyLabel => "a host has no empty label: two dots in a row, or one in front",
            Self::TooLong => "a host has at most 253 characters",
        })
    }
}

impl std::error::Error for BadHostPattern {}

/// Room for a host in lower case, so that comparing allocates nothing.
pub(super) struct Lowered {
    bytes: [u8; MAX],
}

impl Default for Lowered {
    fn default() -> Self {
        Self { bytes: [0; MAX] }
    }
}

impl Lowered {
    /// The host in the form patterns have: lower case, no port, no final dot. `None` when too long for any pattern.
    pub(super) fn lower(&mut self, host: &[u8]) -> Option<&[u8]> {
        let host = without_port(host);
        let host = host.strip_suffix(b".").unwrap_or(host);
        let lowered = self.bytes.get_mut(..host.len())?;
        lowered.copy_from_slice(host);
        lowered.make_ascii_lowercase();
        Some(lowered)
    }
}

fn without_port(host: &[u8]) -> &[u8] {
    let end = match host.first() {
        Some(b'[') => host.iter().position(|byte| *byte == b']').map(|bracket| bracket + 1),
        _ => host.iter().rposition(|byte| *byte == b':'),
    };
    end.and_then(|end| host.get(..end)).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn exact_hosts_ignore_case_port_and_final_dot() {
        let example = pattern("Example.COM.");
        assert_eq!(example.to_string(), "example.com");
        for host in ["example.com", "EXAMPLE.com", "example.com:8080", "example.com.", "example.com.:80"] {
            assert!(example.takes(host.as_bytes()), "{host}");
        }
        for host in ["", "a.example.com", "example.org", "example.com..", "[example.com]"] {
            assert!(!example.takes(host.as_bytes()), "{host}");
        }
        assert!(!example.takes(&[b'a'; 10_000]));
    }

    #[test]
    fn wildcards_take_every_depth_below() {
        let below = pattern("*.Example.com");
        assert_eq!(below, HostPattern::Wildcard("example.com".into()));
        assert_eq!(below.to_string(), "*.example.com");
        for host in ["a.example.com", "A.b.EXAMPLE.com:1"] {
            assert!(below.takes(host.as_bytes()), "{host}");
        }
        for host in ["example.com", ".example.com", "aexample.com", "example.com.org"] {
            assert!(!below.takes(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn addresses() {
        assert!(pattern("[::1]").takes(b"[::1]:8080"));
        assert!(pattern("127.0.0.1").takes(b"127.0.0.1:80"));
        assert!(!pattern("[::1]").takes(b"[::2]"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("", BadHostPattern::Empty),
            (".", BadHostPattern::Empty),
            ("*", BadHostPattern::Wildcard),
            ("a.*.com", BadHostPattern::Wildcard),
            ("*a.com", BadHostPattern::Wildcard),
            ("*.*.com", BadHostPattern::Wildcard),
            ("a.com:80", BadHostPattern::Port),
            ("::1", BadHostPattern::Port),
            ("[::1]:80", BadHostPattern::Port),
            ("[zz]", BadHostPattern::Character),
            ("a b.com", BadHostPattern::Character),
            ("bücher.de", BadHostPattern::Character),
            ("a..b", BadHostPattern::EmptyLabel),
            ("*..b", BadHostPattern::EmptyLabel),
            ("*.", BadHostPattern::Wildcard),
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(error), "{text}");
        }
        assert_eq!("localhost".parse::<HostPattern>(), Ok(HostPattern::Exact("localhost".into())));
        assert_eq!("a".repeat(254).parse::<HostPattern>(), Err(BadHostPattern::TooLong));
    }
}
