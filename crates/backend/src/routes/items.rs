//! The database's paths, `/items/{id}` and `/items`, which may have a cache before them.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AGE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer::{self, SERVER_TIMING, X_CACHE, X_CACHE_INVALIDATION, X_DATABASE_MS};
use crate::app::{Answer, App};
use crate::body::Body;
use crate::cache::{Seen, Written};
use crate::database::items::{self, Change, Changes, Fields, Found, Item, Key};
use crate::database::{Answered, Refusal};

/// Largest body of a write, in bytes.
const MOST_BYTES: usize = 64 * 1024;
/// Longest name, in bytes.
const LONGEST_NAME: usize = 200;

/// The number of an item, or why a text is none.
pub(super) fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("`{text}` is not the number of an item, such as /items/7"))
}

/// One item, by the primary key: found, changed, deleted.
pub(super) fn one(app: &Arc<App>, request: Request<Incoming>, id: Result<i64, String>) -> Answer {
    let method = request.method().clone();
    if !matches!(method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE) {
        return answer::method_not_allowed("GET, HEAD, PUT, DELETE").into();
    }
    let id = match id {
        Ok(id) => id,
        Err(reason) => return bad(reason).into(),
    };
    let owned = Arc::clone(app);
    match method {
        Method::PUT => Answer::later(app, async move { Ok(change(&owned, id, request.into_body()).await) }),
        Method::DELETE => Answer::later(app, async move { Ok(delete(&owned, id).await) }),
        _ => Answer::later(app, async move { Ok(find(&owned, Key::Item(id)).await) }),
    }
}

/// Items by name, or a new one.
pub(super) fn collection(app: &Arc<App>, request: Request<Incoming>) -> Answer {
    let owned = Arc::clone(app);
    match *request.method() {
        Method::POST => Answer::later(app, async move { Ok(create(&owned, request.into_body()).await) }),
        Method::GET | Method::HEAD => {
            let query = request.uri().query().unwrap_or_default();
            let name = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "name");
            let Some((_, name)) = name else {
                return bad("a name is missing: /items?name=item-7".to_owned()).into();
            };
            if name.len() > LONGEST_NAME {
                let length = name.len();
                return bad(format!("the name has {length} bytes; expected at most {LONGEST_NAME}")).into();
            }
            let key = Key::Name(name.into_owned());
            Answer::later(app, async move { Ok(find(&owned, key).await) })
        }
        _ => answer::method_not_allowed("GET, HEAD, POST").into(),
    }
}

async fn find(app: &App, key: Key) -> Response<Body> {
    let Some(cache) = &app.cache else {
        let asked = key.clone();
        let found = app.database.read(move |connection| items::find(connection, &asked)).await;
        return Timing::default().answer(found, |found| shown(&key, found));
    };
    let read = cache.read(&key).await;
    let (word, fault, age) = match read.seen {
        Seen::Hit => ("hit", None, None),
        Seen::Miss => ("miss", None, None),
        Seen::Bypass(fault) => ("bypass", Some(fault.word()), None),
        Seen::Stale(age) => ("stale", None, Some(age)),
    };
    let timing = Timing { shared: read.shared, cache: Some((read.cache, fault)) };
    let mut response = timing.answer(read.rows, |found| shown(&key, found));
    response.headers_mut().insert(X_CACHE, HeaderValue::from_static(word));
    if let Some(age) = age {
        response.headers_mut().insert(AGE, HeaderValue::from(age.as_secs()));
    }
    response
}

fn shown(key: &Key, found: Found) -> Response<Body> {
    match (found, key) {
        (Found::Item(Some(item)), _) => answer::json(StatusCode::OK, &item),
        (Found::Item(None), Key::Item(id)) => absent(*id),
        (Found::Item(None), Key::Name(_)) => answer::json(StatusCode::OK, &List { items: Vec::new() }),
        (Found::Items(items), _) => answer::json(StatusCode::OK, &List { items }),
    }
}

async fn create(app: &App, body: Incoming) -> Response<Body> {
    let fields: Fields =
        match read(body, r#"{"name": "…", "price_cents": 5, "stock": 1}"#, |fields: &Fields| {
            Some(&fields.name)
        })
        .await
        {
            Ok(fields) => fields,
            Err(refused) => return refused,
        };
    // That there is no such row may be cached.
    let made = write(app, move |connection| items::insert(connection, fields)).await;
    answered(made, |change| {
        let id = change.id;
        let Some(item) = change.row else { return absent(id) };
        let mut response = answer::json(StatusCode::CREATED, &item);
        if let Ok(location) = HeaderValue::try_from(format!("/items/{id}")) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    })
}

async fn change(app: &App, id: i64, body: Incoming) -> Response<Body> {
    let changes: Changes = match read(
        body,
        r#"one or more of {"name": "…", "price_cents": 5, "stock": 1}"#,
        |changes: &Changes| changes.name.as_ref(),
    )
    .await
    {
        Ok(changes) => changes,
        Err(refused) => return refused,
    };
    if changes == Changes::default() {
        return bad("nothing is changed; expected one or more of name, price_cents and stock".to_owned());
    }
    let changed = write(app, move |connection| items::update(connection, id, changes)).await;
    answered(changed, |change| {
        change.row.map_or_else(|| absent(id), |item| answer::json(StatusCode::OK, &item))
    })
}

async fn delete(app: &App, id: i64) -> Response<Body> {
    let gone = write(app, move |connection| items::delete(connection, id)).await;
    answered(gone, |change| match change.old_name {
        Some(_) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        None => absent(id),
    })
}

/// Changes a row, and tells the cache if there is one.
async fn write<F>(app: &App, query: F) -> Written
where
    F: FnOnce(&mut Connection) -> rusqlite::Result<Change> + Send + 'static,
{
    match &app.cache {
        Some(cache) => cache.write(query).await,
        None => {
            // As with a cache, it goes on when it takes longer than is waited for it.
            let database = Arc::clone(&app.database);
            let task = tokio::spawn(async move { database.write(query).await });
            let cut_off = |error| Err(Refusal::Failed(format!("the write was cut off: {error}")));
            Written::untold(app.database.in_time(async { task.await.unwrap_or_else(cut_off) }).await)
        }
    }
}

fn answered(written: Written, shown: impl FnOnce(Change) -> Response<Body>) -> Response<Body> {
    let Written { outcome, invalidated, cache } = written;
    let timing = Timing { shared: false, cache: invalidated.map(|_| (cache, None)) };
    let mut response = timing.answer(outcome, shown);
    if let Some(done) = invalidated {
        let word = HeaderValue::from_static(if done { "done" } else { "owed" });
        response.headers_mut().insert(X_CACHE_INVALIDATION, word);
    }
    response
}

/// Reads a body of JSON. `shape` says what is expected, `name` finds the name in it. The error is an answer.
async fn read<T: DeserializeOwned>(
    body: Incoming,
    shape: &str,
    name: impl Fn(&T) -> Option<&String>,
) -> Result<T, Response<Body>> {
    let bytes = match Limited::new(body, MOST_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let reason = format!("an item has at most {MOST_BYTES} bytes");
            return Err(answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, reason));
        }
        Err(error) => return Err(bad(format!("the body did not arrive whole: {error}"))),
    };
    let fields: T = serde_json::from_slice(&bytes)
        .map_err(|error| bad(format!("the body is not an item: {error}; expected {shape}")))?;
    match name(&fields).map(String::len) {
        Some(length) if length == 0 || length > LONGEST_NAME => {
            Err(bad(format!("the name has {length} bytes; expected 1 to {LONGEST_NAME}")))
        }
        _ => Ok(fields),
    }
}

/// What is told of an answer's time beside that of the database.
#[derive(Default)]
struct Timing {
    /// The database answered another request, and this one with it.
    shared: bool,
    /// Time for the cache, and what was wrong with it.
    cache: Option<(Duration, Option<&'static str>)>,
}

impl Timing {
    /// The answer to a query, with where its time went; or why there is none.
    fn answer<T>(
        self,
        outcome: Result<Answered<T>, Refusal>,
        shown: impl FnOnce(T) -> Response<Body>,
    ) -> Response<Body> {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let mut timing = String::with_capacity(64);
        let mut response = match outcome {
            Ok(answered) => {
                let (waited, worked) = (milliseconds(answered.waited), milliseconds(answered.worked));
                let shared = if self.shared { ";desc=shared" } else { "" };
                // Writing to a String cannot fail.
                let _ = write!(timing, "pool;dur={waited:.3}, query;dur={worked:.3}{shared}");
                let mut response = shown(answered.found);
                if let Ok(value) = HeaderValue::try_from(format!("{:.3}", waited + worked)) {
                    response.headers_mut().insert(X_DATABASE_MS, value);
                }
                response
            }
            Err(refusal @ Refusal::Failed(_)) => {
                answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, refusal.to_string())
            }
            Err(refusal) => answer::unavailable(refusal.to_string()),
        };
        if let Some((time, fault)) = self.cache {
            let comma = if timing.is_empty() { "" } else { ", " };
            let _ = write!(timing, "{comma}cache;dur={:.3}", milliseconds(time));
            if let Some(fault) = fault {
                let _ = write!(timing, ";desc={fault}");
            }
        }
        if let (false, Ok(value)) = (timing.is_empty(), HeaderValue::try_from(timing)) {
            response.headers_mut().insert(SERVER_TIMING, value);
        }
        response
    }
}

fn absent(id: i64) -> Response<Body> {
    answer::refusal(StatusCode::NOT_FOUND, format!("there is no item {id}"))
}

fn bad(reason: String) -> Response<Body> {
    answer::refusal(StatusCode::BAD_REQUEST, reason)
}

#[derive(Serialize)]
struct List {
    items: Vec<Item>,
}
