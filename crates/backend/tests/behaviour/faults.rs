//! `/chaos` at run time.

use bytes::Bytes;
use evenkeel_backend::{Ending, Options};
use http::{Method, Request, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, get, post, until_metric};
use crate::running::{options, start};

#[tokio::test]
async fn commands_come_as_query_json_or_form() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    let quiet = json!({
        "slow_ms": 0, "fail_percent": 0.0, "hang": false, "abort": false, "database_down": false, "database_slow_ms": 0,
        "healthz": true,
    });
    assert_eq!(client.get("/chaos").await.json(), quiet);
    assert_eq!(client.send(Method::POST, "/chaos?mode=slow&ms=1", "").await.json()["slow_ms"], 1);
    let body = r#"{"mode": "fail", "percent": 20, "healthz": false}"#;
    let faults = client.send(Method::PUT, "/chaos", body).await.json();
    let mut expected = quiet.clone();
    (expected["slow_ms"], expected["fail_percent"], expected["healthz"]) =
        (1.into(), 20.0.into(), false.into());
    assert_eq!(faults, expected);
    assert_eq!(client.get("/chaos").await.json(), faults);
    assert_eq!(client.send(Method::POST, "/chaos", "mode=reset\n").await.json(), quiet);
    for (path, body, reason) in [
        ("/chaos", "", "mode is missing"),
        ("/chaos", "{oops", "not JSON"),
        ("/chaos?mode=slow", "", "slow takes ms"),
        (
            "/chaos?mode=tired",
            "",
            "expected slow, fail, hang, abort, database-down, database-slow, dead or reset",
        ),
    ] {
        let answer = client.send(Method::POST, path, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body}");
        assert!(answer.text().contains(reason), "{}", answer.text());
    }
    assert_eq!(client.get("/chaos").await.json(), quiet, "a bad command changes nothing");
}

#[tokio::test]
async fn failing_fails_that_share_and_health_as_told() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    client.send(Method::POST, "/chaos?mode=fail&percent=30", "").await;
    let mut failed = 0;
    for _ in 0..1_000 {
        failed += u32::from(client.get("/").await.status == StatusCode::INTERNAL_SERVER_ERROR);
    }
    // Five standard deviations around 300, and the seed is fixed.
    assert!((228..=372).contains(&failed), "{failed}");
    client.send(Method::POST, "/chaos?mode=fail", "").await;
    assert_eq!(client.get("/healthz").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    client.send(Method::POST, "/chaos?mode=fail&healthz=off", "").await;
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
    let answer = client.get("/items/1").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text().contains("chaos"), "{}", answer.text());
}

#[tokio::test]
async fn slow_delays_all_but_chaos_itself() {
    let server = start(options()).await;
    post(server.address, "/chaos?mode=slow&ms=600000").await;
    let slow = tokio::spawn(get(server.address, "/"));
    until_metric(server.address, "requests_total", 1).await;
    assert!(!slow.is_finished());
    post(server.address, "/chaos?mode=reset").await;
    assert_eq!(get(server.address, "/").await.status, StatusCode::OK);
    slow.abort();
}

#[tokio::test]
async fn a_hung_request_is_never_answered() {
    let server = start(options()).await;
    post(server.address, "/chaos?mode=hang").await;
    let mut client = Client::connect(server.address).await;
    let hung = tokio::spawn(async move {
        client.open(Request::get("/").body(Bytes::new()).unwrap()).await.map(|response| response.status())
    });
    until_metric(server.address, "requests_total", 1).await;
    assert!(get(server.address, "/chaos").await.json()["hang"].as_bool().unwrap());
    assert!(!hung.is_finished());
    post(server.address, "/chaos?mode=reset").await;
    let error = hung.await.unwrap().unwrap_err();
    assert!(error.is_incomplete_message(), "{error:?}");
    assert_eq!(get(server.address, "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_aborted_request_has_its_connection_reset() {
    let server = start(options()).await;
    let (mut old, mut watching) =
        (TcpStream::connect(server.address).await.unwrap(), Client::connect(server.address).await);
    assert_eq!(watching.send(Method::POST, "/chaos?mode=abort", "").await.status, StatusCode::OK);
    let mut new = TcpStream::connect(server.address).await.unwrap();
    for (stream, path) in [(&mut old, "/"), (&mut new, "/healthz")] {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let error = stream.read(&mut [0; 16]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{path}");
    }
    assert_eq!(
        watching.send(Method::POST, "/chaos?mode=reset", "").await.status,
        StatusCode::OK,
        "/chaos is spared"
    );
    assert_eq!(get(server.address, "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn dead_cuts_listener_and_connections_on_all_threads() {
    let server = start(evenkeel_backend::Options { threads: 3, ..options() }).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(server.address).await;
        assert_eq!(client.get("/").await.status, StatusCode::OK);
        clients.push(client);
    }
    let mut killer = Client::connect(server.address).await;
    let killed = killer.open(Request::post("/chaos?mode=dead").body(Bytes::new()).unwrap()).await;
    assert!(killed.is_err(), "nothing is answered any more");
    assert_eq!(server.task.await.unwrap(), Ending::Died);
    assert!(TcpStream::connect(server.address).await.is_err());
    for mut client in clients {
        assert!(client.open(Request::get("/").body(Bytes::new()).unwrap()).await.is_err());
    }
}

#[tokio::test]
async fn a_database_that_is_down_fails_those_who_need_it_and_health_does_not() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    client.send(Method::POST, "/chaos?mode=database-down", "").await;
    for (method, path, body) in [
        (Method::GET, "/items/7", ""),
        (Method::GET, "/items?name=item-7", ""),
        (Method::PUT, "/items/7", r#"{"stock": 1}"#),
        (Method::DELETE, "/items/7", ""),
    ] {
        let answer = client.send(method, path, body).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.text(), "the database is down: chaos (/chaos?mode=reset ends it)\n");
    }
    for path in ["/", "/healthz"] {
        assert_eq!(client.get(path).await.status, StatusCode::OK);
    }
    client.send(Method::POST, "/chaos?mode=reset", "").await;
    assert_eq!(client.get("/items/7").await.json()["stock"], 217, "nothing was written");
}

#[tokio::test]
async fn what_the_database_takes_too_long_for_is_refused_and_a_write_may_be_carried_out_yet() {
    let timeout = Some(std::time::Duration::from_millis(20));
    let server = start(Options { database_timeout: timeout, ..options() }).await;
    let mut client = Client::connect(server.address).await;
    client.send(Method::POST, "/chaos?mode=database-slow&ms=200", "").await;
    for (method, body) in [(Method::GET, ""), (Method::PUT, r#"{"stock": 1}"#)] {
        let answer = client.send(method, "/items/7", body).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.text().contains("within 20ms (--database-timeout)"), "{}", answer.text());
    }
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
    client.send(Method::POST, "/chaos?mode=reset", "").await;
    loop {
        // On a busy machine this one may be late as well.
        let answer = client.get("/items/7").await;
        if answer.status == StatusCode::OK && answer.json()["stock"] == 1 {
            break;
        }
    }
}
