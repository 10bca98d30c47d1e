//! `/echo`: what arrived, as JSON, so that a test sees what a proxy made of its request.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Serialize;

use crate::answer;
use crate::app::{Answer, App};

/// Bytes of a body that are sent back; the rest is read and counted.
const MOST_BYTES: usize = 64 * 1024;

/// Reads the whole request, whatever its method, and describes it. Header names arrive in lower case.
pub(super) fn echo(app: &Arc<App>, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    let owned = Arc::clone(app);
    Answer::later(app, async move {
        let (parts, body) = request.into_parts();
        Ok(match Arrived::read(body).await {
            Ok(arrived) => answer::json(StatusCode::OK, &Echo::new(&owned.name, peer, &parts, &arrived)),
            Err(error) => {
                let reason = format!("the body did not arrive whole: {error}");
                answer::refusal(StatusCode::BAD_REQUEST, reason)
            }
        })
    })
}

/// A body as far as it is kept.
struct Arrived {
    kept: Vec<u8>,
    length: u64,
    trailers: Option<HeaderMap>,
}

impl Arrived {
    async fn read(mut body: Incoming) -> Result<Arrived, hyper::Error> {
        let mut arrived = Arrived { kept: Vec::new(), length: 0, trailers: None };
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    arrived.length += data.len() as u64;
                    let room = MOST_BYTES - arrived.kept.len();
                    arrived.kept.extend_from_slice(data.get(..room).unwrap_or(&data));
                }
                Err(frame) => arrived.trailers = frame.into_trailers().ok(),
            }
        }
        Ok(arrived)
    }
}

#[derive(Serialize)]
struct Echo<'a> {
    backend: &'a str,
    peer: SocketAddr,
    method: &'a str,
    /// As it stood in the request line.
    target: String,
    version: String,
    headers: Vec<(&'a str, String)>,
    body_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    /// Instead of `body` when that is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// There was more than is sent back.
    body_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trailers: Option<Vec<(&'a str, String)>>,
}

impl<'a> Echo<'a> {
    fn new(backend: &'a str, peer: SocketAddr, parts: &'a Parts, arrived: &'a Arrived) -> Echo<'a> {
        let body = std::str::from_utf8(&arrived.kept).ok();
        Echo {
            backend,
            peer,
            method: parts.method.as_str(),
            target: parts.uri.to_string(),
            version: format!("{:?}", parts.version),
            headers: pairs(&parts.headers),
            body_bytes: arrived.length,
            body,
            body_base64: body.is_none().then(|| STANDARD.encode(&arrived.kept)),
            body_truncated: arrived.length > arrived.kept.len() as u64,
            trailers: arrived.trailers.as_ref().map(pairs),
        }
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(&str, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
}
