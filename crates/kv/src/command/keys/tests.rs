//! Commands on keys, with the answers that Redis 7.0.15 gives.

use crate::command::testing::Client;
use crate::command::{Effect, Settings};

/// The answers are those of Redis 7.0.15.
fn answers(table: &[(&str, &str)]) {
    let mut client = Client::new();
    for (command, answer) in table {
        assert_eq!(client.run(command), *answer, "{command}");
    }
}

#[test]
fn keys_come_and_go() {
    answers(&[
        ("MSET a 1 b 2 c 3", "OK"),
        ("EXISTS a b none a", "3"),
        ("TOUCH a none", "1"),
        ("DEL a none a", "1"),
        ("UNLINK b", "1"),
        ("DBSIZE", "1"),
        ("TYPE c", "string"),
        ("TYPE none", "none"),
        ("HSET h f v", "1"),
        ("TYPE h", "hash"),
        ("RPUSH l 1", "1"),
        ("TYPE l", "list"),
        ("SADD s 1", "1"),
        ("TYPE s", "set"),
        ("ZADD z 1 m", "1"),
        ("TYPE z", "zset"),
        ("FLUSHDB SYNC", "OK"),
        ("DBSIZE", "0"),
        ("FLUSHDB NOW", "-ERR syntax error"),
        ("FLUSHALL ASYNC", "OK"),
        ("FLUSHALL SYNC ASYNC", "-ERR syntax error"),
        ("RANDOMKEY", "nil"),
        ("SET only v", "OK"),
        ("RANDOMKEY", r#""only""#),
    ]);
}

#[test]
fn conditions_of_expire() {
    answers(&[
        ("EXPIRE k 100", "0"),
        ("SET k v", "OK"),
        ("EXPIRE k 100 XX", "0"),
        ("EXPIRE k 100 GT", "0"),
        ("EXPIRE k 100 LT", "1"),
        ("TTL k", "100"),
        ("EXPIRE k 200 NX", "0"),
        ("EXPIRE k 50 GT", "0"),
        ("EXPIRE k 200 GT", "1"),
        ("EXPIRE k 300 LT", "0"),
        ("EXPIRE k 100 LT", "1"),
        ("EXPIRE k 100 XX LT", "0"),
        ("EXPIRE k 100 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE k 100 GT LT", "-ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE k 100 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE k 100 FOO", "-ERR Unsupported option FOO"),
        ("EXPIRE k x", "-ERR value is not an integer or out of range"),
        ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
        ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
        ("EXPIREAT k 9223372036854775", "1"),
        ("PEXPIREAT k 9223372036854775807", "1"),
        ("PEXPIRETIME k", "9223372036854775807"),
        ("PERSIST k", "1"),
        ("PERSIST k", "0"),
        ("PERSIST none", "0"),
        ("TTL k", "-1"),
        ("PTTL none", "-2"),
        ("EXPIRETIME k", "-1"),
        ("PEXPIRETIME none", "-2"),
        ("EXPIREAT k 4000000000", "1"),
        ("EXPIRETIME k", "4000000000"),
        ("PEXPIRETIME k", "4000000000000"),
        ("PEXPIREAT k 4000000000499", "1"),
        ("EXPIRETIME k", "4000000000"),
        ("PEXPIREAT k 4000000000500", "1"),
        ("EXPIRETIME k", "4000000001"),
        ("EXPIRE k -1", "1"),
        ("EXISTS k", "0"),
        ("SET k v", "OK"),
        ("PEXPIREAT k -9223372036854775808", "1"),
        ("EXISTS k", "0"),
    ]);
}

#[test]
fn renaming() {
    answers(&[
        ("RENAME none k", "-ERR no such key"),
        ("RENAMENX none k", "-ERR no such key"),
        ("SET k v", "OK"),
        ("EXPIREAT k 4000000000", "1"),
        ("RENAME k k", "OK"),
        ("RENAMENX k k", "0"),
        ("RENAME k other", "OK"),
        ("EXPIRETIME other", "4000000000"),
        ("GET k", "nil"),
        ("HSET h f v", "1"),
        ("RENAME other h", "OK"),
        ("GET h", r#""v""#),
        ("SET free 1", "OK"),
        ("RENAMENX h free", "0"),
        ("RENAMENX h new", "1"),
        ("RENAME new free", "OK"),
        ("EXPIRETIME free", "4000000000"),
        ("KEYS *", r#"["free"]"#),
    ]);
}

#[test]
fn copying() {
    answers(&[
        ("COPY none k", "0"),
        ("SET k v", "OK"),
        ("EXPIREAT k 4000000000", "1"),
        ("COPY k k", "-ERR source and destination objects are the same"),
        ("COPY k other", "1"),
        ("EXPIRETIME other", "4000000000"),
        ("COPY k other", "0"),
        ("HSET h f v", "1"),
        ("COPY h other REPLACE", "1"),
        ("HSET other g w", "1"),
        ("HLEN h", "1"),
        ("COPY k k DB 1", "1"),
        ("COPY k k DB 1", "0"),
        ("COPY k k DB 1 REPLACE", "1"),
        ("COPY k k DB 0", "-ERR source and destination objects are the same"),
        ("COPY k k DB 16", "-ERR DB index is out of range"),
        ("COPY k k DB x", "-ERR value is not an integer or out of range"),
        (
            "COPY k k DB 99999999999",
            "-ERR value is out of range, value must between -2147483648 and 2147483647",
        ),
        ("COPY k k DB", "-ERR syntax error"),
        ("COPY k k FOO", "-ERR syntax error"),
        ("MOVE k 1", "0"),
        ("MOVE other 1", "1"),
        ("EXISTS other", "0"),
        ("MOVE other 1", "0"),
        ("MOVE k 0", "-ERR source and destination objects are the same"),
        ("MOVE k x", "-ERR value is not an integer or out of range"),
        ("MOVE k 16", "-ERR DB index is out of range"),
    ]);
}

#[test]
fn kept_as() {
    answers(&[
        ("OBJECT ENCODING none", "nil"),
        ("SET k 12345", "OK"),
        ("OBJECT ENCODING k", r#""int""#),
        ("SET k 01", "OK"),
        ("OBJECT ENCODING k", r#""embstr""#),
        ("SET k 12345678901234567890123456789012345678901234", "OK"),
        ("OBJECT ENCODING k", r#""embstr""#),
        ("SET k 123456789012345678901234567890123456789012345", "OK"),
        ("OBJECT ENCODING k", r#""raw""#),
        ("HSET h f v", "1"),
        ("OBJECT ENCODING h", r#""listpack""#),
        ("HSET h f 12345678901234567890123456789012345678901234567890123456789012345", "0"),
        ("OBJECT ENCODING h", r#""hashtable""#),
        ("RPUSH l a", "1"),
        ("OBJECT ENCODING l", r#""quicklist""#),
        ("SADD s 1 2", "2"),
        ("OBJECT ENCODING s", r#""intset""#),
        ("SADD s a", "1"),
        ("OBJECT ENCODING s", r#""hashtable""#),
        ("ZADD z 1 m", "1"),
        ("OBJECT ENCODING z", r#""listpack""#),
        ("OBJECT REFCOUNT h", "1"),
        (
            "OBJECT FREQ h",
            "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ),
        ("OBJECT FOO h", "-ERR unknown subcommand 'FOO'. Try OBJECT HELP."),
        ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command"),
        ("OBJECT HELP h", "-ERR wrong number of arguments for 'object|help' command"),
    ]);
}

#[test]
fn scanning_a_few() {
    answers(&[
        ("SET k v", "OK"),
        ("SCAN 0", r#"["0", ["k"]]"#),
        ("SCAN 0 MATCH a*", r#"["0", []]"#),
        ("SCAN 0 TYPE string COUNT 1000", r#"["0", ["k"]]"#),
        ("SCAN 0 TYPE HASH", r#"["0", []]"#),
        ("SCAN 0 TYPE foo", r#"["0", []]"#),
        ("SCAN 0 COUNT 0", "-ERR syntax error"),
        ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range"),
        ("SCAN 0 FOO x", "-ERR syntax error"),
        ("SCAN 0 MATCH", "-ERR syntax error"),
        ("SCAN x", "-ERR invalid cursor"),
        ("SCAN 1x", "-ERR invalid cursor"),
        ("KEYS k*", r#"["k"]"#),
        ("KEYS a*", "[]"),
    ]);
}

#[test]
fn sorting() {
    answers(&[
        ("SORT none", "[]"),
        ("RPUSH l 3 1 10 2", "4"),
        ("SORT l", r#"["1", "2", "3", "10"]"#),
        ("SORT l DESC", r#"["10", "3", "2", "1"]"#),
        ("SORT l ALPHA", r#"["1", "10", "2", "3"]"#),
        ("SORT l LIMIT 1 2", r#"["2", "3"]"#),
        ("SORT l LIMIT -1 2 DESC", r#"["10", "3"]"#),
        ("SORT l LIMIT 5 1", "[]"),
        ("SORT l LIMIT x 1", "-ERR value is not an integer or out of range"),
        ("SORT l LIMIT 1", "-ERR syntax error"),
        ("MSET w_1 30 w_2 20 w_3 10 o_1 one o_2 two", "OK"),
        ("SORT l BY w_*", r#"["10", "3", "2", "1"]"#),
        (
            "SORT l BY w_* GET # GET o_* GET nostar",
            r#"["10", nil, nil, "3", nil, nil, "2", "two", nil, "1", "one", nil]"#,
        ),
        ("SORT l BY nosort", r#"["3", "1", "10", "2"]"#),
        ("SORT l BY nosort DESC LIMIT 0 2", r#"["2", "10"]"#),
        ("SORT l BY o_*", "-ERR One or more scores can't be converted into double"),
        ("SORT l BY o_* ALPHA LIMIT 2 2", r#"["1", "2"]"#),
        ("HSET h_1 f 5 g x", "2"),
        ("HSET h_2 f 4 g y", "2"),
        ("SORT l BY h_*->f GET h_*->g", r#"[nil, nil, "y", "x"]"#),
        ("SORT l GET h_*", "[nil, nil, nil, nil]"),
        ("SORT l STORE dst GET o_*", "4"),
        ("LRANGE dst 0 -1", r#"["one", "two", "", ""]"#),
        ("SORT none STORE dst", "0"),
        ("EXISTS dst", "0"),
        ("SORT_RO l STORE dst", "-ERR syntax error"),
        ("SORT_RO l ASC", r#"["1", "2", "3", "10"]"#),
        ("SADD s b a c", "3"),
        ("SORT s", "-ERR One or more scores can't be converted into double"),
        ("SORT s ALPHA DESC", r#"["c", "b", "a"]"#),
        ("SORT s BY nosort STORE dst", "3"),
        ("LRANGE dst 0 -1", r#"["a", "b", "c"]"#),
        ("ZADD z 3 a 1 b 2 c", "3"),
        ("SORT z BY nosort", r#"["b", "c", "a"]"#),
        ("SORT z BY nosort DESC LIMIT 0 2", r#"["a", "c"]"#),
        ("SORT w_1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SORT l FOO", "-ERR syntax error"),
        (r#"RPUSH e "" 1 -1"#, "3"),
        ("SORT e", r#"["-1", "", "1"]"#),
    ]);
}

#[test]
fn keys_are_gone_when_their_time_has_come() {
    let mut client = Client::new();
    client.run("SET k v");
    client.run("PEXPIRE k 1500");
    assert_eq!(client.run("PTTL k"), "1500");
    client.now += 1000;
    assert_eq!((client.run("PTTL k"), client.run("TTL k")), ("500".to_owned(), "1".to_owned()));
    client.now += 499;
    assert_eq!((client.run("EXISTS k"), client.run("TTL k")), ("1".to_owned(), "0".to_owned()));
    client.now += 1;
    for (command, answer) in [
        ("EXISTS k", "0"),
        ("TYPE k", "none"),
        ("TTL k", "-2"),
        ("KEYS *", "[]"),
        ("RENAME k l", "-ERR no such key"),
        ("EXPIRE k 5", "0"),
    ] {
        assert_eq!(client.run(command), answer, "{command}");
    }
}

#[test]
fn replicas_are_told_when_and_not_how_long() {
    let mut client = Client::new();
    client.run("SET k v");
    for (command, told) in [
        ("EXPIRE k 10", "PEXPIREAT k 1700000010000"),
        ("PEXPIRE k 10", "PEXPIREAT k 1700000000010"),
        ("EXPIREAT k 1800000000", "PEXPIREAT k 1800000000000"),
        ("EXPIRE k -1", "DEL k"),
    ] {
        assert_eq!(client.run(command), "1");
        let words: Vec<_> = told.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(client.effect, Effect::Instead(vec![words]), "{command}");
    }
    for command in ["EXPIRE k 10", "PERSIST k", "DEL k", "MOVE k 1"] {
        assert_eq!(client.run(command), "0");
        assert_eq!(client.changes, 0, "{command}");
    }
}

#[test]
fn databases_are_apart() {
    let mut client = Client::new();
    client.run("SET k v");
    assert_eq!(client.run("COPY k copy DB 3"), "1");
    assert_eq!(client.run("MOVE k 3"), "1");
    assert_eq!((client.run("DBSIZE"), client.run("KEYS *")), ("0".to_owned(), "[]".to_owned()));
    client.db = 3;
    assert_eq!(
        (client.run("DBSIZE"), client.run("MGET k copy")),
        ("2".to_owned(), "[\"v\", \"v\"]".to_owned())
    );
    client.db = 0;
    client.run("SET other v");
    client.run("FLUSHDB");
    client.db = 3;
    assert_eq!(client.run("DBSIZE"), "2");
    client.run("FLUSHALL");
    assert_eq!(client.run("DBSIZE"), "0");
}

#[test]
fn a_scan_finds_every_key() {
    let mut client = Client::new();
    for number in 0..500 {
        client.run(&format!("SET key:{number} v"));
        client.run(&format!("HSET hash:{number} f v"));
    }
    let mut found = std::collections::BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let answer = client.run(&format!("SCAN {cursor} MATCH key:* TYPE string COUNT 7"));
        let mut words = answer.split('"').skip(1).step_by(2);
        cursor = words.next().unwrap().to_owned();
        found.extend(words.map(str::to_owned));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), 500);
    assert!(found.iter().all(|key| key.starts_with("key:")));
}

#[test]
fn use_is_counted_as_the_policy_says() {
    let mut client = Client::new();
    client.run("SET k v");
    assert_eq!(client.run("OBJECT IDLETIME k"), "0");
    client.settings = Settings { counts_frequency: true, ..Settings::default() };
    assert!(client.run("OBJECT FREQ k").parse::<u8>().is_ok());
    assert!(client.run("OBJECT IDLETIME k").starts_with("-ERR An LFU maxmemory policy is selected"));
    assert!(client.run("OBJECT HELP").starts_with("[OBJECT <subcommand>"));
}
