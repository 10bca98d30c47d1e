//! Which path is answered by what. Each module below owns a few paths.

mod control;
mod echo;
mod identity;
mod items;
mod metrics;
mod payload;

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::answer;
use crate::app::{Answer, App};
use crate::body::Body;

/// Answers a request that has passed capacity, latency and faults.
pub(crate) fn answer(app: &Arc<App>, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    let Some(path) = request.uri().path().strip_prefix('/') else { return unknown(&request) };
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match (first, rest) {
        ("", None) => reading(&request, || identity::root(app, &request)),
        ("healthz", None) => reading(&request, || identity::healthz(app)),
        ("metrics", None) => reading(&request, || metrics::metrics(app)),
        ("bytes", Some(length)) => reading(&request, || payload::bytes(length)),
        ("status", Some(code)) => payload::status(code).into(),
        ("stream", None) => reading(&request, || payload::stream(request.uri().query())),
        ("delay", Some(ms)) => payload::delay(app, ms),
        ("items", None) => items::collection(app, request),
        ("items", Some(id)) => {
            let id = items::number(id);
            items::one(app, request, id)
        }
        ("echo", _) => echo::echo(app, peer, request),
        ("chaos", None) => control::chaos(app, request),
        _ => unknown(&request),
    }
}

/// GET and HEAD; hyper leaves the body of an answer to HEAD out.
fn reading(request: &Request<Incoming>, answer: impl FnOnce() -> Response<Body>) -> Answer {
    match is_reading(request) {
        true => answer(),
        false => answer::method_not_allowed("GET, HEAD"),
    }
    .into()
}

fn is_reading(request: &Request<Incoming>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn unknown(request: &Request<Incoming>) -> Answer {
    let reason = format!(
        "there is nothing at {}; there is /, /items/{{id}}, /items?name=, /bytes/{{n}}, /delay/{{ms}}, \
         /status/{{code}}, /stream?n=&ms=, /echo, /healthz, /chaos and /metrics",
        request.uri().path()
    );
    answer::refusal(StatusCode::NOT_FOUND, reason).into()
}
