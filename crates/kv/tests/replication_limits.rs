//! Replication, on real processes, where it is easily wrong: between databases, primaries and clocks, and with replicas that do
//! not read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod node;

use std::io::{Read, Write};

use node::{Directory, Node, caught_up, eventually, replica_of};

#[test]
fn who_changes_its_primary_in_the_middle_of_the_stream_stays_in_its_database() {
    let primary = Node::start(&[]);
    let (other, moves) = (replica_of(primary.port), replica_of(primary.port));
    let mut client = primary.client();
    client.run("SELECT 5");
    client.run("SET one 1");
    assert_eq!(client.run("WAIT 2 10000"), "2");
    let mut reader = moves.client();
    assert_eq!(reader.run(&format!("REPLICAOF 127.0.0.1 {}", other.port)), "OK");
    reader.await_info("master_link_status", "up");
    assert_eq!(other.client().info("sync_partial_ok"), "1");
    // No SELECT is before it in what comes now.
    client.run("SET two 2");
    caught_up(&mut client, &mut reader);
    reader.run("SELECT 5");
    assert_eq!((reader.run("GET one"), reader.run("GET two")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(reader.info("db0"), "");
    // Its own stream, once it leads, begins with the database whoever reads it is in.
    assert_eq!(reader.run("REPLICAOF NO ONE"), "OK");
    let last = replica_of(moves.port);
    reader.run("SET three 3");
    assert_eq!(reader.run("WAIT 1 10000"), "1");
    let mut last = last.client();
    last.run("SELECT 5");
    assert_eq!(last.run("MGET two three"), "[2, 3]");
    assert_eq!(last.info("db0"), "");
}

#[test]
fn what_is_over_when_it_is_set_is_nowhere() {
    let primary = Node::start(&[]);
    let mut client = primary.client();
    client.run("MSET old 1 other 1");
    let replica = replica_of(primary.port);
    let mut reader = replica.client();
    for line in ["SET p v PXAT 1", "GET p", "SET old v EXAT 1", "GET old", "GETEX other PXAT 1", "GET other"]
    {
        client.run("MULTI");
        client.run(line);
        client.run("EXISTS p");
        assert!(client.run("EXEC").ends_with(", 0]"), "{line}");
    }
    client.run("MULTI");
    client.run("SET p v PXAT 1");
    client.run("GET p");
    assert_eq!(client.run("EXEC"), "[OK, nil]");
    client.run("SET last 1");
    caught_up(&mut client, &mut reader);
    // Hidden keys count.
    assert_eq!((client.run("DBSIZE"), reader.run("DBSIZE")), ("1".to_owned(), "1".to_owned()));
}

#[test]
fn a_replica_that_does_not_take_its_snapshot_keeps_nobody_from_saving() {
    let directory = Directory::new();
    let primary = Node::start(&["--snapshot", directory.file().to_str().unwrap()]);
    let mut client = primary.client();
    // More than the system keeps for who does not read.
    let value = "x".repeat(4 << 20);
    for number in 0..16 {
        assert_eq!(client.ask(&["SET", &format!("large {number}"), &value]), "OK");
    }
    assert_eq!(client.ask(&["CONFIG", "SET", "client-output-buffer-limit", "replica 1mb 0 0"]), "OK");
    assert_eq!(client.run("CONFIG SET repl-backlog-size 100000"), "OK");
    let mut stuck = primary.client();
    assert_eq!(stuck.run("REPLCONF capa eof"), "OK");
    assert!(stuck.run("PSYNC ? -1").starts_with("FULLRESYNC "));
    // Far more than is kept for it: it cannot go on behind its snapshot any more.
    let value = "x".repeat(100_000);
    (0..40).for_each(|_| assert_eq!(client.ask(&["SET", "big", &value]), "OK"));
    client.await_info("connected_slaves", "0");
    assert_eq!(client.run("SAVE"), "OK");
    // One that takes too little within repl-timeout.
    assert_eq!(client.run("CONFIG SET repl-timeout 1"), "OK");
    let mut slow = primary.client();
    assert_eq!(slow.run("REPLCONF capa eof"), "OK");
    assert!(slow.run("PSYNC ? -1").starts_with("FULLRESYNC "));
    assert_eq!(client.run("SAVE"), "OK");
    client.await_info("connected_slaves", "0");
}

#[test]
fn a_database_that_does_not_exist_here_ends_the_link() {
    let directory = Directory::new();
    let Some(primary) = Node::redis(&directory.0, &["--databases", "20", "--repl-diskless-sync-delay", "0"])
    else {
        return;
    };
    let mut client = primary.client();
    let replica = replica_of(primary.port);
    let mut reader = replica.client();
    client.run("SET before 1");
    client.run("SELECT 17");
    client.run("SET a 17");
    client.run("SELECT 0");
    client.run("SET behind 1");
    eventually("the end of the link", || {
        let accepted = client.info("sync_partial_ok");
        // It comes back, and does not get past it.
        if accepted.parse::<u32>().unwrap() > 0 { Ok(()) } else { Err(accepted) }
    });
    assert_eq!((reader.run("GET before"), reader.run("DBSIZE")), ("1".to_owned(), "1".to_owned()));
    assert_eq!(client.info("sync_full"), "1");
}

#[test]
fn a_replica_that_takes_nothing_is_given_up() {
    let primary = Node::start(&[]);
    let mut client = primary.client();
    assert_eq!(client.ask(&["CONFIG", "SET", "client-output-buffer-limit", "replica 1mb 0 0"]), "OK");
    assert_eq!(client.run("CONFIG SET repl-backlog-size 100000"), "OK");
    let mut stuck = primary.client();
    assert_eq!(stuck.run("REPLCONF listening-port 1"), "OK");
    assert_eq!(stuck.run("REPLCONF capa eof capa psync2"), "OK");
    assert!(stuck.run("PSYNC ? -1").starts_with("FULLRESYNC "));
    // It takes the snapshot, says so, and nothing more.
    let mut head = [0; 5];
    stuck.raw().write_all(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n").unwrap();
    let _ = stuck.raw().read(&mut head).unwrap();
    eventually("it to be online", || {
        let listed = client.info("slave0");
        if listed.contains("state=online") { Ok(()) } else { Err(listed) }
    });
    let value = "x".repeat(100_000);
    eventually("it to be given up", || {
        client.ask(&["SET", "big", &value]);
        let replicas = client.info("connected_slaves");
        if replicas == "0" { Ok(()) } else { Err(replicas) }
    });
}
