//! Which headers travel: hop-by-hop rules, trusted senders, request ids. Works on bytes, allocates nothing.

use std::net::{IpAddr, SocketAddr};

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

    /// Who sent a request: the peer or, if that is believed, the last sender that its `X-Forwarded-For` fields name and
    /// that is not believed itself; if all are believed, the first.
    ///
    /// What stands before something that is no address was added by nobody who is believed, and does not count.
    pub fn client<'f>(
        &self,
        peer: Option<IpAddr>,
        forwarded_for: impl Iterator<Item = &'f [u8]>,
    ) -> Option<IpAddr> {
        let peer = peer.map(|peer| peer.to_canonical());
        if !peer.is_some_and(|peer| self.trusts(peer)) {
            return peer;
        }
        let mut found: Option<IpAddr> = None;
        for sender in forwarded_for.flat_map(connection_names).map(address) {
            let is_believed = sender.is_some_and(|sender| self.trusts(sender));
            found = if is_believed { found.or(sender) } else { sender };
        }
        found.or(peer)
    }
}

/// An address as `X-Forwarded-For` has it, perhaps with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.trim_matches(['[', ']']).parse::<IpAddr>();
    let address = bare.or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    Some(address.ok()?.to_canonical())
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
    fn the_client_is_the_last_who_is_not_believed() {
        let trust = Trust::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let client = |peer: &str, fields: &[&str]| {
            let fields = fields.iter().map(|field| field.as_bytes());
            trust.client(Some(peer.parse().unwrap()), fields).unwrap().to_string()
        };
        for (peer, fields, wanted) in [
            ("192.0.2.1", &["6.6.6.6"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("::ffff:10.0.0.1", &[" , "], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["6.6.6.6", "192.0.2.1, 10.0.0.3", "10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["192.0.2.1:4711,10.0.0.2:80"], "192.0.2.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711, [fd00::1]"], "fd00::1"),
            ("10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["6.6.6.6, unknown, 10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["6.6.6.6, _hidden"], "10.0.0.1"),
        ] {
            assert_eq!(client(peer, fields), wanted, "{peer} {fields:?}");
        }
        assert_eq!(
            trust.client(None, [&b"192.0.2.1"[..]].into_iter()),
            None,
            "nobody believes a UNIX socket"
        );
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
