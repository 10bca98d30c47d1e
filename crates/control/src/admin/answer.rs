//! How answers of the admin address look.

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// An answer, whole.
pub(super) type Answer = Response<Full<Bytes>>;

/// Text of this kind.
pub(super) fn text(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::SERVER, "evenkeel"),
        // States and counts of this moment: an old copy is worth less than none.
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A line for people and probes.
pub(super) fn line(status: StatusCode, line: &str) -> Answer {
    text(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

/// A value as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            text(status, "application/json", bytes)
        }
        Err(problem) => {
            let sentence = format!("The answer cannot be written as JSON ({problem}); please report this.");
            line(StatusCode::INTERNAL_SERVER_ERROR, &sentence)
        }
    }
}

/// What went wrong, in plain sentences.
pub(super) fn error(status: StatusCode, sentence: impl Into<String>) -> Answer {
    #[derive(Serialize)]
    struct Error {
        error: String,
    }
    json(status, &Error { error: sentence.into() })
}

/// The method is none that this resource has.
pub(super) fn method_not_allowed(allow: &'static str) -> Answer {
    let sentence = format!("This is not done with that method; use {}.", allow.replace(", ", " or "));
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, sentence);
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    answer
}
