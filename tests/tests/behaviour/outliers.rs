//! Endpoints at which requests fail are put aside for a while, found by one worker and avoided by all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use evenkeel_testkit::{
    Gate, Load, Metrics, Origin, Proxy, RawClient, ReservedPort, ToyBackend, app_config, eventually, reply,
};
use serde_json::Value;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const RETRY: &str = "retry = { on = [\"connect\", \"reset\", \"500\"], budget = \"unlimited\" }";

/// An origin that answers what the number says, with its name.
fn judged(name: &'static str, status: &Arc<AtomicU16>) -> Origin {
    let status = Arc::clone(status);
    Origin::serve(move |_| reply(status.load(Ordering::SeqCst), name))
}

fn failing() -> Origin {
    Origin::serve(|_| reply(500, "broken"))
}

/// A proxy before these endpoints, with these rules and more keys.
fn before(endpoints: &[SocketAddr], outliers: &str, rest: &str) -> Proxy {
    Proxy::before_with(endpoints, &format!("outliers = {{ {outliers} }}\n{rest}"))
}

fn ejections(metrics: &Metrics, endpoint: SocketAddr, reason: &str) -> f64 {
    let endpoint = endpoint.to_string();
    let labels = [("endpoint", endpoint.as_str()), ("reason", reason)];
    metrics.value("evenkeel_endpoint_ejections_total", &labels)
}

fn is_ejected(metrics: &Metrics, endpoint: SocketAddr) -> bool {
    let endpoint = endpoint.to_string();
    metrics.value("evenkeel_endpoint_ejected", &[("endpoint", endpoint.as_str())]) == 1.0
}

/// What the admin API says of an endpoint.
fn status(proxy: &Proxy, endpoint: SocketAddr) -> Value {
    let status: Value = serde_json::from_str(&proxy.admin_get("/api/v1/status").text()).unwrap();
    let endpoints = status["upstreams"][0]["endpoints"].as_array().unwrap().clone();
    endpoints.into_iter().find(|one| one["address"] == endpoint.to_string()).unwrap()
}

/// Waits until the list of changes has one of this kind for the endpoint whose words begin so.
fn wait_for_change(proxy: &Proxy, kind: &str, endpoint: SocketAddr, words: &str) {
    eventually(&format!("the change {kind:?}: {words}"), || {
        let status: Value = serde_json::from_str(&proxy.admin_get("/api/v1/status").text()).unwrap();
        let is_it = |one: &Value| {
            one["kind"] == kind
                && one["endpoint"] == endpoint.to_string()
                && one["words"].as_str().unwrap().starts_with(words)
        };
        if status["changes"].as_array().unwrap().iter().any(is_it) { Ok(()) } else { Err(status) }
    });
}

#[test]
fn who_fails_fast_gets_five_requests_and_clients_see_no_error() {
    let (bad, a, b) = (failing(), Origin::named("a"), Origin::named("b"));
    let proxy = before(&[a.address(), bad.address(), b.address()], "", RETRY);
    for _ in 0..60 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!(bad.request_count(), 5);
    let metrics = proxy.metrics();
    assert_eq!(ejections(&metrics, bad.address(), "consecutive_errors"), 1.0, "{metrics}");
    assert_eq!(metrics.value("evenkeel_endpoint_ejections_total", &[]), 1.0, "{metrics}");
    assert!(is_ejected(&metrics, bad.address()) && !is_ejected(&metrics, a.address()), "{metrics}");

    let said = status(&proxy, bad.address());
    assert_eq!(
        (&said["ejected"], &said["eligible"], &said["refusal"]),
        (&true.into(), &false.into(), &"ejected".into()),
        "{said}"
    );
    let why = said["ejection"].as_str().unwrap();
    assert!(why.starts_with("too many errors in a row, for ") && why.ends_with(" s more"), "{why}");
    wait_for_change(&proxy, "ejected", bad.address(), "too many errors in a row, for 30 s");
    let output = proxy.output();
    assert!(
        output.contains("endpoint is ejected") && output.contains("too many errors in a row"),
        "{output}"
    );
    let explained = proxy.admin_get("/api/v1/explain?url=/").expect_status(200).text();
    assert!(explained.contains("refused: ejected, 0 in flight (too many errors in a row"), "{explained}");
}

#[test]
fn under_load_it_gets_no_more_than_those_under_way_besides() {
    let (bad, a, b) = (failing(), Origin::named("a"), Origin::named("b"));
    let proxy = before(&[a.address(), bad.address(), b.address()], "", RETRY);
    let report = Load::new(proxy.address("web")).rate(1000.0).requests(500).connections(8).run();
    assert_eq!((report.failed(), report.ok()), (0, 500), "{report}");
    let requests = bad.request_count();
    assert!((5..=5 + 8).contains(&requests), "{requests} requests");
}

#[test]
fn what_one_worker_finds_the_other_avoids() {
    let (bad, a) = (failing(), Origin::named("a"));
    let proxy = before(&[bad.address(), a.address()], "", &format!("{RETRY}\n[server]\nworkers = 2\n"));
    // Open connections are spread evenly over the workers.
    let mut clients: Vec<_> = (0..16).map(|_| proxy.client()).collect();
    proxy.wait_for_metric("evenkeel_connections_open", &[], |open| open == 16.0);
    let ask = |client: &mut RawClient| drop(client.exchange(GET).expect_status(200));
    let first = &mut clients[0];
    while bad.request_count() < 5 {
        ask(first);
    }
    for _ in 0..4 {
        clients.iter_mut().for_each(ask);
    }
    assert_eq!(bad.request_count(), 5);
    assert!(is_ejected(&proxy.metrics(), bad.address()));
}

#[test]
fn an_ejection_ends_and_the_endpoint_serves_again() {
    let health = Arc::new(AtomicU16::new(500));
    let (a, b) = (judged("a", &health), Origin::named("b"));
    let proxy = before(&[a.address(), b.address()], "ejection = \"50ms\"", RETRY);
    eventually("two ejections", || {
        proxy.get("/").expect_status(200).expect_body("b");
        let metrics = proxy.metrics();
        if ejections(&metrics, a.address(), "consecutive_errors") >= 2.0 { Ok(()) } else { Err(metrics) }
    });
    // Five errors, and after each return one.
    let metrics = proxy.metrics();
    let ejected = ejections(&metrics, a.address(), "consecutive_errors");
    assert!(a.request_count() as f64 >= 4.0 + ejected, "{} requests, {metrics}", a.request_count());
    wait_for_change(&proxy, "ejected", a.address(), "an error while on trial, for ");
    health.store(200, Ordering::SeqCst);
    eventually("a to be used", || match proxy.get("/").expect_status(200).text() {
        name if name == "a" => Ok(()),
        other => Err(other),
    });
    wait_for_change(&proxy, "returned", a.address(), "its ejection is over, it is on trial");
    let metrics = proxy.metrics();
    assert!(!is_ejected(&metrics, a.address()), "{metrics}");
    assert_eq!(status(&proxy, a.address())["ejection"], Value::Null);
    assert!(proxy.output().contains("endpoint returns"));
}

#[test]
fn no_more_than_the_share_are_ejected() {
    for (count, max_ejected, most) in [(1, 100, 0), (2, 100, 1), (4, 50, 2), (3, 10, 1)] {
        let origins: Vec<_> = (0..count).map(|_| failing()).collect();
        let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
        let rules = format!("ejection = \"1h\", max_ejected = \"{max_ejected}%\"");
        let proxy = before(&addresses, &rules, "");
        let load = Load::new(proxy.address("web")).rate(2000.0).requests(200).connections(4).run();
        assert_eq!(load.by_status.get(&500), Some(&200), "{load}");
        let metrics = proxy.metrics();
        assert_eq!(metrics.value("evenkeel_endpoint_ejected", &[]), f64::from(most), "{metrics}");
        assert_eq!(metrics.value("evenkeel_endpoint_ejections_total", &[]), f64::from(most), "{metrics}");
    }
}

#[test]
fn a_reload_keeps_ejections_and_one_without_rules_ends_them() {
    let (bad, good) = (failing(), Origin::named("good"));
    let config = |rules: &str| app_config(&[bad.address(), good.address()], &format!("{RETRY}\n{rules}"));
    let with_rules = config("outliers = { ejection = \"1h\" }");
    let proxy = Proxy::start(&with_rules);
    while bad.request_count() < 5 {
        proxy.get("/").expect_status(200);
    }
    proxy.reload(&config("outliers = { ejection = \"1h\", max_ejected = \"99%\" }"));
    for _ in 0..10 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!(bad.request_count(), 5);
    assert!(is_ejected(&proxy.metrics(), bad.address()));

    proxy.reload(&config(""));
    assert!(!is_ejected(&proxy.metrics(), bad.address()));
    wait_for_change(&proxy, "returned", bad.address(), "the configuration ejects nobody there any more");
    for _ in 0..20 {
        proxy.get("/").expect_status(200);
    }
    assert!(bad.request_count() > 10, "nobody is ejected any more: {}", bad.request_count());

    // With rules again it begins anew.
    let before = bad.request_count();
    proxy.reload(&with_rules);
    for _ in 0..40 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!(bad.request_count(), before + 5);
}

#[test]
fn failed_connects_eject_sooner() {
    let (port, origin) = (ReservedPort::new(), Origin::named("a"));
    let proxy = before(&[port.address(), origin.address()], "", "");
    for _ in 0..30 {
        proxy.get("/").expect_status(200);
    }
    let metrics = proxy.metrics();
    assert_eq!(metrics.value("evenkeel_upstream_connect_failures_total", &[]), 3.0, "{metrics}");
    assert_eq!(ejections(&metrics, port.address(), "connect_failures"), 1.0, "{metrics}");
}

#[test]
fn sessions_count_failed_connects() {
    let (port, origin) = (
        ReservedPort::new(),
        Origin::script(|conversation| {
            conversation.send("a");
            conversation.await_end();
        }),
    );
    let proxy = Proxy::start(&format!(
        "[listener.cache]\naddress = \"127.0.0.1:0\"\nprotocol = \"tcp\"\nupstream = \"app\"\n[upstream.app]\n\
         endpoints = [\"{}\", \"{}\"]\noutliers = {{ }}\n",
        port.address(),
        origin.address()
    ));
    for _ in 0..20 {
        assert_eq!(RawClient::connect(proxy.address("cache")).read_exactly(1), b"a");
    }
    let metrics = proxy.metrics();
    assert_eq!(metrics.value("evenkeel_upstream_connect_failures_total", &[]), 3.0, "{metrics}");
    assert_eq!(ejections(&metrics, port.address(), "connect_failures"), 1.0, "{metrics}");
}

#[test]
fn resets_timeouts_and_nonsense_are_errors() {
    let resets = Origin::script(|conversation| {
        conversation.request();
        conversation.reset();
    });
    let nonsense = Origin::script(|conversation| {
        conversation.request();
        conversation.send("what is that supposed to mean?\r\n\r\n");
    });
    let cut = Origin::script(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        conversation.reset();
    });
    let silent = Origin::script(|conversation| {
        conversation.request();
        conversation.await_end();
    });
    let good = Origin::named("good");
    for (bad, rest) in [
        (&resets, "retry = { attempts = 1 }"),
        (&nonsense, "retry = { attempts = 1 }"),
        (&silent, "retry = { attempts = 1 }\ntimeouts = { attempt = \"50ms\" }"),
        (&silent, "retry = { attempts = 1 }\ntimeouts = { response = \"50ms\", connect = \"50ms\" }"),
    ] {
        let seen = bad.request_count();
        let proxy = before(&[bad.address(), good.address()], "consecutive_errors = 3", rest);
        for _ in 0..20 {
            proxy.client().send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").until_end();
        }
        assert_eq!(bad.request_count() - seen, 3, "{rest}");
    }
    // Half an answer was an answer at first: only its share tells.
    let proxy = before(
        &[cut.address(), good.address()],
        "consecutive_errors = \"off\", error_ratio = \"30%\", interval = \"1s\"",
        "",
    );
    eventually("the one with half answers to be ejected", || {
        for _ in 0..100 {
            proxy.client().send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").until_end();
        }
        let metrics = proxy.metrics();
        if ejections(&metrics, cut.address(), "error_ratio") == 1.0 { Ok(()) } else { Err(metrics) }
    });
}

#[test]
fn what_clients_do_and_what_is_no_error_ejects_nobody() {
    let gate = Gate::new();
    let held = gate.clone();
    let holding = Origin::serve(move |request| {
        if request.target == "/hold" {
            held.wait();
        }
        reply(if request.target == "/501" { 501 } else { 404 }, "")
    });
    let (port, rules) =
        (ReservedPort::new(), "consecutive_errors = 1, consecutive_connect_failures = \"off\"");
    // The other endpoint is a backup, so that it is in service and out of the way.
    let config = app_config(&[], &format!("outliers = {{ {rules} }}")).replace(
        "endpoints = []",
        &format!(
            "endpoints = [\"{}\", {{ address = \"{}\", backup = true }}]",
            holding.address(),
            port.address()
        ),
    );
    let proxy = Proxy::start(&config);
    for number in 1..=8 {
        let mut client = proxy.client();
        client.send("GET /hold HTTP/1.1\r\nHost: test\r\n\r\n");
        holding.wait_for(number);
        client.reset();
        proxy.wait_in_flight(0);
    }
    gate.open();
    proxy.get("/501").expect_status(501);
    proxy.get("/404").expect_status(404);
    proxy.wait_in_flight(0);
    let metrics = proxy.metrics();
    assert_eq!(metrics.value("evenkeel_endpoint_ejections_total", &[]), 0.0, "{metrics}");
}

#[test]
fn ejected_endpoints_are_used_when_probes_leave_no_other() {
    let health = Arc::new(AtomicU16::new(500));
    let (a, mut b) = (judged("a", &health), Origin::named("b"));
    let probes = "[upstream.app.health]\nkind = \"tcp\"\ninterval = \"50ms\"\nrise = 1\nfall = 1\n";
    let proxy = before(&[a.address(), b.address()], "ejection = \"1h\"", &format!("{RETRY}\n{probes}"));
    for origin in [&a, &b] {
        proxy.wait_for_endpoint(origin.address(), true);
    }
    eventually("a to be ejected", || {
        proxy.get("/").expect_status(200).expect_body("b");
        let metrics = proxy.metrics();
        if is_ejected(&metrics, a.address()) { Ok(()) } else { Err(metrics) }
    });
    health.store(200, Ordering::SeqCst);
    proxy.get("/").expect_body("b");
    b.kill();
    proxy.wait_for_endpoint(b.address(), false);
    proxy.get("/").expect_status(200).expect_body("a");
    let said = status(&proxy, a.address());
    assert_eq!((&said["ejected"], &said["eligible"]), (&true.into(), &true.into()), "{said}");
    b.come_back();
    proxy.wait_for_endpoint(b.address(), true);
    for _ in 0..4 {
        proxy.get("/").expect_status(200).expect_body("b");
    }
}

#[test]
fn who_is_far_slower_than_the_others_is_ejected() {
    let backends = ["slow", "b", "c"].map(ToyBackend::start);
    let slow = backends[0].address();
    let command = "POST /chaos?mode=slow&ms=100 HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n";
    RawClient::connect(slow).exchange(command).expect_status(200);
    let addresses = backends.each_ref().map(ToyBackend::address);
    let proxy = before(&addresses, "latency = 3, interval = \"1s\"", "");
    let load = Load::new(proxy.address("web")).rate(200.0).requests(100_000).connections(16).start();
    proxy.wait_for_metric("evenkeel_endpoint_ejections_total", &[], |ejections| ejections > 0.0);
    load.stop();
    let report = load.finish();
    assert_eq!(report.failed(), 0, "{report}");
    let metrics = proxy.metrics();
    assert_eq!(ejections(&metrics, slow, "latency"), 1.0, "{metrics}");
    assert_eq!(metrics.value("evenkeel_endpoint_ejections_total", &[]), 1.0, "{metrics}");
}
