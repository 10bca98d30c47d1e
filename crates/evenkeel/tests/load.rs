//! `evenkeel load` and `evenkeel ready` as processes: what they print, and how they exit.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use evenkeel_testkit::{Origin, Process, RawClient, eventually, reply};

fn evenkeel(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The last line as JSON.
fn summary(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_else(|| panic!("{output:?}"));
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn a_load_counts_and_succeeds_if_all_was_well() {
    let origin = Origin::named("here");
    // By name, which is looked up before the first request, and may have an address where nobody listens.
    let url = format!("http://localhost:{}/a?b", origin.address().port());
    let output =
        evenkeel(&["load", "--rate", "100", "--arrivals", "even", "--duration", "1", "--json", &url])
            .output()
            .unwrap();
    let summary = summary(&output);
    assert_eq!(
        (&summary["span"], &summary["offered"], &summary["ok"]),
        (&"all".into(), &100.into(), &100.into())
    );
    assert!(output.status.success(), "{output:?}");
    assert!(origin.requests().iter().all(|request| request.target == "/a?b"));
}

#[test]
fn a_load_fails_with_the_reasons_unless_they_are_tolerated() {
    let origin = Origin::serve(|_| reply(503, "nobody is up"));
    let url = format!("http://{}/", origin.address());
    let words = ["load", "--rate", "20", "--arrivals", "even", "--duration", "1", &url];
    let output = evenkeel(&words).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("failed 20 (20 status 503)") && text.contains("status 503: nobody is up"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
    let output = evenkeel(&words).args(["--tolerate", "20"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_load_moves_to_the_other_address_when_one_is_gone() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = Origin::named("here");
    let urls = [nobody, origin.address()].map(|address| format!("http://{address}/"));
    let output = evenkeel(&["load", "--rate", "20", "--arrivals", "even", "--duration", "1", "--json"])
        .args(urls)
        .output()
        .unwrap();
    let summary = summary(&output);
    assert_eq!((&summary["ok"], &summary["moved"]), (&20.into(), &10.into()), "{summary}");
}

#[test]
fn an_interrupted_load_does_not_wait_for_answers_that_do_not_come() {
    let origin = Origin::script(|conversation| {
        conversation.request();
        conversation.await_end();
    });
    let url = format!("http://{}/", origin.address());
    let child = evenkeel(&["load", "--rate", "50", "--timeout", "600", "--json", &url]).spawn().unwrap();
    origin.wait_for(1);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let summary = summary(&output);
    assert_eq!((&summary["ok"], &summary["failed"]), (&0.into(), &serde_json::json!({})), "{summary}");
}

#[test]
fn steps_follow_one_another_below_the_path_of_the_url() {
    let origin = Origin::named("here");
    let url = format!("http://{}/shop/", origin.address());
    let words =
        ["load", "--steps", "100:300ms,0:100ms,50:200ms", "--arrivals", "even", "--items", "3", "--json"];
    let output = evenkeel(&words).arg(url).output().unwrap();
    let summary = summary(&output);
    assert_eq!((&summary["offered"], &summary["ok"]), (&40.into(), &40.into()), "{output:?}");
    let seconds = summary["seconds"].as_f64().unwrap();
    assert!((seconds - 0.6).abs() < 1e-9, "{seconds}");
    let targets = origin.requests().into_iter().map(|request| request.target);
    assert!(
        targets
            .into_iter()
            .all(|target| ["/shop/items/1", "/shop/items/2", "/shop/items/3"].contains(&&*target))
    );
}

#[test]
fn prometheus_reads_a_load_while_it_runs() {
    let origin = Origin::serve(|request| match request.target.as_str() {
        "/items/1" => reply(200, "one"),
        _ => reply(503, "no"),
    });
    let url = format!("http://{}", origin.address());
    let words = ["load", "--steps", "400:250ms,25", "--items", "2", "--metrics", "127.0.0.1:0", "--json"];
    let process = Process::spawn("load", evenkeel(&words).arg(url));
    let address: SocketAddr = process.wait_for_line("where its metrics are", |line| {
        line.strip_prefix("evenkeel load metrics on http://")?.strip_suffix("/metrics")?.parse().ok()
    });
    let get = |path: &str| {
        RawClient::connect(address)
            .exchange(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    };
    eventually("both outcomes in the second step", || {
        let page = get("/metrics").expect_status(200).text();
        let value = |name: &str| -> f64 {
            let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} in\n{page}")).parse().unwrap()
        };
        let ok = value("evenkeel_load_requests_total{outcome=\"ok\"}");
        let failed = value("evenkeel_load_requests_total{outcome=\"status_5xx\"}");
        let count = value("evenkeel_load_request_duration_seconds_bucket{le=\"+Inf\"}");
        let offered = value("evenkeel_load_offered_total");
        let is_well = count == ok && offered == ok + failed + value("evenkeel_load_in_flight");
        assert!(is_well, "{page}");
        // 100 in the first step, give or take; and the second one has begun.
        let is_there = ok > 30.0 && failed > 20.0 && value("evenkeel_load_offered_rate") == 25.0;
        if is_there { Ok(()) } else { Err(page) }
    });
    assert_eq!(get("/livez").expect_status(200).text(), "ok\n");
    assert_eq!(get("/").expect_status(404).text(), "there is /metrics and /livez\n");
    process.signal("INT");
}

#[test]
fn what_a_load_cannot_do_is_told_before_anything_is_sent() {
    let origin = Origin::named("here");
    let url = format!("http://{}/?a", origin.address());
    let taken = origin.address().to_string();
    for (words, code, said) in [
        (&["--metrics", &*taken][..], 1, "(--metrics): Address already in use"),
        (&["--metrics", "localhost:1"], 2, "such as 127.0.0.1:9902"),
        (&["--steps", "10,20:1s"], 1, "only the last step may go without a time"),
        (&["--steps", "10:1s,x:1s"], 2, "requests per second from 0.1 to 100000"),
        (&["--steps", "10:1d"], 2, "such as 500ms, 30s"),
        (&["--steps", "10:1s", "--duration", "1s"], 2, "cannot be used with"),
        (&["--duration", "0"], 2, "from 1ms to 720h"),
        (&["--items", "5"], 1, "has a query"),
    ] {
        let output = evenkeel(&["load", &url]).args(words).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(said), "{words:?}: {text}");
        assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
    }
    assert_eq!(origin.request_count(), 0);
}

#[test]
fn ready_is_an_exit_status_with_a_reason() {
    let well = Origin::serve(|_| reply(200, "ok"));
    let ill = Origin::serve(|_| reply(503, "draining"));
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, code, said) in
        [(well.address(), 0, ""), (ill.address(), 1, "status 503: draining"), (gone, 1, "refused")]
    {
        let output = evenkeel(&["ready", &format!("http://{address}/readyz")]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(said), "{text}");
    }
    let output = evenkeel(&["load", "https://example.com"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("expected http://HOST[:PORT][/PATH]"));
}
