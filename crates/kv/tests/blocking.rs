//! Clients that wait for keys: who gets what, and who does not get it any more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test may fail this way

mod running;

use std::io::Write;

use running::{Client, Running, eventually};

/// Sends a command that is going to wait, and waits until it does.
fn block(server: &Running, observer: &mut Client, line: &str) -> Client {
    let before: usize = observer.info("blocked_clients").parse().unwrap();
    let mut client = server.client();
    client.send(line);
    eventually(line, || observer.info("blocked_clients") == (before + 1).to_string());
    client
}

#[test]
fn who_came_first_is_served_first() {
    let server = Running::start();
    let mut other = server.client();
    let mut waiting: Vec<Client> = (0..3).map(|_| block(&server, &mut other, "BLPOP k other 0")).collect();
    assert_eq!(other.run("RPUSH k a b"), "2");
    assert_eq!(waiting[0].answer(), "[\"k\", \"a\"]");
    assert_eq!(waiting[1].answer(), "[\"k\", \"b\"]");
    assert_eq!(other.run("RPUSH other c d"), "2");
    assert_eq!(waiting[2].answer(), "[\"other\", \"c\"]");
    assert_eq!(other.run("LRANGE other 0 -1"), "[\"d\"]");
    assert_eq!(other.info("blocked_clients"), "0");
}

#[test]
fn what_is_moved_feeds_others() {
    let server = Running::start();
    let mut other = server.client();
    let mut last = block(&server, &mut other, "BLPOP c 0");
    let mut second = block(&server, &mut other, "BLMOVE b c LEFT LEFT 0");
    let mut first = block(&server, &mut other, "BLMOVE a b LEFT LEFT 0");
    assert_eq!(other.run("RPUSH a x"), "1");
    for client in [&mut first, &mut second] {
        assert_eq!(client.answer(), "\"x\"");
    }
    assert_eq!(last.answer(), "[\"c\", \"x\"]");
    assert_eq!(other.run("EXISTS a b c"), "0");
}

#[test]
fn all_kinds_of_feeding_are_noticed() {
    let server = Running::start();
    let mut other = server.client();
    for (wait, feed, answer) in [
        ("BRPOP k 0", "LPUSH k x", "[\"k\", \"x\"]"),
        ("BLPOP k 0", "RENAME source k", "[\"k\", \"x\"]"),
        ("BLPOP k 0", "COPY source k", "[\"k\", \"x\"]"),
        ("BLPOP k 0", "LMOVE source k LEFT LEFT", "[\"k\", \"x\"]"),
        ("BZPOPMIN k 0", "ZADD k 1 x", "[\"k\", \"x\", \"1\"]"),
        ("BLMPOP 0 2 a k LEFT COUNT 5", "RPUSH k x y", "[\"k\", [\"x\", \"y\"]]"),
    ] {
        other.run("FLUSHALL");
        other.run("RPUSH source x");
        let mut waiting = block(&server, &mut other, wait);
        other.run(feed);
        assert_eq!(waiting.answer(), answer, "{feed}");
    }
}

#[test]
fn a_transaction_feeds_when_it_is_over() {
    let server = Running::start();
    let mut other = server.client();
    let mut waiting = block(&server, &mut other, "BLPOP k 0");
    for line in ["MULTI", "RPUSH k x", "DEL k", "RPUSH k y", "EXEC"] {
        other.run(line);
    }
    assert_eq!(waiting.answer(), "[\"k\", \"y\"]");
}

#[test]
fn another_type_does_not_wake() {
    let server = Running::start();
    let mut other = server.client();
    let mut waiting = block(&server, &mut other, "BLPOP k l 0");
    assert_eq!(other.run("SET k x"), "OK");
    assert_eq!(other.run("DEL k"), "1");
    assert_eq!(other.run("ZADD k 1 x"), "1");
    assert_eq!(other.info("blocked_clients"), "1");
    // What it may take is taken, though it also waits for what it may not.
    assert_eq!(other.run("RPUSH l y"), "1");
    assert_eq!(waiting.answer(), "[\"l\", \"y\"]");
}

#[test]
fn waiting_ends_with_its_time() {
    let server = Running::start();
    let mut client = server.client();
    assert_eq!(client.run("BLPOP k 0.01"), "nil");
    assert_eq!(client.run("BLMOVE k l LEFT LEFT 0.01"), "nil");
    assert_eq!(client.run("BLPOP k -1"), "-ERR timeout is negative");
    assert_eq!(client.info("blocked_clients"), "0");
    // Nothing is left that would take this away.
    assert_eq!(client.run("RPUSH k x"), "1");
    assert_eq!(client.run("LLEN k"), "1");
}

#[test]
fn who_is_unblocked_or_gone_takes_nothing() {
    let server = Running::start();
    let mut other = server.client();
    let mut client = server.client();
    let id = client.run("CLIENT ID");
    for (how, answer) in
        [("", "nil"), (" TIMEOUT", "nil"), (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK")]
    {
        client.send("BLPOP k 0");
        eventually("it waits", || other.info("blocked_clients") == "1");
        assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}{how}")), "1");
        assert_eq!(client.answer(), answer);
        assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}{how}")), "0");
    }
    drop(block(&server, &mut other, "BLPOP k 0"));
    eventually("it is gone", || other.info("blocked_clients") == "0");
    let mut waiting = block(&server, &mut other, "BLPOP k 0");
    other.run("CLIENT KILL TYPE normal");
    waiting.expect_end();
    eventually("it is gone as well", || other.info("blocked_clients") == "0");
    assert_eq!(other.run("RPUSH k x"), "1");
    assert_eq!(other.run("LRANGE k 0 -1"), "[\"x\"]");
}

#[test]
fn further_commands_wait_with_it() {
    let server = Running::start();
    let mut other = server.client();
    let mut client = server.client();
    client.write(b"BLPOP k 0\r\nRPUSH l from-behind\r\nPING\r\n");
    eventually("it waits", || other.info("blocked_clients") == "1");
    assert_eq!(other.run("EXISTS l"), "0");
    assert_eq!(other.run("RPUSH k x"), "1");
    assert_eq!([client.answer(), client.answer(), client.answer()], ["[\"k\", \"x\"]", "1", "PONG"]);
}

#[test]
fn a_pause_holds_commands_back() {
    let server = Running::start();
    let mut other = server.client();
    let mut client = server.client();
    assert_eq!(other.run("CLIENT PAUSE 100000 WRITE"), "OK");
    assert_eq!(client.run("GET k"), "nil");
    client.write(b"SET k 1\r\nGET k\r\n");
    assert_eq!(other.run("GET k"), "nil");
    assert_eq!(other.run("CLIENT UNPAUSE"), "OK");
    assert_eq!([client.answer(), client.answer()], ["OK", "\"1\""]);
    assert_eq!(other.run("CLIENT PAUSE 20"), "OK");
    assert_eq!(client.run("PING"), "PONG");
}

#[test]
fn an_answer_that_is_skipped_is_skipped_when_it_comes() {
    let server = Running::start();
    let mut other = server.client();
    let mut client = server.client();
    client.write(b"CLIENT REPLY SKIP\r\nBLPOP k 0\r\nPING\r\n");
    eventually("it waits", || other.info("blocked_clients") == "1");
    assert_eq!(other.run("RPUSH k x"), "1");
    assert_eq!(client.answer(), "PONG");
    assert_eq!(client.run("EXISTS k"), "0");
}

#[test]
fn who_has_gone_takes_nothing_however_much_it_has_sent() {
    let server = Running::start();
    let mut other = server.client();
    let mut client = block(&server, &mut other, "BLPOP k 0");
    client.write(&b"PING\r\n".repeat(100_000));
    drop(client);
    eventually("it is gone", || other.info("blocked_clients") == "0");
    assert_eq!(other.run("RPUSH k x"), "1");
    assert_eq!(other.run("LRANGE k 0 -1"), "[\"x\"]");
    // There is a limit to that.
    assert_eq!(other.run("CONFIG SET client-query-buffer-limit 1mb"), "OK");
    let mut client = block(&server, &mut other, "BLPOP other 0");
    // It may be closed before it has sent all.
    let _ = client.stream.write_all(&b"PING\r\n".repeat(500_000));
    client.expect_end();
    eventually("it is gone as well", || other.info("blocked_clients") == "0");
}
