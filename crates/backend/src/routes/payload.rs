//! Answers of a chosen size, status and pace: `/bytes/{n}`, `/status/{code}`, `/delay/{ms}`, `/stream`.

use std::time::Duration;

use http::header::{CACHE_CONTROL, TRAILER};
use http::{HeaderValue, Response, StatusCode};

use crate::answer;
use crate::app::{Answer, App};
use crate::body::Body;

/// Ten gibibytes.
const MOST_BYTES: u64 = 10 << 30;
const LONGEST_MS: u64 = 600_000;
const MOST_EVENTS: u64 = 1_000_000;

/// `length` bytes with their Content-Length.
pub(super) fn bytes(length: &str) -> Response<Body> {
    match length.parse() {
        Ok(length) if length <= MOST_BYTES => {
            answer::typed(StatusCode::OK, "application/octet-stream", Body::pattern(length))
        }
        _ => bad(format!("`{length}` is not a number of bytes from 0 to {MOST_BYTES}")),
    }
}

/// That status, to any method; without a body where the status forbids one.
pub(super) fn status(code: &str) -> Response<Body> {
    match code.parse().ok().filter(|code| (200..=599).contains(code)).map(StatusCode::from_u16) {
        Some(Ok(status @ (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED))) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            response
        }
        Some(Ok(status)) => answer::text(status, format!("{status}\n")),
        _ => bad(format!("`{code}` is not a status from 200 to 599")),
    }
}

/// 200 after `ms` milliseconds.
pub(super) fn delay(app: &App, ms: &str) -> Answer {
    match ms.parse() {
        Ok(ms) if ms <= LONGEST_MS => Answer::later(app, async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(answer::text(StatusCode::OK, format!("waited {ms} ms\n")))
        }),
        _ => bad(format!("`{ms}` is not a number of milliseconds from 0 to {LONGEST_MS}")).into(),
    }
}

/// `n` server-sent events (10), one each `ms` milliseconds (100), in chunks as they come.
pub(super) fn stream(query: Option<&str>) -> Response<Body> {
    let (mut count, mut pause) = (10, 100);
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let (place, most) = match &*key {
            "n" => (&mut count, MOST_EVENTS),
            "ms" => (&mut pause, LONGEST_MS),
            _ => return bad(format!("`{key}` is not known; expected n and ms, such as /stream?n=10&ms=100")),
        };
        match value.parse() {
            Ok(number) if number <= most => *place = number,
            _ => return bad(format!("{key} is `{value}`; expected a whole number from 0 to {most}")),
        }
    }
    let events = Body::events(count, Duration::from_millis(pause));
    let mut response = answer::typed(StatusCode::OK, "text/event-stream", events);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(TRAILER, HeaderValue::from_static("x-events"));
    response
}

fn bad(reason: String) -> Response<Body> {
    answer::refusal(StatusCode::BAD_REQUEST, reason)
}
