//! Builds answers: text, JSON, and the refusals, each one plain sentence.

use http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::body::Body;

/// Names the backend that answered, on every answer.
pub(crate) const X_BACKEND: HeaderName = HeaderName::from_static("x-backend");
/// What the cache said: hit, miss, or bypass when it could not be asked. Only with a cache.
pub(crate) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// Whether a write could tell the cache: done, or owed until the cache is back. Only with a cache.
pub(crate) const X_CACHE_INVALIDATION: HeaderName = HeaderName::from_static("x-cache-invalidation");
/// Milliseconds in the database, waiting for a connection and working.
pub(crate) const X_DATABASE_MS: HeaderName = HeaderName::from_static("x-database-ms");
/// What time went where (W3C Server Timing): the database's `pool` wait and `query` time, and the `cache`'s, in
/// milliseconds.
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// The trailer of `/stream`: how many events there were.
pub(crate) const X_EVENTS: HeaderName = HeaderName::from_static("x-events");

pub(crate) fn text(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", Body::whole(text))
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            typed(status, "application/json", Body::whole(bytes))
        }
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the answer cannot be written as JSON: {error}\n"),
        ),
    }
}

pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A refusal: the reason becomes the body, with a line end.
pub(crate) fn refusal(status: StatusCode, reason: impl Into<String>) -> Response<Body> {
    let mut sentence = reason.into();
    sentence.push('\n');
    text(status, sentence)
}

/// 503, worth another try in a second.
pub(crate) fn unavailable(reason: impl Into<String>) -> Response<Body> {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, reason);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
