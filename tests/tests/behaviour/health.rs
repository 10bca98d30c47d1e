//! Probes decide who gets traffic: coming up, going down, coming back, and names that do not resolve.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use evenkeel_testkit::{Origin, Proxy, ProxyBuilder, ReservedPort, app_config, eventually, reply};

use crate::own_answers::expect_own;

/// An origin whose `/healthz` answers what the number says, and everything else its name.
fn judged(name: &'static str, health: &Arc<AtomicU16>) -> Origin {
    let health = Arc::clone(health);
    Origin::serve(move |request| match request.target.as_str() {
        "/healthz" => reply(health.load(Ordering::SeqCst), "health"),
        _ => reply(200, name),
    })
}

const HEALTH: &str = "[upstream.app.health]\npath = \"/healthz\"\ninterval = \"50ms\"\ntimeout = \"5s\"\n";

#[test]
fn an_endpoint_gets_traffic_after_its_first_good_probe() {
    let (sick, well) = (Arc::new(AtomicU16::new(500)), Arc::new(AtomicU16::new(200)));
    let (a, b) = (judged("a", &sick), judged("b", &well));
    let proxy = Proxy::before_with(&[a.address(), b.address()], HEALTH);
    proxy.wait_for_endpoint(b.address(), true);
    for _ in 0..10 {
        proxy.get("/").expect_status(200).expect_body("b");
    }
    assert!(a.requests().iter().all(|request| request.target == "/healthz"));
    sick.store(204, Ordering::SeqCst);
    proxy.wait_for_endpoint(a.address(), true);
    eventually("a to be used", || match proxy.get("/").expect_status(200).text() {
        answer if answer == "a" => Ok(()),
        other => Err(other),
    });
}

#[test]
fn an_endpoint_falls_and_rises_with_its_probes() {
    let health = Arc::new(AtomicU16::new(200));
    let origin = judged("origin", &health);
    let proxy = Proxy::before_with(&[origin.address()], &format!("{HEALTH}rise = 2\nfall = 3"));
    for _ in 0..2 {
        proxy.wait_for_endpoint(origin.address(), true);
        proxy.wait_for_status("/", 200);
        health.store(503, Ordering::SeqCst);
        proxy.wait_for_endpoint(origin.address(), false);
        expect_own(&proxy.wait_for_status("/down", 503), 503, "destination_unavailable");
        health.store(200, Ordering::SeqCst);
    }
    proxy.wait_for_endpoint(origin.address(), true);
    let metrics = proxy.metrics();
    let endpoint = origin.address().to_string();
    let probes = |result| {
        let labels = [("upstream", "app"), ("endpoint", endpoint.as_str()), ("result", result)];
        metrics.value("evenkeel_probes_total", &labels)
    };
    let results: Vec<_> = metrics
        .samples("evenkeel_probes_total")
        .into_iter()
        .filter(|sample| sample.value > 0.0)
        .map(|sample| sample.labels["result"].clone())
        .collect();
    assert!(results.len() >= 2, "good and bad probes are counted apart:\n{metrics}");
    let total: f64 = results.iter().map(|result| probes(result)).sum();
    assert!(total >= 2.0 + 3.0 + 3.0 + 2.0, "{metrics}");
    let labels = [("endpoint", endpoint.as_str())];
    assert!(metrics.value("evenkeel_probe_duration_seconds", &labels) > 0.0, "{metrics}");
}

#[test]
fn one_bad_probe_is_not_the_end() {
    let health = Arc::new(AtomicU16::new(200));
    let failures = Arc::new(AtomicU16::new(0));
    let (judged, failed) = (Arc::clone(&health), Arc::clone(&failures));
    let origin = Origin::serve(move |request| {
        if request.target != "/healthz" {
            return reply(200, "origin");
        }
        // One failure at a time, then good again.
        let status = judged.swap(200, Ordering::SeqCst);
        if status != 200 {
            failed.fetch_add(1, Ordering::SeqCst);
        }
        reply(status, "")
    });
    let proxy = Proxy::before_with(&[origin.address()], &format!("{HEALTH}fall = 2"));
    proxy.wait_for_endpoint(origin.address(), true);
    for round in 1..=3 {
        health.store(500, Ordering::SeqCst);
        eventually("a probe to fail", || {
            let failed = failures.load(Ordering::SeqCst);
            if failed >= round { Ok(()) } else { Err(failed) }
        });
        proxy.get("/").expect_status(200);
        let probes = origin.counts_by_target()["/healthz"];
        eventually("two more probes", || {
            let now = origin.counts_by_target()["/healthz"];
            if now >= probes + 2 { Ok(()) } else { Err(now) }
        });
        proxy.get("/").expect_status(200);
    }
}

#[test]
fn a_probe_can_ask_for_a_status_and_a_body() {
    let bodies = [("a", "status: ok"), ("b", "status: bad"), ("c", "")];
    let origins: Vec<Origin> = bodies
        .into_iter()
        .map(|(name, body)| {
            Origin::serve(move |request| match request.target.as_str() {
                "/healthz?deep=1" => reply(418, body),
                _ => reply(200, name),
            })
        })
        .collect();
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    let proxy = Proxy::before_with(
        &addresses,
        "[upstream.app.health]\npath = \"/healthz?deep=1\"\ninterval = \"50ms\"\nexpect = [418]\nbody = \"status: ok\"",
    );
    proxy.wait_for_endpoint(addresses[0], true);
    for _ in 0..10 {
        proxy.get("/").expect_body("a");
    }
    proxy.wait_for_endpoint(addresses[1], false);
    proxy.wait_for_endpoint(addresses[2], false);
    let probe = &origins[0].requests()[0];
    assert_eq!(probe.method, "GET");
    assert_eq!(probe.fields.values("host").len(), 1, "{probe}");
}

#[test]
fn a_tcp_probe_asks_for_a_connection_only() {
    let port = ReservedPort::new();
    let address = port.address();
    let proxy = Proxy::before_with(&[address], "[upstream.app.health]\nkind = \"tcp\"\ninterval = \"50ms\"");
    proxy.wait_for_endpoint(address, false);
    expect_own(&proxy.get("/"), 503, "destination_unavailable");
    let _listener = port.listen();
    proxy.wait_for_endpoint(address, true);
}

#[test]
fn a_probe_that_hangs_counts_as_bad() {
    let hanging = Origin::script(|conversation| {
        conversation.request();
        conversation.await_end();
    });
    let proxy = Proxy::before_with(
        &[hanging.address()],
        "[upstream.app.health]\npath = \"/healthz\"\ninterval = \"50ms\"\ntimeout = \"100ms\"\nstart = \"up\"\nfall = 2",
    );
    proxy.wait_for_endpoint(hanging.address(), false);
    expect_own(&proxy.get("/"), 503, "destination_unavailable");
}

#[test]
fn start_up_serves_before_the_first_probe() {
    let hanging = Origin::script(|conversation| {
        while let Some(request) = conversation.request() {
            if request.target == "/healthz" {
                conversation.await_end();
                return;
            }
            conversation.send(reply(200, "served"));
        }
    });
    let config = app_config(
        &[hanging.address()],
        "[upstream.app.health]\npath = \"/healthz\"\ninterval = \"10s\"\ntimeout = \"10s\"\nstart = \"up\"",
    );
    let proxy = ProxyBuilder::new(&config).without_ready().start();
    proxy.get("/").expect_status(200).expect_body("served");
}

#[test]
fn a_name_that_does_not_resolve_is_down_and_the_rest_goes_on() {
    let origin = Origin::named("good");
    let config = app_config(&[], HEALTH).replace(
        "endpoints = []",
        &format!("endpoints = [\"no-such-host.invalid:80\", \"{}\"]", origin.address()),
    );
    let config = config.replace("path = \"/healthz\"", "path = \"/\"");
    let proxy = Proxy::start(&config);
    proxy.wait_for_endpoint(origin.address(), true);
    for _ in 0..10 {
        proxy.get("/").expect_status(200).expect_body("good");
    }
    let labels = [("endpoint", "no-such-host.invalid:80")];
    let metrics = proxy.metrics();
    assert!(metrics.has("evenkeel_endpoint_up", &labels), "{metrics}");
    assert_eq!(metrics.value("evenkeel_endpoint_up", &labels), 0.0, "{metrics}");
    assert!(
        proxy.output().contains("no-such-host.invalid"),
        "the log says nothing of it:\n{}",
        proxy.output()
    );
}

#[test]
fn only_a_name_that_does_not_resolve_is_an_answer_with_a_reason() {
    for health in ["", HEALTH] {
        let config =
            app_config(&[], health).replace("endpoints = []", "endpoints = [\"no-such-host.invalid:80\"]");
        let proxy = Proxy::start(&config);
        let response = proxy.get("/unresolved");
        assert!([502, 503].contains(&response.status), "{response}");
        let reason = proxy.wait_for_log_of("/unresolved")["reason"].clone();
        assert!(reason == "unresolved_name" || reason == "endpoints_down", "{reason}");
    }
}

#[test]
fn a_dead_endpoint_comes_back() {
    let mut a = Origin::named("a");
    let b = Origin::named("b");
    let proxy = Proxy::before_with(
        &[a.address(), b.address()],
        "[upstream.app.health]\npath = \"/\"\ninterval = \"50ms\"\nrise = 2\nfall = 2",
    );
    for _ in 0..3 {
        proxy.wait_for_endpoint(a.address(), true);
        proxy.wait_for_endpoint(b.address(), true);
        eventually("a to be used", || match proxy.get("/use").expect_status(200).text() {
            answer if answer == "a" => Ok(()),
            other => Err(other),
        });
        a.kill();
        // Before and after the probes notice: no request fails.
        for _ in 0..5 {
            proxy.get("/use").expect_status(200).expect_body("b");
        }
        proxy.wait_for_endpoint(a.address(), false);
        proxy.get("/use").expect_status(200).expect_body("b");
        a.come_back();
    }
}

#[test]
fn readiness_waits_for_the_first_probes() {
    let gate = evenkeel_testkit::Gate::new();
    let held = gate.clone();
    let origin = Origin::serve(move |_| {
        held.wait();
        reply(200, "")
    });
    let config =
        app_config(&[origin.address()], "[upstream.app.health]\ninterval = \"1s\"\ntimeout = \"20s\"");
    let proxy = ProxyBuilder::new(&config).without_ready().start();
    origin.wait_for(1);
    proxy.admin_get("/livez").expect_status(200);
    proxy.admin_get("/readyz").expect_status(503);
    gate.open();
    proxy.wait_ready();
}

#[test]
fn readiness_does_not_depend_on_the_verdict() {
    let port = ReservedPort::new();
    // `start` waits for /readyz.
    let proxy = Proxy::before_with(&[port.address()], HEALTH);
    proxy.admin_get("/readyz").expect_status(200);
    proxy.admin_get("/livez").expect_status(200);
}

/// Settings that change make a new watcher, not a new endpoint: its first bad probe is one of `fall`.
#[test]
fn new_thresholds_do_not_take_an_endpoint_down_with_one_bad_probe() {
    let gate = evenkeel_testkit::Gate::new();
    let held = gate.clone();
    let probes = AtomicU16::new(0);
    let origin = Origin::serve(move |request| match request.target.as_str() {
        "/new" => match probes.fetch_add(1, Ordering::SeqCst) {
            0 => reply(500, "one bad probe"),
            _ => {
                held.wait();
                reply(200, "")
            }
        },
        _ => reply(200, ""),
    });
    let config = |path: &str, rise: u32| {
        let health = format!(
            "[upstream.app.health]\npath = \"{path}\"\ninterval = \"1s\"\ntimeout = \"20s\"\nrise = {rise}\nfall = 2"
        );
        app_config(&[origin.address()], &health)
    };
    let proxy = Proxy::start(&config("/old", 2));
    proxy.wait_for_endpoint(origin.address(), true);
    proxy.reload(&config("/new", 5));
    // When the second probe is there, the first was judged.
    eventually("the second of the new probes", || {
        let counts = origin.counts_by_target();
        if counts.get("/new").is_some_and(|count| *count >= 2) { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    proxy.get("/").expect_status(200);
    let metrics = proxy.metrics();
    assert_eq!(metrics.value("evenkeel_endpoint_up", &[]), 1.0, "{metrics}");
    gate.open();
    eventually("the third of the new probes", || {
        let counts = origin.counts_by_target();
        if counts["/new"] >= 3 { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    proxy.get("/").expect_status(200);
}

/// A path is no host: strict endpoints would refuse every probe.
#[test]
fn a_probe_through_a_unix_socket_names_localhost() {
    let origin = Origin::named("origin");
    let inner =
        Proxy::start(&app_config(&[origin.address()], "").replace("127.0.0.1:0", "unix:$DIR/inner.sock"));
    let socket = format!("unix:{}", inner.dir().join("inner.sock").display());
    let outer = Proxy::start(
        &app_config(&[], HEALTH).replace("endpoints = []", &format!("endpoints = [\"{socket}\"]")),
    );
    outer.wait_for_metric("evenkeel_endpoint_up", &[("endpoint", &socket)], |up| up == 1.0);
    outer.get("/").expect_status(200).expect_body("origin");
    let requests = origin.requests();
    let probe = requests.iter().find(|request| request.target == "/healthz").expect("a probe");
    assert_eq!(probe.fields.values("host"), ["localhost"], "{probe}");
}
