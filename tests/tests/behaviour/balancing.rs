//! Who gets which request: shares by weight, the less busy one, backups, caps.

use std::net::SocketAddr;

use evenkeel_testkit::{Gate, Origin, Proxy, reply};

use crate::own_answers::expect_own;

/// A configuration of `app` with endpoints written as TOML tables.
fn app(balance: &str, endpoints: &[String], rest: &str) -> String {
    format!(
        "[listener.web]\naddress = \"127.0.0.1:0\"\nupstream = \"app\"\n[upstream.app]\nbalance = \"{balance}\"\nendpoints = [{}]\n{rest}\n",
        endpoints.join(", ")
    )
}

fn weighted(address: SocketAddr, weight: u32) -> String {
    format!("{{ address = \"{address}\", weight = {weight} }}")
}

/// Sends `count` requests one after the other and gives how many each origin got.
fn shares(balance: &str, origins: &[(&Origin, u32)], count: usize) -> Vec<usize> {
    let endpoints: Vec<_> =
        origins.iter().map(|(origin, weight)| weighted(origin.address(), *weight)).collect();
    let proxy = Proxy::start(&app(balance, &endpoints, "[server]\nworkers = 1"));
    let mut client = proxy.client();
    for _ in 0..count {
        client.exchange("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    }
    let labels = [("upstream", "app")];
    let metrics =
        proxy.wait_for_metric("evenkeel_upstream_requests_total", &labels, |total| total == count as f64);
    for (origin, _) in origins {
        let endpoint = origin.address().to_string();
        let counted = metrics.value("evenkeel_upstream_requests_total", &[("endpoint", endpoint.as_str())]);
        assert_eq!(counted, origin.request_count() as f64, "{endpoint}:\n{metrics}");
    }
    origins.iter().map(|(origin, _)| origin.request_count()).collect()
}

#[track_caller]
fn expect_near(shares: &[usize], wanted: &[usize], tolerance: usize) {
    let near = shares.iter().zip(wanted).all(|(share, wanted)| share.abs_diff(*wanted) <= tolerance);
    assert!(near, "{shares:?} instead of {wanted:?} ± {tolerance}");
}

fn trio() -> [Origin; 3] {
    [Origin::named("a"), Origin::named("b"), Origin::named("c")]
}

#[test]
fn round_robin_shares_exactly_by_weight() {
    let [a, b, c] = trio();
    expect_near(&shares("round-robin", &[(&a, 1), (&b, 2), (&c, 3)], 120), &[20, 40, 60], 1);
}

#[test]
fn round_robin_is_smooth() {
    let [a, b, _] = trio();
    let endpoints = [weighted(a.address(), 3), weighted(b.address(), 1)];
    let proxy = Proxy::start(&app("round-robin", &endpoints, "[server]\nworkers = 1"));
    let mut client = proxy.client();
    let answers: String = (0..16)
        .map(|_| client.exchange("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200).text())
        .collect();
    assert!(!answers.contains("aaaaaa") && !answers.contains("bb"), "not smooth: {answers}");
}

#[test]
fn idle_least_connections_shares_by_weight() {
    let [a, b, c] = trio();
    // Ties are broken fairly; how is the algorithm's own affair.
    expect_near(&shares("least-connections", &[(&a, 1), (&b, 1), (&c, 2)], 400), &[100, 100, 200], 70);
}

#[test]
fn random_shares_by_weight() {
    let [a, b, c] = trio();
    // Five standard deviations of a binomial share of 800 are at most 71.
    expect_near(&shares("random", &[(&a, 1), (&b, 1), (&c, 2)], 800), &[200, 200, 400], 75);
}

#[test]
fn two_choices_uses_every_endpoint() {
    let [a, b, c] = trio();
    expect_near(&shares("two-choices", &[(&a, 1), (&b, 1), (&c, 1)], 600), &[200, 200, 200], 75);
}

#[test]
fn algorithms_that_count_avoid_the_busy_endpoint() {
    for balance in ["least-connections", "two-choices"] {
        let gate = Gate::new();
        let origin = |name: &'static str| {
            let held = gate.clone();
            Origin::serve(move |request| {
                if request.target == "/hold" {
                    held.wait();
                }
                reply(200, name)
            })
        };
        let (a, b) = (origin("a"), origin("b"));
        // With two workers: what one has in flight counts for the other.
        let endpoints = [weighted(a.address(), 1), weighted(b.address(), 1)];
        let proxy = Proxy::start(&app(balance, &endpoints, "[server]\nworkers = 2"));
        let mut holding = proxy.client();
        holding.send("GET /hold HTTP/1.1\r\nHost: test\r\n\r\n");
        let held_by_a = evenkeel_testkit::eventually("the request to be held", || {
            match (a.request_count(), b.request_count()) {
                (1, 0) => Ok(true),
                (0, 1) => Ok(false),
                other => Err(format!("{other:?}")),
            }
        });
        let free = if held_by_a { "b" } else { "a" };
        for _ in 0..30 {
            proxy.wait_in_flight(1);
            proxy.get("/").expect_status(200).expect_body(free);
        }
        gate.open();
        let busy = if held_by_a { "a" } else { "b" };
        holding.response().expect_body(busy);
        let answers: Vec<_> = (0..40).map(|_| proxy.get("/").text()).collect();
        assert!(answers.iter().any(|answer| answer == busy), "{balance} forgot {busy}: {answers:?}");
    }
}

#[test]
fn algorithms_that_heed_latency_avoid_the_slow_endpoint() {
    for balance in ["peak-ewma", "adaptive"] {
        let gate = Gate::new();
        let held = gate.clone();
        let slow = Origin::serve(move |request| {
            if request.target == "/hold" {
                held.wait();
            }
            reply(200, "slow")
        });
        let fast = Origin::named("fast");
        let endpoints = [weighted(slow.address(), 1), weighted(fast.address(), 1)];
        // With two workers: what one has learnt the other knows.
        let proxy = Proxy::start(&app(balance, &endpoints, "[server]\nworkers = 2"));
        // Until the slow one has a request to hold.
        let mut holding = proxy.client();
        for sent in 1.. {
            holding.send("GET /hold HTTP/1.1\r\nHost: test\r\n\r\n");
            let is_held = evenkeel_testkit::eventually("the request to arrive", || {
                match (slow.request_count(), fast.request_count()) {
                    (1, _) => Ok(true),
                    (0, answered) if answered == sent => Ok(false),
                    other => Err(format!("{other:?}")),
                }
            });
            if is_held {
                break;
            }
            holding.response().expect_body("fast");
        }
        let all_fast = || (0..100).all(|_| proxy.get("/").text() == "fast");
        evenkeel_testkit::eventually("the age of what is held to tell", || match all_fast() {
            true => Ok(()),
            false => Err("the slow one is asked"),
        });
        gate.open();
        holding.response().expect_body("slow");
        // It has nothing in flight any more, and is known to have been slow.
        assert!(all_fast(), "{balance}");
    }
}

#[test]
fn an_endpoint_of_weight_0_gets_nothing() {
    let [a, b, _] = trio();
    expect_near(&shares("round-robin", &[(&a, 0), (&b, 1)], 20), &[0, 20], 0);
}

#[test]
fn only_weight_0_is_drained() {
    let origin = Origin::named("a");
    let proxy = Proxy::start(&app("round-robin", &[weighted(origin.address(), 0)], ""));
    expect_own(&proxy.get("/drained"), 503, "destination_unavailable");
    assert_eq!(proxy.wait_for_log_of("/drained")["reason"], "endpoints_drained");
    assert_eq!(origin.connection_count(), 0);
}

#[test]
fn a_backup_serves_only_while_no_other_can() {
    let mut primary = Origin::named("primary");
    let backup = Origin::named("backup");
    let endpoints = [
        format!("\"{}\"", primary.address()),
        format!("{{ address = \"{}\", backup = true }}", backup.address()),
    ];
    let health = "[upstream.app.health]\nkind = \"tcp\"\ninterval = \"50ms\"\nrise = 1\nfall = 1";
    let proxy = Proxy::start(&app("round-robin", &endpoints, health));
    proxy.wait_for_endpoint(primary.address(), true);
    for _ in 0..10 {
        proxy.get("/").expect_body("primary");
    }
    primary.kill();
    proxy.wait_for_endpoint(primary.address(), false);
    for _ in 0..10 {
        proxy.get("/").expect_body("backup");
    }
    primary.come_back();
    proxy.wait_for_endpoint(primary.address(), true);
    for _ in 0..10 {
        proxy.get("/").expect_body("primary");
    }
}

#[test]
fn a_full_endpoint_is_passed_over() {
    let gate = Gate::new();
    let held = gate.clone();
    let small = Origin::serve(move |request| {
        if request.target == "/hold" {
            held.wait();
        }
        reply(200, "small")
    });
    let large = Origin::named("large");
    let endpoints =
        [format!("{{ address = \"{}\", max_in_flight = 1 }}", small.address()), weighted(large.address(), 1)];
    let proxy = Proxy::start(&app("round-robin", &endpoints, "[server]\nworkers = 2"));
    let mut holding = Vec::new();
    // Round robin comes to the small one within two requests.
    while small.request_count() == 0 {
        let mut client = proxy.client();
        client.send("GET /hold HTTP/1.1\r\nHost: test\r\n\r\n");
        evenkeel_testkit::eventually("the request to arrive", || {
            let arrived = small.request_count() + large.request_count();
            if arrived == holding.len() + 1 { Ok(()) } else { Err(arrived) }
        });
        holding.push(client);
    }
    for _ in 0..10 {
        proxy.get("/").expect_body("large");
    }
    assert_eq!(small.request_count(), 1);
    gate.open();
    for client in &mut holding {
        client.response().expect_status(200);
    }
    let answers: Vec<_> = (0..10).map(|_| proxy.get("/").text()).collect();
    assert!(answers.iter().any(|answer| answer == "small"), "{answers:?}");
}

#[test]
fn a_cap_holds_across_workers() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::serve(move |_| {
        held.wait();
        reply(200, "done")
    });
    let endpoints = [format!("{{ address = \"{}\", max_in_flight = 5 }}", origin.address())];
    let proxy = Proxy::start(&app("least-connections", &endpoints, "[server]\nworkers = 2"));
    let mut clients: Vec<_> = (0..40).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    }
    origin.wait_for(5);
    proxy
        .wait_for_metric("evenkeel_rejections_total", &[("reason", "endpoints_busy")], |count| count == 35.0);
    let metrics = proxy.metrics();
    assert_eq!(metrics.value("evenkeel_upstream_in_flight", &[("upstream", "app")]), 5.0, "{metrics}");
    gate.open();
    let statuses: Vec<_> = clients.iter_mut().map(|client| client.response().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5, "{statuses:?}");
    assert_eq!(origin.request_count(), 5);
}
