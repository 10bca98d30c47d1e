//! The clients: each write of an item carries a higher number, and each answer is kept, so that it can be said later
//! what was known when.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, header};
use serde::Deserialize;

use super::staleness::{Read, Write};
use crate::load::{Answer, Items, Requests};

/// Writes number their versions above this; what a new database has is below.
const FIRST: u64 = 1_000;

/// `PUT /items/{id}`, all items in turn, the stock being the version.
#[derive(Debug)]
pub(super) struct Writer {
    items: u32,
    zero: Instant,
    seen: Mutex<Vec<Write>>,
}

/// `GET /items/{id}` by popularity.
#[derive(Debug)]
pub(super) struct Reader {
    items: Items,
    zero: Instant,
    seen: Mutex<Vec<Answered>>,
}

/// `GET /items/{id}`, all items in turn.
#[derive(Debug)]
pub(super) struct Each(pub(super) u32);

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answered {
    /// Before it was sent.
    pub(super) began: Duration,
    /// When that was known.
    pub(super) ended: Duration,
    /// What it returned; `None` if it failed.
    pub(super) read: Option<Read>,
    /// The answer says that it is stale.
    pub(super) is_marked: bool,
}

/// As much of an item as is looked at.
#[derive(Deserialize)]
struct Item {
    id: u32,
    stock: u64,
}

impl Writer {
    pub(super) fn new(items: u32, zero: Instant) -> Self {
        Self { items: items.max(1), zero, seen: Mutex::default() }
    }

    pub(super) fn seen(&self) -> Vec<Write> {
        lock(&self.seen).clone()
    }

    /// The item and the version of the write of that number.
    fn of(&self, number: u64) -> (u32, u64) {
        let items = u64::from(self.items);
        let item = u32::try_from(number % items).unwrap_or_default() + 1;
        (item, FIRST + 1 + number / items)
    }
}

impl Requests for Writer {
    fn request(&self, number: u64, _chance: f64) -> Request<Bytes> {
        let (item, version) = self.of(number);
        let mut request = Request::new(format!("{{\"stock\":{version}}}").into());
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = path(item);
        let kind = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        request
    }

    fn listens(&self) -> bool {
        true
    }

    fn answered(&self, answer: &Answer<'_>) {
        let (item, version) = self.of(answer.number);
        let since = |at: Instant| at.saturating_duration_since(self.zero);
        let (began, ended) = (since(answer.sent), since(answer.ended));
        lock(&self.seen).push(Write { item, version, began, ended, done: answer.reply.is_some() });
    }
}

impl Reader {
    pub(super) fn new(items: u32, zero: Instant) -> Self {
        Self { items: Items { rows: items }, zero, seen: Mutex::default() }
    }

    pub(super) fn seen(&self) -> Vec<Answered> {
        lock(&self.seen).clone()
    }
}

impl Requests for Reader {
    fn request(&self, number: u64, chance: f64) -> Request<Bytes> {
        self.items.request(number, chance)
    }

    fn listens(&self) -> bool {
        true
    }

    fn answered(&self, answer: &Answer<'_>) {
        let since = |at: Instant| at.saturating_duration_since(self.zero);
        let (began, ended) = (since(answer.sent), since(answer.ended));
        let asked = answer.request.uri().path();
        // An answer that is not the item that was asked for is as bad as none.
        let read = answer.reply.and_then(|reply| {
            let item: Item = serde_json::from_slice(&reply.body).ok()?;
            let version = if item.stock > FIRST { item.stock } else { 0 };
            (path(item.id).path() == asked).then_some(Read { item: item.id, version, began })
        });
        let is_marked = answer.reply.is_some_and(|reply| {
            reply.headers.get("x-cache").is_some_and(|word| word.as_bytes() == b"stale")
        });
        lock(&self.seen).push(Answered { began, ended, read, is_marked });
    }
}

impl Requests for Each {
    fn request(&self, number: u64, _chance: f64) -> Request<Bytes> {
        let mut request = Request::new(Bytes::new());
        let item = u32::try_from(number % u64::from(self.0.max(1))).unwrap_or_default() + 1;
        *request.uri_mut() = path(item);
        request
    }
}

fn path(item: u32) -> http::Uri {
    // A path of letters, slashes and digits.
    format!("/items/{item}").parse().unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Reply;

    #[test]
    fn items_are_written_in_turn_with_rising_versions() {
        let writer = Writer::new(3, Instant::now());
        let request = writer.request(4, 0.0);
        assert_eq!((request.method(), request.uri().path()), (&Method::PUT, "/items/2"));
        assert_eq!(request.body(), "{\"stock\":1002}");
        let sent = Instant::now();
        let answer = Answer { number: 4, request: &request, sent, ended: sent, reply: None };
        writer.answered(&answer);
        writer.answered(&Answer { reply: Some(&Reply::default()), ..answer });
        let seen: Vec<_> = writer.seen().iter().map(|it| (it.item, it.version, it.done)).collect();
        assert_eq!(seen, [(2, 1_002, false), (2, 1_002, true)]);
    }

    #[test]
    fn an_answer_is_read_if_it_is_the_item_that_was_asked_for() {
        let reader = Reader::new(1, Instant::now());
        let request = reader.request(0, 0.5);
        let now = Instant::now();
        for body in [
            r#"{"id":1,"name":"item-1","price_cents":1,"stock":1007}"#,
            r#"{"id":1,"name":"item-1","price_cents":1,"stock":31}"#,
            r#"{"id":2,"name":"item-2","price_cents":1,"stock":1007}"#,
            "nonsense",
        ] {
            let reply = Reply { body: body.into(), ..Reply::default() };
            reader.answered(&Answer {
                number: 0,
                request: &request,
                sent: now,
                ended: now,
                reply: Some(&reply),
            });
        }
        reader.answered(&Answer { number: 0, request: &request, sent: now, ended: now, reply: None });
        let versions: Vec<_> =
            reader.seen().iter().map(|answered| answered.read.map(|read| read.version)).collect();
        assert_eq!(versions, [Some(1_007), Some(0), None, None, None]);
    }
}
