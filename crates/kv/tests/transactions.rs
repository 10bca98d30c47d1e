//! `MULTI` and what belongs to it: all or nothing, and nothing in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test may fail this way

mod running;

use std::thread;

use running::Running;

#[test]
fn commands_are_carried_out_together() {
    let server = Running::start();
    let mut client = server.client();
    assert_eq!(client.run("MULTI"), "OK");
    assert_eq!(client.run("SET k 1"), "QUEUED");
    assert_eq!(client.run("LPUSH k x"), "QUEUED");
    assert_eq!(client.run("SELECT 1"), "QUEUED");
    assert_eq!(client.run("SET k other"), "QUEUED");
    assert_eq!(client.run("DBSIZE"), "QUEUED");
    assert_eq!(client.run("BLPOP nothing 0"), "QUEUED");
    assert_eq!(client.run("INFO keyspace"), "QUEUED");
    assert_eq!(client.run("MEMORY USAGE nothing"), "QUEUED");
    let answers = client.run("EXEC");
    let start = "[OK, -WRONGTYPE Operation against a key holding the wrong kind of value, OK, OK, 1, nil, \"# Keyspace";
    assert!(answers.starts_with(start), "{answers}");
    assert_eq!(client.run("GET k"), "\"other\"");
    assert_eq!(client.run("EXEC"), "-ERR EXEC without MULTI");
}

#[test]
fn a_command_that_cannot_be_queued_spoils_all() {
    let server = Running::start();
    let mut client = server.client();
    for wrong in ["GET", "NOTHING x", "SUBSCRIBE a"] {
        assert_eq!(client.run("MULTI"), "OK");
        assert_eq!(client.run("SET k 1"), "QUEUED");
        assert!(client.run(wrong).starts_with("-ERR"));
        assert_eq!(client.run("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
    }
    assert_eq!(client.run("MULTI"), "OK");
    assert_eq!(client.run("MULTI"), "-ERR MULTI calls can not be nested");
    assert_eq!(client.run("WATCH k"), "-ERR WATCH inside MULTI is not allowed");
    assert_eq!(client.run("DISCARD"), "OK");
    assert_eq!(client.run("DISCARD"), "-ERR DISCARD without MULTI");
    assert_eq!(client.run("EXISTS k"), "0");
}

#[test]
fn a_watched_key_that_changes_stops_it() {
    let server = Running::start();
    let (mut client, mut other) = (server.client(), server.client());
    let attempt = |client: &mut running::Client, between: &mut dyn FnMut()| {
        assert_eq!(client.run("WATCH k other"), "OK");
        between();
        assert_eq!(client.run("MULTI"), "OK");
        assert_eq!(client.run("PING"), "QUEUED");
        client.run("EXEC")
    };
    assert_eq!(attempt(&mut client, &mut || {}), "[PONG]");
    for change in ["SET k 1", "APPEND k x", "EXPIRE k 100", "DEL k", "RPUSH other x", "FLUSHALL"] {
        let mut result = String::new();
        assert_eq!(attempt(&mut client, &mut || result = other.run(change)), "nil", "{change}: {result}");
    }
    // Neither a look nor a change that changes nothing.
    for none in ["GET k", "DEL k", "SET elsewhere 1", "SETNX elsewhere 1"] {
        assert_eq!(attempt(&mut client, &mut || _ = other.run(none)), "[PONG]", "{none}");
    }
    assert_eq!(attempt(&mut client, &mut || _ = other.run("SET k 1 PX 1")), "nil");
    // It is gone after its time although nobody removes it.
    assert_eq!(other.run("DEBUG SET-ACTIVE-EXPIRE 0"), "OK");
    assert_eq!(other.run("SET k 1 PX 30"), "OK");
    let mut wait = || running::eventually("it expires", || other.run("EXISTS elsewhere2 k") == "0");
    assert_eq!(attempt(&mut client, &mut wait), "nil");
    assert_eq!(client.run("WATCH k"), "OK");
    assert_eq!(other.run("SET k 1"), "OK");
    assert_eq!(client.run("UNWATCH"), "OK");
    assert_eq!(client.run("MULTI"), "OK");
    assert_eq!(client.run("EXEC"), "[]");
}

#[test]
fn nobody_comes_between() {
    let server = Running::start();
    const ROUNDS: usize = 300;
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let mut client = server.client();
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    client.write(b"MULTI\r\nINCR a\r\nINCR b\r\nINCR c\r\nEXEC\r\n");
                    for _ in 0..4 {
                        client.answer();
                    }
                    let counts = client.answer();
                    let parts: Vec<_> = counts.trim_matches(['[', ']']).split(", ").collect();
                    assert!(parts.len() == 3 && parts[0] == parts[1] && parts[1] == parts[2], "{counts}");
                }
            })
        })
        .collect();
    let mut reader = server.client();
    while writers.iter().any(|writer| !writer.is_finished()) {
        let seen = reader.run("MGET a b c");
        let parts: Vec<_> = seen.trim_matches(['[', ']']).split(", ").collect();
        assert!(parts[0] == parts[1] && parts[1] == parts[2], "{seen}");
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(reader.run("GET c"), format!("\"{}\"", 3 * ROUNDS));
}
