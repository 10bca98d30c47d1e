//! Who answers and how it is: `/`, `/healthz`, `/metrics`.

use std::fmt::Write;
use std::process;
use std::sync::atomic::Ordering;

use http::header::ACCEPT;
use http::{Request, Response, StatusCode};
use serde::Serialize;

use crate::answer;
use crate::app::{App, Phase};
use crate::body::Body;
use crate::database::{Refusal, State};

/// `NAME pid PID request COUNT`, or the same as JSON to those who ask for it.
pub(super) fn root<B>(app: &App, request: &Request<B>) -> Response<Body> {
    let (name, pid, requests) = (app.name.as_str(), process::id(), app.requests.load(Ordering::Relaxed));
    let accepts_json =
        |value: &http::HeaderValue| value.to_str().is_ok_and(|v| v.contains("application/json"));
    if request.headers().get_all(ACCEPT).iter().any(accepts_json) {
        return answer::json(StatusCode::OK, &Identity { name, pid, requests });
    }
    let mut text = String::with_capacity(name.len() + 48);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{name} pid {pid} request {requests}");
    answer::text(StatusCode::OK, text)
}

/// 200 when requests are welcome; 503 with the reason while the database fills and when it failed.
pub(super) fn healthz(app: &App) -> Response<Body> {
    if *app.phase.borrow() != Phase::Running {
        return answer::unavailable("stopping");
    }
    match app.database.state() {
        State::Ready => answer::text(StatusCode::OK, "ok\n"),
        State::Filling => answer::unavailable("filling"),
        State::Failed(reason) => answer::unavailable(Refusal::Failed(reason).to_string()),
    }
}

/// Counters and gauges for Prometheus.
pub(super) fn metrics(app: &App) -> Response<Body> {
    let load = app.database.load();
    let ready = u64::from(app.database.state() == State::Ready);
    let mut page = String::with_capacity(1024);
    for (name, kind, help, value) in [
        (
            "requests_total",
            "counter",
            "Requests begun, except to /healthz, /metrics and /chaos.",
            app.requests.load(Ordering::Relaxed),
        ),
        ("capacity_waiting", "gauge", "Requests waiting to be served.", app.capacity.waiting() as u64),
        ("database_ready", "gauge", "Whether the rows are made.", ready),
        ("database_busy", "gauge", "Database connections in use.", load.busy as u64),
        ("database_waiting", "gauge", "Requests waiting for a database connection.", load.waiting as u64),
        ("database_refused_total", "counter", "Requests refused as too many waited.", load.refused),
    ] {
        let _ = write!(
            page,
            "# HELP toy_backend_{name} {help}\n# TYPE toy_backend_{name} {kind}\ntoy_backend_{name} {value}\n"
        );
    }
    if let Some(cache) = &app.cache {
        cache.write_metrics(&mut page);
    }
    answer::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", Body::whole(page))
}

#[derive(Serialize)]
struct Identity<'a> {
    name: &'a str,
    pid: u32,
    requests: u64,
}
