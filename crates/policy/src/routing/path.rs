//! Path patterns.

use std::fmt;
use std::str::FromStr;

/// A pattern for a request's path. The default takes every path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// This path and no other.
    Exact(String),
    /// This path and everything below it, at segment boundaries: `/v1/*` is `Prefix("/v1")` and takes
    /// `/v1`, `/v1/` and `/v1/users`, not `/v10`. Without a final `/`; empty takes every path.
    Prefix(String),
}

impl PathPattern {
    /// Whether it takes this path.
    #[must_use]
    pub fn takes(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes() == path,
            Self::Prefix(prefix) if prefix.is_empty() => true,
            Self::Prefix(prefix) => {
                let rest = path.strip_prefix(prefix.as_bytes());
                rest.is_some_and(|rest| rest.first().is_none_or(|next| *next == b'/'))
            }
        }
    }

    /// How specific it is: exact before prefix, longer before shorter.
    pub(super) fn rank(&self) -> (bool, usize) {
        match self {
            Self::Exact(_) => (true, 0),
            Self::Prefix(prefix) => (false, prefix.len()),
        }
    }
}

impl Default for PathPattern {
    fn default() -> Self {
        Self::Prefix(String::new())
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Prefix(prefix) => write!(f, "{prefix}/*"),
        }
    }
}

impl FromStr for PathPattern {
    type Err = BadPathPattern;

    fn from_str(text: &str) -> Result<Self, BadPathPattern> {
        if text == "*" {
            return Ok(Self::default());
        }
        let (path, prefix) = match text.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (text, false),
        };
        if text.is_empty() {
            Err(BadPathPattern::Empty)
        } else if path.contains('*') {
            Err(BadPathPattern::Wildcard)
        } else if path.contains(['?', '#']) {
            Err(BadPathPattern::Query)
        } else if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err(BadPathPattern::Character)
        } else if !text.starts_with('/') {
            Err(BadPathPattern::NoSlash)
        } else if prefix && path.ends_with('/') {
            Err(BadPathPattern::EmptySegment)
        } else if prefix {
            Ok(Self::Prefix(path.to_owned()))
        } else {
            Ok(Self::Exact(path.to_owned()))
        }
    }
}

/// Why a text is no path pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPathPattern {
    /// Nothing there.
    Empty,
    /// It does not begin with `/`.
    NoSlash,
    /// A `*` elsewhere than as the last segment.
    Wildcard,
    /// A query or a fragment.
    Query,
    /// A space, a control character or one beyond ASCII.
    Character,
    /// `//*` at the end.
    EmptySegment,
}

impl fmt::Display for BadPathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a path pattern cannot be empty; leave `path` out to take every path",
            Self::NoSlash => "a path pattern begins with \"/\"",
            Self::Wildcard => "`*` stands for the rest of the path after a `/` only, as in \"/v1/*\"",
            Self::Query => "a path pattern has no query and no fragment",
            Self::Character => "a path pattern has visible ASCII characters only; write others %-encoded, as clients send them",
            Self::EmptySegment => "a path pattern ends in one \"/*\", not in \"//*\"",
        })
    }
}

impl std::error::Error for BadPathPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        text.parse().unwrap()
    }

    #[test]
    fn exact_is_exact() {
        assert!(pattern("/v1").takes(b"/v1"));
        for path in ["/v1/", "/v", "/V1", "/v1/x", ""] {
            assert!(!pattern("/v1").takes(path.as_bytes()), "{path}");
        }
        assert!(pattern("/").takes(b"/") && !pattern("/").takes(b"/a"));
    }

    #[test]
    fn prefixes_end_at_segments() {
        for path in ["/v1", "/v1/", "/v1/users", "/v1//"] {
            assert!(pattern("/v1/*").takes(path.as_bytes()), "{path}");
        }
        for path in ["/v10", "/v", "/", "", "/v1%2f"] {
            assert!(!pattern("/v1/*").takes(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn all_takes_all() {
        for all in [pattern("*"), pattern("/*"), PathPattern::default()] {
            for path in ["/", "/a/b", "*", ""] {
                assert!(all.takes(path.as_bytes()), "{path}");
            }
            assert_eq!(all.to_string(), "/*");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("", BadPathPattern::Empty),
            ("v1", BadPathPattern::NoSlash),
            ("v1/*", BadPathPattern::NoSlash),
            ("/v1*", BadPathPattern::Wildcard),
            ("/*/a", BadPathPattern::Wildcard),
            ("/*/*", BadPathPattern::Wildcard),
            ("/a?b=1", BadPathPattern::Query),
            ("/a#b", BadPathPattern::Query),
            ("/a b", BadPathPattern::Character),
            ("/ä", BadPathPattern::Character),
            ("//*", BadPathPattern::EmptySegment),
        ] {
            assert_eq!(text.parse::<PathPattern>(), Err(error), "{text}");
        }
    }

    #[test]
    fn display_is_what_is_written() {
        for text in ["/", "/v1", "/v1/", "/v1/*", "/a/b/*", "/*"] {
            assert_eq!(pattern(text).to_string(), text);
        }
    }
}
