//! `evenkeel load` and `evenkeel ready` as processes: what they print, and how they exit.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Output, Stdio};

use evenkeel_testkit::{Origin, reply};

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
