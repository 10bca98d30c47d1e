//! Requests that could be read in two ways: each gets one answer and the end of its connection, and no
//! endpoint sees a byte of it.

use evenkeel_testkit::{Origin, Proxy};

use crate::own_answers::expect_own;

/// Sends each case, and after each an innocent request: the origin must have seen only the innocent ones.
#[track_caller]
fn expect_refused(cases: &[(&str, Vec<u8>)], status: u16, error: &str, reasons: &[&str]) {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    for (number, (name, bytes)) in cases.iter().enumerate() {
        let mut client = proxy.client();
        client.send(bytes);
        let response = match client.try_response() {
            Ok(response) => response,
            Err(failure) => panic!("{name}: no answer: {failure}"),
        };
        assert_eq!(response.status, status, "{name}: wrong status:\n{response}");
        expect_own(&response, status, error);
        assert!(response.fields.has_token("connection", "close"), "{name}: no close announced:\n{response}");
        let (rest, end) = client.until_end();
        assert!(rest.is_empty() && end.is_gone(), "{name}: {end}; {}", client.transcript());

        let innocent = format!("/innocent/{number}");
        proxy.get(&innocent).expect_status(200);
        let seen = origin.wait_for(number + 1);
        assert_eq!(seen.len(), number + 1, "{name}: the origin saw more than the innocent request: {seen:?}");
        assert_eq!(seen[number].target, innocent, "{name}: the origin saw:\n{}", seen[number]);
        let innocent_bytes: usize = seen.iter().map(|r| r.raw_head.len() + r.raw_body.len()).sum();
        assert_eq!(origin.bytes_received(), innocent_bytes as u64, "{name}: bytes reached the origin");
    }
    let metrics = proxy.wait_for_metric("evenkeel_rejections_total", &[("listener", "web")], |count| {
        count >= cases.len() as f64
    });
    let counted: f64 = reasons
        .iter()
        .map(|reason| metrics.value("evenkeel_rejections_total", &[("listener", "web"), ("reason", reason)]))
        .sum();
    assert_eq!(counted, cases.len() as f64, "not all are counted as {reasons:?}:\n{metrics}");
}

/// A POST with these fields after Host and this body.
fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /evil HTTP/1.1\r\nHost: test\r\n{fields}\r\n\r\n{body}").into_bytes()
}

const SMUGGLED: &str = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
fn ambiguous_lengths() {
    let case = |fields: &'static str| (fields, post(fields, SMUGGLED));
    expect_refused(
        &[
            case("Content-Length: 6\r\nTransfer-Encoding: chunked"),
            case("Transfer-Encoding: chunked\r\nContent-Length: 6"),
            case("Content-Length: 5\r\nContent-Length: 5"),
            case("Content-Length: 5\r\nContent-Length: 6"),
            case("Content-Length: 5\r\nX: y\r\ncontent-length: 0"),
            case("Content-Length: +5"),
            case("Content-Length: -5"),
            case("Content-Length: 5, 5"),
            case("Content-Length: 5 5"),
            case("Content-Length: 0x5"),
            case("Content-Length: 5.0"),
            case("Content-Length: 5_0"),
            case("Content-Length: "),
            case("Content-Length: 99999999999999999999"),
            case("Content-Length: 18446744073709551621"),
        ],
        400,
        "http_request_error",
        &["ambiguous_framing"],
    );
}

#[test]
fn ambiguous_transfer_codings() {
    let case = |fields: &'static str| (fields, post(fields, SMUGGLED));
    expect_refused(
        &[
            case("Transfer-Encoding: chunked, identity"),
            case("Transfer-Encoding: gzip, chunked"),
            case("Transfer-Encoding: chunked, chunked"),
            case("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            case("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
            (
                "in HTTP/1.0",
                format!("POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{SMUGGLED}").into(),
            ),
        ],
        400,
        "http_request_error",
        &["ambiguous_framing", "malformed_request", "unsupported_transfer_coding"],
    );
}

#[test]
fn unknown_transfer_codings() {
    let case = |fields: &'static str| (fields, post(fields, SMUGGLED));
    expect_refused(
        &[
            case("Transfer-Encoding: gzip"),
            case("Transfer-Encoding: xchunked"),
            case("Transfer-Encoding: chunkedx"),
            case("Transfer-Encoding: identity"),
            case("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
            case("Transfer-Encoding: \"chunked\""),
            case("Transfer-Encoding: chunk"),
        ],
        501,
        "proxy_internal_response",
        &["unsupported_transfer_coding"],
    );
}

#[test]
fn malformed_lines() {
    let after = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    let field =
        |line: &str| format!("GET /evil HTTP/1.1\r\nHost: test\r\n{line}\r\n\r\n{after}").into_bytes();
    let line = |line: &str| format!("{line}\r\nHost: test\r\n\r\n{after}").into_bytes();
    expect_refused(
        &[
            ("folded field", field("X: a\r\n b")),
            ("folded with a tab", field("X: a\r\n\tb")),
            ("folded Transfer-Encoding", field("Transfer-Encoding:\r\n chunked")),
            ("blank before the first field", b"GET / HTTP/1.1\r\n Host: test\r\n\r\n".to_vec()),
            ("bare LF everywhere", b"GET / HTTP/1.1\nHost: test\n\n".to_vec()),
            ("bare LF after a field", field("X: a\nY: b")),
            ("bare LF hiding a field", field("X: a\nTransfer-Encoding: chunked")),
            ("bare LF before the empty line", b"GET / HTTP/1.1\r\nHost: test\n\r\n".to_vec()),
            ("bare CR in a value", field("X: a\rb")),
            ("bare CR hiding a field", field("X: a\rTransfer-Encoding: chunked")),
            ("CR CR LF", field("X: a\r")),
            ("NUL in a value", field("X: a\0b")),
            ("NUL in a name", field("X\0Y: a")),
            ("control character in a value", field("X: \x01")),
            ("DEL in a value", field("X: \x7f")),
            ("vertical tab before chunked", field("Transfer-Encoding: \x0bchunked")),
            ("space before the colon", field("X : a")),
            ("space before the colon of Content-Length", field("Content-Length : 5")),
            ("space before the colon of Transfer-Encoding", field("Transfer-Encoding : chunked")),
            ("tab before the colon", field("X\t: a")),
            ("no name", field(": a")),
            ("no colon", field("nothing")),
            ("a name with a slash", field("X/Y: a")),
            ("a name beyond ASCII", field("X\u{e9}: a")),
            ("no version", line("GET /")),
            ("HTTP in lower case", line("GET / http/1.1")),
            ("two spaces", line("GET  / HTTP/1.1")),
            ("a space in the target", line("GET /a b HTTP/1.1")),
            ("a tab for a space", line("GET\t/\tHTTP/1.1")),
            ("a space after the version", line("GET / HTTP/1.1 ")),
            ("a space before the method", line(" GET / HTTP/1.1")),
            ("a control character in the target", line("GET /\x01 HTTP/1.1")),
            ("NUL in the target", line("GET /\0 HTTP/1.1")),
            ("DEL in the target", line("GET /\x7f HTTP/1.1")),
            ("a fragment in the target", line("GET /#a HTTP/1.1")),
            ("a target without its slash", line("GET evil HTTP/1.1")),
            ("an asterisk for GET", line("GET * HTTP/1.1")),
            ("another scheme", line("GET ftp://test/ HTTP/1.1")),
            ("a method with a character that is none", line("G(T / HTTP/1.1")),
            ("a version with three digits", line("GET / HTTP/1.10")),
            ("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        ],
        400,
        "http_request_error",
        &["malformed_request", "ambiguous_framing"],
    );
}

#[test]
fn bad_hosts() {
    let host = |lines: &str| format!("GET /evil HTTP/1.1\r\n{lines}X: y\r\n\r\n").into_bytes();
    expect_refused(
        &[
            ("none", host("")),
            ("two", host("Host: a\r\nHost: b\r\n")),
            ("two alike", host("Host: a\r\nhost: a\r\n")),
            ("empty", host("Host: \r\n")),
            ("a space", host("Host: a b\r\n")),
            ("a slash", host("Host: a/b\r\n")),
            ("a user", host("Host: me@a\r\n")),
            ("a comma", host("Host: a, b\r\n")),
            ("a query", host("Host: a?b\r\n")),
            ("no number for a port", host("Host: a:b\r\n")),
            ("a port too long", host("Host: a:123456\r\n")),
            ("an open bracket", host("Host: [::1\r\n")),
            ("bytes beyond ASCII", host("Host: \u{e9}\r\n")),
            ("none beside an absolute target", b"GET http://a/ HTTP/1.1\r\n\r\n".to_vec()),
            ("a bad one in the target", b"GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n".to_vec()),
        ],
        400,
        "http_request_error",
        &["bad_host", "malformed_request"],
    );
}

#[test]
fn other_versions_and_methods() {
    expect_refused(
        &[
            ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: test\r\n\r\n".to_vec()),
            ("HTTP/2 with prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            ("HTTP/0.9 by number", b"GET / HTTP/0.9\r\nHost: test\r\n\r\n".to_vec()),
            ("HTTP/3.0", b"GET / HTTP/3.0\r\nHost: test\r\n\r\n".to_vec()),
        ],
        505,
        "proxy_internal_response",
        &["unsupported_version"],
    );
    expect_refused(
        &[("CONNECT", b"CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n".to_vec())],
        501,
        "proxy_internal_response",
        &["unsupported_method"],
    );
    expect_refused(
        &[("an expectation", post("Content-Length: 3\r\nExpect: 200-maybe", "abc"))],
        417,
        "http_request_error",
        &["unsupported_expectation"],
    );
}

/// The head of a chunked request may be on its way when its body turns out bad, but the request never
/// arrives whole, and nothing after it is taken for another.
#[test]
fn bad_chunks_never_arrive_whole() {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(70_000));
    let trailers = format!("0\r\n{}\r\n", format!("A: {}\r\n", "b".repeat(1000)).repeat(200));
    let cases = [
        ("no number", "\r\nhello\r\n0\r\n\r\n"),
        ("no hexadecimal number", "5g\r\nhello\r\n0\r\n\r\n"),
        ("a prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a minus", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a space", "5 \r\nhello\r\n0\r\n\r\n"),
        ("a space before", " 5\r\nhello\r\n0\r\n\r\n"),
        ("too large a number", "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n"),
        ("a bare LF after the size", "5\nhello\r\n0\r\n\r\n"),
        ("a bare LF after the data", "5\r\nhello\n0\r\n\r\n"),
        ("a bare CR after the size", "5\rhello\r\n0\r\n\r\n"),
        ("data too long", "5\r\nhello!\r\n0\r\n\r\n"),
        ("data too short", "6\r\nhello\r\n0\r\n\r\n"),
        ("a control character in an extension", "5;a\x01\r\nhello\r\n0\r\n\r\n"),
        ("a bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("an endless size line", long.as_str()),
        ("a trailer without a colon", "0\r\nnothing\r\n\r\n"),
        ("a folded trailer", "0\r\nX: a\r\n b\r\n\r\n"),
        ("a bare LF in trailers", "0\r\nX: a\n\r\n"),
        ("endless trailers", trailers.as_str()),
    ];
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    for (number, (name, body)) in cases.iter().enumerate() {
        let mut client = proxy.client();
        client.send(post("Transfer-Encoding: chunked", body));
        // What follows must not be taken for a request. The proxy may already have closed.
        let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n");
        let response = match client.try_response() {
            Ok(response) => response,
            Err(failure) => panic!("{name}: no answer: {failure}"),
        };
        assert!([400, 431].contains(&response.status), "{name}:\n{response}");
        assert!(response.fields.has("proxy-status"), "{name}:\n{response}");
        let (rest, end) = client.until_end();
        assert!(rest.is_empty() && end.is_gone(), "{name}: {end}; {}", client.transcript());
        let innocent = format!("/innocent/{number}");
        proxy.get(&innocent).expect_status(200);
        for request in origin.requests() {
            let is_innocent = request.target.starts_with("/innocent/");
            assert!(is_innocent || (request.target == "/evil" && !request.whole), "{name}: {request}");
        }
    }
}

#[test]
fn chunk_extensions_do_not_reach_the_endpoint() {
    let origin = Origin::serve(|request| evenkeel_testkit::reply(200, &request.body));
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    let body = "5;name=value;other=\"quoted\"\r\nhello\r\n6;x\r\n world\r\n000;last\r\n\r\n";
    client.exchange(post("Transfer-Encoding: chunked", body)).expect_status(200).expect_body("hello world");
    let request = origin.wait_for(1).remove(0);
    assert!(!request.raw_body.contains(&b';'), "{request}");
    client.exchange("GET /next HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
}
