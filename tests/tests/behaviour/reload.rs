//! SIGHUP: whole or refused, and nobody on the wire notices.

use evenkeel_testkit::{Gate, Load, Origin, Proxy, RawClient, app_config, eventually, reply};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
fn a_good_configuration_takes_over_on_open_connections() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let proxy = Proxy::before(&[a.address()]);
    let address = proxy.address("web");
    let mut client = proxy.client();
    client.exchange(GET).expect_body("a");
    proxy.reload(&app_config(&[b.address()], ""));
    eventually("the new endpoint on the old connection", || match client.exchange(GET).text() {
        answer if answer == "b" => Ok(()),
        other => Err(other),
    });
    for _ in 0..5 {
        client.exchange(GET).expect_body("b");
        // New connections are taken at the same address as before, port 0 or not.
        RawClient::connect(address).exchange(GET).expect_body("b");
    }
    a.wait_for_all_ends();
}

#[test]
fn a_bad_configuration_is_refused_and_the_old_one_serves_on() {
    let origin = Origin::named("origin");
    let good = app_config(&[origin.address()], "");
    let proxy = Proxy::start(&good);
    let mut client = proxy.client();
    client.exchange(GET).expect_status(200);
    let successful = "evenkeel_config_last_reload_successful";
    for bad in
        ["this is no TOML", "[listener.web]\naddres = \"127.0.0.1:0\"\n", &good.replace("\"app\"", "\"ap\"")]
    {
        proxy.rewrite_config(bad);
        proxy.signal("HUP");
        let metrics = proxy.wait_for_metric(successful, &[], |value| value == 0.0);
        assert!(metrics.value("evenkeel_config_last_reload_success_timestamp_seconds", &[]) > 0.0);
        client.exchange(GET).expect_status(200);
        proxy.get("/").expect_status(200);
        proxy.reload(&good);
        proxy.wait_for_metric(successful, &[], |value| value == 1.0);
    }
    let output = proxy.output();
    assert!(
        output.contains("addres") && output.contains("evenkeel.toml"),
        "the log does not say why:\n{output}"
    );
}

#[test]
fn endpoints_that_stay_keep_connections_load_and_health() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::serve(move |request| {
        if request.target == "/hold" {
            held.wait();
        }
        reply(200, &request.target)
    });
    let health = "[server]\nworkers = 1\n[upstream.app.health]\npath = \"/healthz\"\ninterval = \"20s\"\n";
    let proxy = Proxy::before_with(&[origin.address()], health);
    let mut holding = proxy.client();
    holding.send("GET /hold HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request to be held", || {
        if origin.counts_by_target().contains_key("/hold") { Ok(()) } else { Err("not yet") }
    });
    let mut client = proxy.client();
    client.exchange(GET).expect_status(200);
    let probes = origin.counts_by_target()["/healthz"];
    proxy.reload(&app_config(&[origin.address()], &format!("{health}rise = 5\n")));
    // Still up at once, although no probe was made since and five would be needed.
    for _ in 0..5 {
        client.exchange(GET).expect_status(200);
    }
    let endpoint = origin.address().to_string();
    let labels = [("endpoint", endpoint.as_str())];
    let metrics = proxy.wait_in_flight(1);
    assert_eq!(metrics.value("evenkeel_endpoint_up", &labels), 1.0, "{metrics}");
    assert!(origin.counts_by_target()["/healthz"] <= probes + 1);
    let of = |target: &str| {
        let requests = origin.requests();
        requests.into_iter().filter(|r| r.target == target).map(|r| r.connection).collect::<Vec<_>>()
    };
    let connections = of("/");
    assert!(connections.iter().all(|number| *number == connections[0]), "reconnected: {connections:?}");
    gate.open();
    holding.response().expect_body("/hold");
    let ended = proxy.wait_for_metric("evenkeel_upstream_in_flight", &labels, |count| count == 0.0);
    assert_eq!(
        ended.value("evenkeel_requests_total", &[("listener", "web"), ("code", "200")]),
        7.0,
        "{ended}"
    );
}

#[test]
fn a_request_in_flight_survives_its_endpoint() {
    let gate = Gate::new();
    let held = gate.clone();
    let old = Origin::serve(move |_| {
        held.wait();
        reply(200, "old")
    });
    let new = Origin::named("new");
    let proxy = Proxy::before(&[old.address()]);
    let mut client = proxy.client();
    client.send(GET);
    old.wait_for(1);
    proxy.reload(&app_config(&[new.address()], ""));
    eventually("the new endpoint", || match proxy.get("/").text() {
        answer if answer == "new" => Ok(()),
        other => Err(other),
    });
    gate.open();
    client.response().expect_status(200).expect_body("old");
    client.exchange(GET).expect_body("new");
    // Series of what is gone go away.
    let endpoint = old.address().to_string();
    eventually("the old endpoint to leave the page", || {
        let metrics = proxy.metrics();
        if metrics.has("evenkeel_endpoint_up", &[("endpoint", endpoint.as_str())]) {
            Err(metrics)
        } else {
            Ok(())
        }
    });
}

#[test]
fn listeners_come_and_go() {
    let origin = Origin::named("origin");
    let one = app_config(&[origin.address()], "");
    let extra = "[listener.extra]\naddress = \"127.0.0.1:0\"\nupstream = \"app\"\n";
    let proxy = Proxy::start(&one);
    proxy.reload(&format!("{one}{extra}"));
    let address = proxy.address("extra");
    let mut client = RawClient::connect(address);
    client.exchange(GET).expect_body("origin");
    proxy.get("/").expect_body("origin");

    proxy.reload(&one);
    eventually("the removed listener to be closed", || match RawClient::try_connect(address) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // A connection it had is served to its end, not cut: it may be told to close with its next answer.
    if client.try_send(GET).is_ok() {
        match client.try_response() {
            Ok(response) => drop(response.expect_status(200)),
            Err(failure) => assert!(
                failure.end.is_gone() && failure.received.matches("HTTP/1.1").count() == 1,
                "{failure}"
            ),
        }
    }
    proxy.get("/").expect_body("origin");
}

#[test]
fn a_listener_that_cannot_open_refuses_the_whole_configuration() {
    let origin = Origin::named("origin");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let one = app_config(&[origin.address()], "");
    let proxy = Proxy::start(&one);
    let extra =
        format!("[listener.extra]\naddress = \"{}\"\nupstream = \"app\"\n", taken.local_addr().unwrap());
    proxy.rewrite_config(&format!("{}{extra}", one.replace(&origin.address().to_string(), "127.0.0.1:1")));
    proxy.signal("HUP");
    proxy.wait_for_metric("evenkeel_config_last_reload_successful", &[], |value| value == 0.0);
    // Not half of it: the endpoint is the old one too.
    for _ in 0..5 {
        proxy.get("/").expect_status(200).expect_body("origin");
    }
}

#[test]
fn reloads_under_load_cost_no_request() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let configs = [
        app_config(&[a.address(), b.address()], "balance = \"least-connections\"\n"),
        app_config(&[a.address()], ""),
        app_config(&[b.address(), a.address()], "balance = \"random\"\n"),
    ];
    let proxy = Proxy::start(&configs[0]);
    let load = Load::new(proxy.address("web")).rate(400.0).requests(100_000).connections(8).start();
    for round in 1..=6 {
        load.wait_for(round * 40);
        proxy.reload(&configs[round % 3]);
    }
    load.stop();
    let report = load.finish();
    assert_eq!(report.failed(), 0, "{report}\n{}", proxy.output());
    assert!(report.ok() >= 240, "{report}");
    proxy.get("/").expect_status(200);
}

/// Who counted a connection's beginning counts its end, whatever the listener is called by then.
#[test]
fn connections_of_a_renamed_listener_are_counted_to_their_end() {
    let origin = Origin::named("origin");
    let config = |name: &str| {
        app_config(&[origin.address()], "")
            .replace("[listener.web]", &format!("[listener.{name}]"))
            .replace("127.0.0.1:0", "unix:$DIR/web.sock")
    };
    let proxy = Proxy::start(&config("web"));
    let socket = proxy.dir().join("web.sock");
    let gauge = "evenkeel_connections_open";
    let open = |count: usize| {
        let mut clients: Vec<_> = (0..count).map(|_| RawClient::connect_unix(&socket)).collect();
        clients.iter_mut().for_each(|client| drop(client.exchange(GET).expect_status(200)));
        clients
    };
    let mut before = open(4);
    proxy.wait_for_metric(gauge, &[("listener", "web")], |count| count == 4.0);
    proxy.reload(&config("front"));
    // Half of them learn of it with a request, the others only when they are closed.
    for client in &mut before[..2] {
        client.exchange(GET).expect_status(200);
    }
    let after = open(3);
    proxy.wait_for_metric(gauge, &[("listener", "front")], |count| count == 3.0);
    drop(before);
    let never_negative = |metrics: &evenkeel_testkit::Metrics| {
        let samples = metrics.samples(gauge);
        assert!(samples.iter().all(|sample| (0.0..1e6).contains(&sample.value)), "{metrics}");
    };
    eventually("the old connections to be counted out", || {
        let metrics = proxy.metrics();
        never_negative(&metrics);
        let of = |name: &str| metrics.value(gauge, &[("listener", name)]);
        if (of("web"), of("front")) == (0.0, 3.0) { Ok(()) } else { Err(metrics) }
    });
    drop(after);
    eventually("all connections to be counted out", || {
        let metrics = proxy.metrics();
        never_negative(&metrics);
        if metrics.samples(gauge).iter().all(|sample| sample.value == 0.0) { Ok(()) } else { Err(metrics) }
    });
}
