//! The cache away, slow or out of its mind: the database answers, says why, and the cache is used again later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use evenkeel_backend::{CacheState, Server};
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::fake::{Fake, Reaction, options, options_with};
use crate::client::{Client, get, until_metric};
use crate::running::start;

/// A read that has to be answered by the database; returns the reason given.
async fn bypassed(client: &mut Client) -> String {
    let answer = client.get("/items/7").await;
    assert_eq!((answer.status, answer.header("x-cache")), (StatusCode::OK, "bypass"));
    assert_eq!(answer.json()["stock"], 217);
    assert!(answer.header("x-database-ms").parse::<f64>().unwrap() > 0.0);
    answer.header("server-timing").rsplit_once(";desc=").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_cache_that_is_not_there_is_found_when_it_comes() {
    let address = Fake::start().await.kill().await;
    let server = start(options(address)).await;
    let mut client = Client::connect(server.address).await;
    while bypassed(&mut client).await != "refused" {}
    let fake = Fake::start_at(address).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    assert_eq!(client.get("/items/7").await.header("x-cache"), "miss");
    // One connection came, with one question, and then the request.
    assert_eq!(fake.asked()[..2], [["GET", "items:0"], ["GET", "items:7"]]);
}

#[tokio::test]
async fn a_frozen_cache_delays_three_requests_and_no_more() {
    let fake = Fake::start().await;
    let server = start(options_with(fake.address, |cache| cache.timeout = Duration::from_millis(100))).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    fake.script(|_| Reaction::Silence);
    let mut client = Client::connect(server.address).await;
    for _ in 0..50 {
        assert_eq!(bypassed(&mut client).await, "timeout");
    }
    let line = "cache_failures_total{operation=\"lookup\",reason=\"timeout\"}";
    until_metric(server.address, line, 3).await;
    until_metric(server.address, "cache_bypasses_total{reason=\"timeout\"}", 50).await;
    fake.behave();
    until_metric(server.address, "cache_breaker_state", 0).await;
    assert_eq!(client.get("/items/7").await.header("x-cache"), "miss");
}

#[tokio::test]
async fn those_who_wait_are_let_go_when_the_cache_is_given_up() {
    let fake = Fake::start().await;
    // Nobody would wait that long: the end of the connection lets them go.
    let server = start(options(fake.address)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    fake.script(|_| Reaction::Silence);
    let mut waiting = JoinSet::new();
    for _ in 0..20 {
        let mut client = Client::connect(server.address).await;
        waiting.spawn(async move { bypassed(&mut client).await });
    }
    fake.until_asked(&["GET", "items:7"], 20).await;
    fake.kill().await;
    for reason in waiting.join_all().await {
        assert_eq!(reason, "closed");
    }
}

#[tokio::test]
async fn error_replies_open_the_breaker_with_their_reason() {
    for (reply, reason) in [
        ("-LOADING Redis is loading the dataset in memory\r\n", "loading"),
        ("-NOAUTH Authentication required.\r\n", "auth"),
        ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", "oom"),
        ("-MASTERDOWN Link with MASTER is down\r\n", "masterdown"),
        ("-ERR whatever\r\n", "error"),
    ] {
        let fake = Fake::start().await;
        let server = start(options(fake.address)).await;
        until_metric(server.address, "cache_breaker_state", 0).await;
        fake.script(move |_| Reaction::Say(reply));
        let mut client = Client::connect(server.address).await;
        for _ in 0..10 {
            assert_eq!(bypassed(&mut client).await, reason);
        }
        let line = format!("cache_failures_total{{operation=\"lookup\",reason=\"{reason}\"}}");
        until_metric(server.address, &line, 3).await;
        fake.behave();
        until_metric(server.address, "cache_breaker_state", 0).await;
        assert_eq!(client.get("/items/7").await.header("x-cache"), "miss");
    }
}

#[tokio::test]
async fn nonsense_ends_the_connection() {
    for nonsense in [
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        ":5\r\n",
        "*1\r\n$1\r\nx\r\n",
        "$five\r\n",
        "+OK\r\n",
        "\u{0}\u{1}\u{2}\r\n",
    ] {
        let fake = Fake::start().await;
        let server = start(options(fake.address)).await;
        until_metric(server.address, "cache_breaker_state", 0).await;
        fake.script(move |_| Reaction::Say(nonsense));
        let mut client = Client::connect(server.address).await;
        assert_eq!(bypassed(&mut client).await, "garbage", "{nonsense:?}");
        until_metric(server.address, "cache_failures_total{operation=\"lookup\",reason=\"garbage\"}", 1)
            .await;
        fake.behave();
        until_metric(server.address, "cache_breaker_state", 0).await;
        assert_eq!(client.get("/items/7").await.header("x-cache"), "miss");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_waited_for() {
    for endless in ["$2000000000\r\nxxx", "*2147483647\r\n", "*1\r\n*1\r\n*1\r\n", "+"] {
        let fake = Fake::start().await;
        let options = options_with(fake.address, |cache| cache.timeout = Duration::from_millis(20));
        let server = start(options).await;
        until_metric(server.address, "cache_breaker_state", 0).await;
        fake.script(move |_| Reaction::Say(endless));
        let mut client = Client::connect(server.address).await;
        for _ in 0..10 {
            bypassed(&mut client).await;
        }
        until_metric(server.address, "cache_breaker_state", 1).await;
    }
}

#[tokio::test]
async fn a_connection_that_ends_is_made_again() {
    let fake = Fake::start().await;
    let server = start(options(fake.address)).await;
    until_metric(server.address, "cache_breaker_state", 0).await;
    fake.script(|_| Reaction::Close);
    let mut client = Client::connect(server.address).await;
    assert_eq!(bypassed(&mut client).await, "closed");
    fake.behave();
    until_metric(server.address, "cache_breaker_state", 0).await;
    assert_eq!(client.get("/items/7").await.header("x-cache"), "miss");
}

#[tokio::test]
async fn a_black_hole_is_not_waited_for() {
    // Its queue of connections is never emptied: the kernel takes them, nobody answers.
    let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = hole.local_addr().unwrap();
    let server = start(options_with(address, |cache| cache.timeout = Duration::from_millis(1))).await;
    let mut client = Client::connect(server.address).await;
    while bypassed(&mut client).await != "timeout" {}
    until_metric(server.address, "cache_failures_total{operation=\"lookup\",reason=\"timeout\"}", 0).await;
    drop(hole);
}

#[tokio::test]
async fn a_wrong_password_is_said() {
    let fake = Fake::start().await;
    fake.script(|command| match command[0].as_str() {
        "AUTH" => Reaction::Say("-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
        _ => Reaction::Say("-NOAUTH Authentication required.\r\n"),
    });
    let with_password = format!("redis://toy:wrong@{}", fake.address);
    for url in [with_password, format!("redis://{}", fake.address)] {
        let server = start(options_with(fake.address, |cache| cache.url = url.parse().unwrap())).await;
        let mut client = Client::connect(server.address).await;
        while bypassed(&mut client).await != "auth" {}
    }
}

#[tokio::test]
async fn a_cache_that_stores_nothing_is_read() {
    for (reply, reason) in [
        ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", "oom"),
        ("-READONLY You can't write against a read only replica.\r\n", "readonly"),
    ] {
        let fake = Fake::start().await;
        fake.set("items:8", r#"{"id":8,"name":"item-8","price_cents":1,"stock":2}"#);
        let server = Server::bind(options(fake.address)).await.unwrap();
        let (address, ready, mut states) = (server.local_addr(), server.ready(), server.cache().unwrap());
        let running = tokio::spawn(server.run(std::future::pending()));
        ready.wait().await.unwrap();
        while states.now() != CacheState::Used {
            states.changed().await.unwrap();
        }
        fake.script(move |command| match command[0].as_str() {
            "SET" => Reaction::Say(reply),
            _ => Reaction::Obey(None),
        });
        let mut client = Client::connect(address).await;
        for id in 1..=5 {
            let answer = client.get(&format!("/items/{id}")).await;
            assert_eq!((answer.status, answer.header("x-cache")), (StatusCode::OK, "miss"));
        }
        until_metric(address, "cache_stores_total{outcome=\"failed\"}", 5).await;
        while states.now() != CacheState::NotStoring(reason) {
            states.changed().await.unwrap();
        }
        assert_eq!(client.get("/items/8").await.header("x-cache"), "hit");
        until_metric(address, "cache_breaker_state", 0).await;
        fake.behave();
        client.get("/items/9").await;
        while states.now() != CacheState::Used {
            states.changed().await.unwrap();
        }
        running.abort();
        let _ = running.await;
        assert_eq!(states.changed().await, None, "nothing more comes from a server that is gone");
    }
}

#[tokio::test]
async fn killed_and_restarted_under_load_it_fails_nobody() {
    let mut fake = Fake::start().await;
    let options = options_with(fake.address, |cache| cache.timeout = Duration::from_secs(5));
    let server = start(evenkeel_backend::Options { threads: 2, ..options }).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for number in 0..8 {
        let (mut client, stop) = (Client::connect(server.address).await, Arc::clone(&stop));
        load.spawn(async move {
            let mut answered = 0;
            while !stop.load(Ordering::Relaxed) {
                let id = 1 + (answered * 8 + number) % 40;
                let answer = client.get(&format!("/items/{id}")).await;
                assert_eq!((answer.status, answer.json()["id"].as_i64()), (StatusCode::OK, Some(id)));
                answered += 1;
            }
            answered
        });
    }
    for _ in 0..3 {
        until_metric(server.address, "cache_breaker_state", 0).await;
        fake.until_asked(&["SET"], 40).await;
        let address = fake.kill().await;
        // Requests were answered without it.
        until_metric(server.address, "cache_breaker_state", 1).await;
        let before = bypasses(server.address).await;
        while bypasses(server.address).await == before {
            tokio::task::yield_now().await;
        }
        fake = Fake::start_at(address).await;
    }
    until_metric(server.address, "cache_breaker_state", 0).await;
    fake.until_asked(&["SET"], 40).await;
    stop.store(true, Ordering::Relaxed);
    assert!(load.join_all().await.into_iter().sum::<i64>() > 160);
    // Nobody waited for the limit of time.
    until_metric(server.address, "cache_failures_total{operation=\"lookup\",reason=\"timeout\"}", 0).await;
}

async fn bypasses(address: std::net::SocketAddr) -> u64 {
    let page = get(address, "/metrics").await;
    let lines = page.text().lines().filter(|line| line.starts_with("toy_backend_cache_bypasses_total{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}
