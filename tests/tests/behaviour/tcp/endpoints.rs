//! Which endpoint a session gets: balance, retries, caps, drains, and what is said when there is none.

use std::time::Duration;

use evenkeel_testkit::{Blackhole, Origin, Proxy, ReservedPort, run_evenkeel};

use super::{before, config, connect, echo, expect_refusal, log, ping, who};

#[test]
fn sessions_take_turns_and_stay_where_they_are() {
    let origins = [echo("a"), echo("b")];
    let proxy = Proxy::start(
        &config(
            &[],
            "",
            &format!(
                "retry = {{ attempts = 1 }}\n[server]\nworkers = 1\n# {}",
                origins.each_ref().map(|origin| origin.address().to_string()).join(" ")
            ),
        )
        .replace(
            "endpoints = []",
            &format!(
                "endpoints = [{{ address = \"{}\", weight = 2 }}, \"{}\"]",
                origins[0].address(),
                origins[1].address()
            ),
        ),
    );
    let mut clients: Vec<_> = (0..6).map(|_| connect(&proxy)).collect();
    let names: String = clients.iter_mut().map(who).collect();
    assert_eq!(names.matches('a').count(), 4, "two of three, by weight: {names}");
    clients.iter_mut().for_each(|client| ping(client, "one"));
    clients.iter_mut().for_each(|client| ping(client, "two"));
    assert_eq!((origins[0].connection_count(), origins[1].connection_count()), (4, 2));
}

#[test]
fn a_failed_connect_is_tried_again_elsewhere() {
    let (port, hole, origin) = (ReservedPort::new(), Blackhole::new(), echo("a"));
    let endpoints = [port.address(), hole.address(), origin.address()];
    let proxy = Proxy::start(&config(&endpoints, "", "timeouts = { connect = \"200ms\" }"));
    for _ in 0..9 {
        assert_eq!(who(&mut connect(&proxy)), 'a');
    }
    let labels = [("upstream", "store"), ("reason", "connect")];
    proxy.wait_for_metric("evenkeel_upstream_retries_total", &labels, |retries| retries >= 3.0);
    let tried = proxy.wait_for_log("a session that was lucky later", |line| line["attempts"] != 1);
    assert_eq!((&tried["reason"], &tried["endpoint"]), (&().into(), &origin.address().to_string().into()));
    let refused = [("endpoint", &*port.address().to_string())];
    assert!(proxy.metrics().value("evenkeel_upstream_connect_failures_total", &refused) > 0.0);
}

#[test]
fn a_session_nobody_takes_is_reset_and_says_why() {
    let ports = [ReservedPort::new(), ReservedPort::new()];
    let proxy = before(&ports.each_ref().map(ReservedPort::address));
    expect_refusal(&proxy);
    let line = log(&proxy, "connect_refused");
    assert_eq!((&line["attempts"], &line["bytes_in"]), (&2.into(), &0.into()), "{line}");

    let once =
        Proxy::start(&config(&[ports[0].address(), ports[1].address()], "", "retry = { attempts = 1 }"));
    expect_refusal(&once);
    assert_eq!(log(&once, "connect_refused")["attempts"], 1);

    let hole = Blackhole::new();
    let late = Proxy::start(&config(&[hole.address()], "", "timeouts = { connect = \"100ms\" }"));
    expect_refusal(&late);
    log(&late, "connect_timeout");

    let down = Proxy::start(&config(&[ports[0].address()], "", "health = { interval = \"100ms\" }"));
    down.wait_for_metric("evenkeel_probes_total", &[("result", "connect_failed")], |probes| probes > 0.0);
    expect_refusal(&down);
    assert_eq!(log(&down, "endpoints_down")["attempts"], 0);
    let labels = [("listener", "cache"), ("upstream", "store"), ("reason", "endpoints_down")];
    down.wait_for_metric("evenkeel_tcp_sessions_total", &labels, |sessions| sessions == 1.0);
    down.wait_for_metric("evenkeel_rejections_total", &[labels[0], labels[2]], |sessions| sessions == 1.0);
}

#[test]
fn a_cap_counts_sessions() {
    let origin = echo("a");
    let capped = config(&[], "", "").replace(
        "endpoints = []",
        &format!("endpoints = [{{ address = \"{}\", max_in_flight = 2 }}]", origin.address()),
    );
    let proxy = Proxy::start(&capped);
    let mut clients = [connect(&proxy), connect(&proxy)];
    clients.iter_mut().for_each(|client| assert_eq!(who(client), 'a'));
    expect_refusal(&proxy);
    log(&proxy, "endpoints_busy");
    drop(clients);
    proxy.wait_in_flight(0);
    assert_eq!(who(&mut connect(&proxy)), 'a');
}

#[test]
fn a_listener_has_its_limit() {
    let origin = echo("a");
    let proxy = Proxy::start(&config(&[origin.address()], "limits = { connections = 1 }", ""));
    let mut client = connect(&proxy);
    who(&mut client);
    expect_refusal(&proxy);
    ping(&mut client, "mine");
    let labels = [("listener", "cache")];
    proxy.wait_for_metric("evenkeel_connections_refused_total", &labels, |refused| refused == 1.0);
    assert_eq!(proxy.metrics().value("evenkeel_connections_open", &labels), 1.0);
}

#[test]
fn a_drained_endpoint_keeps_its_sessions_and_gets_no_new_ones() {
    let (a, b) = (echo("a"), echo("b"));
    let proxy = before(&[a.address(), b.address()]);
    let mut clients: Vec<_> = (0..4).map(|_| connect(&proxy)).collect();
    let names: Vec<_> = clients.iter_mut().map(who).collect();
    assert!(names.contains(&'a') && names.contains(&'b'), "{names:?}");
    let drain = |endpoint: &Origin| {
        let (admin, address) = (proxy.admin().to_string(), endpoint.address().to_string());
        run_evenkeel(proxy.dir(), &["drain", &format!("store/{address}"), "--admin", &admin]).expect_code(0);
    };
    drain(&a);
    for _ in 0..4 {
        assert_eq!(who(&mut connect(&proxy)), 'b');
    }
    clients.iter_mut().for_each(|client| ping(client, "kept"));
    drain(&b);
    expect_refusal(&proxy);
    log(&proxy, "endpoints_drained");
    clients.iter_mut().for_each(|client| client.expect_silence(Duration::from_millis(50)));
    clients.iter_mut().for_each(|client| ping(client, "still kept"));
}

#[test]
fn a_backup_waits_for_its_turn() {
    let (mut first, stand_in) = (echo("a"), echo("b"));
    let endpoints = format!(
        "endpoints = [\"{}\", {{ address = \"{}\", backup = true }}]",
        first.address(),
        stand_in.address()
    );
    let proxy = Proxy::start(&config(&[], "", "").replace("endpoints = []", &endpoints));
    for _ in 0..4 {
        assert_eq!(who(&mut connect(&proxy)), 'a');
    }
    first.kill();
    assert_eq!(who(&mut connect(&proxy)), 'b');
    first.come_back();
    assert_eq!(who(&mut connect(&proxy)), 'a');
}
