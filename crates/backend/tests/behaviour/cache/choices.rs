//! What can be chosen: writing through or not at all, old copies while the database is down, a replica to read.

use evenkeel_backend::{CacheOptions, CachePolicy, Options};
use http::{Method, StatusCode};

use super::fake::{Fake, Gate, Reaction, options_with};
use super::writes::Folder;
use crate::client::{Client, get, post, until_metric};
use crate::running::start;

const DONE: &str = "cache_stores_total{outcome=\"done\"}";

fn row(stock: i64) -> String {
    format!(r#"{{"id":7,"name":"item-7","price_cents":6033,"stock":{stock}}}"#)
}

/// What is stored outlives the fence, which is a long one here.
fn write_through(cache: &mut CacheOptions) {
    (cache.policy, cache.ttl) = (CachePolicy::WriteThrough, std::time::Duration::from_secs(300));
}

#[tokio::test]
async fn what_is_written_through_is_hit() {
    let fake = Fake::start().await;
    let server = start(options_with(fake.address, write_through)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    client.get("/items?name=item-7").await;
    until_metric(server.address, DONE, 1).await;
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!((put.status, put.header("x-cache-invalidation")), (StatusCode::OK, "done"));
    assert_eq!(fake.asked().last().unwrap(), &["SET", "items:7", &row(1), "PX", "300000"]);
    assert_eq!(fake.value("items:name:item-7").as_deref(), Some(""), "the list is invalidated");
    let hit = client.get("/items/7").await;
    assert_eq!((hit.header("x-cache"), hit.json()["stock"].as_i64()), ("hit", Some(1)));
    assert_eq!(client.get("/items?name=item-7").await.json()["items"][0]["stock"], 1);

    let made = client.send(Method::POST, "/items", r#"{"name": "anchor"}"#).await;
    assert_eq!(client.get(made.header("location")).await.header("x-cache"), "hit");
    until_metric(server.address, "cache_writes_through_total{outcome=\"done\"}", 2).await;
    // What is gone cannot be stored.
    client.send(Method::DELETE, "/items/7", "").await;
    assert_eq!(fake.value("items:7").as_deref(), Some(""));
    assert_eq!(client.get("/items/7").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn of_two_that_write_through_the_one_that_reaches_the_cache_last_does_not_leave_an_older_row() {
    let (fake, folder) = (Fake::start().await, Folder::new("through"));
    let options =
        Options { database: Some(folder.0.join("items.db")), ..options_with(fake.address, write_through) };
    let (first, second) = (start(options.clone()).await, start(options).await);
    until_metric(first.address, "cache_breaker_state", 0).await;
    until_metric(second.address, "cache_breaker_state", 0).await;
    let (gate, older) = (Gate::new(), row(1));
    let held = gate.clone();
    fake.script(move |command| match command.get(2) {
        Some(value) if *value == older => Reaction::Obey(Some(held.clone())),
        _ => Reaction::Obey(None),
    });
    let mut client = Client::connect(first.address).await;
    let late = tokio::spawn(async move { client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await });
    fake.until_asked(&["SET", "items:7"], 1).await;
    let mut client = Client::connect(second.address).await;
    client.send(Method::PUT, "/items/7", r#"{"stock": 2}"#).await;
    assert_eq!(fake.value("items:7"), Some(row(2)));
    gate.open();
    assert_eq!(late.await.unwrap().header("x-cache-invalidation"), "done");
    until_metric(first.address, "cache_writes_through_total{outcome=\"overtaken\"}", 1).await;
    assert_eq!(fake.value("items:7").as_deref(), Some(""), "the older row came and went");
    assert_eq!(client.get("/items/7").await.json()["stock"], 2);
}

#[tokio::test]
async fn by_time_alone_writes_tell_nobody() {
    let fake = Fake::start().await;
    let server = start(options_with(fake.address, |cache| cache.policy = CachePolicy::TtlOnly)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    client.get("/items/7").await;
    until_metric(server.address, DONE, 1).await;
    let asked = fake.asked();
    let time: u64 = asked.last().unwrap().last().unwrap().parse().unwrap();
    assert!((1..=60_000).contains(&time), "{asked:?}");
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!((put.status, put.headers.get("x-cache-invalidation")), (StatusCode::OK, None));
    let old = client.get("/items/7").await;
    assert_eq!((old.header("x-cache"), old.json()["stock"].as_i64()), ("hit", Some(217)));
    fake.expire("items:7");
    assert_eq!(client.get("/items/7").await.json()["stock"], 1);
}

#[tokio::test]
async fn an_old_copy_is_answered_only_while_the_database_is_down() {
    let fake = Fake::start().await;
    let thirty = std::time::Duration::from_secs(30);
    let server = start(options_with(fake.address, |cache| cache.serve_stale = thirty)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    for (path, key) in [("/items/7", "items:7"), ("/items?name=item-7", "items:name:item-7")] {
        let first = client.get(path).await;
        fake.until_asked(&["SET", &format!("stale:{key}")], 1).await;
        assert_eq!(fake.asked().last().unwrap()[3..], ["PX", "90000"]);
        fake.expire(key);
        assert_eq!(client.get(path).await.header("x-cache"), "miss", "the database answers");
        fake.until_asked(&["SET", &format!("stale:{key}")], 2).await;
        fake.expire(key);
        post(server.address, "/chaos?mode=database-down").await;
        let stale = client.get(path).await;
        assert_eq!((stale.status, stale.header("x-cache")), (StatusCode::OK, "stale"));
        assert!(stale.header("age").parse::<u64>().unwrap() <= 90);
        assert_eq!(stale.body, first.body);
        post(server.address, "/chaos?mode=reset").await;
    }
    until_metric(server.address, "cache_stale_total", 2).await;

    // A write replaces the copy of its row and ends that of the list.
    client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!(fake.value("stale:items:name:item-7"), None);
    post(server.address, "/chaos?mode=database-down").await;
    let stale = client.get("/items/7").await;
    assert_eq!((stale.header("x-cache"), stale.json()["stock"].as_i64()), ("stale", Some(1)));
    // Without a copy, and with one that is too old or none, the failure is told.
    fake.set("stale:items:9", &format!("1000 {}", row(1).replace("\"id\":7", "\"id\":9")));
    fake.set("stale:items:10", &format!("99999999999999 {}", row(1)));
    for path in ["/items/8", "/items/9", "/items/10", "/items?name=item-7"] {
        let answer = client.get(path).await;
        assert_eq!(
            (answer.status, answer.header("x-cache")),
            (StatusCode::SERVICE_UNAVAILABLE, "miss"),
            "{path}"
        );
    }
    post(server.address, "/chaos?mode=reset").await;
    client.send(Method::DELETE, "/items/7", "").await;
    assert_eq!(fake.value("stale:items:7"), None);
}

#[tokio::test]
async fn a_replica_is_read_and_its_primary_is_told() {
    let (primary, replica) = (Fake::start().await, Fake::start().await);
    let url = format!("redis://{}", replica.address);
    let server = start(options_with(primary.address, |cache| cache.read = Some(url.parse().unwrap()))).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    until_metric(server.address, "cache_read_breaker_state", 0).await;
    replica.set("items:7", &row(99));
    let mut client = Client::connect(server.address).await;
    let hit = client.get("/items/7").await;
    assert_eq!((hit.header("x-cache"), hit.json()["stock"].as_i64()), ("hit", Some(99)));
    assert_eq!(client.get("/items/8").await.header("x-cache"), "miss");
    until_metric(server.address, DONE, 1).await;
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!(put.header("x-cache-invalidation"), "done");
    assert_eq!(primary.value("items:7").as_deref(), Some(""));
    let asked = replica.asked();
    assert!(asked.iter().all(|command| command[0] == "GET"), "{asked:?}");
    assert!(!primary.asked().contains(&vec!["GET".to_owned(), "items:7".to_owned()]));
    // Until the fence has reached the replica, the old row is found there.
    assert_eq!(client.get("/items/7").await.json()["stock"], 99);
    replica.set("items:7", "");
    assert_eq!(client.get("/items/7").await.json()["stock"], 1);

    // What the primary could not be told is not read in the replica.
    replica.set("items:7", &row(99));
    primary.kill().await;
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 2}"#).await;
    assert_eq!(put.header("x-cache-invalidation"), "owed");
    let read = client.get("/items/7").await;
    assert_eq!((read.header("x-cache"), read.json()["stock"].as_i64()), ("bypass", Some(2)));
    replica.set("items:9", "null");
    assert_eq!(client.get("/items/9").await.header("x-cache"), "hit", "the replica is used on");
    // A replica that has lost its primary says so, and the database answers.
    replica.script(|_| Reaction::Say("-MASTERDOWN Link with MASTER is down\r\n"));
    for _ in 0..5 {
        let read = client.get("/items/9").await;
        assert_eq!((read.status, read.header("x-cache")), (StatusCode::OK, "bypass"));
        assert!(read.header("server-timing").ends_with(";desc=masterdown"), "{:?}", read.headers);
    }
    replica.behave();
    until_metric(server.address, "cache_read_breaker_state", 0).await;
    assert_eq!(get(server.address, "/items/9").await.status, StatusCode::NOT_FOUND);
}
