//! Request heads: the request line, `Host`, and how the body is framed.

use memchr::memchr;

use crate::fault::{Fault, FaultKind};
use crate::field::{Known, is_target, is_token, list_items};
use crate::head::Field;
use crate::options::Options;
use crate::{Framing, Version};

/// A request line, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLine<'h> {
    /// The method, a token.
    pub method: &'h [u8],
    /// Path and query as they go to an endpoint: begins with `/`, or is `*` for OPTIONS.
    pub target: &'h [u8],
    /// The authority of an absolute-form target, which takes the place of `Host` (RFC 9112 §3.2.2).
    pub authority: Option<&'h [u8]>,
    /// The version.
    pub version: Version,
}

impl<'h> RequestLine<'h> {
    /// Checks a request line (RFC 9112 §3).
    ///
    /// # Errors
    /// Anything that is not exactly `METHOD SP TARGET SP HTTP/1.x`.
    pub fn parse(line: &'h [u8]) -> Result<Self, Fault> {
        let malformed = || Fault::malformed("the request line is not METHOD TARGET HTTP/1.1");
        let space = memchr(b' ', line).ok_or_else(malformed)?;
        let (method, rest) = line.split_at(space);
        let rest = rest.get(1..).unwrap_or_default();
        if !is_token(method) {
            return Err(Fault::malformed("the method has a character that no method may have"));
        }
        let (target, version) = match rest {
            [target @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'] => (target, Version::Http11),
            [target @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'] => (target, Version::Http10),
            [.., b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(Fault::of(FaultKind::Version, "only HTTP/1.0 and HTTP/1.1 are spoken here"));
            }
            _ => return Err(malformed()),
        };
        if method == b"CONNECT" {
            return Err(Fault::of(FaultKind::Method, "CONNECT is for forward proxies, and this is none"));
        }
        if !is_target(target) {
            return Err(Fault::malformed("the request target has a character that no target may have"));
        }
        let (target, authority) = match target.first() {
            Some(b'/') => (target, None),
            Some(b'*') if target.len() == 1 && method == b"OPTIONS" => (target, None),
            _ => absolute(target)?,
        };
        Ok(Self { method, target, authority, version })
    }
}

/// Splits `http://authority/path` into the target in origin-form and the authority.
fn absolute(target: &[u8]) -> Result<(&[u8], Option<&[u8]>), Fault> {
    let rest = [b"http://".as_slice(), b"https://"]
        .into_iter()
        .find_map(|scheme| {
            target
                .split_at_checked(scheme.len())
                .filter(|(start, _)| start.eq_ignore_ascii_case(scheme))
                .map(|(_, rest)| rest)
        })
        .ok_or_else(|| Fault::malformed("the request target begins neither with / nor with http://"))?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match path.first() {
        None => Ok((b"/", Some(authority))),
        Some(b'/') => Ok((path, Some(authority))),
        Some(_) => Err(Fault::malformed("the request target has a query but no path")),
    }
}

/// What the fields of a request say about the message itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning<'h> {
    /// The host the request is for, with its port if it has one: from the target, else from `Host`; empty
    /// only where HTTP/1.0 leaves it out.
    pub host: &'h [u8],
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the client wants the connection kept (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client waits for 100 (Continue) before it sends the body.
    pub expects_continue: bool,
    /// Whether the client accepts trailers (`TE: trailers`).
    pub accepts_trailers: bool,
    /// Whether `Connection` names fields beyond `close`, `keep-alive`, `te` and `upgrade`.
    pub names_fields: bool,
}

impl<'h> Meaning<'h> {
    /// Reads the fields that govern the message.
    ///
    /// # Errors
    /// Everything that two parsers could read differently: both `Content-Length` and `Transfer-Encoding`,
    /// either repeated or malformed, codings other than chunked, a missing, repeated or invalid `Host`.
    pub fn parse(line: &RequestLine<'h>, head: &'h [u8], fields: &[Field]) -> Result<Self, Fault> {
        let mut host = None;
        let mut length = None;
        let mut chunked = false;
        let mut options = Options::default();
        let mut meaning = Self {
            host: b"",
            framing: Framing::None,
            keep_alive: false,
            expects_continue: false,
            accepts_trailers: false,
            names_fields: false,
        };
        for field in fields {
            match field.known {
                Known::Host => {
                    if host.replace(field.value(head)).is_some() {
                        return Err(Fault::of(FaultKind::BadHost, "there is more than one Host field"));
                    }
                }
                Known::ContentLength => {
                    if length.replace(content_length(field.value(head))?).is_some() {
                        return Err(Fault::ambiguous("there is more than one Content-Length field"));
                    }
                }
                Known::TransferEncoding => {
                    if chunked {
                        return Err(Fault::ambiguous("there is more than one Transfer-Encoding field"));
                    }
                    check_chunked(field.value(head))?;
                    chunked = true;
                }
                Known::Connection => options.read(field.value(head))?,
                Known::Expect => {
                    if !field.value(head).eq_ignore_ascii_case(b"100-continue") {
                        return Err(Fault::of(
                            FaultKind::Expectation,
                            "the only expectation understood is 100-continue",
                        ));
                    }
                    // RFC 9110 §10.1.1: an expectation of HTTP/1.0 is ignored.
                    meaning.expects_continue = line.version == Version::Http11;
                }
                Known::Te => {
                    meaning.accepts_trailers |= list_items(field.value(head)).any(|coding| {
                        coding.split(|&byte| byte == b';').next().is_some_and(|coding| {
                            crate::field::trim(coding).eq_ignore_ascii_case(b"trailers")
                        })
                    });
                }
                _ => {}
            }
        }
        meaning.keep_alive = !options.close && (options.keep_alive || line.version == Version::Http11);
        meaning.names_fields = options.names_fields;
        meaning.framing = match (length, chunked) {
            (Some(_), true) => {
                return Err(Fault::ambiguous("both Content-Length and Transfer-Encoding are given"));
            }
            (None, true) if line.version == Version::Http10 => {
                return Err(Fault::ambiguous("Transfer-Encoding is not known in HTTP/1.0"));
            }
            (None, true) => Framing::Chunked,
            (None | Some(0), false) => Framing::None,
            (Some(length), false) => Framing::Length(length),
        };
        meaning.host = match (line.authority, host) {
            (_, None) if line.version == Version::Http11 => {
                return Err(Fault::of(FaultKind::BadHost, "there is no Host field"));
            }
            (Some(authority), _) => authority,
            (None, Some(host)) => host,
            (None, None) => b"",
        };
        if (host.is_some() || line.authority.is_some()) && !is_host(meaning.host) {
            return Err(Fault::of(
                FaultKind::BadHost,
                "the host is not a name or address with an optional port",
            ));
        }
        Ok(meaning)
    }
}

/// Reads a `Content-Length`: digits, no zero in front, and nothing else: there are readers who take 010 for 8.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, Fault> {
    let is_padded = value.len() > 1 && value.first() == Some(&b'0');
    if value.is_empty() || value.len() > 19 || is_padded || !value.iter().all(u8::is_ascii_digit) {
        return Err(Fault::ambiguous("Content-Length is not a plain number"));
    }
    Ok(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// Accepts `chunked` and nothing else.
pub(crate) fn check_chunked(value: &[u8]) -> Result<(), Fault> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    if list_items(value).any(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        // With chunked anywhere but alone, parsers differ about what ends the message.
        return Err(Fault::ambiguous("Transfer-Encoding combines chunked with something else"));
    }
    Err(Fault::of(FaultKind::TransferCoding, "the only transfer coding understood is chunked"))
}

/// Whether this is `uri-host [":" port]` (RFC 3986 §3.2.2) with a host in it.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = if let Some(rest) = host.strip_prefix(b"[") {
        let Some(end) = memchr(b']', rest) else { return false };
        let (address, after) = rest.split_at(end);
        if address.is_empty() || !address.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')) {
            return false;
        }
        (address, after.get(1..).unwrap_or_default())
    } else {
        let end = memchr(b':', host).unwrap_or(host.len());
        let (name, port) = host.split_at(end);
        let valid = |b: &u8| {
            b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'-' | b'.'
                        | b'_'
                        | b'~'
                        | b'%'
                        | b'!'
                        | b'$'
                        | b'&'
                        | b'\''
                        | b'('
                        | b')'
                        | b'*'
                        | b'+'
                        | b';'
                        | b'='
                )
        };
        if !name.iter().all(valid) {
            return false;
        }
        (name, port)
    };
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !name.is_empty() && port_fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{HeadParser, LineEnds};

    fn meaning(text: &str) -> Result<Meaning<'_>, Fault> {
        let head = text.as_bytes();
        let mut parser = HeadParser::default();
        parser.parse(head, 1 << 16, LineEnds::Strict)?.expect("the head is whole");
        let line = RequestLine::parse(parser.start_line(head).expect("there is a start line"))?;
        Meaning::parse(&line, head, parser.fields())
    }

    fn with(fields: &str) -> Result<Meaning<'static>, Fault> {
        meaning(Box::leak(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").into_boxed_str()))
    }

    #[test]
    fn request_lines_are_read_exactly() {
        let line = RequestLine::parse(b"GET /a?b HTTP/1.1").unwrap();
        assert_eq!(
            (line.method, line.target, line.version),
            (b"GET".as_slice(), b"/a?b".as_slice(), Version::Http11)
        );
        let line = RequestLine::parse(b"GET HTTP://b:80/c HTTP/1.0").unwrap();
        assert_eq!((line.target, line.authority), (b"/c".as_slice(), Some(b"b:80".as_slice())));
        assert_eq!(RequestLine::parse(b"OPTIONS * HTTP/1.1").unwrap().target, b"*");
        for bad in [
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "G\tT / HTTP/1.1",
            "GET * HTTP/1.1",
            "GET a HTTP/1.1",
            "GET /\u{1} HTTP/1.1",
            "GET /#x HTTP/1.1",
            "GET / http/1.1",
            "GET ftp://a/ HTTP/1.1",
            "",
            "GET",
            "GET / HTTP/11",
            "GET http://a?b HTTP/1.1",
        ] {
            assert_eq!(
                RequestLine::parse(bad.as_bytes()).expect_err(bad).kind,
                FaultKind::Malformed,
                "{bad}"
            );
        }
        assert_eq!(RequestLine::parse(b"PRI * HTTP/2.0").unwrap_err().kind, FaultKind::Version);
        assert_eq!(RequestLine::parse(b"GET / HTTP/1.2").unwrap_err().kind, FaultKind::Version);
        assert_eq!(RequestLine::parse(b"CONNECT a:443 HTTP/1.1").unwrap_err().kind, FaultKind::Method);
    }

    #[test]
    fn framing_follows_the_fields() {
        assert_eq!(with("A: b").unwrap().framing, Framing::None);
        assert_eq!(with("Content-Length: 0").unwrap().framing, Framing::None);
        assert_eq!(with("Content-Length: 12").unwrap().framing, Framing::Length(12));
        assert_eq!(with("Transfer-Encoding: Chunked").unwrap().framing, Framing::Chunked);
    }

    #[test]
    fn what_parsers_could_read_differently_is_refused() {
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 1",
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: 010",
            "Content-Length: -1",
            "Content-Length: 0x1",
            "Content-Length: 1 1",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: chunked, chunked",
        ] {
            assert_eq!(with(fields).expect_err(fields).kind, FaultKind::Ambiguous, "{fields}");
        }
        for fields in [
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding:",
        ] {
            assert_eq!(with(fields).expect_err(fields).kind, FaultKind::TransferCoding, "{fields}");
        }
        let fault = meaning("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap_err();
        assert_eq!(fault.kind, FaultKind::Ambiguous);
    }

    #[test]
    fn hosts_are_checked() {
        for (head, host) in [
            ("GET / HTTP/1.1\r\nHost: a.example:80\r\n\r\n", "a.example:80"),
            ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "[::1]:80"),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "b"),
            ("GET / HTTP/1.0\r\n\r\n", ""),
        ] {
            assert_eq!(meaning(head).unwrap().host, host.as_bytes(), "{head}");
        }
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:port\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
            "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(meaning(head).expect_err(head).kind, FaultKind::BadHost, "{head}");
        }
    }

    #[test]
    fn persistence_follows_version_and_connection() {
        assert!(with("A: b").unwrap().keep_alive);
        assert!(!with("Connection: close").unwrap().keep_alive);
        assert!(!with("Connection: keep-alive, close").unwrap().keep_alive);
        assert!(!with("Connection: close, keep-alive").unwrap().keep_alive);
        assert!(!with("Connection: close\r\nConnection: keep-alive").unwrap().keep_alive);
        assert!(with("Connection: x-secret").unwrap().names_fields);
        let many = format!("Connection: {}", ",".repeat(40));
        assert_eq!(with(&many).unwrap_err().kind, FaultKind::Malformed);
        assert!(!meaning("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(meaning("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap().keep_alive);
    }

    #[test]
    fn expectations_and_trailers() {
        assert!(with("Expect: 100-Continue").unwrap().expects_continue);
        assert_eq!(with("Expect: payment").unwrap_err().kind, FaultKind::Expectation);
        assert!(with("TE: trailers, deflate;q=0.5").unwrap().accepts_trailers);
        assert!(!with("TE: deflate").unwrap().accepts_trailers);
    }
}
