//! Writes: the cache is told, an old row does not come back, and what could not be told is made up for.

use std::path::PathBuf;
use std::time::Duration;

use evenkeel_backend::Options;
use http::{Method, StatusCode};

use super::fake::{Fake, Gate, Reaction, options, options_with};
use crate::client::{Client, get, until_metric};
use crate::running::{Running, start};

const OLD: &str = r#"{"id":7,"name":"item-7","price_cents":6033,"stock":217}"#;

#[tokio::test]
async fn a_write_invalidates_what_is_cached() {
    let fake = Fake::start().await;
    let server = start(options(fake.address)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    client.get("/items/7").await;
    until_metric(server.address, "cache_stores_total{outcome=\"done\"}", 1).await;

    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!((put.status, put.header("x-cache-invalidation")), (StatusCode::OK, "done"));
    assert!(put.header("server-timing").contains("cache;dur="));
    assert_eq!(fake.asked().last().unwrap(), &["SET", "items:7", "", "PX", "240000"]);
    let after = client.get("/items/7").await;
    assert_eq!((after.header("x-cache"), after.json()["stock"].as_i64()), ("miss", Some(1)));
    // The fence stands, for longer than this test takes: nothing is stored.
    until_metric(server.address, "cache_stores_total{outcome=\"present\"}", 1).await;
    assert_eq!(fake.value("items:7").as_deref(), Some(""));

    let gone = client.send(Method::DELETE, "/items/7", "").await;
    assert_eq!((gone.status, gone.header("x-cache-invalidation")), (StatusCode::NO_CONTENT, "done"));
    assert_eq!(client.get("/items/7").await.status, StatusCode::NOT_FOUND);
    // That the row is not there may be news to the cache.
    for (method, body) in [(Method::DELETE, ""), (Method::PUT, r#"{"stock": 1}"#)] {
        fake.set("items:7", OLD);
        let answer = client.send(method, "/items/7", body).await;
        assert_eq!((answer.status, answer.header("x-cache-invalidation")), (StatusCode::NOT_FOUND, "done"));
        assert_eq!(fake.value("items:7").as_deref(), Some(""));
    }
    // Those of the row, and twice that of the list of its name.
    until_metric(server.address, "cache_invalidations_total", 6).await;
}

#[tokio::test]
async fn a_fence_is_a_plain_deletion_if_it_has_no_time() {
    let fake = Fake::start().await;
    let server = start(options_with(fake.address, |cache| cache.fence = Duration::ZERO)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!(put.header("x-cache-invalidation"), "done");
    assert_eq!(fake.asked().last().unwrap(), &["DEL", "items:7"]);
}

#[tokio::test]
async fn a_write_invalidates_the_lists_of_the_old_name_and_of_the_new_one() {
    let fake = Fake::start().await;
    let server = start(options_with(fake.address, |cache| cache.fence = Duration::ZERO)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    let mut stored = 0;
    // The write, and the stock of all items of each name after it: both were cached before.
    for (method, path, body, blue, red) in [
        (Method::POST, "/items", r#"{"name": "blue", "stock": 1}"#, vec![1], vec![]),
        (Method::PUT, "/items/1001", r#"{"stock": 2}"#, vec![2], vec![]),
        (Method::PUT, "/items/1001", r#"{"name": "red"}"#, vec![], vec![2]),
        (Method::PUT, "/items/1001", r#"{"name": "red", "stock": 3}"#, vec![], vec![3]),
        (Method::DELETE, "/items/1001", "", vec![], vec![]),
    ] {
        for name in ["blue", "red"] {
            let answer = client.get(&format!("/items?name={name}")).await;
            stored += u64::from(answer.header("x-cache") == "miss");
            until_metric(server.address, "cache_stores_total{outcome=\"done\"}", stored).await;
            assert_eq!(client.get(&format!("/items?name={name}")).await.header("x-cache"), "hit");
        }
        let written = client.send(method, path, body).await;
        assert_eq!(written.header("x-cache-invalidation"), "done", "{body}");
        for (name, stock) in [("blue", blue), ("red", red)] {
            let answer = client.get(&format!("/items?name={name}")).await;
            stored += u64::from(answer.header("x-cache") == "miss");
            until_metric(server.address, "cache_stores_total{outcome=\"done\"}", stored).await;
            let json = answer.json();
            let items = json["items"].as_array().unwrap().iter();
            let found: Vec<_> = items.map(|item| item["stock"].as_i64().unwrap()).collect();
            assert_eq!(found, stock, "{name} after {body}");
        }
    }
}

/// A folder that goes when it is dropped.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("toy-backend-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One backend reads a row and is about to store it when another one changes it. Returns what the first one
/// answers then: `x-cache` and the stock.
async fn race(name: &str, fence: Duration) -> (String, i64) {
    let (fake, folder) = (Fake::start().await, Folder::new(name));
    let options = Options {
        database: Some(folder.0.join("items.db")),
        ..options_with(fake.address, |cache| cache.fence = fence)
    };
    let (reader, writer): (Running, Running) = (start(options.clone()).await, start(options).await);
    until_metric(reader.address, "cache_breaker_state", 0).await;
    until_metric(writer.address, "cache_breaker_state", 0).await;
    let store = Gate::new();
    let held = store.clone();
    fake.script(move |command| match command.get(3).map(String::as_str) {
        Some("NX") => Reaction::Obey(Some(held.clone())),
        _ => Reaction::Obey(None),
    });
    assert_eq!(get(reader.address, "/items/7").await.json()["stock"], 217);
    fake.until_asked(&["SET", "items:7"], 1).await;
    let mut client = Client::connect(writer.address).await;
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!(put.header("x-cache-invalidation"), "done");
    store.open();
    let outcome = if fence.is_zero() { "done" } else { "present" };
    until_metric(reader.address, &format!("cache_stores_total{{outcome=\"{outcome}\"}}"), 1).await;
    let answer = get(reader.address, "/items/7").await;
    (answer.header("x-cache").to_owned(), answer.json()["stock"].as_i64().unwrap())
}

#[tokio::test]
async fn a_row_read_before_a_write_is_not_stored_after_it() {
    let fenced = race("fence", Duration::from_secs(240)).await;
    assert_eq!(fenced, ("miss".to_owned(), 1));
    let deleted = race("no-fence", Duration::ZERO).await;
    assert_eq!(deleted, ("hit".to_owned(), 217), "this is what the fence is for");
}

#[tokio::test]
async fn what_the_cache_could_not_be_told_is_made_up_before_it_is_used() {
    let fake = Fake::start().await;
    let server = start(options(fake.address)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let address = fake.kill().await;
    let mut client = Client::connect(server.address).await;
    for stock in [1, 2] {
        let put = client.send(Method::PUT, "/items/7", format!(r#"{{"stock": {stock}}}"#)).await;
        assert_eq!((put.status, put.header("x-cache-invalidation")), (StatusCode::OK, "owed"));
    }
    let read = client.get("/items/7").await;
    assert_eq!((read.header("x-cache"), read.json()["stock"].as_i64()), ("bypass", Some(2)));
    until_metric(server.address, "cache_invalidations_pending", 2).await;

    // It comes back with what it had.
    let fake = Fake::start_at(address).await;
    fake.set("items:7", OLD);
    until_metric(server.address, "cache_breaker_state", 0).await;
    let read = client.get("/items/7").await;
    assert_eq!((read.header("x-cache"), read.json()["stock"].as_i64()), ("miss", Some(2)));
    let mut asked = fake.asked()[..3].to_vec();
    assert_eq!(asked.remove(0), ["GET", "items:0"]);
    asked.sort();
    let list = ["SET", "items:name:item-7", "", "PX", "240000"];
    assert_eq!(asked, [["SET", "items:7", "", "PX", "240000"], list]);
    until_metric(server.address, "cache_invalidations_pending", 0).await;
    until_metric(server.address, "cache_invalidations_owed_total", 4).await;
}

#[tokio::test]
async fn a_cache_that_refuses_to_be_told_is_read_but_for_that_row() {
    let fake = Fake::start().await;
    let server = start(options(fake.address)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    fake.set("items:7", OLD);
    fake.set("items:8", r#"{"id":8,"name":"item-8","price_cents":1,"stock":2}"#);
    fake.script(|command| match (command[0].as_str(), command[1].as_str()) {
        ("SET", _) => Reaction::Say("-READONLY You can't write against a read only replica.\r\n"),
        (_, "items:9") => Reaction::Close,
        _ => Reaction::Obey(None),
    });
    let mut client = Client::connect(server.address).await;
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!(put.header("x-cache-invalidation"), "owed");
    // Also on the next connection, on which it refuses what is owed before it is used.
    for is_first in [true, false] {
        let read = client.get("/items/7").await;
        assert_eq!((read.header("x-cache"), read.json()["stock"].as_i64()), ("bypass", Some(1)));
        assert!(read.header("server-timing").ends_with(";desc=readonly"), "{:?}", read.headers);
        assert_eq!(client.get("/items/8").await.header("x-cache"), "hit");
        // The row and the list of its name.
        until_metric(server.address, "cache_invalidations_pending", 2).await;
        if is_first {
            assert_eq!(client.get("/items/9").await.header("x-cache"), "bypass");
            fake.until_asked(&["GET", "items:0"], 2).await;
            until_metric(server.address, "cache_breaker_state", 0).await;
        }
    }
    // Promoted to a primary, it takes what is owed.
    fake.behave();
    until_metric(server.address, "cache_invalidations_pending", 0).await;
    assert_eq!(fake.value("items:7").as_deref(), Some(""));
    assert_eq!(client.get("/items/7").await.header("x-cache"), "miss");
}

/// Two backends of one database, of which the first one has that cache.
async fn reader_and_writer(fake: &Fake, folder: &Folder, timeout: Duration) -> (Running, Running) {
    let options = options_with(fake.address, |cache| cache.timeout = timeout);
    let options = Options { database: Some(folder.0.join("items.db")), ..options };
    let reader = start(options.clone()).await;
    until_metric(reader.address, "cache_breaker_state", 0).await;
    (reader, start(Options { cache: None, ..options }).await)
}

#[tokio::test]
async fn a_store_that_is_carried_out_late_is_undone() {
    let (fake, folder) = (Fake::start().await, Folder::new("late"));
    let (reader, writer) = reader_and_writer(&fake, &folder, Duration::from_millis(250)).await;
    let store = Gate::new();
    let held = store.clone();
    fake.script(move |command| match command.get(3).map(String::as_str) {
        Some("NX") => Reaction::Obey(Some(held.clone())),
        _ => Reaction::Obey(None),
    });
    let mut client = Client::connect(reader.address).await;
    assert_eq!(client.get("/items/7").await.json()["stock"], 217);
    until_metric(reader.address, "cache_failures_total{operation=\"store\",reason=\"timeout\"}", 1).await;
    // The invalidation waits behind the store on the same connection, which one timeout leaves in use.
    fake.until_asked(&["SET", "items:7", ""], 1).await;
    Client::connect(writer.address).await.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    let read = client.get("/items/7").await;
    assert_eq!((read.header("x-cache"), read.json()["stock"].as_i64()), ("bypass", Some(1)));
    assert!(read.header("server-timing").ends_with(";desc=timeout"), "{:?}", read.headers);
    until_metric(reader.address, "cache_breaker_state", 0).await;
    until_metric(reader.address, "cache_invalidations_pending", 1).await;

    store.open();
    until_metric(reader.address, "cache_invalidations_pending", 0).await;
    assert_eq!(fake.value("items:7").as_deref(), Some(""), "the old row came and went");
    assert_eq!(fake.asked().iter().filter(|command| command[1] == "items:0").count(), 1, "one connection");
}

#[tokio::test]
async fn a_store_without_an_answer_is_undone_on_the_next_connection() {
    let (fake, folder) = (Fake::start().await, Folder::new("closed"));
    let (reader, writer) = reader_and_writer(&fake, &folder, Duration::from_secs(60)).await;
    // The store ends the connection, and no further one is of use.
    fake.script(|command| match command[1].as_str() {
        "items:7" if command[0] == "GET" => Reaction::Obey(None),
        _ => Reaction::Close,
    });
    let mut client = Client::connect(reader.address).await;
    assert_eq!(client.get("/items/7").await.json()["stock"], 217);
    until_metric(reader.address, "cache_invalidations_pending", 1).await;
    Client::connect(writer.address).await.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    // It was carried out nevertheless.
    fake.set("items:7", OLD);
    fake.behave();
    until_metric(reader.address, "cache_breaker_state", 0).await;
    assert_eq!(fake.value("items:7").as_deref(), Some(""));
    until_metric(reader.address, "cache_invalidations_pending", 0).await;
}

#[tokio::test]
async fn a_full_cache_takes_no_fence_but_deletes() {
    let fake = Fake::start().await;
    let server = start(options(fake.address)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    fake.set("items:7", OLD);
    fake.script(|command| match command[0].as_str() {
        "SET" => Reaction::Say("-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
        _ => Reaction::Obey(None),
    });
    let mut client = Client::connect(server.address).await;
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!(put.header("x-cache-invalidation"), "done");
    assert_eq!(fake.value("items:7"), None);
}
