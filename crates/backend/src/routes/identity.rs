//! Who answers and how it is: `/`, `/healthz`.

use std::fmt::Write;
use std::process;

use http::header::ACCEPT;
use http::{Request, Response, StatusCode};
use serde::Serialize;

use crate::answer;
use crate::app::{App, Phase};
use crate::body::Body;
use crate::database::{Refusal, State};

/// `NAME pid PID request COUNT`, or the same as JSON to those who ask for it.
pub(super) fn root<B>(app: &App, request: &Request<B>) -> Response<Body> {
    let (name, pid, requests) = (app.name.as_str(), process::id(), app.traffic.begun());
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

#[derive(Serialize)]
struct Identity<'a> {
    name: &'a str,
    pid: u32,
    requests: u64,
}
