//! Keep-alive, pipelining, half-closed clients, stopping and being cut.

use bytes::Bytes;
use evenkeel_backend::{Ending, Options, Server};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, get, raw, until_metric};
use crate::running::{options, start};

#[tokio::test]
async fn pipelined_requests_of_a_half_closed_client_are_answered_in_order() {
    let server = start(options()).await;
    let ask = ["/status/201", "/delay/5", "/items/3", "/bytes/3"]
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: toy\r\n\r\n"))
        .concat();
    let answer = raw(server.address, ask.as_bytes()).await;
    let places: Vec<_> =
        ["201 Created", "waited 5 ms", "\"id\":3", "\r\n\r\n012"].map(|part| answer.find(part)).to_vec();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {answer}");
    assert_eq!(answer.matches("HTTP/1.1 2").count(), 4);
}

#[tokio::test]
async fn http_1_0_closes_unless_asked_to_keep() {
    let server = start(options()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /bytes/2 HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\n01"), "{answer}");
}

#[tokio::test]
async fn every_thread_serves_and_they_count_together() {
    let server = start(Options { threads: 4, ..options() }).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..32 {
        clients.spawn(get(server.address, "/"));
    }
    assert!(clients.join_all().await.iter().all(|answer| answer.status == StatusCode::OK));
    assert!(get(server.address, "/").await.text().ends_with(" request 33\n"));
}

#[tokio::test]
async fn a_graceful_stop_finishes_what_runs_and_closes_what_idles() {
    let mut server = start(Options { threads: 2, ..options() }).await;
    let mut idle = Client::connect(server.address).await;
    idle.get("/").await;
    let mut busy = Client::connect(server.address).await;
    let request = Request::get("/bytes/50000000").body(Bytes::new()).unwrap();
    let running = busy.open(request).await.unwrap();
    server.stop();
    // The idle connection is closed, and then nobody listens any more.
    while idle.open(Request::get("/healthz").body(Bytes::new()).unwrap()).await.is_ok() {}
    while TcpStream::connect(server.address).await.is_ok() {}
    assert!(!server.task.is_finished(), "it waits for the running request");
    assert_eq!(running.into_body().collect().await.unwrap().to_bytes().len(), 50_000_000);
    assert_eq!(server.task.await.unwrap(), Ending::Stopped);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let mut server =
        start(Options { shutdown_timeout: std::time::Duration::from_millis(20), ..options() }).await;
    let stuck = tokio::spawn(async move {
        let mut client = Client::connect(server.address).await;
        client.open(Request::get("/delay/600000").body(Bytes::new()).unwrap()).await.is_err()
    });
    until_metric(server.address, "requests_total", 1).await;
    server.stop();
    assert_eq!(server.task.await.unwrap(), Ending::Stopped);
    assert!(stuck.await.unwrap(), "its connection is closed");
}

#[tokio::test]
async fn dropping_the_run_cuts_everything_at_once() {
    let server = start(Options { threads: 2, ..options() }).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(server.address).await;
        let request = Request::get("/stream?n=2&ms=600000").body(Bytes::new()).unwrap();
        let body = client.open(request).await.unwrap().into_body();
        clients.push((client, body));
    }
    server.task.abort();
    assert!(server.task.await.unwrap_err().is_cancelled());
    for (_client, mut body) in clients {
        let mut cut = false;
        while let Some(frame) = body.frame().await {
            cut = frame.is_err();
        }
        assert!(cut, "the stream ends without its end");
    }
    while TcpStream::connect(server.address).await.is_ok() {}
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag() {
    let server = start(options()).await;
    let error = Server::bind(Options { listen: server.address, ..options() }).await.unwrap_err().to_string();
    assert!(error.contains(&format!("cannot listen on {} (--listen)", server.address)), "{error}");
    assert!(error.contains("choose another port"), "{error}");
}
