//! Capacity, latency, start-up: what makes a backend slow without being ill.

use bytes::Bytes;
use evenkeel_backend::{Options, Server};
use http::{Request, StatusCode};

use crate::client::{Client, get, until_metric};
use crate::running::{options, start};

#[tokio::test]
async fn capacity_is_held_until_the_last_byte() {
    let server = start(Options { capacity: Some(1), ..options() }).await;
    let mut first = Client::connect(server.address).await;
    let endless = Request::get("/stream?n=2&ms=600000").body(Bytes::new()).unwrap();
    let streaming = first.open(endless).await.unwrap();
    let second = tokio::spawn(get(server.address, "/"));
    until_metric(server.address, "capacity_waiting", 1).await;
    assert_eq!(get(server.address, "/healthz").await.status, StatusCode::OK, "health does not wait");
    assert!(!second.is_finished());
    second.abort();
    drop(streaming);
}

#[tokio::test]
async fn the_next_is_served_when_the_one_before_has_left() {
    let server = start(Options { capacity: Some(1), ..options() }).await;
    let mut first = Client::connect(server.address).await;
    // More than socket buffers take, so it is not done before it is read.
    let request = Request::get("/bytes/200000000").body(Bytes::new()).unwrap();
    let streaming = first.open(request).await.unwrap();
    let second = tokio::spawn(get(server.address, "/"));
    until_metric(server.address, "capacity_waiting", 1).await;
    // The client reads no more and leaves.
    drop((streaming, first));
    assert_eq!(second.await.unwrap().status, StatusCode::OK);
    until_metric(server.address, "capacity_waiting", 0).await;
}

#[tokio::test]
async fn latency_is_added_to_work_but_not_to_health() {
    // Ten minutes: whoever waits for it does not answer within the life of this test.
    let server = start(Options { latency: "fixed:10m".parse().unwrap(), ..options() }).await;
    let slow = tokio::spawn(get(server.address, "/"));
    until_metric(server.address, "requests_total", 1).await;
    assert_eq!(get(server.address, "/healthz").await.status, StatusCode::OK);
    assert!(!slow.is_finished());
    slow.abort();

    let server = start(Options { latency: "uniform:1ms-2ms".parse().unwrap(), ..options() }).await;
    assert_eq!(get(server.address, "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn while_the_rows_are_made_health_says_so() {
    // Enough rows for the fill to be going on when the first request is answered.
    let server = Server::bind(Options { rows: 20_000_000, ..options() }).await.unwrap();
    let address = server.local_addr();
    let task = tokio::spawn(server.run(std::future::pending()));
    let mut client = Client::connect(address).await;
    let health = client.get("/healthz").await;
    assert_eq!((health.status, health.text()), (StatusCode::SERVICE_UNAVAILABLE, "filling\n"));
    assert_eq!(health.header("retry-after"), "1");
    let item = client.get("/items/1").await;
    assert_eq!(item.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(item.text().starts_with("filling"), "{}", item.text());
    assert_eq!(client.get("/").await.status, StatusCode::OK, "what needs no rows answers");
    task.abort();
}

#[tokio::test]
async fn a_full_database_queue_is_refused_with_its_reason() {
    // No connection can be had while a query without an index walks over many rows; none may wait.
    let options =
        Options { rows: 300_000, name_index: false, database_pool: 1, database_queue: 0, ..options() };
    let server = start(options).await;
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = Client::connect(server.address).await;
        askers.spawn(async move {
            let answer = client.get("/items?name=nobody").await;
            (answer.status, answer.text().to_owned())
        });
    }
    let answers = askers.join_all().await;
    let refused: Vec<_> = answers.iter().filter(|(status, _)| *status != StatusCode::OK).collect();
    assert!(refused.len() < 20, "the first one is served");
    for (status, reason) in &refused {
        assert_eq!(*status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            reason.contains("0 requests wait for it already (--database-pool, --database-queue)"),
            "{reason}"
        );
    }
    until_metric(server.address, "database_refused_total", refused.len() as u64).await;
    assert!(!refused.is_empty(), "twenty at once do not fit one connection");
}
