//! Channels and patterns, over all threads, in both versions of the protocol.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test may fail this way

mod running;

use running::{Client, Running, eventually};

#[test]
fn messages_reach_all_threads_in_order() {
    let server = Running::start();
    let mut subscribers: Vec<Client> = (0..6).map(|_| server.client()).collect();
    for (number, client) in subscribers.iter_mut().enumerate() {
        assert_eq!(client.run("SUBSCRIBE news"), "[\"subscribe\", \"news\", 1]");
        if number % 2 == 0 {
            assert_eq!(client.run("PSUBSCRIBE n*"), "[\"psubscribe\", \"n*\", 2]");
        }
    }
    let mut publisher = server.client();
    for number in 0..100 {
        assert_eq!(publisher.run(&format!("PUBLISH news {number}")), "9");
    }
    for (number, client) in subscribers.iter_mut().enumerate() {
        for message in 0..100 {
            assert_eq!(client.answer(), format!("[\"message\", \"news\", \"{message}\"]"));
            if number % 2 == 0 {
                assert_eq!(client.answer(), format!("[\"pmessage\", \"n*\", \"news\", \"{message}\"]"));
            }
        }
    }
    assert_eq!(publisher.run("PUBSUB CHANNELS"), "[\"news\"]");
    assert_eq!(publisher.run("PUBSUB NUMSUB news other"), "[\"news\", 6, \"other\", 0]");
    assert_eq!(publisher.run("PUBSUB NUMPAT"), "1");
    drop(subscribers);
    eventually("they are gone", || publisher.run("PUBLISH news x") == "0");
    assert_eq!(publisher.run("PUBSUB NUMPAT"), "0");
}

#[test]
fn a_subscriber_of_version_2_does_nothing_else() {
    let server = Running::start();
    let mut client = server.client();
    assert_eq!(client.run("UNSUBSCRIBE"), "[\"unsubscribe\", nil, 0]");
    assert_eq!(client.run("SUBSCRIBE a"), "[\"subscribe\", \"a\", 1]");
    assert_eq!(
        client.run("GET k"),
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    );
    assert_eq!(client.run("PING"), "[\"pong\", \"\"]");
    assert_eq!(client.run("PING x"), "[\"pong\", \"x\"]");
    assert_eq!(client.run("UNSUBSCRIBE a"), "[\"unsubscribe\", \"a\", 0]");
    assert_eq!(client.run("GET k"), "nil");
    assert_eq!(client.run("SUBSCRIBE a"), "[\"subscribe\", \"a\", 1]");
    assert_eq!(client.run("RESET"), "RESET");
    assert_eq!(client.run("GET k"), "nil");
    assert_eq!(client.run("PUBLISH a x"), "0");
}

#[test]
fn a_subscriber_of_version_3_does_everything() {
    let server = Running::start();
    let mut client = server.client();
    client.run("HELLO 3");
    assert_eq!(client.run("SUBSCRIBE a"), ">[\"subscribe\", \"a\", 1]");
    assert_eq!(client.run("SET k 1"), "OK");
    // Its own message comes before the answer.
    assert_eq!(client.run("PUBLISH a hello"), ">[\"message\", \"a\", \"hello\"]");
    assert_eq!(client.answer(), "1");
    assert_eq!(client.run("PING"), "PONG");
}

#[test]
fn a_message_of_a_transaction_comes_behind_its_answers() {
    let server = Running::start();
    let mut client = server.client();
    client.run("HELLO 3");
    client.run("SUBSCRIBE a");
    for line in ["MULTI", "PUBLISH a hello", "PING", "EXEC", "ECHO behind"] {
        client.send(line);
    }
    let answers: Vec<_> = (0..6).map(|_| client.answer()).collect();
    let expected = ["OK", "QUEUED", "QUEUED", "[1, PONG]", ">[\"message\", \"a\", \"hello\"]", "\"behind\""];
    assert_eq!(answers, expected);
}

#[test]
fn a_message_is_neither_lost_without_replies_nor_late_after_a_reset() {
    let server = Running::start();
    let mut client = server.client();
    client.run("HELLO 3");
    client.run("SUBSCRIBE a");
    client.write(b"CLIENT REPLY OFF\r\nPUBLISH a hello\r\nRESET\r\nPING\r\n");
    let answers: Vec<_> = (0..3).map(|_| client.answer()).collect();
    assert_eq!(answers, [">[\"message\", \"a\", \"hello\"]", "RESET", "PONG"]);
}
