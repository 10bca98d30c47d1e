//! Probes in Redis' own words, and what an endpoint's fall does to its sessions.

use std::process::Command;

use evenkeel_testkit::{Origin, Process, Proxy, RawClient, RedisMood, ReservedPort, eventually};

use super::{config, connect, expect_refusal, expect_reset, log};

const PROBE: &str = "[upstream.store.health]\nkind = \"redis\"\ninterval = \"100ms\"\nfall = 2\n";

/// What the last probe of the only endpoint found.
#[track_caller]
fn wait_for_finding(proxy: &Proxy, up: bool, words: &str) {
    eventually(words, || {
        let status = proxy.admin_get("/api/v1/status").expect_status(200).text();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let endpoint = &status["upstreams"][0]["endpoints"][0];
        let found = endpoint["reason"].as_str().is_some_and(|reason| reason.contains(words));
        if endpoint["up"] == up && found { Ok(()) } else { Err(endpoint.to_string()) }
    });
}

#[track_caller]
fn pong(client: &mut RawClient) {
    client.send("PING\r\n");
    assert_eq!(client.read_exactly(7), b"+PONG\r\n");
}

#[test]
fn a_redis_that_has_trouble_says_which() {
    let mood = RedisMood::default();
    let origin = Origin::redis("a", &mood);
    let proxy = Proxy::start(&config(&[origin.address()], "", PROBE));
    wait_for_finding(&proxy, true, "answers PING");
    for (error, words) in [
        ("LOADING Redis is loading the dataset in memory", "loading its data (LOADING)"),
        ("MASTERDOWN Link with MASTER is down", "lost its master (MASTERDOWN)"),
        ("ERR max number of clients reached", "answered with -ERR max number of clients reached"),
    ] {
        mood.trouble(Some(error));
        wait_for_finding(&proxy, false, words);
        expect_refusal(&proxy);
        mood.trouble(None);
        wait_for_finding(&proxy, true, "answers PING");
        pong(&mut connect(&proxy));
    }
    mood.require("secret");
    wait_for_finding(&proxy, false, "wants a password (NOAUTH)");
}

#[test]
fn a_probe_can_have_the_password() {
    let mood = RedisMood::default();
    mood.require("it's a \"secret\"");
    let origin = Origin::redis("a", &mood);
    let with = |password: &str| config(&[origin.address()], "", &format!("{PROBE}password = {password:?}\n"));
    let proxy = Proxy::start(&with("it's a \"secret\""));
    wait_for_finding(&proxy, true, "answers PING");
    let plan = proxy.admin_get("/api/v1/config").expect_status(200).text();
    assert!(plan.contains("Redis {") && !plan.contains("secret"), "the password is shown:\n{plan}");
    proxy.reload(&with("another one"));
    wait_for_finding(&proxy, false, "refuses the probe's password (WRONGPASS)");
}

#[test]
fn what_is_not_redis_is_not_up() {
    let web = Origin::script(|conversation| {
        conversation.some();
        conversation.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let proxy = Proxy::start(&config(&[web.address()], "", PROBE));
    wait_for_finding(&proxy, false, "is not Redis: HTTP/1.1 400 Bad Request");
    let mute = Origin::script(|conversation| drop(conversation.some()));
    let proxy = Proxy::start(&config(&[mute.address()], "", PROBE));
    wait_for_finding(&proxy, false, "it was closed before the answer was whole");
    let talker = Origin::script(|conversation| {
        conversation.send("220 mail.example ESMTP\r\n");
        conversation.await_end();
    });
    let proxy = Proxy::start(&config(&[talker.address()], "", PROBE));
    wait_for_finding(&proxy, false, "is not Redis: 220 mail.example ESMTP");
}

#[test]
fn sessions_outlive_a_fall_unless_the_upstream_says_otherwise() {
    for close in [false, true] {
        let mood = RedisMood::default();
        let origin = Origin::redis("a", &mood);
        let on_down = if close { "on_down = \"close\"\n" } else { "" };
        let proxy = Proxy::start(&config(&[origin.address()], "", &format!("{on_down}{PROBE}")));
        wait_for_finding(&proxy, true, "answers PING");
        let mut client = connect(&proxy);
        pong(&mut client);
        mood.trouble(Some("LOADING"));
        wait_for_finding(&proxy, false, "LOADING");
        if close {
            expect_reset(&mut client);
            log(&proxy, "endpoint_down");
        } else {
            mood.trouble(None);
            pong(&mut client);
        }
        // A second fall is noticed like the first.
        mood.trouble(None);
        wait_for_finding(&proxy, true, "answers PING");
        let mut client = connect(&proxy);
        pong(&mut client);
        mood.trouble(Some("LOADING"));
        wait_for_finding(&proxy, false, "LOADING");
        if close {
            expect_reset(&mut client);
        }
    }
}

#[test]
fn a_real_redis_is_found_up_and_served() {
    let port = ReservedPort::new().address().port();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]);
    command.args(["--requirepass", "pw"]);
    if Command::new("redis-server").arg("--version").output().is_err() {
        return eprintln!("skipped: redis-server is not installed");
    }
    let _redis = Process::spawn("redis-server", &mut command);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let proxy = Proxy::start(&config(&[address], "", &format!("{PROBE}password = \"pw\"\n")));
    wait_for_finding(&proxy, true, "answers PING");
    let mut client = connect(&proxy);
    client.send("AUTH pw\r\nSET k v\r\nGET k\r\nQUIT\r\n");
    assert_eq!(client.until_end().0, b"+OK\r\n+OK\r\n$1\r\nv\r\n+OK\r\n");
    proxy.reload(&config(&[address], "", PROBE));
    wait_for_finding(&proxy, false, "wants a password (NOAUTH)");
}
