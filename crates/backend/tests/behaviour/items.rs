//! The database's paths.

use http::{Method, StatusCode};
use serde_json::json;

use crate::client::{Client, get};
use crate::running::{options, start};

#[tokio::test]
async fn items_are_found_by_number_and_by_name() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    let answer = client.get("/items/7").await;
    assert_eq!(answer.status, StatusCode::OK);
    let item = json!({"id": 7, "name": "item-7", "price_cents": 6_033, "stock": 217});
    assert_eq!(answer.json(), item);
    let timing = answer.header("server-timing");
    assert!(timing.starts_with("pool;dur=") && timing.contains(", query;dur="), "{timing}");

    let found = client.get("/items?name=item%2D7").await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 4);
    assert_eq!(found["items"][0], item);
    assert_eq!(client.get("/items?name=nobody").await.json(), json!({"items": []}));

    assert_eq!(client.get("/items/1001").await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.get("/items/seven").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(client.get("/items").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_same_is_found_without_the_index() {
    let server = start(evenkeel_backend::Options { name_index: false, ..options() }).await;
    let found = get(server.address, "/items?name=item-7").await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_new_item_can_be_read_at_its_location() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    let answer = client.send(Method::POST, "/items", r#"{"name": "anchor", "price_cents": 5}"#).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::CREATED, "/items/1001"));
    let item = json!({"id": 1001, "name": "anchor", "price_cents": 5, "stock": 0});
    assert_eq!(answer.json(), item);
    assert_eq!(client.get("/items/1001").await.json(), item);
    assert_eq!(client.get("/items?name=anchor").await.json(), json!({"items": [item]}));
}

#[tokio::test]
async fn an_item_is_changed_in_part_and_deleted() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 3}"#).await;
    let item = json!({"id": 7, "name": "item-7", "price_cents": 6_033, "stock": 3});
    assert_eq!((put.status, put.json()), (StatusCode::OK, item.clone()));
    assert_eq!(client.get("/items/7").await.json(), item);
    let all = r#"{"name": "new", "price_cents": 1, "stock": 2}"#;
    let item = json!({"id": 7, "name": "new", "price_cents": 1, "stock": 2});
    assert_eq!(client.send(Method::PUT, "/items/7", all).await.json(), item);
    for (body, reason) in [
        ("{}", "nothing is changed"),
        (r#"{"id": 8}"#, "unknown field `id`"),
        (r#"{"name": ""}"#, "the name has 0 bytes"),
        (r#"{"stock": "many"}"#, "expected i64"),
    ] {
        let answer = client.send(Method::PUT, "/items/7", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text().contains(reason), "{body}: {}", answer.text());
    }
    assert_eq!(client.get("/items/7").await.json(), item);

    let gone = client.send(Method::DELETE, "/items/7", "").await;
    assert_eq!((gone.status, gone.body.len()), (StatusCode::NO_CONTENT, 0));
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(client.send(method, "/items/7", "").await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(client.send(Method::PUT, "/items/7", all).await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.send(Method::PUT, "/items/x", all).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_bad_item_is_refused_with_the_reason() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    for (body, reason) in [
        ("", "not an item"),
        ("{", "not an item"),
        ("{}", "missing field `name`"),
        (r#"{"name": "a", "prize": 1}"#, "unknown field `prize`"),
        (r#"{"name": 5}"#, "expected a string"),
        (r#"{"name": ""}"#, "the name has 0 bytes"),
    ] {
        let answer = client.send(Method::POST, "/items", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text().contains(reason), "{body}: {}", answer.text());
    }
    let long = format!(r#"{{"name": "{}"}}"#, "x".repeat(70_000));
    assert_eq!(client.send(Method::POST, "/items", long).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn many_items_at_once_are_all_answered() {
    let server = start(evenkeel_backend::Options { threads: 2, ..options() }).await;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..16 {
        let mut client = Client::connect(server.address).await;
        clients.spawn(async move {
            for round in 0..50 {
                let id = number * 50 + round + 1;
                assert_eq!(client.get(&format!("/items/{id}")).await.json()["id"], id);
                let new = client.send(Method::POST, "/items", r#"{"name": "new"}"#).await;
                assert_eq!(new.status, StatusCode::CREATED, "{}", new.text());
            }
        });
    }
    clients.join_all().await;
    let count = get(server.address, "/items/1800").await;
    assert_eq!(count.json()["name"], "new");
    assert_eq!(get(server.address, "/items/1801").await.status, StatusCode::NOT_FOUND);
}
