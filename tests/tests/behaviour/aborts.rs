//! Who goes away in the middle: clients that leave, endpoints that die, and what the other side sees of it.

use evenkeel_testkit::{End, Gate, Origin, Proxy, ReservedPort, app_config, reply};

use crate::own_answers::expect_own;

/// An origin that reads requests and never answers.
fn silent() -> Origin {
    Origin::script(|conversation| {
        conversation.request();
        conversation.await_end();
    })
}

/// An origin that reads a request and resets its connection.
fn resetting() -> Origin {
    Origin::script(|conversation| {
        conversation.request();
        conversation.reset();
    })
}

#[test]
fn a_client_that_resets_while_it_waits_ends_the_attempt() {
    let origin = silent();
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send("GET /gone HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_for(1);
    client.reset();
    origin.wait_for_end(0);
    let line = proxy.wait_for_log_of("/gone");
    assert_eq!(line["reason"], "client_closed", "{line}");
    proxy.wait_in_flight(0);
}

#[test]
fn a_client_that_closes_while_it_waits_ends_the_attempt() {
    let origin = silent();
    let proxy = Proxy::before_with(&[origin.address()], "[listener.web.timeouts]\nhalf_close = \"200ms\"");
    let mut client = proxy.client();
    client.send("GET /gone HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_for(1);
    drop(client);
    origin.wait_for_end(0);
    let line = proxy.wait_for_log_of("/gone");
    assert_eq!(line["reason"], "client_closed", "{line}");
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::serve(move |_| {
        held.wait();
        reply(200, "late but there")
    });
    let proxy = Proxy::before_with(&[origin.address()], "[listener.web.timeouts]\nhalf_close = \"30s\"");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").shutdown_write();
    origin.wait_for(1);
    gate.open();
    client.response().expect_body("late but there");
    client.expect_end();
}

#[test]
fn a_client_that_half_closes_gets_a_long_answer_to_its_end() {
    let body = vec![b'x'; 20 << 20];
    let answer = reply(200, &body);
    let origin = Origin::serve(move |_| answer.clone());
    let proxy = Proxy::before_with(&[origin.address()], "[listener.web.timeouts]\nhalf_close = \"100ms\"");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    // Once the answer has begun, no time is set for its rest.
    client.response_head().expect_status(200);
    client.shutdown_write();
    client.discard(body.len() as u64);
    client.expect_end();
}

#[test]
fn a_client_that_resets_during_a_download_ends_the_attempt() {
    let origin = Origin::script(|conversation| {
        if conversation.request().is_some() {
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            let piece = vec![b'x'; 64 * 1024];
            while conversation.send(&piece) {}
        }
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send("GET /download HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response_head().expect_status(200);
    client.discard(1_000_000);
    client.reset();
    origin.wait_for_end(0);
    let line = proxy.wait_for_log_of("/download");
    assert_eq!(line["reason"], "client_closed", "{line}");
    assert_eq!(line["status"], 200, "{line}");
}

#[test]
fn a_client_that_leaves_during_an_upload_ends_the_attempt() {
    let origin = Origin::script(|conversation| {
        conversation.request();
        conversation.await_end();
    });
    let proxy = Proxy::before(&[origin.address()]);
    for (number, reset) in [true, false].into_iter().enumerate() {
        let path = format!("/upload/{number}");
        let mut client = proxy.client();
        client.send(format!("PUT {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\npart of it"));
        origin.wait_for_heads(number + 1);
        if reset {
            client.reset()
        } else {
            drop(client)
        }
        origin.wait_for_end(number);
        let line = proxy.wait_for_log_of(&path);
        assert_eq!(line["reason"], "client_closed", "{line}");
        assert!(!origin.requests()[number].whole);
    }
}

#[test]
fn many_clients_that_leave_leave_nothing_behind() {
    let origin = silent();
    let proxy = Proxy::before(&[origin.address()]);
    let files = proxy.open_files();
    for round in 0..5 {
        let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        origin.wait_for((round + 1) * 20);
        clients.into_iter().for_each(evenkeel_testkit::RawClient::reset);
        origin.wait_for_all_ends();
    }
    proxy.wait_for_metric("evenkeel_connections_open", &[("listener", "web")], |open| open == 0.0);
    proxy.wait_in_flight(0);
    evenkeel_testkit::eventually("the file descriptors to be closed", || {
        let now = proxy.open_files();
        if now <= files + 2 { Ok(()) } else { Err(format!("{files} before, {now} now")) }
    });
}

#[test]
fn a_get_whose_endpoint_dies_is_answered_by_another() {
    let dying = resetting();
    let good = Origin::named("good");
    let proxy = Proxy::before(&[dying.address(), good.address()]);
    for number in 0..6 {
        proxy.get(&format!("/{number}")).expect_status(200).expect_body("good");
    }
    assert!(dying.request_count() > 0, "the dying endpoint had its share");
    let labels = [("upstream", "app"), ("reason", "reset")];
    let metrics = proxy.wait_for_metric("evenkeel_upstream_retries_total", &labels, |count| count > 0.0);
    let retries = metrics.value("evenkeel_upstream_retries_total", &labels);
    assert_eq!(retries, dying.request_count() as f64, "{metrics}");
    let retried = proxy.wait_for_log("two attempts", |line| line["attempts"] == 2);
    assert_eq!(retried["endpoint"], good.address().to_string(), "{retried}");
    assert!(retried["reason"].is_null() || retried["reason"] == "", "{retried}");
}

#[test]
fn a_post_whose_endpoint_dies_is_not_repeated() {
    let dying = resetting();
    let good = Origin::named("good");
    let proxy = Proxy::before(&[dying.address(), good.address()]);
    let mut failed = 0;
    for number in 0..6 {
        let response = proxy.client().exchange(format!(
            "POST /{number} HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
        ));
        if response.status == 200 {
            continue;
        }
        failed += 1;
        expect_own(&response, 502, "connection_terminated");
        assert_eq!(proxy.wait_for_log_of(&format!("/{number}"))["reason"], "upstream_closed");
    }
    assert_eq!(dying.request_count(), failed);
    assert_eq!(good.request_count(), 6 - failed, "a POST was repeated or lost");
    assert!(failed > 0, "the dying endpoint had its share");
}

#[test]
fn a_refused_connect_is_tried_elsewhere_for_every_method() {
    let dead = ReservedPort::new();
    let good = Origin::serve(|request| reply(200, &request.body));
    let proxy = Proxy::before(&[dead.address(), good.address()]);
    for method in ["GET", "POST", "PATCH", "DELETE"] {
        for _ in 0..3 {
            let response = proxy.client().exchange(format!(
                "{method} / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
            ));
            response.expect_status(200).expect_body("body");
        }
    }
    assert_eq!(good.request_count(), 12);
    let labels = [("upstream", "app"), ("reason", "connect")];
    proxy.wait_for_metric("evenkeel_upstream_retries_total", &labels, |count| count > 0.0);
}

#[test]
fn attempts_are_bounded() {
    let origins: Vec<Origin> = (0..6).map(|_| resetting()).collect();
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    let proxy = Proxy::before_with(&addresses, "[upstream.app.retry]\nattempts = 3");
    let response = proxy.get("/doomed");
    expect_own(&response, 502, "connection_terminated");
    let seen: Vec<_> = origins.iter().map(Origin::request_count).collect();
    assert_eq!(seen.iter().sum::<usize>(), 3, "{seen:?}");
    assert!(seen.iter().all(|count| *count <= 1), "an endpoint was tried twice: {seen:?}");
    assert_eq!(proxy.wait_for_log_of("/doomed")["attempts"], 3);
}

#[test]
fn statuses_are_tried_elsewhere_when_asked_for() {
    let failing = Origin::serve(|_| reply(503, "failing"));
    let good = Origin::named("good");
    let rules = "[upstream.app.retry]\nattempts = 2\non = [\"connect\", \"503\"]\nbudget = \"100%\"";
    let proxy = Proxy::before_with(&[failing.address(), good.address()], rules);
    for _ in 0..6 {
        proxy.get("/").expect_status(200).expect_body("good");
    }
    assert!(failing.request_count() > 0);

    // Nowhere left to try: the endpoint's own answer is given.
    let proxy = Proxy::before_with(&[failing.address()], rules);
    let response = proxy.get("/only").expect_status(503).expect_body("failing");
    assert!(!response.fields.has("proxy-status"), "{response}");
}

#[test]
fn an_endpoint_that_dies_in_its_answer_never_looks_complete() {
    for (head, sent) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "ten bytes."),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhel"),
    ] {
        for reset in [false, true] {
            let gate = Gate::new();
            let held = gate.clone();
            let origin = Origin::script(move |conversation| {
                conversation.request();
                conversation.send(head);
                conversation.send(sent);
                held.wait();
                if reset {
                    conversation.reset();
                }
            });
            let proxy = Proxy::before(&[origin.address()]);
            let mut client = proxy.client();
            client.send("GET /cut HTTP/1.1\r\nHost: test\r\n\r\n");
            client.response_head().expect_status(200);
            gate.open();
            let (rest, end) = client.until_end();
            assert!(end.is_gone(), "{end}");
            assert!(!rest.ends_with(b"0\r\n\r\n"), "the answer looks complete: {}", client.transcript());
            let line = proxy.wait_for_log_of("/cut");
            assert_eq!(line["reason"], "response_incomplete", "{line}");
            let labels = [("listener", "web"), ("reason", "response_incomplete")];
            proxy.wait_for_metric("evenkeel_rejections_total", &labels, |count| count == 1.0);
        }
    }
}

/// HTTP/1.0 has no other sign of a broken answer than a broken connection.
#[test]
fn a_cut_answer_is_a_reset_for_http_1_0() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        held.wait();
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send("GET /cut HTTP/1.0\r\nHost: test\r\n\r\n");
    client.response_head().expect_status(200);
    gate.open();
    let (_, end) = client.until_end();
    assert_eq!(end, End::Reset, "{}", client.transcript());
}

#[test]
fn an_endpoint_that_stalls_in_its_answer_is_given_up() {
    let origin = Origin::script(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.");
        conversation.await_end();
    });
    let proxy = Proxy::start(&app_config(&[origin.address()], "[upstream.app.timeouts]\nstall = \"300ms\""));
    let mut client = proxy.client();
    client.send("GET /stall HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response_head().expect_status(200);
    let (_, end) = client.until_end();
    assert!(end.is_gone(), "{end}");
    origin.wait_for_end(0);
    let line = proxy.wait_for_log_of("/stall");
    assert_eq!(line["reason"], "response_incomplete", "{line}");
}
