//! The kit against itself: raw clients talk to scripted origins.

use std::time::Duration;

use evenkeel_testkit::{Conversation, End, Gate, Load, Origin, RawClient, reply, reply_with};

#[test]
fn a_served_origin_answers_and_remembers() {
    let origin = Origin::serve(|request| reply_with(200, &[("X-Echo", &request.target)], &request.body));
    let mut client = RawClient::connect(origin.address());
    let response = client
        .exchange("POST /a?b=c HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\nabc");
    let response = response.expect_status(200).expect_body("abc").expect_field("x-echo", "/a?b=c");
    assert_eq!(response.version, "HTTP/1.1");
    client.exchange("HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n").expect_status(200).expect_body("");
    client.exchange("GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").expect_status(200);
    client.expect_end();

    let requests = origin.wait_for(3);
    assert_eq!(requests[0].fields.names(), ["Host", "X-B", "x-a", "Content-Length"]);
    assert_eq!(requests[0].body, b"abc");
    assert!(requests.iter().all(|request| request.connection == 0 && request.whole));
    assert_eq!(origin.counts_by_target()["/last"], 1);
}

#[test]
fn chunks_trailers_and_informational_heads_are_read() {
    let origin = Origin::script(|conversation: &mut Conversation| {
        let request = conversation.request().unwrap();
        assert_eq!(request.body, b"hello world");
        assert_eq!(request.trailers.value("x-sum"), Some("11"));
        conversation.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        conversation.send_pieces([
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "3\r\nab",
            "c\r\n2;x=y\r\nde\r\n",
            "0\r\nX-End: yes\r\n\r\n",
        ]);
    });
    let mut client = RawClient::connect(origin.address());
    client.send_bytewise(
        "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n",
    );
    let response = client.response().expect_status(200).expect_body("abcde");
    assert_eq!(response.trailers.value("x-end"), Some("yes"));
    assert_eq!(response.chunks, 2);
    assert_eq!(response.informational.len(), 1);
    client.expect_end();
}

#[test]
fn a_body_until_close_ends_with_the_connection() {
    let origin = Origin::serve(|_| b"HTTP/1.0 200 OK\r\n\r\nuntil the end".to_vec());
    let mut client = RawClient::connect(origin.address());
    client.exchange("GET / HTTP/1.0\r\n\r\n").expect_body("until the end");
}

#[test]
fn resets_are_told_from_closes_on_both_sides() {
    let origin = Origin::script(|conversation| {
        if conversation.number() == 0 {
            conversation.head().unwrap();
            conversation.reset();
        } else {
            conversation.await_end();
        }
    });
    let mut client = RawClient::connect(origin.address());
    let failure = client.send("GET / HTTP/1.1\r\n\r\n").try_response().unwrap_err();
    assert_eq!(failure.end, End::Reset);

    let client = RawClient::connect(origin.address());
    origin.wait_for_connections(2);
    client.reset();
    assert_eq!(origin.wait_for_end(1), End::Reset);

    let mut client = RawClient::connect(origin.address());
    client.send("partial").shutdown_write();
    assert_eq!(origin.wait_for_end(2), End::Closed);
    client.expect_end();
}

#[test]
fn an_origin_dies_and_comes_back_on_its_port() {
    let mut origin = Origin::named("phoenix");
    let mut client = RawClient::connect(origin.address());
    client.exchange("GET / HTTP/1.1\r\n\r\n").expect_body("phoenix");
    origin.kill();
    assert_eq!(client.try_response().unwrap_err().end, End::Reset);
    let refused = RawClient::try_connect(origin.address()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    origin.come_back();
    RawClient::connect(origin.address()).exchange("GET / HTTP/1.1\r\n\r\n").expect_body("phoenix");
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn a_gate_holds_an_answer_back() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::serve(move |_| {
        held.wait();
        reply(200, "late")
    });
    let mut client = RawClient::connect(origin.address());
    client.send("GET / HTTP/1.1\r\n\r\n");
    origin.wait_for(1);
    client.expect_silence(Duration::from_millis(20));
    gate.open();
    client.response().expect_body("late");
}

#[test]
#[should_panic(expected = "a script of the origin failed: connection 0: the script's own words")]
fn a_failing_script_fails_the_test() {
    let origin = Origin::script(|_| panic!("the script's own words"));
    RawClient::connect(origin.address()).expect_end();
}

#[test]
fn load_counts_answers_and_errors() {
    let origin = Origin::serve(|request| {
        let status = if request.connection == 0 { 200 } else { 503 };
        reply(status, "")
    });
    let report = Load::new(origin.address()).rate(2000.0).requests(200).connections(4).run();
    assert_eq!(report.by_status.values().sum::<usize>(), 200, "{report}");
    assert_eq!(report.ok() + report.failed(), 200, "{report}");
    assert!(report.quantile(0.0) <= report.quantile(1.0), "{report}");
    assert_eq!(report.latencies.len(), 200);

    let dying = Origin::script(|conversation| {
        conversation.head();
    });
    let report = Load::new(dying.address()).rate(1000.0).requests(10).connections(2).run();
    assert_eq!(report.errors.len(), 10, "{report}");
}
