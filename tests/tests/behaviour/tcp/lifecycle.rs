//! Sessions through reloads and stops, what is counted of them, and how they are shown.

use std::process::Command;
use std::time::Instant;

use evenkeel_testkit::{End, Process, Proxy, RawClient, binary, run_evenkeel};
use std::net::SocketAddr;
use std::time::Duration;

use super::{before, config, connect, echo, expect_reset, log, ping, who};

#[test]
fn a_reload_leaves_sessions_alone() {
    let (a, b) = (echo("a"), echo("b"));
    let proxy = before(&[a.address()]);
    let mut client = connect(&proxy);
    assert_eq!(who(&mut client), 'a');
    proxy.reload(&config(&[a.address()], "timeouts = { idle = \"1h\" }", "balance = \"random\""));
    ping(&mut client, "the endpoint stayed");
    proxy.reload(&config(&[b.address()], "", ""));
    ping(&mut client, "it has left the file");
    assert_eq!(who(&mut connect(&proxy)), 'b');
    let web = format!(
        "[listener.web]\naddress = \"127.0.0.1:0\"\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"{}\"]\n",
        b.address()
    );
    proxy.reload(&web);
    ping(&mut client, "and so has the listener");
    client.shutdown_write().expect_end();
    let line = proxy.wait_for_log("of the first session", |line| line["endpoint"] == a.address().to_string());
    assert!(line["reason"].is_null(), "{line}");
    proxy.wait_for_metric("evenkeel_tcp_sessions_total", &[], |sessions| sessions == 0.0);
}

#[test]
fn a_listener_may_change_what_it_speaks() {
    let origin = evenkeel_testkit::Origin::named("http");
    let http = config(&[origin.address()], "", "").replace("protocol = \"tcp\"\n", "");
    let tcp = config(&[origin.address()], "", "");
    let address = format!("127.0.0.1:{}", evenkeel_testkit::ReservedPort::new().address().port());
    let [http, tcp] = [http, tcp].map(|text| text.replacen("127.0.0.1:0", &address, 1));
    let proxy = Proxy::start(&http);
    let mut client = connect(&proxy);
    client.exchange("GET /a HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    proxy.reload(&tcp);
    client.expect_end();
    // The endpoint is asked by the client itself now: nothing is added to its request.
    let mut client = connect(&proxy);
    client.exchange("GET /b HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    assert!(origin.requests().last().unwrap().fields.value("x-forwarded-for").is_none());
    proxy.reload(&http);
    client.exchange("GET /c HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
}

#[test]
fn a_graceful_stop_waits_for_sessions() {
    let origin = echo("a");
    let proxy = before(&[origin.address()]);
    let mut client = connect(&proxy);
    who(&mut client);
    let address = proxy.address("cache");
    proxy.signal("TERM");
    evenkeel_testkit::eventually("the listener to be closed", || match RawClient::try_connect(address) {
        Ok(_) => Err("somebody listens"),
        Err(_) => Ok(()),
    });
    ping(&mut client, "not yet");
    client.shutdown_write().expect_end();
    let stopped = Instant::now();
    let mut proxy = proxy;
    proxy.wait_exit().expect_code(0);
    assert!(stopped.elapsed() < Duration::from_secs(10), "after {:?}", stopped.elapsed());
}

#[test]
fn a_stop_waits_no_longer_than_it_may() {
    let origin = echo("a");
    let server = "[server]\nworkers = 1\nshutdown_timeout = \"300ms\"\n";
    let mut proxy = Proxy::start(&config(&[origin.address()], "", server));
    let mut client = connect(&proxy);
    who(&mut client);
    proxy.signal("TERM");
    expect_reset(&mut client);
    assert_eq!(origin.wait_for_end(0), End::Reset);
    log(&proxy, "shutting_down");
    proxy.wait_exit().expect_code(0);
}

#[test]
fn a_session_is_counted_while_it_runs_and_logged_when_it_ends() {
    let origin = echo("a");
    let proxy = before(&[origin.address()]);
    let mut client = connect(&proxy);
    who(&mut client);
    ping(&mut client, "0123456789");
    let labels = [("listener", "cache"), ("upstream", "store")];
    proxy.wait_for_metric("evenkeel_tcp_sent_bytes_total", &labels, |bytes| bytes == 11.0);
    let metrics = proxy.wait_in_flight(1);
    assert_eq!(metrics.value("evenkeel_tcp_received_bytes_total", &labels), 10.0);
    assert_eq!(metrics.value("evenkeel_tcp_sessions_total", &labels), 0.0);
    assert_eq!(metrics.value("evenkeel_connections_open", &labels[..1]), 1.0);
    assert_eq!(metrics.value("evenkeel_upstream_connections_open", &labels[1..]), 1.0);
    assert!(proxy.access_log().is_empty());
    client.shutdown_write().expect_end();
    let completed = [labels[0], labels[1], ("reason", "completed")];
    let metrics =
        proxy.wait_for_metric("evenkeel_tcp_sessions_total", &completed, |sessions| sessions == 1.0);
    assert_eq!(metrics.value("evenkeel_tcp_session_duration_seconds_count", &labels), 1.0);
    assert_eq!(metrics.value("evenkeel_upstream_connections_total", &labels[1..]), 1.0);
    assert_eq!(metrics.value("evenkeel_upstream_connections_open", &labels[1..]), 0.0);
    // It was no request.
    assert!(!metrics.has("evenkeel_requests_total", &labels[..1]), "{metrics}");
    assert!(!metrics.has("evenkeel_request_duration_seconds_count", &labels[..1]), "{metrics}");
    assert_eq!(metrics.value("evenkeel_upstream_requests_total", &labels[1..]), 0.0);
    proxy.wait_in_flight(0);

    let line = log(&proxy, "");
    assert_eq!(line["client"], "127.0.0.1", "{line}");
    assert_eq!(
        (&line["upstream"], &line["endpoint"]),
        (&"store".into(), &origin.address().to_string().into())
    );
    assert_eq!(
        (&line["attempts"], &line["bytes_in"], &line["bytes_out"]),
        (&1.into(), &10.into(), &11.into())
    );
    for field in ["duration", "time_to_connect", "time_to_first_byte"] {
        assert!(line[field].as_f64().is_some_and(|seconds| seconds > 0.0), "{field} of {line}");
    }
    for field in ["method", "host", "path", "status", "route", "request_id"] {
        assert!(line[field].is_null(), "{field} of {line}");
    }
}

#[test]
fn the_commands_know_sessions() {
    let origin = echo("a");
    let proxy = before(&[origin.address()]);
    let mut client = connect(&proxy);
    who(&mut client);
    let admin = proxy.admin().to_string();
    let run = |arguments: &[&str]| run_evenkeel(proxy.dir(), arguments).expect_code(0).stdout;
    let status = run(&["status", "--admin", &admin]);
    let address = proxy.address("cache");
    assert!(status.contains(&format!("listener cache (tcp) on {address}: 1 connection")), "{status}");
    let top = run(&["top", "-n", "1", "--admin", &admin]);
    assert!(top.contains("store") && top.contains(&origin.address().to_string()), "{top}");
    let explained = run(&["explain", "--admin", &admin, "GET", &format!("http://{address}/")]);
    assert!(explained.contains("no request is looked at"), "{explained}");
    assert!(explained.contains("1 in flight"), "{explained}");
    let checked = run(&["check"]);
    assert!(checked.contains("1 listener, 0 routes, 1 upstream, 1 endpoint"), "{checked}");
    let stats = proxy.admin_get("/api/v1/stats").expect_status(200).text();
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["sessions"][0]["listener"], "cache", "{stats}");
    let config = proxy.admin_get("/api/v1/config").expect_status(200).text();
    assert!(config.contains("protocol: Tcp"), "{config}");
}

#[test]
fn a_file_is_not_needed() {
    let origin = echo("a");
    let mut command = Command::new(binary("evenkeel"));
    command.args(["proxy", "--protocol", "tcp", "--listen", "127.0.0.1:0", "--admin", "off", "--to"]);
    let process = Process::spawn("evenkeel", command.arg(origin.address().to_string()));
    let address: SocketAddr = process.wait_for_line("where it listens", |line| {
        line.split_once("listener web listening on ")?.1.trim().parse().ok()
    });
    let mut client = RawClient::connect(address);
    assert_eq!(who(&mut client), 'a');
    ping(&mut client, "through");
}
