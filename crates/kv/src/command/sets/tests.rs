//! What the commands answer; the expected answers are those of Redis 7.0.

use std::collections::BTreeSet;

use crate::command::testing::Client;
use crate::resp::Protocol;

#[test]
fn adding_and_removing() {
    Client::new().check(&[
        ("SADD s 3 1 2 1", "3"),
        ("SADD s 1", "0"),
        ("SADD s 5 4", "2"),
        ("SCARD s", "5"),
        ("SMEMBERS s", "[\"1\", \"2\", \"3\", \"4\", \"5\"]"),
        ("SISMEMBER s 3", "1"),
        ("SISMEMBER s 03", "0"),
        ("SISMEMBER none 3", "0"),
        ("SMISMEMBER s 1 x 5", "[1, 0, 1]"),
        ("SMISMEMBER none 1 x", "[0, 0]"),
        ("SREM s 1 x 2", "2"),
        ("SREM none x", "0"),
        ("SMEMBERS s", "[\"3\", \"4\", \"5\"]"),
        ("SADD s ''", "1"),
        ("SISMEMBER s ''", "1"),
        ("SREM s '' 3 4 5 6", "4"),
        ("EXISTS s", "0"),
        ("SMEMBERS s", "[]"),
        ("SCARD s", "0"),
        ("APPEND text x", "1"),
        ("SADD text a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SREM text a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SISMEMBER text a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMISMEMBER text a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMEMBERS text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SCARD text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SADD s", "-ERR wrong number of arguments for 'sadd' command"),
        ("SISMEMBER s a b", "-ERR wrong number of arguments for 'sismember' command"),
    ]);
}

#[test]
fn moving() {
    Client::new().check(&[
        ("SADD a 1 2 3", "3"),
        ("SADD b 3 4", "2"),
        ("APPEND text x", "1"),
        ("SMOVE a b 1", "1"),
        ("SMOVE a b 3", "1"),
        ("SMOVE a b 9", "0"),
        ("SMEMBERS a", "[\"2\"]"),
        ("SMEMBERS b", "[\"1\", \"3\", \"4\"]"),
        ("SMOVE a a 2", "1"),
        ("SMOVE a a 9", "0"),
        ("SMOVE a new 2", "1"),
        ("EXISTS a", "0"),
        ("SMEMBERS new", "[\"2\"]"),
        ("SMOVE none b 1", "0"),
        ("SMOVE none text 1", "0"),
        ("SMOVE b text 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMOVE b text 9", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMOVE text b 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SMEMBERS b", "[\"1\", \"3\", \"4\"]"),
    ]);
}

#[test]
fn combining() {
    Client::new().check(&[
        ("SADD a 1 2 3 4", "4"),
        ("SADD b 3 4 5", "3"),
        ("SADD c 4", "1"),
        ("APPEND text x", "1"),
        ("SINTER a", "[\"1\", \"2\", \"3\", \"4\"]"),
        ("SINTER a b", "[\"3\", \"4\"]"),
        ("SINTER a b c", "[\"4\"]"),
        ("SINTER a none", "[]"),
        ("SINTER a none text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SINTER none", "[]"),
        ("SUNION a b c", "[\"1\", \"2\", \"3\", \"4\", \"5\"]"),
        ("SUNION a none", "[\"1\", \"2\", \"3\", \"4\"]"),
        ("SUNION none", "[]"),
        ("SUNION none text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SDIFF a b", "[\"1\", \"2\"]"),
        ("SDIFF a b c none", "[\"1\", \"2\"]"),
        ("SDIFF none a", "[]"),
        ("SDIFF none text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SDIFF a a", "[]"),
        ("SINTERCARD 2 a b", "2"),
        ("SINTERCARD 2 a b LIMIT 1", "1"),
        ("SINTERCARD 2 a b LIMIT 0", "2"),
        ("SINTERCARD 2 a b limit 5 LIMIT 1", "1"),
        ("SINTERCARD 2 a none", "0"),
        ("SINTERCARD 0 a", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD x a", "-ERR numkeys should be greater than 0"),
        ("SINTERCARD 3 a b", "-ERR Number of keys can't be greater than number of args"),
        ("SINTERCARD 1 a b", "-ERR syntax error"),
        ("SINTERCARD 1 a LIMIT", "-ERR syntax error"),
        ("SINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 1 a LIMIT x", "-ERR LIMIT can't be negative"),
        ("SINTERCARD 1 text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn storing() {
    Client::new().check(&[
        ("SADD a 1 2 3 4", "4"),
        ("SADD b 3 4 5", "3"),
        ("APPEND text x", "1"),
        ("SINTERSTORE d a b", "2"),
        ("SMEMBERS d", "[\"3\", \"4\"]"),
        ("SUNIONSTORE d a b", "5"),
        ("SMEMBERS d", "[\"1\", \"2\", \"3\", \"4\", \"5\"]"),
        ("SDIFFSTORE d a b", "2"),
        ("SMEMBERS d", "[\"1\", \"2\"]"),
        ("SDIFFSTORE a a b", "2"),
        ("SMEMBERS a", "[\"1\", \"2\"]"),
        ("SUNIONSTORE text a b", "5"),
        ("SMEMBERS text", "[\"1\", \"2\", \"3\", \"4\", \"5\"]"),
        ("SINTERSTORE d a b", "0"),
        ("EXISTS d", "0"),
        ("APPEND text2 x", "1"),
        ("SINTERSTORE d a text2", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SINTERSTORE text2 a b", "0"),
        ("EXISTS text2", "0"),
        ("SDIFFSTORE new none a", "0"),
        ("EXISTS new", "0"),
    ]);
}

#[test]
fn drawing_without_choice() {
    Client::new().check(&[
        ("SADD s 1 2 3", "3"),
        ("APPEND text x", "1"),
        ("SRANDMEMBER none", "nil"),
        ("SRANDMEMBER none 5", "[]"),
        ("SRANDMEMBER none -5", "[]"),
        ("SRANDMEMBER s 0", "[]"),
        ("SRANDMEMBER s 3", "[\"1\", \"2\", \"3\"]"),
        ("SRANDMEMBER s 100", "[\"1\", \"2\", \"3\"]"),
        ("SRANDMEMBER s x", "-ERR value is not an integer or out of range"),
        (
            "SRANDMEMBER s -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
        ("SRANDMEMBER s 1 2", "-ERR syntax error"),
        ("SRANDMEMBER text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SRANDMEMBER text 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SPOP none", "nil"),
        ("SPOP none 5", "[]"),
        ("SPOP s 0", "[]"),
        ("SPOP s -1", "-ERR value is out of range, must be positive"),
        ("SPOP s x", "-ERR value is out of range, must be positive"),
        ("SPOP s 1 2", "-ERR syntax error"),
        ("SPOP text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SPOP text 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SREM s 1 2", "2"),
        ("SRANDMEMBER s", "\"3\""),
        ("SRANDMEMBER s -3", "[\"3\", \"3\", \"3\"]"),
        ("SPOP s", "\"3\""),
        ("EXISTS s", "0"),
    ]);
}

#[test]
fn scanning() {
    Client::new().check(&[
        ("SADD s 1 2 3 30", "4"),
        ("APPEND text x", "1"),
        ("SSCAN s 0", "[\"0\", [\"1\", \"2\", \"3\", \"30\"]]"),
        ("SSCAN s 0 MATCH 3*", "[\"0\", [\"3\", \"30\"]]"),
        ("SSCAN s 0 COUNT 1000 MATCH ?", "[\"0\", [\"1\", \"2\", \"3\"]]"),
        ("SSCAN s 0 TYPE set", "-ERR syntax error"),
        ("SSCAN s 0 COUNT 0", "-ERR syntax error"),
        ("SSCAN s 0 COUNT x", "-ERR value is not an integer or out of range"),
        ("SSCAN s 0 COUNT", "-ERR syntax error"),
        ("SSCAN s x", "-ERR invalid cursor"),
        ("SSCAN none 0", "[\"0\", []]"),
        ("SSCAN none 0 COUNT 0", "[\"0\", []]"),
        ("SSCAN none x", "-ERR invalid cursor"),
        ("SSCAN text 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

/// The parts of a printed array.
fn parts(answer: &str) -> Vec<String> {
    let list = answer.trim_start_matches('~').trim_start_matches('[').trim_end_matches(']');
    list.split(", ").filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// A client of a store with a set `s` of `size` members that are no integers.
fn client(size: usize) -> Client {
    let mut client = Client::new();
    for number in 0..size {
        assert_eq!(client.run(&format!("SADD s m{number}")), "1");
    }
    client
}

#[test]
fn what_is_drawn_is_distinct_or_not_as_asked() {
    for size in [5, 100, 700] {
        let mut client = client(size);
        for count in [1, 3, size - 1] {
            let drawn = parts(&client.run(&format!("SRANDMEMBER s {count}")));
            assert_eq!(drawn.len(), count);
            assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), count);
            assert!(drawn.iter().all(|member| client.run(&format!("SISMEMBER s {member}")) == "1"));
        }
        let drawn = parts(&client.run(&format!("SRANDMEMBER s -{}", size * 3)));
        assert_eq!(drawn.len(), size * 3);
        assert!(drawn.iter().collect::<BTreeSet<_>>().len() <= size);
    }
}

#[test]
fn everybody_is_drawn_about_equally_often() {
    let mut client = client(200);
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..2000 {
        for member in parts(&client.run("SRANDMEMBER s 5")) {
            *counts.entry(member).or_insert(0) += 1;
        }
        *counts.entry(client.run("SRANDMEMBER s")).or_insert(0) += 1;
    }
    // 60 are expected; the standard deviation is below 8.
    assert_eq!(counts.len(), 200);
    assert!(counts.values().all(|count| (20..=100).contains(count)), "{counts:?}");
}

#[test]
fn replicas_are_told_who_was_drawn() {
    let mut client = client(10);
    let member = client.run("SPOP s");
    assert_eq!(client.told(), [format!("SREM s {}", member.trim_matches('"'))]);
    assert_eq!(client.run(&format!("SISMEMBER s {member}")), "0");
    let members = parts(&client.run("SPOP s 3"));
    let told = members.iter().map(|member| member.trim_matches('"')).collect::<Vec<_>>().join(" ");
    assert_eq!(client.told(), [format!("SREM s {told}")]);
    assert_eq!(client.run("SCARD s"), "6");
    client.run("SPOP s 0");
    assert_eq!(client.told(), [""; 0]);
    assert_eq!(parts(&client.run("SPOP s 100")).iter().collect::<BTreeSet<_>>().len(), 6);
    assert_eq!(client.told(), ["DEL s"]);
    assert_eq!(client.run("EXISTS s"), "0");
}

#[test]
fn an_answer_without_end_is_refused() {
    let mut client = client(3);
    client.settings.longest_string = 1000;
    assert_eq!(
        client.run("SRANDMEMBER s -9223372036854775807"),
        "-ERR the answer would exceed proto-max-bulk-len"
    );
}

#[test]
fn resp3_has_sets() {
    let mut client = Client::new();
    client.protocol = Protocol::Resp3;
    client.check(&[
        ("SADD s 1 2 3", "3"),
        ("SMEMBERS s", "~[\"1\", \"2\", \"3\"]"),
        ("SINTER s s", "~[\"1\", \"2\", \"3\"]"),
        ("SUNION s none", "~[\"1\", \"2\", \"3\"]"),
        ("SDIFF s s", "~[]"),
        ("SMISMEMBER s 1 9", "[1, 0]"),
        ("SRANDMEMBER s 3", "[\"1\", \"2\", \"3\"]"),
        ("SPOP s 0", "~[]"),
        ("SPOP none 1", "~[]"),
        ("SPOP none", "nil"),
    ]);
}

#[test]
fn a_scan_in_steps_sees_everybody() {
    let mut client = client(1000);
    let (mut cursor, mut seen, mut calls) = ("0".to_owned(), BTreeSet::new(), 0);
    loop {
        let answer = client.run(&format!("SSCAN s {cursor} COUNT 30 MATCH m*"));
        let (next, members) = answer[1..].split_once(", ").unwrap();
        seen.extend(parts(&members[..members.len() - 1]));
        next.trim_matches('"').clone_into(&mut cursor);
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((seen.len(), calls), (1000, 34));
}
