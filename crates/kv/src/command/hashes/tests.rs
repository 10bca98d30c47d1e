//! Commands on hashes, with the answers that Redis 7.0.15 gives.

use crate::command::Effect;
use crate::command::testing::Client;
use crate::resp::Protocol;

/// The answers are those of Redis 7.0.15.
fn answers(table: &[(&str, &str)]) {
    let mut client = Client::new();
    for (command, answer) in table {
        assert_eq!(client.run(command), *answer, "{command}");
    }
}

#[test]
fn fields_with_values() {
    answers(&[
        ("HSET h a 1 b 2", "2"),
        ("HSET h b 3 c 4", "1"),
        ("HSET h a", "-ERR wrong number of arguments for 'hset' command"),
        ("HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command"),
        ("HMSET h d 5", "OK"),
        ("HMSET h d 5 e", "-ERR wrong number of arguments for 'hmset' command"),
        ("HSETNX h a 9", "0"),
        ("HSETNX h e 6", "1"),
        ("HGET h a", r#""1""#),
        ("HGET h none", "nil"),
        ("HGET none a", "nil"),
        ("HMGET h a none c", r#"["1", nil, "4"]"#),
        ("HMGET none a b", "[nil, nil]"),
        ("HGETALL h", r#"["a", "1", "b", "3", "c", "4", "d", "5", "e", "6"]"#),
        ("HGETALL none", "[]"),
        ("HKEYS h", r#"["a", "b", "c", "d", "e"]"#),
        ("HVALS h", r#"["1", "3", "4", "5", "6"]"#),
        ("HKEYS none", "[]"),
        ("HLEN h", "5"),
        ("HLEN none", "0"),
        ("HEXISTS h a", "1"),
        ("HEXISTS h none", "0"),
        ("HSTRLEN h a", "1"),
        ("HSTRLEN none a", "0"),
        ("HDEL h a none a", "1"),
        ("HDEL none a", "0"),
        ("HDEL h b c d e", "4"),
        ("EXISTS h", "0"),
        (r#"HSET h "" """#, "1"),
        (r#"HGET h """#, r#""""#),
        (r#"HSTRLEN h """#, "0"),
    ]);
}

#[test]
fn maps_of_the_newer_protocol() {
    let mut client = Client::new();
    client.protocol = Protocol::Resp3;
    for (command, answer) in [
        ("HSET h a 1", "1"),
        ("HGETALL h", r#"%["a", "1"]"#),
        ("HGETALL none", "%[]"),
        ("HGET h none", "nil"),
        ("HMGET h none", "[nil]"),
        ("HRANDFIELD h 5 WITHVALUES", r#"[["a", "1"]]"#),
        ("HRANDFIELD none", "nil"),
        ("HSCAN h 0", r#"["0", ["a", "1"]]"#),
    ] {
        assert_eq!(client.run(command), answer, "{command}");
    }
}

#[test]
fn numbers() {
    answers(&[
        ("HINCRBY h n 5", "5"),
        ("HINCRBY h n -7", "-2"),
        ("HINCRBY h n x", "-ERR value is not an integer or out of range"),
        ("HSET h n 9223372036854775807", "0"),
        ("HINCRBY h n 1", "-ERR increment or decrement would overflow"),
        ("HSET h n abc", "0"),
        ("HINCRBY h n 1", "-ERR hash value is not an integer"),
        ("HINCRBYFLOAT h n 1", "-ERR hash value is not a float"),
        (r#"HSET h n """#, "0"),
        ("HINCRBY h n 1", "-ERR hash value is not an integer"),
        ("HINCRBYFLOAT h n 1", "-ERR hash value is not a float"),
        ("HINCRBYFLOAT h f 10.5", r#""10.5""#),
        ("HINCRBYFLOAT h f 0.1", r#""10.6""#),
        ("HINCRBYFLOAT h f -5.0e0", r#""5.6""#),
        ("HINCRBYFLOAT h f x", "-ERR value is not a valid float"),
        ("HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity"),
        ("HGET h f", r#""5.6""#),
        ("HSET h f inf", "0"),
        ("HINCRBYFLOAT h f 1", "-ERR increment would produce NaN or Infinity"),
        ("HINCRBY new n x", "-ERR value is not an integer or out of range"),
        ("EXISTS new", "0"),
    ]);
}

#[test]
fn another_type_is_refused() {
    answers(&[
        ("SET k v", "OK"),
        ("HSET k f v", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HSETNX k f v", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HGET k f", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HMGET k f", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HGETALL k", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HKEYS k", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HVALS k", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HLEN k", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HDEL k f", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HEXISTS k f", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HSTRLEN k f", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HINCRBY k f 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HINCRBYFLOAT k f 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HRANDFIELD k", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HSCAN k 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn random_fields() {
    answers(&[
        ("HRANDFIELD none", "nil"),
        ("HRANDFIELD none 5", "[]"),
        ("HRANDFIELD none 5 WITHVALUES", "[]"),
        ("HSET h a 1", "1"),
        ("HRANDFIELD h", r#""a""#),
        ("HRANDFIELD h 5", r#"["a"]"#),
        ("HRANDFIELD h 5 WITHVALUES", r#"["a", "1"]"#),
        ("HRANDFIELD h -3", r#"["a", "a", "a"]"#),
        ("HRANDFIELD h -2 WITHVALUES", r#"["a", "1", "a", "1"]"#),
        ("HRANDFIELD h 0", "[]"),
        ("HRANDFIELD h x", "-ERR value is not an integer or out of range"),
        ("HRANDFIELD h 1 FOO", "-ERR syntax error"),
        ("HRANDFIELD h 1 WITHVALUES FOO", "-ERR syntax error"),
        ("HRANDFIELD h 9223372036854775807 WITHVALUES", "-ERR value is out of range"),
        (
            "HRANDFIELD h -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
    ]);
}

#[test]
fn scanning() {
    answers(&[
        ("HSCAN none 0", r#"["0", []]"#),
        ("HSET h a 1 b 2", "2"),
        ("HSCAN h 0", r#"["0", ["a", "1", "b", "2"]]"#),
        ("HSCAN h 0 MATCH b*", r#"["0", ["b", "2"]]"#),
        ("HSCAN h 0 COUNT 1", r#"["0", ["a", "1", "b", "2"]]"#),
        ("HSCAN h 0 COUNT 0", "-ERR syntax error"),
        ("HSCAN h 0 TYPE hash", "-ERR syntax error"),
        ("HSCAN h x", "-ERR invalid cursor"),
    ]);
}

#[test]
fn replicas_are_told_sums_and_not_summands() {
    let mut client = Client::new();
    client.run("HINCRBYFLOAT h f 1.5");
    let words = ["HSET", "h", "f", "1.5"].map(|word| word.as_bytes().to_vec()).to_vec();
    assert_eq!(client.effect, Effect::Instead(vec![words]));
    for command in ["HDEL h none", "HDEL none f", "HSETNX h f v", "HINCRBY h f 1"] {
        client.run(command);
        assert_eq!(client.changes, 0, "{command}");
    }
}

#[test]
fn a_large_hash_answers_as_a_small_one() {
    let mut client = Client::new();
    for number in 0..2000 {
        assert_eq!(client.run(&format!("HSET h f{number} {number}")), "1");
    }
    assert_eq!(client.run("HLEN h"), "2000");
    assert_eq!(client.run("HGET h f1999"), "\"1999\"");
    assert_eq!(client.run("OBJECT ENCODING h"), "\"hashtable\"");
    let (mut cursor, mut seen) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let answer = client.run(&format!("HSCAN h {cursor} COUNT 100"));
        let mut words = answer.split('"').skip(1).step_by(2).map(str::to_owned);
        cursor = words.next().unwrap();
        seen.extend(words.step_by(2));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 2000);
    let drawn = client.run("HRANDFIELD h 500");
    let drawn: std::collections::BTreeSet<_> = drawn.split('"').skip(1).step_by(2).collect();
    assert_eq!(drawn.len(), 500);
    let repeated = client.run("HRANDFIELD h -3000 WITHVALUES");
    assert_eq!(repeated.split('"').skip(1).step_by(2).count(), 6000);
    for number in 0..2000 {
        assert_eq!(client.run(&format!("HDEL h f{number}")), "1");
    }
    assert_eq!(client.run("EXISTS h"), "0");
}

#[test]
fn every_choice_of_fields_is_equally_likely() {
    let mut client = Client::new();
    client.run("HSET h a 1 b 2 c 3 d 4");
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..6000 {
        let answer = client.run("HRANDFIELD h 2");
        let mut pair: Vec<_> = answer.split('"').skip(1).step_by(2).collect();
        pair.sort_unstable();
        *counts.entry(pair.concat()).or_default() += 1;
    }
    assert_eq!(counts.len(), 6);
    // 1000 expected of each, standard deviation 29.
    assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
}
