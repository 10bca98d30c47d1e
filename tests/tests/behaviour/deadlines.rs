//! Which deadline runs when: each ends with what it was set for, and says whose turn it was.

use std::time::Duration;

use evenkeel_testkit::{Gate, Origin, Proxy, app_config};

use crate::own_answers::expect_own;

/// A head's deadline was set again only when a count of bytes had changed, and the count of the answer's bytes began
/// where that of the request's had ended: an answer whose first piece had the right size died a second later.
#[test]
fn a_pause_in_an_answer_is_no_end_of_it() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conversation| {
        conversation.head();
        let Some(request) = conversation.body() else { return };
        // Then head and body of the request are together as long as the first piece and the request's body.
        let first = "x".repeat(request.raw_head.len() - request.body.len());
        let length = first.len() + "the rest".len();
        conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{first}"));
        held.wait();
        conversation.send("the rest");
        conversation.await_end();
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send("POST /pause HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n");
    origin.wait_for_heads(1);
    client.send("body");
    let response = client.response_head().expect_status(200);
    let length: usize = response.fields.value("content-length").and_then(|l| l.parse().ok()).unwrap();
    client.read_exactly(length - "the rest".len());
    // An endpoint that lets a request wait for a second is looked at; here nothing is waiting any more.
    client.expect_silence(Duration::from_millis(1200));
    gate.open();
    assert_eq!(client.read_exactly("the rest".len()), b"the rest");
    let line = proxy.wait_for_log_of("/pause");
    assert!(line["reason"].is_null() || line["reason"] == "", "{line}");
}

#[test]
fn pauses_in_a_chunked_answer_are_no_end_of_it_either() {
    let gates: Vec<Gate> = (0..2).map(|_| Gate::new()).collect();
    let held = gates.clone();
    let origin = Origin::script(move |conversation| {
        conversation.head();
        if conversation.body().is_none() {
            return;
        }
        conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        held[0].wait();
        conversation.send("5\r\nfirst\r\n");
        held[1].wait();
        conversation.send("4\r\nlast\r\n0\r\n\r\n");
        conversation.await_end();
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send("POST /pauses HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    origin.wait_for_heads(1);
    client.send("4\r\nbody\r\n0\r\n\r\n");
    client.response_head().expect_status(200);
    client.expect_silence(Duration::from_millis(1200));
    gates[0].open();
    assert_eq!(client.read_exactly(10), b"5\r\nfirst\r\n");
    client.expect_silence(Duration::from_millis(1200));
    gates[1].open();
    assert_eq!(client.read_exactly(14), b"4\r\nlast\r\n0\r\n\r\n");
}

/// The client waits for the endpoint's word, so that it is not the client who is late, however short its time.
#[test]
fn an_endpoint_that_does_not_say_100_is_504() {
    let origin = Origin::script(|conversation| {
        conversation.head();
        conversation.await_end();
    });
    let proxy = Proxy::start(&app_config(
        &[origin.address()],
        "[upstream.app.timeouts]\nresponse = \"600ms\"\n[listener.web.timeouts]\nstall = \"200ms\"\n",
    ));
    for framing in ["Content-Length: 4", "Transfer-Encoding: chunked"] {
        let mut client = proxy.client();
        client
            .send(format!("PUT /hangs HTTP/1.1\r\nHost: test\r\n{framing}\r\nExpect: 100-continue\r\n\r\n"));
        expect_own(&client.response(), 504, "http_response_timeout");
    }
    let line = proxy.wait_for_log_of("/hangs");
    assert_eq!(line["reason"], "response_timeout", "{line}");
    assert_eq!(line["status"], 504, "{line}");
}

/// Once the endpoint has said 100, it is the client's turn.
#[test]
fn a_client_that_sends_nothing_after_100_is_408() {
    let origin = Origin::script(|conversation| {
        conversation.head();
        conversation.send("HTTP/1.1 100 Continue\r\n\r\n");
        conversation.await_end();
    });
    let proxy = Proxy::start(&app_config(
        &[origin.address()],
        "[upstream.app.timeouts]\nresponse = \"20s\"\n[listener.web.timeouts]\nstall = \"300ms\"\n",
    ));
    let mut client = proxy.client();
    client.send("PUT /late HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.any_head().status(), Ok(100));
    expect_own(&client.response(), 408, "http_request_error");
    assert_eq!(proxy.wait_for_log_of("/late")["reason"], "body_timeout");
}

#[test]
fn a_line_end_too_many_after_a_body_is_no_late_request() {
    const POST: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";
    let origin = Origin::named("origin");
    let proxy = Proxy::before_with(
        &[origin.address()],
        "[listener.web.timeouts]\nheader = \"300ms\"\nidle = \"300ms\"",
    );
    // With the body, and after its answer.
    for pieces in [[&format!("{POST}\r\n"), ""], [POST, "\r\n"], [&format!("{POST}\r\n"), "\r\n"]] {
        let mut client = proxy.client();
        client.send(pieces[0]).response().expect_status(200);
        client.send(pieces[1]);
        client.expect_end();

        let mut client = proxy.client();
        client.send(pieces[0]).response().expect_status(200);
        client.send(pieces[1]);
        client.exchange("GET /next HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    }
    assert_eq!(proxy.metrics().value("evenkeel_rejections_total", &[]), 0.0, "{}", proxy.metrics());
    assert_eq!(origin.request_count(), 9);

    // A head that has begun after it is late all the same.
    let mut client = proxy.client();
    client.send(format!("{POST}\r\n")).response().expect_status(200);
    client.send("GET /slow HT");
    expect_own(&client.response(), 408, "http_request_error");
}
