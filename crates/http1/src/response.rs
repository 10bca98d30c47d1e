//! Response heads: the status line and how the body is framed.

use crate::fault::{Fault, FaultKind};
use crate::field::{Known, is_value};
use crate::head::Field;
use crate::options::Options;
use crate::request::{check_chunked, content_length};
use crate::{Framing, Version};

/// A status line, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusLine<'h> {
    /// The version.
    pub version: Version,
    /// 100 to 999.
    pub status: u16,
    /// The reason phrase, often empty.
    pub reason: &'h [u8],
}

impl<'h> StatusLine<'h> {
    /// Checks a status line (RFC 9112 §4). A missing reason, with or without its blank, is accepted.
    ///
    /// # Errors
    /// Anything that is not `HTTP/1.x SP 3DIGIT [SP reason]`.
    pub fn parse(line: &'h [u8]) -> Result<Self, Fault> {
        let malformed = Fault::malformed("the status line is not HTTP/1.1 STATUS REASON");
        let (version, rest) = match line {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', rest @ ..] => (Version::Http11, rest),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', b' ', rest @ ..] => (Version::Http10, rest),
            [b'H', b'T', b'T', b'P', b'/', ..] => {
                return Err(Fault::of(FaultKind::Version, "the response is neither HTTP/1.0 nor HTTP/1.1"));
            }
            _ => return Err(malformed),
        };
        let ([a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'], reason) = (match rest {
            [a, b, c] => ([a, b, c], b"".as_slice()),
            [a, b, c, b' ', reason @ ..] => ([a, b, c], reason),
            _ => return Err(malformed),
        }) else {
            return Err(malformed);
        };
        if !is_value(reason) {
            return Err(Fault::malformed("the reason phrase has a control character"));
        }
        let digit = |byte: &u8| u16::from(byte - b'0');
        Ok(Self { version, status: digit(a) * 100 + digit(b) * 10 + digit(c), reason })
    }
}

/// What the fields of a response say about the message itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// How the body is delimited.
    pub framing: Framing,
    /// The `Content-Length` given, even where there is no body (HEAD, 304).
    pub length: Option<u64>,
    /// Whether the endpoint keeps the connection.
    pub keep_alive: bool,
    /// Whether `Connection` names fields beyond `close` and `keep-alive`.
    pub names_fields: bool,
}

impl Meaning {
    /// Reads the fields that govern the message; `to_head` when the request was HEAD.
    ///
    /// # Errors
    /// Framing that could be read in two ways, or a coding other than chunked.
    pub fn parse(line: &StatusLine<'_>, head: &[u8], fields: &[Field], to_head: bool) -> Result<Self, Fault> {
        let mut length = None;
        let mut chunked = false;
        let mut options = Options::default();
        for field in fields {
            match field.known {
                Known::ContentLength => {
                    let value = content_length(field.value(head))?;
                    if length.replace(value).is_some_and(|before| before != value) {
                        return Err(Fault::ambiguous("there are several Content-Length fields that differ"));
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
                _ => {}
            }
        }
        let bodiless = to_head || line.status < 200 || matches!(line.status, 204 | 304);
        let framing = match (length, chunked) {
            (Some(_), true) => {
                return Err(Fault::ambiguous("both Content-Length and Transfer-Encoding are given"));
            }
            (None, true) if line.version == Version::Http10 => {
                return Err(Fault::ambiguous("Transfer-Encoding is not known in HTTP/1.0"));
            }
            _ if bodiless => Framing::None,
            (None, true) => Framing::Chunked,
            (Some(0), false) => Framing::None,
            (Some(length), false) => Framing::Length(length),
            (None, false) => Framing::UntilClose,
        };
        let keep_alive = match line.version {
            Version::Http11 => !options.close,
            Version::Http10 => options.keep_alive && !options.close,
        } && framing != Framing::UntilClose;
        Ok(Self { framing, length, keep_alive, names_fields: options.names_fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{HeadParser, LineEnds};

    fn meaning(text: &str, to_head: bool) -> Result<Meaning, Fault> {
        let head = text.as_bytes();
        let mut parser = HeadParser::default();
        parser.parse(head, 1 << 16, LineEnds::Lenient)?.expect("the head is whole");
        let line = StatusLine::parse(parser.start_line(head).expect("there is a start line"))?;
        Meaning::parse(&line, head, parser.fields(), to_head)
    }

    #[test]
    fn status_lines() {
        let line = StatusLine::parse(b"HTTP/1.1 404 Not Found").unwrap();
        assert_eq!((line.status, line.reason), (404, b"Not Found".as_slice()));
        assert_eq!(StatusLine::parse(b"HTTP/1.0 200").unwrap().reason, b"");
        assert_eq!(StatusLine::parse(b"HTTP/1.1 200 ").unwrap().reason, b"");
        for bad in [
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000",
            "HTTP/1.1  200 OK",
            "HTTP/1.1 abc",
            "ICY 200 OK",
            "",
            "HTTP/1.1 099 x",
        ] {
            assert_eq!(StatusLine::parse(bad.as_bytes()).expect_err(bad).kind, FaultKind::Malformed, "{bad}");
        }
        assert_eq!(StatusLine::parse(b"HTTP/2 200").unwrap_err().kind, FaultKind::Version);
    }

    #[test]
    fn framing_depends_on_the_request_and_the_status() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(meaning(ok, false).unwrap().framing, Framing::Length(5));
        let head = meaning(ok, true).unwrap();
        assert_eq!((head.framing, head.length), (Framing::None, Some(5)));
        for status in [100, 103, 204, 304] {
            let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n");
            assert_eq!(meaning(&text, false).unwrap().framing, Framing::None, "{status}");
        }
        let until_close = meaning("HTTP/1.1 200 OK\r\n\r\n", false).unwrap();
        assert_eq!((until_close.framing, until_close.keep_alive), (Framing::UntilClose, false));
        assert!(meaning("HTTP/1.1 204 x\r\n\r\n", false).unwrap().keep_alive);
        assert!(!meaning("HTTP/1.0 204 x\r\n\r\n", false).unwrap().keep_alive);
        assert!(
            meaning("HTTP/1.0 200 x\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", false)
                .unwrap()
                .keep_alive
        );
    }

    #[test]
    fn ambiguous_responses_are_refused() {
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: 1\r\nContent-Length: 2",
            "Transfer-Encoding: gzip, chunked",
            "Content-Length: x",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            assert_eq!(meaning(&text, false).expect_err(fields).kind, FaultKind::Ambiguous, "{fields}");
        }
        let same = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n";
        assert_eq!(meaning(same, false).unwrap().framing, Framing::Length(1));
    }
}
