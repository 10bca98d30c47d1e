//! The heads that leave: a request's towards an endpoint, a response's towards a client.
//!
//! Fields keep their order, case and spelling. What belongs to one connection stays behind, what strangers
//! say about themselves is replaced. Runs of fields that stay are copied at once.

use std::io::Write;
use std::net::IpAddr;
use std::ops::Range;

use evenkeel_http1::request::{Meaning, RequestLine};
use evenkeel_http1::{Field, Framing, Known, list_items};
use evenkeel_policy::forwarding::{make_request_id, stays_when_named, valid_request_id};
use evenkeel_policy::rng::Rng;

/// What we add to a request.
pub(crate) struct Sender<'a> {
    /// The peer's address; `None` on a UNIX socket.
    pub(crate) client: Option<IpAddr>,
    /// Whether its `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are believed.
    pub(crate) trusted: bool,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The host of a request without one.
    pub(crate) own_host: &'a str,
}

/// Where in the head that was written the log finds what it needs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Spans {
    pub(crate) method: Range<usize>,
    pub(crate) target: Range<usize>,
    pub(crate) host: Range<usize>,
    pub(crate) id: Range<usize>,
}

/// Copies the lines of fields that `keep` wants, in runs.
fn copy_fields(output: &mut Vec<u8>, head: &[u8], fields: &[Field], mut keep: impl FnMut(&Field) -> bool) {
    let mut run: Option<usize> = None;
    let mut flush = |run: &mut Option<usize>, end: usize| {
        if let Some(start) = run.take() {
            output.extend_from_slice(head.get(start..end).unwrap_or_default());
        }
    };
    for field in fields {
        if keep(field) {
            run.get_or_insert(field.line_start());
        } else {
            flush(&mut run, field.line_start());
        }
    }
    flush(&mut run, head.len().saturating_sub(2));
}

/// How the peer of a UNIX socket is named, as nginx does.
pub(crate) const UNIX_PEER: &str = "unix:";

/// Appends an address as text.
fn append_address(output: &mut Vec<u8>, address: Option<IpAddr>) {
    match address {
        None => output.extend_from_slice(UNIX_PEER.as_bytes()),
        Some(IpAddr::V4(address)) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    output.push(b'.');
                }
                if octet >= 100 {
                    output.push(b'0' + octet / 100);
                }
                if octet >= 10 {
                    output.push(b'0' + octet / 10 % 10);
                }
                output.push(b'0' + octet % 10);
            }
        }
        Some(address) => {
            // A vector takes everything.
            let _ = write!(output, "{address}");
        }
    }
}

/// Appends a piece; says where it is.
fn append(output: &mut Vec<u8>, piece: &[u8]) -> Range<usize> {
    let start = output.len();
    output.extend_from_slice(piece);
    start..output.len()
}

/// Whether one of the `Connection` fields names this field.
fn is_named(name: &[u8], head: &[u8], fields: &[Field]) -> bool {
    fields
        .iter()
        .filter(|field| field.known == Known::Connection)
        .flat_map(|field| list_items(field.value(head)))
        .any(|option| option.eq_ignore_ascii_case(name))
}

/// Writes the head for an endpoint.
pub(crate) fn write_request(
    output: &mut Vec<u8>,
    line: &RequestLine<'_>,
    meaning: &Meaning<'_>,
    head: &[u8],
    fields: &[Field],
    sender: &Sender<'_>,
    rng: &mut Rng,
) -> Spans {
    output.reserve(head.len() + 256);
    let mut spans = Spans { method: append(output, line.method), ..Spans::default() };
    output.push(b' ');
    spans.target = append(output, line.target);
    output.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    let host = if meaning.host.is_empty() { sender.own_host.as_bytes() } else { meaning.host };
    spans.host = append(output, host);
    output.extend_from_slice(b"\r\n");

    let mut id: Option<&[u8]> = None;
    let (mut has_forwarded_for, mut has_proto, mut has_host) = (false, false, false);
    copy_fields(output, head, fields, |field| match field.known {
        Known::Other => {
            !meaning.names_fields || {
                let name = field.name(head);
                stays_when_named(name) || !is_named(name, head, fields)
            }
        }
        known if known.is_hop_by_hop() => false,
        Known::Host => false,
        Known::Forwarded | Known::XForwardedOther => sender.trusted,
        Known::Twin => false,
        Known::XForwardedFor => {
            has_forwarded_for |= sender.trusted;
            false
        }
        Known::XForwardedProto => {
            has_proto |= sender.trusted;
            sender.trusted
        }
        Known::XForwardedHost => {
            has_host |= sender.trusted;
            sender.trusted
        }
        Known::XRequestId => {
            if sender.trusted && id.is_none() && valid_request_id(field.value(head)) {
                id = Some(field.value(head));
            }
            false
        }
        _ => true,
    });
    output.extend_from_slice(b"X-Forwarded-For: ");
    if has_forwarded_for {
        for field in fields.iter().filter(|field| field.known == Known::XForwardedFor) {
            output.extend_from_slice(field.value(head));
            output.extend_from_slice(b", ");
        }
    }
    append_address(output, sender.client);
    if !has_proto {
        output.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
        output.extend_from_slice(sender.scheme.as_bytes());
    }
    if !has_host {
        output.extend_from_slice(b"\r\nX-Forwarded-Host: ");
        output.extend_from_slice(host);
    }
    output.extend_from_slice(b"\r\nX-Request-Id: ");
    spans.id = match id {
        Some(id) => append(output, id),
        None => append(output, &make_request_id(rng)),
    };
    output.extend_from_slice(match line.version {
        evenkeel_http1::Version::Http11 => b"\r\nVia: 1.1 evenkeel\r\n",
        evenkeel_http1::Version::Http10 => b"\r\nVia: 1.0 evenkeel\r\n",
    });
    if meaning.accepts_trailers {
        output.extend_from_slice(b"Connection: te\r\nTE: trailers\r\n");
    }
    if meaning.framing == Framing::Chunked {
        output.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    output.extend_from_slice(b"\r\n");
    spans
}

/// Writes what is known of a request that goes nowhere, for the log, and an id for it.
pub(crate) fn write_unfinished(output: &mut Vec<u8>, line: Option<&RequestLine<'_>>, rng: &mut Rng) -> Spans {
    let mut spans = Spans::default();
    if let Some(line) = line {
        spans.method = append(output, line.method);
        spans.target = append(output, line.target);
    }
    spans.id = append(output, &make_request_id(rng));
    spans
}

/// How a response leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaving {
    /// Its body is sent in chunks.
    pub(crate) chunked: bool,
    /// The connection ends with it.
    pub(crate) close: bool,
    /// The client is HTTP/1.0 and is told that the connection stays.
    pub(crate) say_keep_alive: bool,
}

/// A response's head as it came from an endpoint.
pub(crate) struct Received<'h> {
    pub(crate) head: &'h [u8],
    pub(crate) fields: &'h [Field],
    pub(crate) status: u16,
    pub(crate) reason: &'h [u8],
    /// Whether every line ended with CRLF.
    pub(crate) clean: bool,
    /// Whether `Connection` names fields.
    pub(crate) names_fields: bool,
}

/// Writes the head for a client; of an interim response, when `leaving` is `None`.
pub(crate) fn write_response(output: &mut Vec<u8>, response: &Received<'_>, leaving: Option<Leaving>) {
    let Received { head, fields, .. } = *response;
    output.extend_from_slice(b"HTTP/1.1 ");
    for place in [100, 10, 1] {
        output.push(b'0' + (response.status / place % 10) as u8);
    }
    output.push(b' ');
    output.extend_from_slice(response.reason);
    output.extend_from_slice(b"\r\n");
    let mut has_length = false;
    let mut keep = |field: &Field| match field.known {
        Known::Other => {
            !response.names_fields || {
                let name = field.name(head);
                stays_when_named(name) || !is_named(name, head, fields)
            }
        }
        // RFC 9110 §8.6: neither interim responses nor 204 have one.
        Known::ContentLength => {
            !std::mem::replace(&mut has_length, true) && response.status >= 200 && response.status != 204
        }
        known => !known.is_hop_by_hop(),
    };
    if response.clean {
        copy_fields(output, head, fields, keep);
    } else {
        for field in fields.iter().filter(|field| keep(field)) {
            output.extend_from_slice(field.name(head));
            output.extend_from_slice(b": ");
            output.extend_from_slice(field.value(head));
            output.extend_from_slice(b"\r\n");
        }
    }
    if let Some(leaving) = leaving {
        output.extend_from_slice(b"Via: 1.1 evenkeel\r\n");
        if leaving.chunked {
            output.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if leaving.close {
            output.extend_from_slice(b"Connection: close\r\n");
        } else if leaving.say_keep_alive {
            output.extend_from_slice(b"Connection: keep-alive\r\n");
        }
    }
    output.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use evenkeel_http1::{HeadParser, LineEnds};

    use super::*;

    fn forwarded(text: &str, trusted: bool) -> String {
        let head = text.as_bytes();
        let mut parser = HeadParser::default();
        parser.parse(head, 1 << 16, LineEnds::Strict).unwrap().unwrap();
        let line = RequestLine::parse(parser.start_line(head).unwrap()).unwrap();
        let meaning = Meaning::parse(&line, head, parser.fields()).unwrap();
        let sender =
            Sender { client: Some([192, 0, 2, 1].into()), trusted, scheme: "http", own_host: "proxy" };
        let mut output = Vec::new();
        let mut rng = Rng::new(1);
        let spans = write_request(&mut output, &line, &meaning, head, parser.fields(), &sender, &mut rng);
        assert_eq!(&output[spans.method], line.method);
        assert_eq!(&output[spans.target], line.target);
        let id = String::from_utf8(output[spans.id].to_vec()).unwrap();
        String::from_utf8(output).unwrap().replace(&id, "ID")
    }

    #[test]
    fn strangers_are_not_believed_and_connection_fields_stay_behind() {
        let text = "GET /a?b HTTP/1.1\r\nhost: x\r\nA: 1\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX_Forwarded-For: 6.6.6.6\r\n\
                    b:2\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nContent_Length: 7\r\nForwarded: for=6.6.6.6\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-Request-Id: mine\r\nC: 3\r\n\r\n";
        assert_eq!(
            forwarded(text, false),
            "GET /a?b HTTP/1.1\r\nHost: x\r\nA: 1\r\nb:2\r\nC: 3\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\
             X-Forwarded-Host: x\r\nX-Request-Id: ID\r\nVia: 1.1 evenkeel\r\nConnection: te\r\nTE: trailers\r\n\r\n"
        );
    }

    #[test]
    fn trusted_senders_are_added_to() {
        let text = "GET / HTTP/1.0\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\n\
                    X-Request-Id: mine\r\n\r\n";
        assert_eq!(
            forwarded(text, true),
            "GET / HTTP/1.1\r\nHost: proxy\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.1\r\n\
             X-Forwarded-Host: proxy\r\nX-Request-Id: ID\r\nVia: 1.0 evenkeel\r\n\r\n"
        );
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for text in ["0.0.0.0", "127.0.0.1", "10.20.30.40", "255.199.100.9", "::1", "2001:db8::ff"] {
            let mut output = Vec::new();
            append_address(&mut output, Some(text.parse().unwrap()));
            assert_eq!(String::from_utf8(output).unwrap(), text);
        }
    }

    #[test]
    fn responses_lose_what_belongs_to_the_connection() {
        for (text, clean) in [
            (
                "HTTP/1.1 200 OK\r\nA: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 3\r\nContent-Length: 3\r\nB: 2\r\n\r\n",
                true,
            ),
            (
                "HTTP/1.1 200 OK\nA:1\nConnection: X-Hop\nX-Hop: 1\nContent-Length: 3\nContent-Length: 3\nB: 2\n\n",
                false,
            ),
        ] {
            let head = text.as_bytes();
            let mut parser = HeadParser::default();
            parser.parse(head, 1 << 16, LineEnds::Lenient).unwrap().unwrap();
            assert_eq!(parser.is_clean(), clean);
            let received = Received {
                head,
                fields: parser.fields(),
                status: 200,
                reason: b"OK",
                clean,
                names_fields: true,
            };
            let mut output = Vec::new();
            let leaving = Leaving { chunked: false, close: true, say_keep_alive: false };
            write_response(&mut output, &received, Some(leaving));
            assert_eq!(
                String::from_utf8(output).unwrap(),
                "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 3\r\nB: 2\r\nVia: 1.1 evenkeel\r\nConnection: close\r\n\r\n"
            );
        }
    }
}
