//! Which headers travel: hop-by-hop rules, trusted senders, request ids. Works on bytes, allocates nothing.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::rng::Rng;

/// Whether a field concerns one connection only and is never forwarded (RFC 9110 §7.6.1).
///
/// Fields named by `Connection` come on top: see [`connection_names`].
///
/// - `Trailer` travels: it announces fields of the message, and we forward trailers (RFC 9110 §6.6.2).
/// - `Proxy-Authorization` and `Proxy-Authenticate` travel: they belong to the proxy that asked for
///   credentials (RFC 9110 §11.7), which is never us but may be behind us.
#[must_use]
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 => is(b"te"),
        7 => is(b"upgrade"),
        10 => is(b"connection") || is(b"keep-alive"),
        16 => is(b"proxy-connection"),
        17 => is(b"transfer-encoding"),
        _ => false,
    }
}

/// The names in a `Connection` field's value: as sent, without whitespace and empty elements.
pub fn connection_names(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

/// Whether a field stays although `Connection` names it.
///
/// A client could otherwise strip what an endpoint decides by: who it is for, how long it is, who sent it
/// and what they may do ("hop-by-hop header abuse"). RFC 9110 §7.6.1 forbids senders to name such fields.
#[must_use]
pub fn stays_when_named(name: &[u8]) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.len() {
        3 => is(b"via"),
        4 => is(b"host"),
        6 => is(b"cookie") || is(b"expect"),
        7 => is(b"trailer"),
        9 => is(b"forwarded"),
        12 => is(b"x-request-id") || is(b"content-type"),
        13 => is(b"authorization") || is(b"cache-control"),
        14 => is(b"content-length"),
        15 => is(b"x-forwarded-for"),
        16 => is(b"x-forwarded-host"),
        17 => is(b"x-forwarded-proto"),
        _ => false,
    }
}

/// The senders whose `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    networks: Box<[IpNet]>,
}

impl Trust {
    /// Believes senders in these networks; none, nobody.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks: networks.into() }
    }

    /// Whether this sender is believed. An IPv4 address mapped into IPv6, as a dual-stack listener
    /// shows it, counts as the IPv4 address.
    #[must_use]
    pub fn trusts(&self, sender: IpAddr) -> bool {
        let sender = sender.to_canonical();
        self.networks.iter().any(|network| network.contains(&sender))
    }
}

/// Whether a sender's `X-Request-Id` may be kept: 1 to 128 visible ASCII characters, harmless in any log.
#[must_use]
pub fn valid_request_id(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A new request id: 128 random bits as 32 hexadecimal digits.
pub fn make_request_id(rng: &mut Rng) -> [u8; 32] {
    let bits = (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
    let mut id = [0; 32];
    for (index, digit) in id.iter_mut().rev().enumerate() {
        let nibble = (bits >> (4 * index)) as u8 & 0xf;
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_fields_in_any_case() {
        for name in ["Connection", "keep-alive", "Proxy-Connection", "TE", "Transfer-Encoding", "UPGRADE"] {
            assert!(is_hop_by_hop(name.as_bytes()), "{name}");
        }
        for name in ["Trailer", "Proxy-Authorization", "Host", "Content-Length", "Via", "", "t", "Connectiom"]
        {
            assert!(!is_hop_by_hop(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn connection_lists_names() {
        let names = |value: &'static str| connection_names(value.as_bytes()).collect::<Vec<_>>();
        assert_eq!(names("close"), [b"close"]);
        assert_eq!(names(" Keep-Alive ,\tX-Foo,, "), [&b"Keep-Alive"[..], b"X-Foo"]);
        assert!(names("").is_empty() && names(" , ,").is_empty());
    }

    #[test]
    fn no_client_strips_what_endpoints_decide_by() {
        for name in [
            "Host",
            "Content-Length",
            "X-Forwarded-For",
            "x-forwarded-proto",
            "Authorization",
            "COOKIE",
            "Via",
        ] {
            assert!(stays_when_named(name.as_bytes()), "{name}");
        }
        for name in ["close", "keep-alive", "X-Custom", "upgrade", "HTTP2-Settings"] {
            assert!(!stays_when_named(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn trust_by_network() {
        let trust = Trust::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for sender in ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1"] {
            assert!(trust.trusts(sender.parse().unwrap()), "{sender}");
        }
        for sender in ["11.0.0.1", "::ffff:11.0.0.1", "fe80::1", "::1"] {
            assert!(!trust.trusts(sender.parse().unwrap()), "{sender}");
        }
        assert!(!Trust::default().trusts("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn request_ids() {
        assert!(valid_request_id(b"a") && valid_request_id(&[b'~'; 128]));
        for bad in [&b""[..], &[b'a'; 129], b"a b", b"a\r\n", b"\x7f", "ä".as_bytes()] {
            assert!(!valid_request_id(bad));
        }
        let (mut rng, mut same) = (Rng::new(3), Rng::new(3));
        let id = make_request_id(&mut rng);
        assert_eq!(id, make_request_id(&mut same));
        assert_ne!(id, make_request_id(&mut rng));
        assert!(valid_request_id(&id) && id.iter().all(|digit| digit.is_ascii_hexdigit()));
        let mut bits = Rng::new(3);
        let expected = format!("{:016x}{:016x}", bits.next_u64(), bits.next_u64());
        assert_eq!(id, expected.as_bytes());
    }
}
