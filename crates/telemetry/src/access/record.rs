//! One exchange as the access log sees it.

use crate::number;
use evenkeel_policy::rejection::Rejection;
use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// Longest request path that is logged whole; the rest of a longer one is replaced by `...`.
pub(super) const PATH: usize = 8_192;
/// The same for every other field.
pub(super) const FIELD: usize = 255;

/// One exchange. Bytes that a client sent are logged escaped; what it did not send is empty.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When the request arrived.
    pub time: SystemTime,
    /// Its id, as sent on in `X-Request-Id`.
    pub request_id: &'a [u8],
    /// Who sent it.
    pub client: Client<'a>,
    /// The listener's name.
    pub listener: &'a str,
    /// The route's name; empty when none took it.
    pub route: &'a str,
    /// The method.
    pub method: &'a [u8],
    /// The host asked for.
    pub host: &'a [u8],
    /// The path with its query.
    pub path: &'a [u8],
    /// The status sent to the client; 0 when none was.
    pub status: u16,
    /// Why Evenkeel ended the exchange itself, if it did.
    pub reason: Option<Rejection>,
    /// Bytes received from the client.
    pub bytes_in: u64,
    /// Bytes sent to the client.
    pub bytes_out: u64,
    /// From the first byte of the request to the last of the answer.
    pub duration: Duration,
    /// The upstream's name; empty when none was chosen.
    pub upstream: &'a str,
    /// The endpoint of the last attempt; empty when there was none.
    pub endpoint: &'a str,
    /// How many endpoints were tried.
    pub attempts: u32,
    /// How long connecting took; `None` when a connection was reused or none was made.
    pub connect: Option<Duration>,
    /// From the first byte of the request to the first byte of the endpoint's answer.
    pub first_byte: Option<Duration>,
    /// The TLS version of the client's connection.
    pub tls: Option<&'a str>,
}

impl Record<'_> {
    /// An upper bound of the line's length: no byte is written as more than six.
    pub(super) fn ceiling(&self) -> usize {
        let names = [self.listener, self.route, self.upstream, self.endpoint, self.tls.unwrap_or_default()];
        let bytes = names.iter().map(|name| name.len().min(FIELD)).sum::<usize>()
            + [self.request_id, self.method, self.host]
                .iter()
                .map(|bytes| bytes.len().min(FIELD))
                .sum::<usize>()
            + self.path.len().min(PATH)
            + self.client.len().min(FIELD);
        1_024 + 6 * bytes
    }
}

/// The client's address, or its text where the caller has it at hand or it is not an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client<'a> {
    /// An IP address.
    Ip(IpAddr),
    /// Any other name, such as that of a Unix socket.
    Text(&'a str),
}

impl From<IpAddr> for Client<'_> {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

impl<'a> From<&'a str> for Client<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl Client<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Ip(_) => 45,
            Self::Text(text) => text.len(),
        }
    }
}

/// Writes an IP address: version 4 without the formatting machinery, and so a mapped one as what it is.
pub(super) fn put_ip(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (i, octet) in address.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                number::put(out, u64::from(octet));
            }
        }
        IpAddr::V6(address) => {
            // Writing to memory does not fail.
            let _ = write!(out, "{address}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (address, text) in [
            ("203.0.113.7", "203.0.113.7"),
            ("0.0.0.0", "0.0.0.0"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.255", "192.0.2.255"),
        ] {
            let mut out = Vec::new();
            put_ip(&mut out, address.parse().unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
