//! The same against a real Redis, where one is installed.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use evenkeel_backend::Options;
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::fake::options_with;
use crate::client::{Client, until_metric};
use crate::running::start;

struct Redis {
    child: Child,
    address: SocketAddr,
}

/// `None`, and a word about it, without a `redis-server` to start.
async fn redis(address: Option<SocketAddr>, flags: &[&str]) -> Option<Redis> {
    loop {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let at = address.unwrap_or_else(free);
        let started = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no", "--port"])
            .arg(at.port().to_string())
            .args(flags)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                println!("skipped: redis-server cannot be started: {error}");
                return None;
            }
        };
        loop {
            if TcpStream::connect(at).await.is_ok() {
                return Some(Redis { child, address: at });
            }
            // Another one took the port meanwhile.
            if child.try_wait().unwrap().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Redis {
    /// Sends commands of one line each and returns all that is answered.
    async fn ask(&self, lines: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{lines}\r\nQUIT\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().await.unwrap().success());
    }
}

#[tokio::test]
async fn rows_are_cached_with_their_time_and_invalidated() {
    let Some(redis) = redis(None, &["--requirepass", "secret"]).await else { return };
    let url = format!("redis://:secret@{}/3", redis.address);
    let server = start(options_with(redis.address, |cache| cache.url = url.parse().unwrap())).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    assert_eq!(client.get("/items/7").await.header("x-cache"), "miss");
    assert_eq!(client.get("/items/1001").await.header("x-cache"), "miss");
    until_metric(server.address, "cache_stores_total{outcome=\"done\"}", 2).await;
    let hit = client.get("/items/7").await;
    assert_eq!((hit.header("x-cache"), hit.json()["stock"].as_i64()), ("hit", Some(217)));
    let answer = redis.ask("AUTH secret\r\nSELECT 3\r\nPTTL items:7\r\nPTTL items:1001\r\nDBSIZE").await;
    let numbers: Vec<u64> = answer.lines().filter_map(|line| line.strip_prefix(':')?.parse().ok()).collect();
    let [row, absent, size] = numbers[..] else { panic!("{answer}") };
    assert!((1..=60_000).contains(&row) && (1..=5_000).contains(&absent) && size == 2, "{answer}");

    let put = client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    assert_eq!(put.header("x-cache-invalidation"), "done");
    let after = client.get("/items/7").await;
    assert_eq!((after.header("x-cache"), after.json()["stock"].as_i64()), ("miss", Some(1)));
    until_metric(server.address, "cache_stores_total{outcome=\"present\"}", 1).await;
    let answer = redis.ask("AUTH secret\r\nSELECT 3\r\nSTRLEN items:7\r\nLPUSH items:9 x").await;
    assert!(answer.contains(":0\r\n"), "{answer}");
    assert_eq!(client.get("/items/9").await.header("x-cache"), "miss", "a list stands there");
    until_metric(server.address, "cache_stores_total{outcome=\"present\"}", 2).await;
    let answer = redis.ask("AUTH secret\r\nSELECT 3\r\nTYPE items:9\r\nSTRLEN items:9").await;
    assert!(answer.contains("+string\r\n:0\r\n"), "{answer}");

    // A row at the wrong key goes, and the cache is used on.
    client.get("/items/3").await;
    until_metric(server.address, "cache_stores_total{outcome=\"done\"}", 3).await;
    redis.ask("AUTH secret\r\nSELECT 3\r\nCOPY items:3 items:4").await;
    let wrong = client.get("/items/4").await;
    assert_eq!((wrong.header("x-cache"), wrong.json()["id"].as_i64()), ("bypass", Some(4)));
    until_metric(server.address, "cache_breaker_state", 0).await;
    assert_eq!(client.get("/items/4").await.header("x-cache"), "miss");
    assert_eq!(client.get("/items/3").await.header("x-cache"), "hit");
    until_metric(server.address, "cache_invalidations_pending", 0).await;
}

#[tokio::test]
async fn once_the_fence_is_gone_rows_are_stored_again() {
    let Some(redis) = redis(None, &[]).await else { return };
    let server = start(options_with(redis.address, |cache| {
        (cache.timeout, cache.fence) = (Duration::from_millis(500), Duration::from_secs(2));
    }))
    .await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    client.send(Method::PUT, "/items/7", r#"{"stock": 1}"#).await;
    while client.get("/items/7").await.header("x-cache") != "hit" {}
    assert_eq!(client.get("/items/7").await.json()["stock"], 1);
}

#[tokio::test]
async fn killed_and_started_again_or_stopped_it_fails_nobody() {
    let Some(mut redis) = redis(None, &[]).await else { return };
    let options = options_with(redis.address, |cache| {
        (cache.timeout, cache.fence) = (Duration::from_millis(50), Duration::from_millis(500));
    });
    let server = start(Options { threads: 2, ..options }).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    let mut client = Client::connect(server.address).await;
    while client.get("/items/7").await.header("x-cache") != "hit" {}
    redis.child.kill().await.unwrap();
    loop {
        let answer = client.get("/items/7").await;
        assert_eq!(answer.status, StatusCode::OK);
        if answer.header("server-timing").ends_with(";desc=refused") {
            break;
        }
    }
    let address = redis.address;
    let redis = self::redis(Some(address), &[]).await.unwrap();
    while client.get("/items/7").await.header("x-cache") != "hit" {}
    redis.signal("-STOP").await;
    for _ in 0..20 {
        let answer = client.get("/items/7").await;
        assert_eq!((answer.status, answer.header("x-cache")), (StatusCode::OK, "bypass"));
    }
    // At most three of them waited for it.
    until_metric(server.address, "cache_breaker_state", 1).await;
    redis.signal("-CONT").await;
    while client.get("/items/7").await.header("x-cache") != "hit" {}
}
