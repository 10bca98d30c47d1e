//! Commands on strings, with the answers that Redis 7.0.15 gives.

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
fn what_is_set_is_got() {
    answers(&[
        ("SET k hello", "OK"),
        ("GET k", r#""hello""#),
        ("GET none", "nil"),
        ("STRLEN k", "5"),
        ("STRLEN none", "0"),
        ("GETSET k new", r#""hello""#),
        ("GETSET other first", "nil"),
        ("GETDEL other", r#""first""#),
        ("GETDEL other", "nil"),
        ("MSET a 1 b 2", "OK"),
        ("MGET a none b", r#"["1", nil, "2"]"#),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
        ("MSETNX c 1 a 2", "0"),
        ("EXISTS c", "0"),
        ("MSETNX c 1 d 2", "1"),
        ("MSETNX c", "-ERR wrong number of arguments for 'msetnx' command"),
        ("SETNX c 5", "0"),
        ("SETNX e 5", "1"),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
    ]);
}

#[test]
fn conditions_of_set() {
    answers(&[
        ("SET k 1 XX", "nil"),
        ("SET k 1 NX", "OK"),
        ("SET k 2 NX", "nil"),
        ("SET k 2 NX GET", r#""1""#),
        ("SET k 3 XX GET", r#""1""#),
        ("GET k", r#""3""#),
        ("SET none 1 XX GET", "nil"),
        ("SET k 1 NX XX", "-ERR syntax error"),
        ("SET k 1 XX NX", "-ERR syntax error"),
        ("SET k 1 FOO", "-ERR syntax error"),
        ("SET k 1 EX", "-ERR syntax error"),
        ("SET k 1 EX 10 PX 10", "-ERR syntax error"),
        ("SET k 1 EX 10 KEEPTTL", "-ERR syntax error"),
        ("SET k 1 KEEPTTL EX 10", "-ERR syntax error"),
        ("SET k 1 PERSIST", "-ERR syntax error"),
        ("SET k 1 EX 0", "-ERR invalid expire time in 'set' command"),
        ("SET k 1 EX -1", "-ERR invalid expire time in 'set' command"),
        ("SET k 1 EX x", "-ERR value is not an integer or out of range"),
        ("SET k 1 EX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
        ("SET k 1 PX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
        ("SET k 1 EX 20 EX 10", "OK"),
        ("TTL k", "10"),
        ("SET k 2 KEEPTTL", "OK"),
        ("TTL k", "10"),
        ("SET k 2", "OK"),
        ("TTL k", "-1"),
        ("SET k 1 EXAT 1", "OK"),
        ("GET k", "nil"),
        ("SET k 1", "OK"),
        ("SET k 2 GET PXAT 1", "\"1\""),
        ("EXISTS k", "0"),
        ("SET k 1 XX PXAT 1", "nil"),
        ("SETEX k 0 v", "-ERR invalid expire time in 'setex' command"),
        ("PSETEX k -1 v", "-ERR invalid expire time in 'psetex' command"),
        ("SETEX k 100 v", "OK"),
        ("PSETEX k 200000 v", "OK"),
        ("TTL k", "200"),
    ]);
}

#[test]
fn getex_changes_only_the_life() {
    answers(&[
        ("GETEX k EX 100", "nil"),
        ("SET k v", "OK"),
        ("GETEX k", r#""v""#),
        ("TTL k", "-1"),
        ("GETEX k EX 100", r#""v""#),
        ("TTL k", "100"),
        ("GETEX k PERSIST", r#""v""#),
        ("TTL k", "-1"),
        ("GETEX k PX 5000 PERSIST", "-ERR syntax error"),
        ("GETEX k KEEPTTL", "-ERR syntax error"),
        ("GETEX k NX", "-ERR syntax error"),
        ("GETEX k EX 0", "-ERR invalid expire time in 'getex' command"),
        ("GETEX none EX 0", "nil"),
        ("GETEX k PXAT 1", r#""v""#),
        ("EXISTS k", "0"),
    ]);
}

#[test]
fn another_type_is_refused() {
    answers(&[
        ("HSET h f v", "1"),
        ("GET h", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET h v GET", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GETSET h v", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GETDEL h", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GETEX h", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("MGET h none", "[nil, nil]"),
        ("APPEND h x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("INCR h", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("INCRBYFLOAT h 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("STRLEN h", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SETRANGE h 0 x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        (r#"SETRANGE h 0 """#, "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GETRANGE h 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET h v", "OK"),
        ("GET h", r#""v""#),
    ]);
}

#[test]
fn ranges() {
    answers(&[
        (r#"SETRANGE k 3 """#, "0"),
        ("EXISTS k", "0"),
        ("SETRANGE k 3 abc", "6"),
        ("GET k", r#""\x00\x00\x00abc""#),
        ("SETRANGE k 0 xy", "6"),
        ("GETRANGE k 0 -1", r#""xy\x00abc""#),
        ("GETRANGE k -3 -1", r#""abc""#),
        ("GETRANGE k -1 -3", r#""""#),
        ("GETRANGE k 4 2", r#""""#),
        ("GETRANGE k 2 100", r#""\x00abc""#),
        ("GETRANGE k -100 1", r#""xy""#),
        ("GETRANGE k -100 -99", r#""x""#),
        ("GETRANGE none 0 -1", r#""""#),
        ("GETRANGE k x 1", "-ERR value is not an integer or out of range"),
        ("SUBSTR k 3 4", r#""ab""#),
        ("SETRANGE k -1 x", "-ERR offset is out of range"),
        ("SETRANGE k x x", "-ERR value is not an integer or out of range"),
        ("SETRANGE k 536870911 ab", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("APPEND k !", "7"),
        (r#"APPEND none """#, "0"),
        ("EXISTS none", "1"),
        ("GET k", r#""xy\x00abc!""#),
    ]);
}

#[test]
fn counters() {
    answers(&[
        ("INCR n", "1"),
        ("INCRBY n 41", "42"),
        ("DECR n", "41"),
        ("DECRBY n 1", "40"),
        ("GET n", r#""40""#),
        ("INCRBY n x", "-ERR value is not an integer or out of range"),
        ("SET n 9223372036854775807", "OK"),
        ("INCR n", "-ERR increment or decrement would overflow"),
        ("DECRBY n -9223372036854775808", "-ERR decrement would overflow"),
        ("INCRBY n -9223372036854775808", "-1"),
        ("GET n", r#""-1""#),
        (r#"SET n """#, "OK"),
        ("INCR n", "-ERR value is not an integer or out of range"),
        ("SET n 01", "OK"),
        ("INCR n", "-ERR value is not an integer or out of range"),
        (r#"SET n " 1""#, "OK"),
        ("INCR n", "-ERR value is not an integer or out of range"),
        ("INCRBYFLOAT n 1", "-ERR value is not a valid float"),
        ("INCRBYFLOAT f 10.5", r#""10.5""#),
        ("INCRBYFLOAT f 0.1", r#""10.6""#),
        ("INCRBYFLOAT f -5", r#""5.6""#),
        ("INCRBYFLOAT f 5.0e-1", r#""6.1""#),
        ("INCRBYFLOAT f x", "-ERR value is not a valid float"),
        ("INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity"),
        ("INCRBYFLOAT f nan", "-ERR value is not a valid float"),
        ("GET f", r#""6.1""#),
    ]);
}

#[test]
fn replicas_are_told_what_does_not_depend_on_time() {
    let mut client = Client::new();
    let mut told = |command: &str| {
        client.run(command);
        let Effect::Instead(commands) = &client.effect else { return "the same".to_owned() };
        let commands = commands.iter().map(|words| words.join(&b" "[..]).escape_ascii().to_string());
        commands.collect::<Vec<_>>().join(", ")
    };
    // The clock of the test stands at 1 700 000 000 000 ms.
    for (command, expected) in [
        ("SET k v", "the same"),
        ("SET k v XX KEEPTTL", "the same"),
        ("SET k v EX 10 XX GET", "SET k v PXAT 1700000010000"),
        ("SET k v PX 10", "SET k v PXAT 1700000000010"),
        ("SETEX k 10 v", "SET k v PXAT 1700000010000"),
        ("PSETEX k 10 v", "SET k v PXAT 1700000000010"),
        ("GETEX k EX 10", "PEXPIREAT k 1700000010000"),
        ("GETEX k PERSIST", "PERSIST k"),
        ("GETEX k PXAT 5", "DEL k"),
        ("SET k v", "the same"),
        ("SET k v PXAT 5", "DEL k"),
        ("SET k v EXAT 1700000000", "DEL k"),
        ("INCRBYFLOAT n 1.5", "SET n 1.5 KEEPTTL"),
        ("INCR m", "the same"),
    ] {
        assert_eq!(told(command), expected, "{command}");
    }
}

#[test]
fn what_changes_nothing_is_told_to_nobody() {
    let mut client = Client::new();
    client.run("SET k v");
    for command in [
        "SET k v NX",
        "SET none v XX",
        "SETNX k v",
        "MSETNX a 1 k 2",
        "GETEX k",
        "GETEX k PERSIST",
        "SETRANGE k 0 \"\"",
        "GETDEL none",
    ] {
        client.run(command);
        assert_eq!(client.changes, 0, "{command}");
    }
}

#[test]
fn a_counter_keeps_its_time_to_live() {
    let mut client = Client::new();
    for command in ["SET n 1 EX 100", "INCR n", "INCRBYFLOAT n 1", "APPEND n 0", "SETRANGE n 0 4"] {
        client.run(command);
        assert_eq!(client.run("TTL n"), "100", "{command}");
    }
    client.now += 100_000;
    assert_eq!(client.run("GET n"), "nil");
    assert_eq!(client.run("INCR n"), "1");
}

#[test]
fn no_string_grows_beyond_the_limit() {
    let mut client = Client::new();
    client.settings = Settings { longest_string: 5, ..Settings::default() };
    let refused = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    assert_eq!(client.run("APPEND k abc"), "3");
    assert_eq!(client.run("APPEND k abc"), refused);
    assert_eq!(client.run("SETRANGE k 3 abc"), refused);
    assert_eq!(client.run("SETRANGE k 9223372036854775807 a"), refused);
    assert_eq!(client.run("GET k"), "\"abc\"");
}
