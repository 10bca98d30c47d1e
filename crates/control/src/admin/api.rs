//! The API: from a request to an answer.

use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Serialize;

use super::answer::{self, Answer};
use super::dashboard;
use super::guard::Guard;
use super::path::{Resource, Verb};
use crate::errors::ReloadError;
use crate::explain::{Explanation, Question};
use crate::handle::{EndpointStatus, Handle};

/// Bytes of a request's body; the only one there is says a weight.
const BODY_LIMIT: usize = 4096;
/// For a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What answers need.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) handle: Handle,
    pub(super) guard: Guard,
}

/// Answers one request. Never fails: what is wrong is an answer too.
pub(super) async fn answer(asked: &Asked, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    if let Err(refused) = asked.guard.check(&parts) {
        return answer::error(refused.status, refused.sentence);
    }
    let Some(resource) = Resource::find(parts.uri.path()) else {
        let sentence = format!("There is nothing at {}; the dashboard is at /.", parts.uri.path());
        return answer::error(StatusCode::NOT_FOUND, sentence);
    };
    let allowed = resource.methods();
    let is_allowed = match parts.method {
        Method::GET | Method::HEAD => allowed == "GET, HEAD",
        Method::POST => allowed == "POST",
        _ => false,
    };
    if !is_allowed {
        return answer::method_not_allowed(allowed);
    }
    let handle = &asked.handle;
    match resource {
        Resource::Dashboard => dashboard::page(),
        Resource::Metrics => answer::text(StatusCode::OK, evenkeel_telemetry::CONTENT_TYPE, handle.metrics()),
        Resource::Live => answer::line(StatusCode::OK, "alive"),
        Resource::Ready => ready(handle),
        Resource::Status => answer::json(StatusCode::OK, &handle.status()),
        Resource::Stats => answer::json(StatusCode::OK, &handle.stats()),
        Resource::Config => answer::text(StatusCode::OK, "text/plain; charset=utf-8", handle.config()),
        Resource::Explain => explain(handle, &parts),
        Resource::Reload => reload(handle).await,
        Resource::Endpoint { upstream, endpoint, verb } => {
            let changed = match verb {
                Verb::Show => Ok(()),
                Verb::Drain => handle.drain(&upstream, &endpoint, true),
                Verb::Undrain => handle.drain(&upstream, &endpoint, false),
                Verb::Weigh => match weight(&parts, body).await {
                    Ok(weight) => handle.set_weight(&upstream, &endpoint, weight),
                    Err(wrong) => return wrong,
                },
            };
            match changed.map(|()| find(handle, &upstream, &endpoint)) {
                Ok(Some(endpoint)) => answer::json(StatusCode::OK, &endpoint),
                Ok(None) | Err(_) => {
                    let sentence = format!(
                        "There is no endpoint {endpoint} in an upstream {upstream}; /api/v1/status names them all."
                    );
                    answer::error(StatusCode::NOT_FOUND, sentence)
                }
            }
        }
    }
}

fn find(handle: &Handle, upstream: &str, endpoint: &str) -> Option<EndpointStatus> {
    let upstream = handle.status().upstreams.into_iter().find(|of| of.name == upstream)?;
    upstream.endpoints.into_iter().find(|of| of.address == endpoint)
}

fn ready(handle: &Handle) -> Answer {
    if handle.is_ready() {
        return answer::line(StatusCode::OK, "ready");
    }
    let why = match handle.is_draining() {
        true => "not ready: it is stopping, running requests are being finished",
        false => "not ready: the first probes are not done",
    };
    answer::line(StatusCode::SERVICE_UNAVAILABLE, why)
}

async fn reload(handle: &Handle) -> Answer {
    // In a task of its own: a client that goes away must not stop a reload half way.
    let handle = handle.clone();
    match tokio::spawn(async move { handle.reload().await }).await {
        Ok(Ok(())) => answer::json(StatusCode::OK, &serde_json::json!({ "reloaded": true })),
        Ok(Err(error @ ReloadError::Config(_))) => {
            answer::error(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
        }
        Ok(Err(error)) => answer::error(StatusCode::CONFLICT, error.to_string()),
        Err(_) => answer::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The reload failed by a bug, which the log tells more about; please report it.",
        ),
    }
}

fn explain(handle: &Handle, parts: &Parts) -> Answer {
    let query = parts.uri.query().unwrap_or_default();
    let (mut method, mut url, mut headers, mut listener) = ("GET".to_owned(), None, Vec::new(), None);
    let mut client = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = value.into_owned();
        match &*key {
            "method" => method = value,
            "url" => url = Some(value),
            "header" => headers.push(value),
            "listener" => listener = Some(value),
            "client" => match value.parse() {
                Ok(address) => client = Some(address),
                Err(_) => {
                    let sentence = format!("{value:?} is not an IP address; write it as 192.0.2.7.");
                    return answer::error(StatusCode::BAD_REQUEST, sentence);
                }
            },
            _ => {
                let sentence = format!(
                    "There is no parameter {key}; the ones there are: method, url, header, listener, client."
                );
                return answer::error(StatusCode::BAD_REQUEST, sentence);
            }
        }
    }
    let Some(url) = url else {
        let sentence = "The URL is missing; ask for /api/v1/explain?method=GET&url=http://HOST/PATH.";
        return answer::error(StatusCode::BAD_REQUEST, sentence);
    };
    match Question::new(&method, &url, &headers) {
        Err(wrong) => answer::error(StatusCode::BAD_REQUEST, format!("{wrong}.")),
        Ok(question) => {
            let explanation = handle.explain(&Question { listener: listener.clone(), client, ..question });
            match listener.filter(|_| explanation.listeners.is_empty()) {
                Some(name) => {
                    let sentence = format!("There is no listener {name}; /api/v1/status names them all.");
                    answer::error(StatusCode::NOT_FOUND, sentence)
                }
                None => {
                    let text = explanation.to_string();
                    answer::json(StatusCode::OK, &Explained { explanation, text })
                }
            }
        }
    }
}

/// An explanation for programs and, in the same words as on the command line, for people.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    explanation: Explanation,
    text: String,
}

/// The weight that a request says: in its query, or as JSON.
async fn weight(parts: &Parts, body: Incoming) -> Result<u16, Answer> {
    let wrong = || {
        let sentence = "The weight is missing or wrong; send ?weight=N or {\"weight\": N}, a whole number from 0 to 65535.";
        answer::error(StatusCode::BAD_REQUEST, sentence)
    };
    let query = parts.uri.query().unwrap_or_default();
    if let Some((_, text)) = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "weight") {
        return text.parse().map_err(|_| wrong());
    }
    let body = match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_LIMIT).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            let sentence = "The body is too large, or broke off; send {\"weight\": N}.";
            return Err(answer::error(StatusCode::PAYLOAD_TOO_LARGE, sentence));
        }
        Err(_) => {
            let sentence = "The body did not arrive in time; send {\"weight\": N}.";
            return Err(answer::error(StatusCode::REQUEST_TIMEOUT, sentence));
        }
    };
    #[derive(serde::Deserialize)]
    struct Body {
        weight: u16,
    }
    serde_json::from_slice::<Body>(&body).map(|body| body.weight).map_err(|_| wrong())
}
