//! Field names and values: character classes, the names a proxy must know, comma lists.

/// Field names that mean something to a proxy, recognised once while a head is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    /// Any other name.
    Other,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Expect`
    Expect,
    /// `Forwarded` (RFC 7239)
    Forwarded,
    /// `Host`
    Host,
    /// `Keep-Alive`
    KeepAlive,
    /// `Proxy-Authenticate`
    ProxyAuthenticate,
    /// `Proxy-Authorization`
    ProxyAuthorization,
    /// `Proxy-Connection`
    ProxyConnection,
    /// `Proxy-Status` (RFC 9209)
    ProxyStatus,
    /// `Te`
    Te,
    /// `Trailer`
    Trailer,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `Via`
    Via,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// Any other `X-Forwarded-*`, and `X-Real-Ip`: what a proxy says about a client.
    XForwardedOther,
    /// `X-Request-Id`
    XRequestId,
    /// A known name with `_` for `-`. A gateway that turns names into variables (RFC 3875 §4.1.18) makes them the
    /// same, so such a field never travels.
    Twin,
}

impl Known {
    /// Recognises a name, whatever its case.
    pub fn of(name: &[u8]) -> Self {
        let (text, known): (&[u8], Self) = match (name.len(), name.first().map(|byte| byte | 0x20)) {
            (2, Some(b't')) => (b"te", Self::Te),
            (3, Some(b'v')) => (b"via", Self::Via),
            (4, Some(b'h')) => (b"host", Self::Host),
            (6, Some(b'e')) => (b"expect", Self::Expect),
            (7, Some(b't')) => (b"trailer", Self::Trailer),
            (7, Some(b'u')) => (b"upgrade", Self::Upgrade),
            (9, Some(b'f')) => (b"forwarded", Self::Forwarded),
            (10, Some(b'c')) => (b"connection", Self::Connection),
            (10, Some(b'k')) => (b"keep-alive", Self::KeepAlive),
            (12, Some(b'x')) => (b"x-request-id", Self::XRequestId),
            (12, Some(b'p')) => (b"proxy-status", Self::ProxyStatus),
            (14, Some(b'c')) => (b"content-length", Self::ContentLength),
            (15, Some(b'x')) => (b"x-forwarded-for", Self::XForwardedFor),
            (16, Some(b'x')) => (b"x-forwarded-host", Self::XForwardedHost),
            (16, Some(b'p')) => (b"proxy-connection", Self::ProxyConnection),
            (17, Some(b'x')) => (b"x-forwarded-proto", Self::XForwardedProto),
            (17, Some(b't')) => (b"transfer-encoding", Self::TransferEncoding),
            (18, Some(b'p')) => (b"proxy-authenticate", Self::ProxyAuthenticate),
            (19, Some(b'p')) => (b"proxy-authorization", Self::ProxyAuthorization),
            (9, Some(b'x')) => (b"x-real-ip", Self::XForwardedOther),
            _ if is_forwarded(name) => return Self::XForwardedOther,
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(text) {
            known
        } else if is_twin(name, text) {
            Self::Twin
        } else if is_forwarded(name) {
            Self::XForwardedOther
        } else {
            Self::Other
        }
    }

    /// Whether the field belongs to one connection and never passes a proxy (RFC 9110 §7.6.1).
    /// `Trailer` is end to end; `Proxy-Auth*` is left to the endpoint, as a reverse proxy is no proxy to clients.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }
}

/// Whether the two are the same name but for `_` in place of `-`.
fn is_twin(name: &[u8], text: &[u8]) -> bool {
    name.iter().zip(text).all(|(&a, &b)| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-'))
}

/// Whether the name begins with `X-Forwarded-`, or with a twin of that.
#[inline]
fn is_forwarded(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"x-forwarded-";
    name.first().is_some_and(|byte| byte | 0x20 == b'x')
        && name.get(..PREFIX.len()).is_some_and(|start| is_twin(start, PREFIX))
}

/// Which bytes may be in a token (RFC 9110 §5.6.2).
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let c = byte as u8;
        #[allow(clippy::indexing_slicing)] // a constant: an index out of bounds would not compile
        {
            token[byte] = c.is_ascii_alphanumeric()
                || matches!(c, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
                || matches!(c, b'^' | b'_' | b'`' | b'|' | b'~');
        }
        byte += 1;
    }
    token
};

/// How many token characters the bytes begin with.
#[inline]
pub(crate) fn token_length(bytes: &[u8]) -> usize {
    #[allow(clippy::indexing_slicing)] // a u8 is always below 256
    let ends = |&byte: &u8| !TOKEN[usize::from(byte)];
    bytes.iter().position(ends).unwrap_or(bytes.len())
}

/// Whether this is a token: not empty, and made of token characters.
#[inline]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && token_length(bytes) == bytes.len()
}

/// Whether no byte is a control character; tabs are allowed (RFC 9110 §5.5). Without an early exit, which lets
/// the compiler look at many bytes at once: values are long and hardly ever wrong.
#[inline]
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    let is_bad = |byte: u8| ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f);
    !bytes.iter().fold(false, |bad, &byte| bad | is_bad(byte))
}

/// Whether this may be a request target: no blanks, no control characters, no fragment (RFC 9112 §3.2). Bytes above
/// ASCII are tolerated, as by every server.
#[inline]
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    let is_bad = |byte: u8| (byte <= 0x20) | (byte == 0x7f) | (byte == b'#');
    !bytes.is_empty() && !bytes.iter().fold(false, |bad, &byte| bad | is_bad(byte))
}

/// Cuts spaces and tabs from both ends.
#[inline]
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The non-empty items of a comma list, trimmed (RFC 9110 §5.6.1). Quoted commas are not honoured: none of
/// the lists read here has quoted items.
pub fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_recognised_in_any_case() {
        for (name, known) in [
            ("Connection", Known::Connection),
            ("CONTENT-LENGTH", Known::ContentLength),
            ("expect", Known::Expect),
            ("Forwarded", Known::Forwarded),
            ("hOST", Known::Host),
            ("Keep-Alive", Known::KeepAlive),
            ("Proxy-Authenticate", Known::ProxyAuthenticate),
            ("Proxy-Authorization", Known::ProxyAuthorization),
            ("Proxy-Connection", Known::ProxyConnection),
            ("Proxy-Status", Known::ProxyStatus),
            ("TE", Known::Te),
            ("Trailer", Known::Trailer),
            ("Transfer-Encoding", Known::TransferEncoding),
            ("Upgrade", Known::Upgrade),
            ("Via", Known::Via),
            ("X-Forwarded-For", Known::XForwardedFor),
            ("X-Forwarded-Host", Known::XForwardedHost),
            ("X-Forwarded-Proto", Known::XForwardedProto),
            ("X-Request-ID", Known::XRequestId),
            ("X_Forwarded-For", Known::Twin),
            ("x_request_id", Known::Twin),
            ("Content_Length", Known::Twin),
            ("TRANSFER_ENCODING", Known::Twin),
            ("X-Forwarded-Port", Known::XForwardedOther),
            ("x_forwarded_prefix", Known::XForwardedOther),
            ("X-Forwarded-Something", Known::XForwardedOther),
            ("X-Forwarded-Hosts", Known::XForwardedOther),
            ("X-Real-IP", Known::XForwardedOther),
            ("Hosts", Known::Other),
            ("vio", Known::Other),
            ("", Known::Other),
        ] {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
        }
    }

    #[test]
    fn lists_lose_blanks_and_empty_items() {
        let items: Vec<&[u8]> = list_items(b" close ,, x-a\t,").collect();
        assert_eq!(items, [b"close".as_slice(), b"x-a"]);
    }
}
