//! Where messages begin and end: lengths, chunks, trailers, interim responses, old clients, pipelines.

use evenkeel_testkit::{Gate, Origin, Proxy, RawClient, reply, reply_with};

/// An origin that answers with the request's body.
fn echo() -> Origin {
    Origin::serve(|request| reply(200, &request.body))
}

/// An origin that answers every request with these bytes.
fn answering(bytes: &str) -> Origin {
    let bytes = bytes.as_bytes().to_vec();
    Origin::serve(move |_| bytes.clone())
}

/// Bytes that show any shift, loss or repetition.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
fn bodies_of_a_known_length_pass_both_ways() {
    let origin = echo();
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    for length in [0, 1, 2, 1000, 4096, 65_535, 65_536, 1_000_000] {
        let body = pattern(length);
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")).send(&body);
        let response = client.response().expect_status(200);
        assert!(response.body == body, "{length} bytes came back changed: {response}");
        let response = response.expect_field("content-length", &length.to_string());
        assert!(!response.fields.has("transfer-encoding"), "{response}");
    }
    let requests = origin.requests();
    assert!(requests.iter().all(|request| !request.fields.has("transfer-encoding")), "{requests:?}");
    // Some origins insist on a length where a body is expected.
    assert_eq!(requests[0].fields.value("content-length"), Some("0"), "{}", requests[0]);
}

#[test]
fn chunked_requests_arrive_whole() {
    let origin = echo();
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    let body = pattern(300_000);
    for size in [1000, 4096, 70_000, 300_000] {
        client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(size) {
            client.send(format!("{:X}\r\n", chunk.len())).send(chunk).send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert!(client.response().expect_status(200).body == body, "chunks of {size} arrived changed");
    }
    client
        .exchange("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .expect_body("");
    for request in origin.requests() {
        let framed = request.fields.has("content-length") ^ request.fields.has("transfer-encoding");
        assert!(framed, "{request}");
    }
}

#[test]
fn request_trailers_pass() {
    let origin = echo();
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client
        .exchange(
            "POST / HTTP/1.1\r\nHost: test\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\nx-other: o\r\n\r\n",
        )
        .expect_body("abc");
    let request = origin.wait_for(1).remove(0);
    assert_eq!(request.trailers.value("x-sum"), Some("3"), "{request}");
    assert_eq!(request.trailers.value("x-other"), Some("o"), "{request}");
    client.exchange(GET).expect_status(200);
}

#[test]
fn trailers_cannot_change_the_message() {
    let origin = echo();
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\nHost: evil\r\nTransfer-Encoding: gzip\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
    );
    // Refused or stripped: either way the endpoint never sees them.
    let response = client.response();
    assert!([200, 400].contains(&response.status), "{response}");
    for request in origin.requests() {
        for name in ["content-length", "host", "transfer-encoding", "x-forwarded-for"] {
            assert!(!request.trailers.has(name), "{name} passed as a trailer: {request}");
        }
    }
}

#[test]
fn chunked_responses_and_their_trailers_pass() {
    let origin = answering(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n",
    );
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    for _ in 0..2 {
        let response = client
            .exchange("GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
            .expect_body("abcde");
        assert_eq!(response.trailers.value("x-sum"), Some("5"), "{response}");
        assert!(!response.fields.has("content-length"), "{response}");
    }
}

#[test]
fn answers_to_head_have_no_body() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Only: fields\r\n\r\n",
    ] {
        let origin = answering(answer);
        let proxy = Proxy::before(&[origin.address()]);
        let mut client = proxy.client();
        for _ in 0..2 {
            let response = client.exchange("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
            if answer.contains("1234") {
                response.expect_field("content-length", "1234");
            }
        }
    }
}

#[test]
fn answers_without_content_have_no_body() {
    for (answer, status) in [
        ("HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", 204),
        ("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 99\r\n\r\n", 304),
        ("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", 304),
    ] {
        let origin = answering(answer);
        let proxy = Proxy::before(&[origin.address()]);
        let mut client = proxy.client();
        for _ in 0..3 {
            let response = client.exchange(GET).expect_status(status);
            if status == 204 {
                assert!(!response.fields.has("content-length"), "RFC 9110 §8.6 forbids it:\n{response}");
            }
            assert!(!response.fields.has("transfer-encoding"), "{response}");
        }
    }
}

#[test]
fn interim_responses_reach_clients_that_know_them() {
    let origin = answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.js>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
    );
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    for _ in 0..2 {
        let response = client.exchange(GET).expect_body("done");
        let links: Vec<_> = response.informational.iter().map(|head| head.fields.value("link")).collect();
        assert_eq!(links, [Some("</a.css>; rel=preload"), Some("</b.js>")], "{response}");
    }
    let mut old = proxy.client();
    let response = old.exchange("GET / HTTP/1.0\r\nHost: test\r\n\r\n").expect_body("done");
    assert!(response.informational.is_empty(), "{response}");
}

#[test]
fn an_interim_response_does_not_wait_for_the_final_one() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        held.wait();
        conversation.send(reply(200, "done"));
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send(GET);
    assert_eq!(client.any_head().status(), Ok(103));
    gate.open();
    client.response().expect_body("done");
}

#[test]
fn an_expectation_that_is_met_brings_the_body() {
    let origin = Origin::script(|conversation| {
        while conversation.head().is_some() {
            conversation.send("HTTP/1.1 100 Continue\r\n\r\n");
            let Some(request) = conversation.body() else { return };
            conversation.send(reply(200, &request.body));
        }
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        let head = client.any_head();
        assert_eq!(head.status(), Ok(100), "{:?}", head.line);
        client.send("hello");
        let response = client.response().expect_status(200).expect_body("hello");
        assert!(response.informational.is_empty(), "a second 100:\n{response}");
    }
}

#[test]
fn an_expectation_that_is_refused_brings_the_final_answer() {
    let origin = Origin::script(|conversation| {
        conversation.head();
        conversation.send(reply_with(401, &[("Connection", "close")], "no"));
        conversation.await_end();
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let response = client.response().expect_status(401).expect_body("no");
    assert!(response.informational.is_empty(), "the body was asked for and then refused:\n{response}");
}

#[test]
fn a_client_that_does_not_wait_for_100_is_served() {
    let origin = echo();
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client
        .exchange("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
        .expect_status(200)
        .expect_body("hello");
    client.exchange(GET).expect_status(200);
}

#[test]
fn http_1_0_clients_get_a_close_or_keep_alive_as_they_ask() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    let response = client.exchange("GET / HTTP/1.0\r\nHost: test\r\n\r\n").expect_body("origin");
    assert!(!response.fields.has_token("connection", "keep-alive"), "{response}");
    client.expect_end();

    let mut client = proxy.client();
    for _ in 0..3 {
        let response = client
            .exchange("GET / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n")
            .expect_body("origin");
        assert!(response.fields.has_token("connection", "keep-alive"), "{response}");
    }
}

#[test]
fn http_1_0_clients_get_no_chunks() {
    let origin =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    let proxy = Proxy::before(&[origin.address()]);
    for keep in ["", "Connection: keep-alive\r\n"] {
        let mut client = proxy.client();
        let response =
            client.exchange(format!("GET / HTTP/1.0\r\nHost: test\r\n{keep}\r\n")).expect_body("abcde");
        assert!(!response.fields.has("transfer-encoding"), "{response}");
        assert!(!response.fields.has_token("connection", "keep-alive"), "its end is the close:\n{response}");
    }
}

#[test]
fn a_response_that_ends_with_its_connection_ends_well() {
    for head in ["HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"] {
        let body = pattern(200_000);
        let mut bytes = head.as_bytes().to_vec();
        bytes.extend_from_slice(&body);
        let origin = Origin::serve(move |_| bytes.clone());
        let proxy = Proxy::before(&[origin.address()]);
        for request in [GET, "GET / HTTP/1.0\r\n\r\n"] {
            let response = proxy.client().exchange(request).expect_status(200);
            assert!(response.body == body, "{} bytes of {}", response.body.len(), body.len());
        }
    }
}

#[test]
fn a_client_that_asks_for_a_close_gets_one() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    for connection in ["close", "Close", "keep-alive, close", "x, CLOSE"] {
        let mut client = proxy.client();
        let response =
            client.exchange(format!("GET / HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\n\r\n"));
        assert!(response.fields.has_token("connection", "close"), "{connection}:\n{response}");
        response.expect_body("origin");
        client.expect_end();
    }
    // The client's close is no business of the endpoint's connection.
    assert!(origin.requests().iter().all(|request| !request.fields.has_token("connection", "close")));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::serve(|request| {
        let body = [request.method.as_bytes(), b" ", request.target.as_bytes(), b" ", &request.body].concat();
        if request.target.len() % 2 == 0 { reply(200, &body) } else { chunked(&body) }
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut bytes = Vec::new();
    for number in 0..10 {
        let request = match number % 3 {
            0 => format!("GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n"),
            1 => {
                format!("POST /{number}/post HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nb{number:03}")
            }
            _ => format!(
                "PUT /{number} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nb{number}\r\n0\r\n\r\n"
            ),
        };
        bytes.extend_from_slice(request.as_bytes());
    }
    for bytewise in [false, true] {
        let mut client = proxy.client();
        if bytewise {
            client.send_bytewise(&bytes)
        } else {
            client.send(&bytes)
        };
        for number in 0..10 {
            let expected = match number % 3 {
                0 => format!("GET /{number} "),
                1 => format!("POST /{number}/post b{number:03}"),
                _ => format!("PUT /{number} b{number}"),
            };
            client.response().expect_status(200).expect_body(expected);
        }
        client.exchange("GET /after HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect_status(200);
        client.expect_end();
    }
}

#[test]
fn pipelined_requests_before_a_half_close_are_all_answered() {
    let origin = Origin::serve(|request| reply(200, &request.target));
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    let requests: String = (0..5).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
    client.send(requests).shutdown_write();
    for number in 0..5 {
        client.response().expect_body(format!("/{number}"));
    }
    client.expect_end();
}

#[test]
fn messages_that_arrive_byte_by_byte_are_read() {
    let origin = Origin::script(|conversation| {
        while conversation.request().is_some() {
            let answer = "HTTP/1.1 200 OK\r\nX-Slow: yes\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n";
            conversation.send_pieces(answer.as_bytes().chunks(1));
        }
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send_bytewise(
            "POST /slow HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nxyz\r\n0\r\nT: u\r\n\r\n",
        );
        client.response().expect_body("abc").expect_field("x-slow", "yes");
    }
    assert!(origin.requests().iter().all(|request| request.body == b"xyz"));
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.exchange("\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    // Some clients send one after a body that does not count it.
    client.exchange("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nab\r\n").expect_status(200);
    client.exchange(GET).expect_status(200);
    assert_eq!(origin.request_count(), 3);
}

#[test]
fn a_get_with_a_body_is_forwarded_with_it() {
    let origin = echo();
    let proxy = Proxy::before(&[origin.address()]);
    let mut client: RawClient = proxy.client();
    client.exchange("GET / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc").expect_body("abc");
    client.exchange(GET).expect_body("");
}

/// A chunked 200 with this body.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(3) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
