//! Real backends that die, freeze and return under load: nobody sees it.

use evenkeel_testkit::{Load, Proxy, ToyBackend};

const HEALTH: &str = "[upstream.app.health]\npath = \"/healthz\"\ninterval = \"200ms\"\ntimeout = \"2s\"\nrise = 2\nfall = 2\n";

fn trio() -> [ToyBackend; 3] {
    ["one", "two", "three"].map(ToyBackend::start)
}

/// A proxy before them with every endpoint up.
fn proxy_before(backends: &[ToyBackend], rest: &str) -> Proxy {
    let addresses: Vec<_> = backends.iter().map(ToyBackend::address).collect();
    let proxy = Proxy::before_with(&addresses, rest);
    for address in addresses {
        proxy.wait_for_endpoint(address, true);
    }
    proxy
}

/// Requests answered by an endpoint so far.
fn served(proxy: &Proxy, backend: &ToyBackend) -> f64 {
    let endpoint = backend.address().to_string();
    let labels = [("endpoint", endpoint.as_str()), ("code", "200")];
    proxy.metrics().value("evenkeel_upstream_requests_total", &labels)
}

#[test]
fn a_killed_backend_costs_no_error_and_is_used_again() {
    for balance in ["round-robin", "least-connections"] {
        let mut backends = trio();
        let proxy = proxy_before(&backends, &format!("balance = \"{balance}\"\n{HEALTH}"));
        let load = Load::new(proxy.address("web")).rate(300.0).requests(100_000).connections(16).start();
        load.wait_for(150);
        backends[1].kill9();
        proxy.wait_for_endpoint(backends[1].address(), false);
        load.wait_for(load.done() + 100);
        backends[1].restart();
        proxy.wait_for_endpoint(backends[1].address(), true);
        let endpoint = backends[1].address().to_string();
        let labels = [("endpoint", endpoint.as_str()), ("code", "200")];
        let before = served(&proxy, &backends[1]);
        proxy.wait_for_metric("evenkeel_upstream_requests_total", &labels, |count| count > before + 10.0);
        load.stop();
        let report = load.finish();
        assert_eq!(report.failed(), 0, "{balance}: {report}");
        assert!(report.ok() > 250, "{balance}: {report}");
    }
}

#[test]
fn backends_killed_in_turn_cost_no_error() {
    let mut backends = trio();
    let proxy = proxy_before(&backends, HEALTH);
    let load = Load::new(proxy.address("web")).rate(300.0).requests(100_000).connections(8).start();
    for backend in &mut backends {
        load.wait_for(load.done() + 60);
        backend.kill9();
        load.wait_for(load.done() + 60);
        backend.restart();
        proxy.wait_for_endpoint(backend.address(), true);
    }
    load.stop();
    let report = load.finish();
    assert_eq!(report.failed(), 0, "{report}");
}

#[test]
fn a_frozen_backend_costs_no_error_with_an_attempt_timeout() {
    let backends = trio();
    let rest = "[upstream.app.timeouts]\nattempt = \"300ms\"\n[upstream.app.retry]\nbudget = \"100%\"\n";
    let health = HEALTH.replace("timeout = \"2s\"", "timeout = \"200ms\"");
    let proxy = proxy_before(&backends, &format!("{rest}{health}"));
    // Enough connections that those who wait for the frozen one do not hold up the rest.
    let load = Load::new(proxy.address("web")).rate(200.0).requests(100_000).connections(64).start();
    load.wait_for(100);
    backends[0].sigstop();
    proxy.wait_for_endpoint(backends[0].address(), false);
    load.wait_for(load.done() + 100);
    backends[0].sigcont();
    proxy.wait_for_endpoint(backends[0].address(), true);
    load.wait_for(load.done() + 50);
    load.stop();
    let report = load.finish();
    assert_eq!(report.failed(), 0, "{report}");
}

#[test]
fn one_survivor_serves_everything() {
    let mut backends = trio();
    let proxy = proxy_before(&backends, HEALTH);
    backends[0].kill9();
    backends[2].kill9();
    for _ in 0..20 {
        proxy.get("/").expect_status(200);
    }
    proxy.wait_for_endpoint(backends[0].address(), false);
    proxy.wait_for_endpoint(backends[2].address(), false);
    backends[1].kill9();
    proxy.wait_for_endpoint(backends[1].address(), false);
    proxy.get("/").expect_status(503);
    backends[0].restart();
    proxy.wait_for_endpoint(backends[0].address(), true);
    proxy.wait_for_status("/", 200);
}

#[test]
fn what_arrived_is_what_was_sent() {
    let backends = trio();
    let proxy = proxy_before(&backends, HEALTH);
    let response = proxy
        .client()
        .exchange("POST /echo?x=1 HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello")
        .expect_status(200);
    let echo: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON from /echo");
    let text = echo.to_string();
    assert!(text.contains("hello") && text.contains("shop.example"), "{text}");
    let response = proxy.get("/bytes/1000000").expect_status(200);
    assert_eq!(response.body.len(), 1_000_000);
}
