//! Answers of endpoints that are no HTTP, or could be read in two ways: none of it reaches a client.

use evenkeel_testkit::{Origin, Proxy};

use crate::own_answers::expect_own;

/// Asks through the proxy an origin that answers with these bytes and closes.
fn answer_of(bytes: &[u8]) -> (Proxy, evenkeel_testkit::Response) {
    let bytes = bytes.to_vec();
    let origin = Origin::script(move |conversation| {
        if conversation.request().is_some() {
            conversation.send(&bytes);
        }
    });
    let proxy = Proxy::before_with(&[origin.address()], "[upstream.app.retry]\nattempts = 1");
    let response = proxy.get("/bad");
    (proxy, response)
}

#[test]
fn malformed_responses_are_502() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\na",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX\0Y: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
    ] {
        let (proxy, response) = answer_of(bytes.as_bytes());
        assert_eq!(response.status, 502, "{bytes:?} became:\n{response}");
        expect_own(&response, 502, "http_protocol_error");
        let line = proxy.wait_for_log_of("/bad");
        assert_eq!(line["reason"], "response_malformed", "{bytes:?}: {line}");
    }
}

#[test]
fn an_oversized_response_head_is_502() {
    let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..20_000 {
        bytes.extend_from_slice(format!("X-{number}: {}\r\n", "a".repeat(100)).as_bytes());
    }
    bytes.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    let (proxy, response) = answer_of(&bytes);
    expect_own(&response, 502, "http_response_header_section_size");
    assert_eq!(proxy.wait_for_log_of("/bad")["reason"], "response_header_too_large");
}

#[test]
fn a_head_cut_short_is_502() {
    let (proxy, response) = answer_of(b"HTTP/1.1 200 OK\r\nContent-Le");
    assert_eq!(response.status, 502, "{response}");
    assert!(response.fields.has("proxy-status"), "{response}");
    assert!(proxy.wait_for_log_of("/bad")["reason"].is_string());
}

#[test]
fn broken_chunks_end_the_client_connection() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZZ\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n",
    ] {
        let bytes = bytes.as_bytes().to_vec();
        let origin = Origin::script(move |conversation| {
            if conversation.request().is_some() {
                conversation.send(&bytes);
                conversation.await_end();
            }
        });
        let proxy = Proxy::before(&[origin.address()]);
        let mut client = proxy.client();
        client.send("GET /broken HTTP/1.1\r\nHost: test\r\n\r\n");
        match client.try_response() {
            Ok(response) if response.status != 502 => panic!("the broken body came out whole:\n{response}"),
            Ok(_) => {}
            Err(failure) => assert!(failure.end.is_gone(), "{failure}"),
        }
        let line = proxy.wait_for_log_of("/broken");
        assert!(line["reason"].is_string(), "{line}");
    }
}

#[test]
fn bytes_after_a_response_never_answer_the_next_request() {
    let origin = Origin::serve(|request| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_vec();
        bytes.extend_from_slice(if request.target == "/first" { b"good" } else { b"next" });
        if request.target == "/first" {
            bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
        }
        bytes
    });
    let proxy = Proxy::start(&format!(
        "{}[server]\nworkers = 1\n",
        evenkeel_testkit::app_config(&[origin.address()], "")
    ));
    let mut client = proxy.client();
    client.exchange("GET /first HTTP/1.1\r\nHost: test\r\n\r\n").expect_body("good");
    for _ in 0..5 {
        client.exchange("GET /next HTTP/1.1\r\nHost: test\r\n\r\n").expect_body("next");
        proxy.get("/next").expect_body("next");
    }
    let first = origin.requests()[0].connection;
    assert_eq!(origin.requests().iter().filter(|request| request.connection == first).count(), 1);
}

/// Nothing was passed on yet, so that it can still be said.
#[test]
fn a_malformed_first_chunk_is_502() {
    for version in ["1.1", "1.0"] {
        for chunk in ["zz\r\nabc\r\n0\r\n\r\n", "-3\r\nabc\r\n0\r\n\r\n", "\r\n3\r\nabc\r\n0\r\n\r\n"] {
            let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
            let origin = Origin::script(move |conversation| {
                conversation.request();
                conversation.send(&answer);
                conversation.await_end();
            });
            let proxy = Proxy::before(&[origin.address()]);
            let mut client = proxy.client();
            client.send(format!("GET /bad HTTP/{version}\r\nHost: test\r\n\r\n"));
            expect_own(&client.response(), 502, "http_protocol_error");
            let line = proxy.wait_for_log_of("/bad");
            assert_eq!(line["reason"], "response_malformed", "{line}");
            assert_eq!(line["status"], 502, "{line}");
            // The connection that said it is not used again.
            origin.wait_for_end(0);
        }
    }
}
