//! The page as a whole: its exact text, its agreement with the catalogue, and what promtool says of it.

use super::*;
use crate::{Capacity, Method, RetryReason, Telemetry, Writer, catalogue};
use evenkeel_policy::rejection::Rejection;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const PROCESS: Process = Process {
    started_micros: Some(1_767_225_600_250_000),
    cpu_micros: Some(1_230_000),
    resident_bytes: Some(3_200_000),
    open_fds: Some(17),
    max_fds: Some(1_048_576),
};

/// Two workers and the control thread, every metric with at least one sample. The workers have not ended, so what
/// they have open counts.
fn sample() -> (Arc<Telemetry>, [Writer; 2]) {
    let telemetry = Telemetry::new();
    let (one, two) = (telemetry.writer(), telemetry.writer());
    for (writer, n) in [(&one, 3), (&two, 1)] {
        let listener = writer.listener("web");
        let route = writer.route("web", "api", "app");
        let endpoint = writer.endpoint("app", "127.0.0.1:9001");
        for i in 0..n {
            listener.connection_opened();
            endpoint.begin();
            endpoint.end(Some(200), Duration::from_micros(900));
            route.request(Method::Get, 200, Duration::from_micros(1_000 + i), 100, 2_000);
        }
        endpoint.connection_opened();
    }
    let listener = one.listener("web");
    listener.connection_closed();
    listener.connection_refused();
    listener.accept_error();
    listener.accept_paused();
    listener.rejection(Rejection::ConnectRefused);
    let route = one.route("web", "api", "app");
    route.request(Method::Post, 502, Duration::from_secs(31), 7, 70);
    route.request(Method::Other, 0, Duration::ZERO, 0, 0);
    let sessions = one.sessions("cache", "redis");
    sessions.passed(1_000, 2_000_000);
    sessions.ended(None, Duration::from_secs(4_000));
    sessions.ended(Some(Rejection::ClientClosed), Duration::from_millis(3));
    one.upstream("app").retry(RetryReason::Connect);
    two.upstream("app").queued(Duration::from_millis(7));
    let endpoint = two.endpoint("app", "127.0.0.1:9001");
    endpoint.connect_failed();
    endpoint.ejected(outlier::Reason::ConsecutiveErrors);
    endpoint.begin();
    endpoint.end(None, Duration::from_millis(2));
    endpoint.begin();
    endpoint.connection_closed();
    let control = telemetry.control();
    control.build_info("0.1.0", "abc\\1\"2\n3");
    control.config_reload(true, SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_500));
    control.config_reload(false, SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_700));
    let now =
        EndpointState { up: true, ejected: false, draining: false, weight: 3, in_flight_limit: Some(100) };
    control.set_endpoint("app", "127.0.0.1:9001", now);
    control.set_capacity(Capacity {
        workers: 2,
        connections: vec![("web".to_owned(), 20_000)],
        all_connections: 30_000,
    });
    control.set_queues(vec![("app".to_owned(), 5)]);
    control.probe("app", "127.0.0.1:9001", crate::ProbeResult::Success, Duration::from_micros(1_500));
    control.probe("app", "127.0.0.1:9001", crate::ProbeResult::Timeout, Duration::from_secs(1));
    (telemetry, [one, two])
}

#[test]
fn golden() {
    let page = render(&sample().0.totals(), &PROCESS);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/page/golden.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(page, golden, "if this is meant: UPDATE=1 cargo test -p evenkeel-telemetry");
}

#[test]
fn the_page_is_the_catalogue() {
    let page = render(&sample().0.totals(), &PROCESS);
    let mut lines = page.lines().peekable();
    for metric in catalogue() {
        assert_eq!(lines.next(), Some(&*format!("# HELP {} {}", metric.name, metric.help)));
        assert_eq!(lines.next(), Some(&*format!("# TYPE {} {}", metric.name, metric.kind.word())));
        let mut samples = 0;
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            samples += 1;
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(name.starts_with(metric.name), "{line} under {}", metric.name);
            for label in metric.labels {
                assert!(line.contains(&format!("{label}=\"")), "{line} without {label}");
            }
        }
        assert!(samples > 0, "{} has no sample", metric.name);
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn an_empty_page_is_well_formed() {
    let page = render(&Telemetry::new().totals(), &Process::default());
    assert_eq!(page.lines().filter(|line| line.starts_with("# TYPE")).count(), catalogue().len());
    promtool(&page);
}

#[test]
fn promtool_finds_nothing() {
    promtool(&render(&sample().0.totals(), &PROCESS));
    promtool(&sample().0.page());
}

#[test]
fn labels_are_escaped() {
    for (plain, escaped) in
        [("", ""), ("a b", "a b"), ("\\", "\\\\"), ("a\"\"b\n\\\\", "a\\\"\\\"b\\n\\\\\\\\"), ("ü\n", "ü\\n")]
    {
        let mut out = Vec::new();
        put_escaped(&mut out, plain);
        assert_eq!(String::from_utf8(out).unwrap(), escaped);
    }
}

fn promtool(page: &str) {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return eprintln!("skipped: promtool is not installed ({error})"),
    };
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{page}", String::from_utf8_lossy(&said));
}
