//! The database's paths: `/items/{id}`, `/items?name=`, `POST /items`.

use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;

use crate::answer::{self, SERVER_TIMING};
use crate::app::{Answer, App, Unanswered};
use crate::body::Body;
use crate::database::items::{self, Fields, Item};
use crate::database::{Answered, Refusal};

/// Largest body of `POST /items`, in bytes.
const MOST_BYTES: usize = 64 * 1024;
/// Longest name, in bytes.
const LONGEST_NAME: usize = 200;

/// One item, by the primary key.
pub(super) fn one(app: &Arc<App>, request: &Request<Incoming>, id: &str) -> Answer {
    if !super::is_reading(request) {
        return answer::method_not_allowed("GET, HEAD").into();
    }
    let Ok(id) = id.parse() else {
        return bad(format!("`{id}` is not the number of an item, such as /items/7")).into();
    };
    let owned = Arc::clone(app);
    Answer::later(app, async move {
        let found = owned.database.read(move |connection| items::by_id(connection, id)).await;
        Ok(timed(found, |found| match found {
            Some(item) => answer::json(StatusCode::OK, &item),
            None => answer::refusal(StatusCode::NOT_FOUND, format!("there is no item {id}")),
        }))
    })
}

/// Items by name, or a new one.
pub(super) fn collection(app: &Arc<App>, request: Request<Incoming>) -> Answer {
    let owned = Arc::clone(app);
    match *request.method() {
        Method::POST => Answer::later(app, async move { create(&owned, request.into_body()).await }),
        Method::GET | Method::HEAD => {
            let query = request.uri().query().unwrap_or_default();
            let name = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "name");
            let Some((_, name)) = name else {
                return bad("a name is missing: /items?name=item-7".to_owned()).into();
            };
            let name = name.into_owned();
            Answer::later(app, async move {
                let found = owned.database.read(move |connection| items::by_name(connection, &name)).await;
                Ok(timed(found, |items| answer::json(StatusCode::OK, &Found { items })))
            })
        }
        _ => answer::method_not_allowed("GET, HEAD, POST").into(),
    }
}

async fn create(app: &App, body: Incoming) -> Result<Response<Body>, Unanswered> {
    let bytes = match Limited::new(body, MOST_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let reason = format!("an item has at most {MOST_BYTES} bytes");
            return Ok(answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, reason));
        }
        Err(error) => return Ok(bad(format!("the body did not arrive whole: {error}"))),
    };
    let fields: Fields = match serde_json::from_slice(&bytes) {
        Ok(fields) => fields,
        Err(error) => {
            return Ok(bad(format!(
                "the body is not an item: {error}; expected {{\"name\": \"…\", \"price_cents\": 5, \"stock\": 1}}"
            )));
        }
    };
    if fields.name.is_empty() || fields.name.len() > LONGEST_NAME {
        return Ok(bad(format!("the name has {} bytes; expected 1 to {LONGEST_NAME}", fields.name.len())));
    }
    let made = app.database.write(move |connection| items::insert(connection, fields)).await;
    Ok(timed(made, |item| {
        let mut response = answer::json(StatusCode::CREATED, &item);
        if let Ok(location) = HeaderValue::try_from(format!("/items/{}", item.id)) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }))
}

/// The answer to a query, with the time it waited for a connection and the time it worked; or why there is none.
fn timed<T>(
    outcome: Result<Answered<T>, Refusal>,
    answer: impl FnOnce(T) -> Response<Body>,
) -> Response<Body> {
    let answered = match outcome {
        Ok(answered) => answered,
        Err(refusal @ Refusal::Failed(_)) => {
            return answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, refusal.to_string());
        }
        Err(refusal) => return answer::unavailable(refusal.to_string()),
    };
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let timing = format!(
        "pool;dur={:.3}, query;dur={:.3}",
        milliseconds(answered.waited),
        milliseconds(answered.worked)
    );
    let mut response = answer(answered.found);
    if let Ok(timing) = HeaderValue::try_from(timing) {
        response.headers_mut().insert(SERVER_TIMING, timing);
    }
    response
}

fn bad(reason: String) -> Response<Body> {
    answer::refusal(StatusCode::BAD_REQUEST, reason)
}

#[derive(Serialize)]
struct Found {
    items: Vec<Item>,
}
