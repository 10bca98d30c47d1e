//! Connections to endpoints are kept, shared in turn, and replaced unseen when they turn out dead.

use evenkeel_testkit::{BoxedScript, Conversation, Gate, Origin, Proxy, app_config, reply, reply_with};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// A proxy with one worker, so that there is one pool.
fn one_pool(origin: &Origin, rest: &str) -> Proxy {
    Proxy::start(&format!("{}[server]\nworkers = 1\n", app_config(&[origin.address()], rest)))
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let origin = Origin::serve(|request| reply(200, &request.body));
    let proxy = one_pool(&origin, "");
    let mut client = proxy.client();
    for _ in 0..5 {
        client.exchange(GET).expect_status(200);
        client.exchange("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody").expect_body("body");
        client.exchange("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    }
    for _ in 0..5 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!(origin.request_count(), 20);
    assert_eq!(origin.connection_count(), 1, "every request follows the one before it");
    let metrics = proxy.metrics();
    assert_eq!(
        metrics.value("evenkeel_upstream_connections_total", &[("upstream", "app")]),
        1.0,
        "{metrics}"
    );
    assert_eq!(metrics.value("evenkeel_upstream_connections_open", &[("upstream", "app")]), 1.0, "{metrics}");
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_unseen() {
    for reset in [false, true] {
        for request in [GET, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody"] {
            let gate = Gate::new();
            let held = gate.clone();
            let first: BoxedScript = Box::new(move |conversation: &mut Conversation| {
                conversation.request();
                conversation.send(reply(200, "first"));
                held.wait();
                if reset {
                    conversation.reset();
                }
            });
            let then: BoxedScript = Box::new(|conversation| {
                while conversation.request().is_some() {
                    conversation.send(reply(200, "then"));
                }
            });
            let origin = Origin::scripts(vec![first, then]);
            let proxy = one_pool(&origin, "");
            let mut client = proxy.client();
            client.exchange(GET).expect_body("first");
            gate.open();
            // Closed for certain, whether or not the proxy has noticed.
            origin.wait_for_end(0);
            client.exchange(request).expect_status(200).expect_body("then");
            assert_eq!(origin.request_count(), 2);
        }
    }
}

#[test]
fn a_kept_connection_that_dies_under_a_request_is_replaced_unseen() {
    // The endpoint closes just as the next request arrives: the race that every keep-alive has.
    let first: BoxedScript = Box::new(|conversation| {
        conversation.request();
        conversation.send(reply(200, "first"));
        conversation.head();
        conversation.reset();
    });
    let then: BoxedScript = Box::new(|conversation| {
        while conversation.request().is_some() {
            conversation.send(reply(200, "then"));
        }
    });
    let origin = Origin::scripts(vec![first, then]);
    let proxy = one_pool(&origin, "");
    let mut client = proxy.client();
    client.exchange(GET).expect_body("first");
    client.exchange("GET /second HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200).expect_body("then");
    assert_eq!(origin.wait_for(2).iter().filter(|request| request.target == "/second").count(), 2);
}

#[test]
fn a_close_announced_by_the_endpoint_is_respected() {
    for fields in [&[("Connection", "close")][..], &[("Connection", "Close, x")][..]] {
        let answer = reply_with(200, fields, "once");
        // It keeps the connection open all the same: a second request on it would go unanswered.
        let origin = Origin::script(move |conversation| {
            conversation.request();
            conversation.send(&answer);
            conversation.await_end();
        });
        let proxy = one_pool(&origin, "");
        let mut client = proxy.client();
        for _ in 0..3 {
            let response = client.exchange(GET).expect_body("once");
            assert!(
                !response.fields.has_token("connection", "close"),
                "not the client's business:\n{response}"
            );
        }
        assert_eq!(origin.connection_count(), 3);
        origin.wait_for_all_ends();
    }
}

#[test]
fn an_endpoint_of_http_1_0_is_not_reused_unless_it_says_so() {
    let origin = Origin::script(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold");
        conversation.await_end();
    });
    let proxy = one_pool(&origin, "");
    let mut client = proxy.client();
    for _ in 0..2 {
        client.exchange(GET).expect_body("old");
    }
    assert_eq!(origin.connection_count(), 2);
}

#[test]
fn a_connection_with_an_unfinished_request_is_not_reused() {
    let origin = Origin::script(|conversation| {
        while let Some(head) = conversation.head() {
            conversation.send(reply(200, &head.target));
            if head.target == "/early" {
                conversation.await_end();
                return;
            }
        }
    });
    let proxy = one_pool(&origin, "");
    let mut client = proxy.client();
    client.send("PUT /early HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\na part");
    client.response().expect_body("/early");
    for _ in 0..3 {
        proxy.get("/next").expect_body("/next");
    }
    let requests = origin.requests();
    assert!(requests.iter().all(|r| r.target != "/next" || r.connection != requests[0].connection));
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let origin = Origin::named("origin");
    let proxy = one_pool(&origin, "[upstream.app.pool]\nidle = \"200ms\"");
    proxy.get("/").expect_status(200);
    origin.wait_for_end(0);
    proxy.wait_for_metric("evenkeel_upstream_connections_open", &[("upstream", "app")], |open| open == 0.0);
    proxy.get("/").expect_status(200);
    assert_eq!(origin.connection_count(), 2);
}

#[test]
fn no_more_idle_connections_are_kept_than_allowed() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::serve(move |_| {
        held.wait();
        reply(200, "")
    });
    let proxy = one_pool(&origin, "[upstream.app.pool]\nidle_connections = 2");
    let mut clients: Vec<_> = (0..6).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(GET);
    }
    origin.wait_for(6);
    gate.open();
    for client in &mut clients {
        client.response().expect_status(200);
    }
    evenkeel_testkit::eventually("the surplus connections to be closed", || {
        match origin.open_connection_count() {
            2 => Ok(()),
            other => Err(format!("{other} are open")),
        }
    });
}

#[test]
fn a_client_does_not_inherit_the_fate_of_an_abandoned_exchange() {
    let origin = Origin::script(|conversation| {
        while let Some(request) = conversation.request() {
            if request.target == "/abandoned" {
                conversation.await_end();
                return;
            }
            conversation.send(reply(200, &request.target));
        }
    });
    let proxy = one_pool(&origin, "");
    for round in 0..5 {
        proxy.get("/before").expect_body("/before");
        let mut client = proxy.client();
        client.send("GET /abandoned HTTP/1.1\r\nHost: test\r\n\r\n");
        origin.wait_for(round * 3 + 2);
        client.reset();
        proxy.get("/after").expect_body("/after");
    }
}

/// Some endpoints take leave of an idle connection with a 408: nobody's answer, least of all the next request's.
#[test]
fn a_farewell_of_408_is_nobodys_answer() {
    const FAREWELL: &str = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    const POST: &str = "POST /second HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";
    const SECOND: &str = "GET /second HTTP/1.1\r\nHost: test\r\n\r\n";
    // It crosses the next request, or lies there before that.
    for (request, crosses) in [(SECOND, true), (SECOND, false), (POST, false)] {
        let (idle, said) = (Gate::new(), Gate::new());
        let (is_idle, has_said) = (idle.clone(), said.clone());
        let first: BoxedScript = Box::new(move |conversation: &mut Conversation| {
            conversation.request();
            conversation.send(reply(200, "first"));
            if crosses {
                conversation.head();
            } else {
                is_idle.wait();
            }
            conversation.send(FAREWELL);
            has_said.open();
            if !crosses {
                // Not closed yet, so that only what was said gives it away.
                conversation.await_end();
            }
        });
        let then: BoxedScript = Box::new(|conversation| {
            while conversation.request().is_some() {
                conversation.send(reply(200, "then"));
            }
        });
        let origin = Origin::scripts(vec![first, then]);
        let proxy = one_pool(&origin, "");
        let mut client = proxy.client();
        client.exchange(GET).expect_body("first");
        if !crosses {
            idle.open();
            said.wait();
        }
        client.exchange(request).expect_status(200).expect_body("then");
        let line = proxy.wait_for_log_of("/second");
        assert!(line["reason"].is_null() || line["reason"] == "", "{line}");
    }
    // On a new connection it is an answer like any other.
    let origin = Origin::serve(|_| FAREWELL.into());
    one_pool(&origin, "").get("/").expect_status(408);
}
