//! Reads while the cache works: hits, misses, what is stored, and one query for many.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use super::fake::{Fake, Gate, Reaction, options, options_with};
use crate::client::{Answer, Client, get, until_metric};
use crate::running::{self, start};

const ROW: &str = r#"{"id":7,"name":"item-7","price_cents":6033,"stock":217}"#;

fn database_ms(answer: &Answer) -> f64 {
    answer.header("x-database-ms").parse().unwrap()
}

#[tokio::test]
async fn a_row_is_missed_once_and_then_hit() {
    let fake = Fake::start().await;
    let server = start(options(fake.address)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;

    let miss = client.get("/items/7").await;
    assert_eq!((miss.status, miss.header("x-cache")), (StatusCode::OK, "miss"));
    assert!(database_ms(&miss) > 0.0);
    let timing = miss.header("server-timing");
    assert!(timing.starts_with("pool;dur=") && timing.contains(", cache;dur="), "{timing}");
    until_metric(server.address, "cache_stores_total{outcome=\"done\"}", 1).await;
    assert_eq!(fake.asked().last().unwrap(), &["SET", "items:7", ROW, "NX", "PX", "60000"]);

    let hit = client.get("/items/7").await;
    assert_eq!((hit.status, hit.header("x-cache")), (StatusCode::OK, "hit"));
    assert_eq!((hit.json(), &hit.body), (miss.json(), &miss.body));
    assert_eq!(hit.header("x-database-ms"), "0.000");
    assert!(hit.header("server-timing").contains("query;dur=0.000, cache;dur="));
    let head = client.send(Method::HEAD, "/items/7", "").await;
    assert_eq!((head.status, head.header("x-cache")), (StatusCode::OK, "hit"));
    for (metric, value) in [("hits_total", 2), ("misses_total", 1), ("database_reads_total", 1)] {
        until_metric(server.address, &format!("cache_{metric}"), value).await;
    }
}

#[tokio::test]
async fn a_list_by_name_is_missed_once_and_then_hit() {
    let fake = Fake::start().await;
    let server = start(options(fake.address)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    let miss = client.get("/items?name=item-7").await;
    assert_eq!((miss.status, miss.header("x-cache")), (StatusCode::OK, "miss"));
    assert!(database_ms(&miss) > 0.0);
    until_metric(server.address, "cache_stores_total{outcome=\"done\"}", 1).await;
    let asked = fake.asked();
    let [command, key, value, rest @ ..] = &asked.last().unwrap()[..] else { panic!("{asked:?}") };
    assert_eq!((command.as_str(), key.as_str()), ("SET", "items:name:item-7"));
    assert!(value.starts_with(&format!("{{\"name\":\"item-7\",\"items\":[{ROW},")), "{value}");
    assert_eq!(rest, ["NX", "PX", "60000"]);
    let hit = client.get("/items?name=item-7").await;
    assert_eq!((hit.header("x-cache"), &hit.body), ("hit", &miss.body));
    assert_eq!((hit.header("x-database-ms"), hit.json()["items"].as_array().unwrap().len()), ("0.000", 4));

    // That there is none of a name, as it is for rows, for less long.
    assert_eq!(client.get("/items?name=a%20b").await.json(), json!({"items": []}));
    until_metric(server.address, "cache_stores_total{outcome=\"done\"}", 2).await;
    let none = r#"{"name":"a b","items":[]}"#;
    assert_eq!(fake.asked().last().unwrap(), &["SET", "items:name:a b", none, "NX", "PX", "5000"]);

    // Another name's list is not believed, and no name is so long.
    fake.set("items:name:item-8", value);
    let foreign = client.get("/items?name=item-8").await;
    assert_eq!((foreign.header("x-cache"), foreign.json()["items"][0]["id"].as_i64()), ("bypass", Some(8)));
    let long = client.get(&format!("/items?name={}", "x".repeat(201))).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    assert!(long.text().contains("the name has 201 bytes"), "{}", long.text());
}

#[tokio::test]
async fn without_a_cache_nothing_is_said_of_one() {
    let server = start(running::options()).await;
    let answer = get(server.address, "/items/7").await;
    assert_eq!(answer.headers.get("x-cache"), None);
    assert!(database_ms(&answer) > 0.0);
    assert!(!answer.header("server-timing").contains("cache"));
    let mut client = Client::connect(server.address).await;
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!(put.headers.get("x-cache-invalidation"), None);
    assert!(!get(server.address, "/metrics").await.text().contains("cache"));
}

#[tokio::test]
async fn that_there_is_no_row_is_cached_until_there_is() {
    let fake = Fake::start().await;
    let server = start(options(fake.address)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    let miss = client.get("/items/1001").await;
    assert_eq!((miss.status, miss.header("x-cache")), (StatusCode::NOT_FOUND, "miss"));
    until_metric(server.address, "cache_stores_total{outcome=\"done\"}", 1).await;
    assert_eq!(fake.asked().last().unwrap(), &["SET", "items:1001", "null", "NX", "PX", "5000"]);
    let hit = client.get("/items/1001").await;
    assert_eq!((hit.status, hit.header("x-cache")), (StatusCode::NOT_FOUND, "hit"));
    assert_eq!(hit.text(), miss.text());

    let made = client.send(Method::POST, "/items", r#"{"name": "anchor"}"#).await;
    assert_eq!((made.status, made.header("x-cache-invalidation")), (StatusCode::CREATED, "done"));
    let found = client.get(made.header("location")).await;
    assert_eq!((found.status, found.header("x-cache")), (StatusCode::OK, "miss"));
}

#[tokio::test]
async fn an_entry_that_makes_no_sense_is_a_miss_and_replaced() {
    let fake = Fake::start().await;
    let server = start(options_with(fake.address, |cache| cache.fence = Duration::ZERO)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    for (number, nonsense) in ["{oops", "[]", r#"{"id":7}"#].into_iter().enumerate() {
        fake.set("items:7", nonsense);
        let answer = client.get("/items/7").await;
        assert_eq!((answer.status, answer.header("x-cache")), (StatusCode::OK, "miss"));
        assert_eq!(answer.json()["stock"], 217);
        until_metric(server.address, "cache_stores_total{outcome=\"done\"}", number as u64 + 1).await;
        assert_eq!(fake.value("items:7").as_deref(), Some(ROW));
        assert_eq!(client.get("/items/7").await.header("x-cache"), "hit");
    }
    fake.script(|command| match command[0].as_str() {
        "GET" => Reaction::Say("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        _ => Reaction::Obey(None),
    });
    let answer = client.get("/items/7").await;
    assert_eq!((answer.status, answer.header("x-cache")), (StatusCode::OK, "miss"));
    until_metric(server.address, "cache_bad_entries_total", 4).await;
}

#[tokio::test]
async fn a_fence_that_takes_the_place_of_nonsense_stands() {
    let fake = Fake::start().await;
    let (reader, writer) = (start(options(fake.address)).await, start(options(fake.address)).await);
    until_metric(reader.address, "cache_breaker_state", 0).await;
    until_metric(writer.address, "cache_breaker_state", 0).await;
    fake.set("items:7", "{oops");
    // The first command after the lookup is what the reader does about the entry.
    let (cleared, mut first) = (Gate::new(), true);
    let gate = cleared.clone();
    fake.script(move |command| match command[0].as_str() {
        "GET" => Reaction::Obey(None),
        _ if std::mem::take(&mut first) => Reaction::Obey(Some(gate.clone())),
        _ => Reaction::Obey(None),
    });
    let read = tokio::spawn(async move { (get(reader.address, "/items/7").await, reader) });
    fake.until_asked(&["SET", "items:7", ""], 1).await;
    let mut client = Client::connect(writer.address).await;
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!(put.header("x-cache-invalidation"), "done");
    cleared.open();
    let (answer, reader) = read.await.unwrap();
    assert_eq!((answer.status, answer.header("x-cache")), (StatusCode::OK, "miss"));
    until_metric(reader.address, "cache_stores_total{outcome=\"present\"}", 1).await;
    assert_eq!(fake.value("items:7").as_deref(), Some(""));
}

#[tokio::test]
async fn another_items_row_is_not_believed_and_goes_before_the_cache_is_used_again() {
    let fake = Fake::start().await;
    let server = start(options(fake.address)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    fake.set("items:8", ROW);
    let answer = get(server.address, "/items/8").await;
    assert_eq!((answer.status, answer.header("x-cache")), (StatusCode::OK, "bypass"));
    assert_eq!(answer.json()["id"], 8);
    assert!(answer.header("server-timing").ends_with(";desc=garbage"), "{:?}", answer.headers);
    // Another connection is made, proven with a question of its own, and the entry invalidated on it.
    fake.until_asked(&["SET", "items:8", ""], 1).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    for _ in 0..3 {
        let answer = client.get("/items/8").await;
        assert_eq!((answer.header("x-cache"), answer.json()["id"].as_i64()), ("miss", Some(8)));
    }
    let (proof, fence) = (vec!["GET", "items:0"], vec!["SET", "items:8", "", "PX", "240000"]);
    let asked = fake.asked();
    assert_eq!(asked[..4], [proof.clone(), vec!["GET", "items:8"], proof, fence], "and no connection more");
    assert_eq!(asked.iter().filter(|command| command[1] == "items:0").count(), 2, "{asked:?}");
}

#[tokio::test]
async fn a_hundred_misses_at_once_are_one_query() {
    let fake = Fake::start().await;
    let server = start(evenkeel_backend::Options { threads: 2, ..options(fake.address) }).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let (asked, stored) = (Gate::new(), Gate::new());
    let (get_gate, set_gate) = (asked.clone(), stored.clone());
    fake.script(move |command| match command[0].as_str() {
        "GET" => Reaction::Obey(Some(get_gate.clone())),
        _ => Reaction::Obey(Some(set_gate.clone())),
    });
    let mut askers = JoinSet::new();
    for _ in 0..100 {
        let mut client = Client::connect(server.address).await;
        askers.spawn(async move {
            let answer = client.get("/items/7").await;
            assert_eq!((answer.status, answer.header("x-cache")), (StatusCode::OK, "miss"));
            assert_eq!(answer.json()["stock"], 217);
            answer.header("server-timing").contains(";desc=shared")
        });
    }
    // All of them have looked before one learns that nothing is there.
    fake.until_asked(&["GET", "items:7"], 100).await;
    asked.open();
    let shared = askers.join_all().await.into_iter().filter(|shared| *shared).count();
    stored.open();
    assert_eq!(shared, 99);
    for (metric, value) in [("misses_total", 100), ("database_reads_total", 1), ("followers_total", 99)] {
        until_metric(server.address, &format!("cache_{metric}"), value).await;
    }
    until_metric(server.address, "cache_stores_total{outcome=\"done\"}", 1).await;
    assert_eq!(
        get(server.address, "/items/7").await.json(),
        serde_json::from_str::<serde_json::Value>(ROW).unwrap()
    );
    assert_eq!(
        get(server.address, "/items/7").await.json(),
        json!({"id": 7, "name": "item-7", "price_cents": 6_033, "stock": 217})
    );
}
