//! Which requests belong together: the part of a request by which it is hashed, so that those that agree in it go to
//! the same endpoint.
//!
//! A key is the client's to choose, and [`hash::of`] is known to everybody: whoever wants to can find keys that all belong
//! to one endpoint. What that costs the endpoint, the bound of [`crate::balance::Hashing`] limits.

use std::fmt;
use std::net::IpAddr;

use crate::hash;
use crate::routing::normalize_path;

/// The part of a request by which it is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Key {
    /// Who sent it.
    #[default]
    Client,
    /// Its path as routes see it, without the query.
    Path,
    /// The value of the first header line of this name.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The value of this parameter of its query, as it was sent.
    Query(String),
}

impl Key {
    /// The key's hash. Of a request that does not have the key, or has an empty one, the client's; `None` where there is
    /// no address either.
    ///
    /// `target` is path and query, `fields` are the header lines in their order.
    pub fn hash<'r>(
        &self,
        client: impl FnOnce() -> Option<IpAddr>,
        target: &[u8],
        mut fields: impl Iterator<Item = (&'r [u8], &'r [u8])>,
    ) -> Option<u64> {
        let (path, query) = split(target, b'?');
        let is_named = |line: &(&[u8], &[u8]), name: &str| line.0.eq_ignore_ascii_case(name.as_bytes());
        let own = match self {
            Self::Client => None,
            Self::Path => Some(hash::of(&normalize_path(path))),
            Self::Header(name) => {
                fields.find(|line| is_named(line, name)).and_then(|(_, value)| of_text(value))
            }
            Self::Cookie(name) => fields
                .filter(|line| is_named(line, "cookie"))
                .find_map(|(_, pairs)| of_text(value_of(pairs, b';', name)?)),
            Self::Query(name) => value_of(query, b'&', name).and_then(of_text),
        };
        own.or_else(|| client().map(of_client))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Query(name) => write!(f, "query {name}"),
        }
    }
}

/// The hash of a client's address.
#[must_use]
pub fn of_client(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => hash::of(&address.octets()),
        IpAddr::V6(address) => hash::of(&address.octets()),
    }
}

fn of_text(value: &[u8]) -> Option<u64> {
    (!value.is_empty()).then(|| hash::of(value))
}

/// What is before the first `separator`, and what behind it.
fn split(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |byte| *byte == separator);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// The value in the first `name=value` of this name.
fn value_of<'t>(pairs: &'t [u8], separator: u8, name: &str) -> Option<&'t [u8]> {
    let mut pairs = pairs.split(|byte| *byte == separator).map(|pair| split(pair.trim_ascii(), b'='));
    pairs.find(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn hash(key: &Key, target: &str, fields: &[(&str, &str)]) -> Option<u64> {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        key.hash(|| Some(CLIENT), target.as_bytes(), fields)
    }

    #[track_caller]
    fn expect(key: &Key, target: &str, fields: &[(&str, &str)], value: &str) {
        assert_eq!(
            hash(key, target, fields),
            Some(hash::of(value.as_bytes())),
            "{key} of {target} {fields:?}"
        );
    }

    #[test]
    fn each_key_is_found() {
        expect(&Key::Path, "/a/b?x=1", &[], "/a/b");
        expect(&Key::Path, "/a/./c/../%62", &[], "/a/b");
        let header = Key::Header("x-user".into());
        expect(&header, "/", &[("Host", "a"), ("X-User", "ann"), ("x-user", "bob")], "ann");
        let cookie = Key::Cookie("session".into());
        expect(&cookie, "/", &[("Cookie", "a=1; session=x=y; session=z")], "x=y");
        expect(&cookie, "/", &[("cookie", "Session=1;mysession=2"), ("COOKIE", "b=2;session=3")], "3");
        let query = Key::Query("user".into());
        expect(&query, "/?a=1&user=ann&user=bob", &[], "ann");
        expect(&query, "/?user=a%20b?c=d", &[], "a%20b?c=d");
    }

    #[test]
    fn without_the_key_the_client_counts() {
        let client = Some(of_client(CLIENT));
        for (key, target, fields) in [
            (Key::Client, "/x", &[("x-user", "ann")][..]),
            (Key::Header("x-user".into()), "/", &[("x-user", ""), ("x-users", "ann")]),
            (Key::Cookie("session".into()), "/?session=1", &[("cookie", "session=; sessions=1; session")]),
            (Key::Query("user".into()), "/user=1?users=1&user", &[("user", "1")]),
        ] {
            assert_eq!(hash(&key, target, fields), client, "{key}");
        }
        assert_eq!(Key::Client.hash(|| None, b"/", std::iter::empty()), None);
    }

    #[test]
    fn an_ipv4_client_is_the_same_on_a_dual_stack_listener() {
        assert_eq!(of_client("::ffff:192.0.2.7".parse().unwrap()), of_client(CLIENT));
        assert_ne!(of_client("192.0.2.8".parse().unwrap()), of_client(CLIENT));
    }
}
