//! `/chaos`: shows the faults in force, and puts new ones into force.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value};

use crate::answer;
use crate::app::{Answer, App, Phase};
use crate::body::Body;
use crate::chaos::Command;

/// Largest body of a command, in bytes.
const MOST_BYTES: usize = 4 * 1024;

/// GET shows; POST and PUT take a command from the query, or from a body that is JSON or a form.
pub(super) fn chaos(app: &Arc<App>, request: Request<Incoming>) -> Answer {
    let owned = Arc::clone(app);
    match *request.method() {
        Method::GET | Method::HEAD => answer::json(StatusCode::OK, &app.chaos.faults()).into(),
        Method::POST | Method::PUT => Answer::later(app, async move {
            let command = match request.uri().query() {
                Some(query) => Command::parse(form_urlencoded::parse(query.as_bytes())),
                None => read(request.into_body()).await,
            };
            match command {
                Ok(command) if command.is_dead() => {
                    owned.phase.send_replace(Phase::Dead);
                    // The connection is cut before anything could be answered.
                    std::future::pending().await
                }
                Ok(command) => Ok(answer::json(StatusCode::OK, &owned.chaos.apply(command))),
                Err(reason) => Ok(bad(reason)),
            }
        }),
        _ => answer::method_not_allowed("GET, HEAD, POST, PUT").into(),
    }
}

async fn read(body: Incoming) -> Result<Command, String> {
    let body = Limited::new(body, MOST_BYTES).collect().await;
    let bytes = body.map_err(|error| format!("the command did not arrive: {error}"))?.to_bytes();
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Command::parse(form_urlencoded::parse(bytes.trim_ascii()));
    }
    let fields: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|error| format!("the command is not JSON: {error}"))?;
    Command::parse(fields.iter().map(|(key, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (key, text)
    }))
}

fn bad(reason: String) -> Response<Body> {
    answer::refusal(StatusCode::BAD_REQUEST, reason)
}
