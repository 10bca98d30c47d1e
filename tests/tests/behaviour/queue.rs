//! Requests that wait while every endpoint has as many as it may.

use evenkeel_testkit::{Gate, Origin, Proxy, RawClient, ReservedPort, reply};

use crate::own_answers::expect_own;

const DEPTH: &str = "evenkeel_upstream_queue_depth";
const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Endpoints that may have one request each, and a queue.
fn app(origins: &[&Origin], queue: &str, rest: &str) -> String {
    let endpoints: Vec<_> = origins
        .iter()
        .map(|origin| format!("{{ address = \"{}\", max_in_flight = 1 }}", origin.address()))
        .collect();
    format!(
        "[listener.web]\naddress = \"127.0.0.1:0\"\nupstream = \"app\"\n[upstream.app]\nendpoints = [{}]\n\
         queue = {{ {queue} }}\n{rest}\n",
        endpoints.join(", ")
    )
}

/// An origin that answers once the gate is open.
fn held(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::serve(move |_| {
        gate.wait();
        reply(200, "served")
    })
}

fn wait_for_depth(proxy: &Proxy, depth: usize) {
    proxy.wait_for_metric(DEPTH, &[("upstream", "app")], |now| now == depth as f64);
}

/// Clients that have sent a request each, of which all but `served` wait.
fn clients(proxy: &Proxy, count: usize, served: usize) -> Vec<RawClient> {
    (1..=count)
        .map(|sent| {
            let mut client = proxy.client();
            client.send(GET);
            match sent <= served {
                true => drop(proxy.wait_in_flight(sent as u32)),
                false => wait_for_depth(proxy, sent - served),
            }
            client
        })
        .collect()
}

#[test]
fn everybody_is_served_whichever_worker_makes_room() {
    let gate = Gate::new();
    let (a, b) = (held(&gate), held(&gate));
    let proxy = Proxy::start(&app(&[&a, &b], "size = 100, timeout = \"60s\"", "[server]\nworkers = 2"));
    let mut clients = clients(&proxy, 20, 2);
    gate.open();
    for client in &mut clients {
        client.response().expect_status(200).expect_body("served");
    }
    wait_for_depth(&proxy, 0);
    let waited = "evenkeel_upstream_queue_wait_seconds_count";
    proxy.wait_for_metric(waited, &[("upstream", "app")], |count| count == 18.0);
    assert_eq!(a.request_count() + b.request_count(), 20);
}

#[test]
fn a_full_queue_refuses_one_and_serves_the_others() {
    let gate = Gate::new();
    let origin = held(&gate);
    let proxy = Proxy::start(&app(&[&origin], "size = 2, timeout = \"60s\"", ""));
    let mut clients = clients(&proxy, 3, 1);
    let mut last = proxy.client();
    last.send(GET);
    clients.push(last);
    // A newcomer, or the oldest where the queue has been there for long.
    proxy.wait_for_metric("evenkeel_rejections_total", &[("reason", "queue_full")], |count| count == 1.0);
    gate.open();
    let answers: Vec<_> = clients.iter_mut().map(RawClient::response).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    let [refused] = refused.as_slice() else { panic!("{refused:?}") };
    expect_own(refused, 503, "connection_limit_reached");
    assert_eq!(origin.request_count(), 3);
}

#[test]
fn nobody_waits_longer_than_the_timeout() {
    let gate = Gate::new();
    let origin = held(&gate);
    let proxy = Proxy::start(&app(&[&origin], "timeout = \"50ms\"", ""));
    let mut clients = clients(&proxy, 1, 1);
    expect_own(&proxy.client().exchange(GET), 503, "connection_limit_reached");
    wait_for_depth(&proxy, 0);
    gate.open();
    clients[0].response().expect_status(200);
    // There is a place again, and no need to wait.
    proxy.get("/").expect_status(200);
}

#[test]
fn who_leaves_gives_up_the_place() {
    let gate = Gate::new();
    let origin = held(&gate);
    let proxy = Proxy::start(&app(&[&origin], "timeout = \"60s\"", ""));
    let mut clients = clients(&proxy, 3, 1);
    clients.remove(1).reset();
    wait_for_depth(&proxy, 1);
    gate.open();
    for client in &mut clients {
        client.response().expect_status(200);
    }
    assert_eq!(origin.request_count(), 2, "nobody was asked for the one who left");
}

#[test]
fn who_is_refused_by_one_endpoint_waits_for_the_other() {
    let gate = Gate::new();
    let origin = held(&gate);
    let nobody = ReservedPort::new();
    let config = app(&[&origin], "timeout = \"60s\"", "[server]\nworkers = 1").replace(
        "endpoints = [",
        &format!("endpoints = [{{ address = \"{}\", max_in_flight = 1 }}, ", nobody.address()),
    );
    let proxy = Proxy::start(&config);
    let mut clients = clients(&proxy, 4, 1);
    gate.open();
    for client in &mut clients {
        client.response().expect_status(200).expect_body("served");
    }
}

#[test]
fn an_endpoint_that_comes_back_serves_those_who_wait() {
    let gate = Gate::new();
    let (busy, free) = (held(&gate), Origin::named("free"));
    let proxy = Proxy::start(&app(&[&busy, &free], "timeout = \"60s\"", "balance = \"least-connections\""));
    let verb = |verb: &str| {
        let path = format!("/api/v1/upstreams/app/endpoints/{}/{verb}", free.address());
        let request = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", proxy.admin());
        RawClient::connect(proxy.admin()).exchange(request).expect_status(200);
    };
    verb("drain");
    let mut clients = clients(&proxy, 2, 1);
    verb("undrain");
    clients[1].response().expect_body("free");
    gate.open();
    clients[0].response().expect_body("served");
}

#[test]
fn a_reload_leaves_them_waiting_and_served() {
    let gate = Gate::new();
    let origin = held(&gate);
    let config = app(&[&origin], "timeout = \"60s\"", "");
    let proxy = Proxy::start(&config);
    let mut clients = clients(&proxy, 2, 1);
    proxy.reload(&config.replace("timeout = \"60s\"", "timeout = \"30s\", size = 5"));
    wait_for_depth(&proxy, 1);
    let mut late = proxy.client();
    late.send(GET);
    wait_for_depth(&proxy, 2);
    gate.open();
    for client in clients.iter_mut().chain([&mut late]) {
        client.response().expect_status(200);
    }
}

#[test]
fn one_that_stops_answers_those_who_wait() {
    let gate = Gate::new();
    let origin = held(&gate);
    let mut proxy =
        Proxy::start(&app(&[&origin], "timeout = \"60s\"", "[server]\nshutdown_timeout = \"100ms\""));
    let mut clients = clients(&proxy, 2, 1);
    proxy.signal("TERM");
    expect_own(&clients[1].response(), 503, "proxy_internal_response");
    gate.open();
    proxy.wait_exit();
}
