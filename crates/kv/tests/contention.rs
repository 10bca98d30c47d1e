//! What has to hold when several ask for the same locks in different orders, and that the account of memory is kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test may fail this way

mod running;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use evenkeel_kv::Options;
use running::{Client, Running, eventually, options};

/// Carries out `lines` between `MULTI` and `EXEC`.
fn transaction(client: &mut Client, lines: &[&str]) -> String {
    assert_eq!(client.run("MULTI"), "OK");
    for line in lines {
        assert_eq!(client.run(line), "QUEUED");
    }
    client.run("EXEC")
}

#[test]
fn a_change_of_roles_and_transactions_about_it_do_not_wait_for_each_other() {
    let server = Running::with(Options { threads: Some(3), ..options() });
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = server.client();
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    let answer = transaction(&mut client, &["INFO replication", "ROLE"]);
                    assert!(answer.contains("role:"), "{answer}");
                }
            });
        }
        let changers: Vec<_> = (0..2)
            .map(|_| {
                let mut client = server.client();
                scope.spawn(move || {
                    for _ in 0..150 {
                        assert!(client.run("REPLICAOF 127.0.0.1 1").starts_with("OK"));
                        assert_eq!(client.run("REPLICAOF NO ONE"), "OK");
                    }
                })
            })
            .collect();
        let outcomes: Vec<_> = changers.into_iter().map(|changer| changer.join()).collect();
        is_over.store(true, Relaxed);
        assert!(outcomes.iter().all(Result::is_ok));
    });
    assert_eq!(server.client().run("SET k 1"), "OK");
}

#[test]
fn unblocking_in_a_transaction_and_feeding_do_not_wait_for_each_other() {
    let server = Running::with(Options { threads: Some(3), ..options() });
    let (mut blocked, mut unblocking, mut feeding) = (server.client(), server.client(), server.client());
    let unblock = format!("CLIENT UNBLOCK {}", blocked.run("CLIENT ID"));
    // The transaction holds the destination for long, and asks for the waiter at its end. Whoever serves that waiter
    // meanwhile waits for the destination.
    let elements = [b"x".as_slice()].repeat(50_000);
    feeding.send_words(&[[b"RPUSH".as_slice(), b"destination"].as_slice(), &elements].concat());
    assert_eq!(feeding.answer(), "50000");
    let lines = ["LPOS destination nothing"; 5].into_iter().chain([unblock.as_str()]);
    let lines: Vec<&str> = lines.collect();
    for _ in 0..10 {
        blocked.send("BLMOVE source destination LEFT LEFT 0");
        eventually("it waits", || feeding.info("blocked_clients") == "1");
        assert_eq!(unblocking.run("MULTI"), "OK");
        lines.iter().for_each(|line| assert_eq!(unblocking.run(line), "QUEUED"));
        unblocking.send("EXEC");
        assert_eq!(feeding.run("PING"), "PONG");
        feeding.send("LPUSH source x");
        assert_eq!(feeding.answer(), "1");
        let is_unblocked = unblocking.answer().ends_with(", 1]");
        assert_eq!(blocked.answer(), if is_unblocked { "nil" } else { "\"x\"" });
        feeding.run("DEL source");
    }
}

#[test]
fn the_account_of_memory_is_what_the_shards_have() {
    let server = Running::start();
    let (mut client, mut other) = (server.client(), server.client());
    let large = vec![b'x'; 100_000];
    let expire = |client: &mut Client| {
        client.send_words(&[b"SET", b"k", &large, b"PX", b"1"]);
        assert_eq!(client.answer(), "OK");
        client.run("SET mark 1 PX 1");
        // It expired earlier, and nobody has looked at it.
        eventually("the time is over", || client.run("EXISTS mark") == "0");
    };
    let mut agrees = |what: &str| {
        eventually(what, || other.info("used_memory") == server.meter.bytes().to_string());
    };
    client.run("DEBUG SET-ACTIVE-EXPIRE 0");
    expire(&mut client);
    assert_eq!(client.run("WATCH k a-key-that-needs-memory-of-its-own"), "OK");
    agrees("WATCH");
    assert_eq!(client.run("UNWATCH"), "OK");
    agrees("UNWATCH");
    client.run("SET k 1");
    assert_eq!(client.run("WATCH k a-key-that-needs-memory-of-its-own"), "OK");
    expire(&mut client);
    assert_eq!(transaction(&mut client, &["PING"]), "nil");
    agrees("EXEC after a change");
    client.run("WATCH a-key-that-needs-memory-of-its-own");
    assert_eq!(transaction(&mut client, &["SET k 2"]), "[OK]");
    agrees("EXEC");
    for policy in ["allkeys-lfu", "noeviction", "allkeys-s3fifo"] {
        let line = format!("CONFIG SET maxmemory-policy {policy}");
        assert_eq!(transaction(&mut client, &[&line]), "[OK]");
        agrees(&line);
    }
    client.run("WATCH a-key-that-needs-memory-of-its-own another-key-that-needs-memory-of-its-own");
    drop(client);
    agrees("the end of one who watched");
}
