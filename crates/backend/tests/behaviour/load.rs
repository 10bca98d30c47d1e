//! Capacity, latency, start-up: what makes a backend slow without being ill.

use std::io::Write;
use std::process::{Command, Stdio};

use bytes::Bytes;
use evenkeel_backend::{Options, Server};
use http::{Request, StatusCode};

use crate::client::{Client, get, post, until_metric};
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
async fn what_is_used_and_what_became_of_requests_is_told() {
    let options = Options { capacity: Some(2), database_pool: 3, database_queue: 9, threads: 2, ..options() };
    let server = start(options).await;
    let mut client = Client::connect(server.address).await;
    for (path, status) in [("/items/1", 200), ("/items/2", 200), ("/items/0", 404), ("/status/503", 503)] {
        assert_eq!(client.get(path).await.status, status, "{path}");
    }
    // Its answer has begun, and it is under way until its last byte.
    let mut slow = Client::connect(server.address).await;
    let endless = Request::get("/stream?n=2&ms=600000").body(Bytes::new()).unwrap();
    let streaming = slow.open(endless).await.unwrap();
    for (metric, value) in [
        ("requests_total", 5),
        ("answers_total{code=\"200\"}", 2),
        ("answers_total{code=\"404\"}", 1),
        ("answers_total{code=\"503\"}", 1),
        ("request_duration_seconds_count", 4),
        ("in_flight", 1),
        ("capacity_limit", 2),
        ("capacity_in_use", 1),
        ("threads", 2),
        ("database_connections", 3),
        ("database_busy", 0),
        ("database_queue_limit", 9),
        ("database_queries_total", 3),
    ] {
        until_metric(server.address, metric, value).await;
    }
    drop((streaming, slow));
    until_metric(server.address, "in_flight", 0).await;
    until_metric(server.address, "answers_total{code=\"200\"}", 3).await;
    until_metric(server.address, "capacity_in_use", 0).await;
    let page = client.get("/metrics").await.text().to_owned();
    let value = |name: &str| {
        let found = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        found.unwrap_or_else(|| panic!("no {name} in {page}")).parse::<f64>().unwrap()
    };
    assert!(value("toy_backend_database_work_seconds_total") > 0.0);
    assert!(value("toy_backend_database_wait_seconds_total") > 0.0);
    assert!(value("process_cpu_seconds_total") >= 0.0);
    assert_eq!(value("toy_backend_capacity_wait_seconds_total"), 0.0);
}

#[tokio::test]
async fn one_that_is_never_answered_counts_as_such() {
    let server = start(options()).await;
    assert_eq!(post(server.address, "/chaos?mode=hang").await.status, StatusCode::OK);
    let hung = tokio::spawn(get(server.address, "/"));
    until_metric(server.address, "in_flight", 1).await;
    hung.abort();
    until_metric(server.address, "answers_total{code=\"000\"}", 1).await;
    until_metric(server.address, "in_flight", 0).await;
}

/// The linter of Prometheus, where it is installed.
#[tokio::test]
async fn promtool_finds_nothing() {
    let server = start(options()).await;
    let page = get(server.address, "/metrics").await.body;
    let mut linter = Command::new("promtool");
    linter.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut linter) = linter.spawn() else {
        eprintln!("promtool is not installed: nothing was checked");
        return;
    };
    linter.stdin.take().unwrap().write_all(&page).unwrap();
    let output = linter.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
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
