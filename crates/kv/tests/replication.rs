//! Replication, on real processes: ours with ours, with Redis as the replica, with Redis as the primary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod node;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use node::{Client, Directory, Network, Node, caught_up, eventually, fill, replica_of};

#[test]
fn a_replica_has_what_its_primary_has() {
    let primary = Node::start(&[]);
    let mut client = primary.client();
    fill(&mut client);
    let replica = replica_of(primary.port);
    let mut reader = replica.client();
    assert_eq!(reader.run("DBSIZE"), client.run("DBSIZE"));
    assert_eq!(reader.ask(&["LINDEX", "list 20000", "19999"]), "element 19999");
    assert_eq!(reader.run("SET text 1"), "-READONLY You can't write against a read only replica.");
    assert_eq!(reader.run("WAIT 1 1").get(..9), Some("-ERR WAIT"));
    // The stream: databases, transactions, what depends on time or chance.
    client.run("SELECT 3");
    client.run("SET other 3 EX 1000");
    client.run("SELECT 0");
    assert_eq!(client.run("MULTI"), "OK");
    client.run("SET together 1");
    client.run("INCRBYFLOAT together 0.5");
    client.run("LPOP numbers"); // there is no such key
    assert_eq!(client.run("EXEC"), "[OK, 1.5, nil]");
    client.ask(&["SPOP", "set 600", "100"]);
    client.run("EXPIRE text 1000");
    client.run("SETEX short 1000 v");
    assert_eq!(client.run("WAIT 1 10000"), "1");
    assert_eq!(reader.run("GET together"), "1.5");
    for key in ["set 600", "set 100"] {
        let sorted = |client: &mut Client| {
            let mut members: Vec<_> = client.ask(&["SMEMBERS", key]).split(", ").map(str::to_owned).collect();
            members.iter_mut().for_each(|member| *member = member.trim_matches(['[', ']']).to_owned());
            members.sort();
            members
        };
        assert_eq!(sorted(&mut reader), sorted(&mut client));
    }
    for key in ["text", "short"] {
        assert_eq!(reader.ask(&["PEXPIRETIME", key]), client.ask(&["PEXPIRETIME", key]));
    }
    reader.run("SELECT 3");
    assert_eq!(reader.run("GET other"), "3");
    let port = replica.port;
    let listed = client.info("slave0");
    assert!(listed.starts_with(&format!("ip=127.0.0.1,port={port},state=online,offset=")), "{listed}");
    assert!(client.run("ROLE").starts_with("[master, "));
    assert!(reader.run("ROLE").starts_with(&format!("[slave, 127.0.0.1, {}, connected, ", primary.port)));
}

#[test]
fn keys_expire_when_the_primary_says_so() {
    let primary = Node::start(&[]);
    let replica = replica_of(primary.port);
    let (mut client, mut reader) = (primary.client(), replica.client());
    client.run("SET gone 1 PX 50");
    client.run("SET kept 1 PX 50");
    client.run("PERSIST kept");
    client.run("SET prolonged 1 PX 60000");
    assert_eq!(client.run("WAIT 1 10000"), "1");
    eventually("a key to expire", || match reader.run("GET gone").as_str() {
        "nil" => Ok(()),
        other => Err(other.to_owned()),
    });
    eventually("its removal", || match reader.run("DBSIZE").as_str() {
        "2" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert_eq!(reader.run("GET kept"), "1");
}

#[test]
fn a_snapshot_and_the_stream_behind_it_fit_whatever_happens_meanwhile() {
    let primary = Node::start(&["--threads", "2"]);
    fill(&mut primary.client());
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|number| {
            let (stop, mut client) = (Arc::clone(&stop), primary.client());
            std::thread::spawn(move || {
                let mut rng = fastrand::Rng::with_seed(number);
                while !stop.load(Relaxed) {
                    let key = rng.u32(0..300);
                    match rng.u8(0..5) {
                        0 => client.run(&format!("INCR counter:{key}")),
                        1 => client.run(&format!("RPUSH queue:{} {key}", key % 10)),
                        2 => client.run(&format!("LPOP queue:{}", key % 10)),
                        3 => client.ask(&["HINCRBY", "hash 20000", &format!("field {key}"), "1"]),
                        _ => client.run(&format!("DEL counter:{key}")),
                    };
                }
            })
        })
        .collect();
    let replicas: Vec<_> = (0..3).map(|_| replica_of(primary.port)).collect();
    stop.store(true, Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let mut client = primary.client();
    assert_eq!(client.run("WAIT 3 20000"), "3");
    let all = |client: &mut Client| {
        let mut answers = vec![client.run("DBSIZE")];
        answers.extend((0..300).map(|number| client.run(&format!("GET counter:{number}"))));
        answers.extend((0..10).map(|number| client.run(&format!("LRANGE queue:{number} 0 -1"))));
        answers
            .extend((0..300).map(|number| client.ask(&["HGET", "hash 20000", &format!("field {number}")])));
        answers
    };
    let wanted = all(&mut client);
    for replica in &replicas {
        assert_eq!(all(&mut replica.client()), wanted);
    }
    assert_eq!(client.info("sync_full"), "3");
}

#[test]
fn after_a_cut_it_goes_on_where_it_stopped() {
    let primary = Node::start(&[]);
    let network = Network::to(primary.port);
    let replica = replica_of(network.port);
    let (mut client, mut reader) = (primary.client(), replica.client());
    client.run("SET a 1");
    assert_eq!(client.run("WAIT 1 10000"), "1");
    for round in 2..5 {
        network.cut();
        reader.await_info("master_link_status", "down");
        client.run(&format!("SET a {round}"));
        network.mend();
        reader.await_info("master_link_status", "up");
        caught_up(&mut client, &mut reader);
        assert_eq!(reader.run("GET a"), round.to_string());
    }
    assert_eq!(client.info("sync_full"), "1");
    assert_eq!(client.info("sync_partial_ok"), "3");
    // More than is kept happens while it is away: everything is sent again.
    network.cut();
    reader.await_info("master_link_status", "down");
    client.await_info("connected_slaves", "0");
    assert_eq!(client.run("CONFIG SET repl-backlog-size 100000"), "OK");
    // The stream is trimmed when something is appended.
    let value = "x".repeat(50_000);
    (0..20).for_each(|_| assert_eq!(client.ask(&["SET", "big", &value]), "OK"));
    network.mend();
    reader.await_info("master_link_status", "up");
    caught_up(&mut client, &mut reader);
    assert_eq!(reader.run("STRLEN big"), "50000");
    assert_eq!((client.info("sync_full"), client.info("sync_partial_err")), ("2".to_owned(), "1".to_owned()));
}

#[test]
fn a_replica_that_died_and_a_primary_that_died_come_back() {
    let directory = Directory::new();
    let file = directory.file();
    let flags = ["--snapshot", file.to_str().unwrap()];
    let mut primary = Node::start(&flags);
    let mut replica = replica_of(primary.port);
    let mut client = primary.client();
    client.run("SET a 1");
    assert_eq!(client.run("WAIT 1 10000"), "1");
    replica.kill();
    client.await_info("connected_slaves", "0");
    client.run("SET a 2");
    let replica = replica_of(primary.port);
    let mut reader = replica.client();
    assert_eq!(reader.run("GET a"), "2");
    assert_eq!(client.run("SAVE"), "OK");
    client.run("SET b not-saved");
    assert_eq!(client.run("WAIT 1 10000"), "1");
    let port = primary.port;
    primary.kill();
    reader.await_info("master_link_status", "down");
    assert_eq!(reader.run("GET a"), "2", "what is old is better than nothing");
    assert_eq!(reader.run("CONFIG SET replica-serve-stale-data no"), "OK");
    assert!(reader.run("GET a").starts_with("-MASTERDOWN"));
    let primary = Node::start_on(port, &flags);
    reader.await_info("master_link_status", "up");
    assert_eq!(reader.run("GET a"), "2");
    assert_eq!(reader.run("GET b"), "nil", "it was lost with the primary");
    assert_eq!(primary.client().info("sync_full"), "1");
}

#[test]
fn a_replica_that_is_promoted_keeps_its_siblings() {
    let mut primary = Node::start(&[]);
    let (one, other) = (replica_of(primary.port), replica_of(primary.port));
    let mut client = primary.client();
    client.run("SELECT 2");
    client.run("SET a 1");
    assert_eq!(client.run("WAIT 2 10000"), "2");
    primary.kill();
    let (mut one, mut sibling) = (one.client(), other.client());
    assert_eq!(one.run("REPLICAOF NO ONE"), "OK");
    assert_eq!(one.info("role"), "master");
    one.run("SELECT 2");
    assert_eq!(one.run("INCR a"), "2");
    let listening = one.raw().peer_addr().unwrap().port();
    assert_eq!(sibling.run(&format!("REPLICAOF 127.0.0.1 {listening}")), "OK");
    sibling.await_info("master_link_status", "up");
    assert_eq!(one.run("WAIT 1 10000"), "1");
    sibling.run("SELECT 2");
    assert_eq!(sibling.run("GET a"), "2");
    assert_eq!((one.info("sync_full"), one.info("sync_partial_ok")), ("0".to_owned(), "1".to_owned()));
    assert_eq!(one.info("master_replid"), sibling.info("master_replid"));
}

#[test]
fn a_replica_of_a_replica_follows() {
    let primary = Node::start(&[]);
    let middle = replica_of(primary.port);
    let last = replica_of(middle.port);
    let (mut client, mut reader) = (primary.client(), last.client());
    client.run("SELECT 4");
    for number in 0..100 {
        client.run(&format!("SET key:{number} {number}"));
    }
    caught_up(&mut client, &mut reader);
    reader.run("SELECT 4");
    assert_eq!(reader.run("GET key:99"), "99");
    assert_eq!(reader.info("master_replid"), client.info("master_replid"));
}

#[test]
fn what_the_primary_evicts_goes() {
    let primary = Node::start(&[]);
    let replica = replica_of(primary.port);
    let (mut client, mut reader) = (primary.client(), replica.client());
    let value = "x".repeat(1000);
    for number in 0..2000 {
        client.ask(&["SET", &format!("key:{number}"), &value]);
    }
    assert_eq!(client.run("CONFIG SET maxmemory 1mb"), "OK");
    assert_eq!(client.run("SET last 1"), "OK");
    eventually("the eviction", || {
        let keys: u32 = client.run("DBSIZE").parse().unwrap();
        if keys < 1500 { Ok(()) } else { Err(keys.to_string()) }
    });
    let same = |client: &mut Client, reader: &mut Client| {
        eventually("the same at the replica", || {
            caught_up(client, reader);
            let (ours, theirs) = (client.run("DBSIZE"), reader.run("DBSIZE"));
            if ours == theirs { Ok(()) } else { Err(format!("{ours} and {theirs}")) }
        });
    };
    same(&mut client, &mut reader);
    // A limit of its own makes a replica drop nothing that its primary, which may evict on, has.
    assert_eq!(reader.run("CONFIG SET maxmemory 100kb"), "OK");
    client.run("SET another 1");
    same(&mut client, &mut reader);
}

#[test]
fn a_password_is_asked_for_and_given() {
    let primary = Node::start(&[]);
    let mut client = primary.client();
    assert_eq!(client.run("CONFIG SET requirepass secret"), "OK");
    client.run("AUTH secret");
    client.run("SET a 1");
    let replica = Node::start(&[]);
    let mut reader = replica.client();
    let follow = format!("REPLICAOF 127.0.0.1 {}", primary.port);
    assert_eq!(reader.run("CONFIG SET masterauth wrong"), "OK");
    assert_eq!(reader.run(&follow), "OK");
    eventually("the refusal", || match client.info("errorstat_WRONGPASS").as_str() {
        "" => Err("nothing".to_owned()),
        _ => Ok(()),
    });
    assert_eq!(reader.info("master_link_status"), "down");
    assert_eq!(reader.run("REPLICAOF NO ONE"), "OK");
    assert_eq!(reader.run("CONFIG SET masterauth secret"), "OK");
    assert_eq!(reader.run(&follow), "OK");
    reader.await_info("master_link_status", "up");
    assert_eq!(reader.run("GET a"), "1");
}

#[test]
fn who_becomes_a_replica_takes_over_everything() {
    let (primary, other) = (Node::start(&[]), Node::start(&[]));
    let mut client = primary.client();
    client.run("SET a 1");
    let mut reader = other.client();
    reader.run("SET a old");
    reader.run("SET b old");
    // Somebody waits for a key, somebody watches one.
    let (mut waiting, mut watching) = (other.client(), other.client());
    waiting.send(&["BLPOP", "queue", "0"]);
    reader.await_info("blocked_clients", "1");
    watching.run("WATCH a");
    watching.run("MULTI");
    watching.run("PING");
    assert_eq!(reader.run(&format!("REPLICAOF 127.0.0.1 {}", primary.port)), "OK");
    assert!(waiting.receive().starts_with("-UNBLOCKED "));
    reader.await_info("master_link_status", "up");
    assert_eq!((reader.run("GET a"), reader.run("GET b")), ("1".to_owned(), "nil".to_owned()));
    assert_eq!(watching.run("EXEC"), "nil");
    // And gives it up again, with the data.
    assert_eq!(reader.run("REPLICAOF NO ONE"), "OK");
    assert_eq!(reader.run("INCR a"), "2");
    assert_eq!(client.run("GET a"), "1");
}

#[test]
fn a_primary_that_stops_lets_its_replicas_have_everything() {
    let mut primary = Node::start(&[]);
    let replica = replica_of(primary.port);
    let (mut client, mut reader) = (primary.client(), replica.client());
    for number in 0..1000 {
        client.send(&["SET", "a", &number.to_string()]);
    }
    (0..1000).for_each(|_| assert_eq!(client.receive(), "OK"));
    assert_eq!(primary.terminate(), Some(0));
    reader.await_info("master_link_status", "down");
    assert_eq!(reader.run("GET a"), "999");
}

/// Time between the answer to a write and its being seen at a replica, while others write as well.
/// `cargo test --release -p evenkeel-kv --test replication -- --ignored --nocapture staleness`
#[test]
#[ignore = "a measurement: cargo test --release -p evenkeel-kv --test replication -- --ignored --nocapture staleness"]
fn staleness() {
    for load in [0, 1, 4] {
        let primary = Node::start(&["--threads", "1"]);
        let replica = replica_of(primary.port);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..load)
            .map(|number| {
                let (stop, mut client) = (Arc::clone(&stop), primary.client());
                std::thread::spawn(move || {
                    let mut count = 0u64;
                    while !stop.load(Relaxed) {
                        client.run(&format!("SET key:{number}:{} value", count % 10_000));
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let (mut client, mut reader) = (primary.client(), replica.client());
        let start = std::time::Instant::now();
        let mut times: Vec<_> = (0..5000)
            .map(|number| {
                let value = number.to_string();
                assert_eq!(client.ask(&["SET", "probe", &value]), "OK");
                let written = std::time::Instant::now();
                while reader.run("GET probe") != value {}
                written.elapsed()
            })
            .collect();
        let took = start.elapsed();
        stop.store(true, Relaxed);
        let others: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        times.sort();
        println!(
            "{load} other writers ({:.0} writes/s): p50 {:?}, p99 {:?}, longest {:?}",
            others as f64 / took.as_secs_f64(),
            times[times.len() / 2],
            times[times.len() * 99 / 100],
            times[times.len() - 1]
        );
    }
}

#[test]
fn wait_counts_and_gives_up_in_time() {
    let primary = Node::start(&[]);
    let mut client = primary.client();
    assert_eq!(client.run("WAIT 0 0"), "0");
    assert_eq!(client.run("WAIT 1 50"), "0");
    assert_eq!(client.run("WAIT 1 -1"), "-ERR timeout is negative");
    assert_eq!(client.run("WAIT 1 x"), "-ERR timeout is not an integer or out of range");
    let _replica = replica_of(primary.port);
    client.run("SET a 1");
    assert_eq!(client.run("WAIT 1 0"), "1");
    assert_eq!(client.run("WAIT 2 50"), "1");
}

#[test]
fn redis_follows_us() {
    let directory = Directory::new();
    let primary = Node::start(&[]);
    let mut client = primary.client();
    fill(&mut client);
    let port = primary.port.to_string();
    let Some(redis) = Node::redis(&directory.0, &["--replicaof", "127.0.0.1", &port]) else { return };
    let mut reader = redis.client();
    reader.await_info("master_link_status", "up");
    client.run("MULTI");
    client.run("SET together 1");
    client.run("INCRBYFLOAT together 0.25");
    client.run("EXEC");
    client.ask(&["SPOP", "set 600", "500"]);
    client.run("SETEX short 1000 v");
    assert_eq!(client.run("WAIT 1 20000"), "1");
    assert_eq!(reader.run("GET together"), "1.25");
    assert_eq!(reader.run("PEXPIRETIME short"), client.run("PEXPIRETIME short"));
    assert_eq!(reader.run("DBSIZE"), client.run("DBSIZE"));
}

#[test]
fn what_passes_through_us_from_redis_to_redis_stays_the_same() {
    // Redis sends its snapshot as it makes it, or as a file of known length.
    for diskless in ["yes", "no"] {
        passes_through(diskless);
    }
}

fn passes_through(diskless: &str) {
    let (one, other) = (Directory::new(), Directory::new());
    let flags = ["--repl-diskless-sync-delay", "0", "--repl-diskless-sync", diskless];
    let Some(primary) = Node::redis(&one.0, &flags) else { return };
    let mut client = primary.client();
    fill(&mut client);
    let middle = replica_of(primary.port);
    let port = middle.port.to_string();
    let last = Node::redis(&other.0, &["--replicaof", "127.0.0.1", &port]).unwrap();
    let mut reader = last.client();
    reader.await_info("master_link_status", "up");
    client.run("MULTI");
    client.run("SET together 1");
    client.run("INCRBYFLOAT together 0.25");
    client.run("SELECT 5");
    client.run("RPUSH list a b c");
    client.run("EXEC");
    client.run("SELECT 0");
    client.ask(&["SPOP", "set 20000", "5000"]);
    client.run("EXPIRE text 1000");
    client.run("SWAPDB 5 6");
    assert_eq!(client.run("WAIT 1 20000"), "1");
    caught_up(&mut client, &mut reader);
    assert_eq!(reader.run("DEBUG DIGEST"), client.run("DEBUG DIGEST"));
    assert_eq!(middle.client().run("DBSIZE"), client.run("DBSIZE"));
}
