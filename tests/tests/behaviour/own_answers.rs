//! Answers the proxy makes itself: status, `Proxy-Status`, a sentence, and the same word in log and metric.

use evenkeel_testkit::{Blackhole, Origin, Proxy, ReservedPort, Response, app_config, reply};

/// Fails the test unless this is an answer of the proxy's own with this status and RFC 9209 error.
#[track_caller]
pub(crate) fn expect_own(response: &Response, status: u16, error: &str) {
    assert_eq!(response.status, status, "wrong status:\n{response}");
    let proxy_status = response.fields.value("proxy-status").unwrap_or_default();
    assert_eq!(proxy_status, format!("evenkeel; error={error}"), "wrong Proxy-Status:\n{response}");
    let body = response.text();
    let sentence = body.trim_end();
    assert!(
        sentence.ends_with('.') && sentence.starts_with(char::is_uppercase) && !sentence.contains('\n'),
        "the body is not a plain sentence:\n{response}"
    );
    let kind = response.fields.value("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "wrong Content-Type:\n{response}");
}

/// Fails the test unless the log line of `path` and the metric have this reason.
#[track_caller]
fn expect_recorded(proxy: &Proxy, path: &str, status: u16, reason: &str) {
    let line = proxy.wait_for_log_of(path);
    assert_eq!(line["reason"], reason, "{line}");
    assert_eq!(line["status"], status, "{line}");
    let labels = [("listener", "web"), ("reason", reason)];
    proxy.wait_for_metric("evenkeel_rejections_total", &labels, |count| count >= 1.0);
}

#[test]
fn no_route_is_404() {
    let proxy = Proxy::start("[listener.web]\naddress = \"127.0.0.1:0\"\n");
    let mut client = proxy.client();
    let response = client.exchange("GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n");
    expect_own(&response, 404, "destination_not_found");
    expect_recorded(&proxy, "/nowhere", 404, "no_route");
    // Nothing is wrong with the connection.
    client.exchange("GET /again HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(404);
}

#[test]
fn no_route_with_a_body_keeps_the_connection_in_step() {
    let proxy = Proxy::start("[listener.web]\naddress = \"127.0.0.1:0\"\n");
    let mut client = proxy.client();
    client.send(
        "POST /one HTTP/1.1\r\nHost: test\r\nContent-Length: 30\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    client.send("GET /two HTTP/1.1\r\nHost: test\r\n\r\n");
    let first = client.response().expect_status(404);
    // Either the body is skipped and the second request answered, or the connection ends; never /evil.
    if first.fields.has_token("connection", "close") {
        client.expect_gone();
    } else {
        client.response().expect_status(404);
        proxy.wait_for_log_of("/two");
    }
    assert!(!proxy.access_log().iter().any(|line| line["path"] == "/evil"));
}

#[test]
fn no_endpoint_up_is_503() {
    let port = ReservedPort::new();
    let proxy = Proxy::before_with(&[port.address()], "[upstream.app.health]\ninterval = \"100ms\"");
    let response = proxy.get("/down");
    expect_own(&response, 503, "destination_unavailable");
    expect_recorded(&proxy, "/down", 503, "endpoints_down");
}

#[test]
fn a_refused_connect_is_502() {
    let port = ReservedPort::new();
    let proxy = Proxy::before(&[port.address()]);
    let response = proxy.get("/refused");
    expect_own(&response, 502, "connection_refused");
    expect_recorded(&proxy, "/refused", 502, "connect_refused");
    let failures = proxy.metrics().value("evenkeel_upstream_connect_failures_total", &[("upstream", "app")]);
    assert!(failures >= 1.0, "{}", proxy.metrics());
}

#[test]
fn a_connect_without_answer_is_504() {
    let hole = Blackhole::new();
    let proxy = Proxy::before_with(&[hole.address()], "[upstream.app.timeouts]\nconnect = \"200ms\"");
    let response = proxy.get("/void");
    expect_own(&response, 504, "connection_timeout");
    expect_recorded(&proxy, "/void", 504, "connect_timeout");
}

#[test]
fn a_response_that_does_not_begin_is_504() {
    let origin = Origin::script(|conversation| {
        conversation.request();
        conversation.await_end();
    });
    let proxy = Proxy::before_with(&[origin.address()], "[upstream.app.timeouts]\nresponse = \"300ms\"");
    let mut client = proxy.client();
    let response = client.exchange("GET /late HTTP/1.1\r\nHost: test\r\n\r\n");
    expect_own(&response, 504, "http_response_timeout");
    expect_recorded(&proxy, "/late", 504, "response_timeout");
    origin.wait_for_end(0);
    assert_eq!(origin.request_count(), 1, "the response timeout covers all attempts");
}

#[test]
fn an_attempt_that_takes_too_long_is_tried_elsewhere() {
    let stalled = Origin::script(|conversation| {
        conversation.request();
        conversation.await_end();
    });
    let good = Origin::named("good");
    let proxy = Proxy::before_with(
        &[stalled.address(), good.address()],
        "[upstream.app.timeouts]\nattempt = \"200ms\"\nresponse = \"20s\"",
    );
    for number in 0..4 {
        proxy.get(&format!("/{number}")).expect_status(200).expect_body("good");
    }
    assert!(stalled.request_count() > 0, "the stalled endpoint had its share");
    stalled.wait_for_end(0);
    let metrics = proxy.metrics();
    let retries = metrics.value("evenkeel_upstream_retries_total", &[("upstream", "app")]);
    assert_eq!(retries, stalled.request_count() as f64, "{metrics}");
}

#[test]
fn an_endpoint_that_closes_before_its_answer_is_502() {
    let origin = Origin::script(|conversation| {
        conversation.request();
    });
    let proxy = Proxy::before(&[origin.address()]);
    let response = proxy.get("/closed");
    expect_own(&response, 502, "connection_terminated");
    expect_recorded(&proxy, "/closed", 502, "upstream_closed");
}

#[test]
fn every_endpoint_busy_is_503() {
    let origin = Origin::script(|conversation| {
        while conversation.request().is_some_and(|request| request.target != "/hold") {
            conversation.send(reply(200, ""));
        }
        conversation.await_end();
    });
    let config = app_config(&[], "").replace(
        "endpoints = []",
        &format!("endpoints = [{{ address = \"{}\", max_in_flight = 1 }}]", origin.address()),
    );
    let proxy = Proxy::start(&config);
    proxy.get("/free").expect_status(200);
    proxy.wait_in_flight(0);
    let mut holding = proxy.client();
    holding.send("GET /hold HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_for(2);
    for _ in 0..4 {
        expect_own(&proxy.get("/busy"), 503, "connection_limit_reached");
    }
    expect_recorded(&proxy, "/busy", 503, "endpoints_busy");
    // The place is given back.
    holding.reset();
    proxy.wait_for_status("/free-again", 200);
}

#[test]
fn an_own_answer_to_head_has_no_body() {
    let proxy = Proxy::start("[listener.web]\naddress = \"127.0.0.1:0\"\n");
    let mut client = proxy.client();
    for _ in 0..2 {
        let response = client.exchange("HEAD /nowhere HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(404);
        let length = response.fields.value("content-length").and_then(|length| length.parse::<usize>().ok());
        assert!(length.is_none_or(|length| length > 0), "a Content-Length of 0 would be wrong:\n{response}");
    }
}

#[test]
fn own_answers_carry_a_date_and_a_length() {
    let proxy = Proxy::start("[listener.web]\naddress = \"127.0.0.1:0\"\n");
    let response = proxy.get("/nowhere");
    let length = response.body.len().to_string();
    let response = response.expect_field("content-length", &length);
    assert!(response.fields.value("date").is_some_and(|date| date.ends_with(" GMT")), "{response}");
}
