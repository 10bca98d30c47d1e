//! What the commands answer; the expected answers are those of Redis 7.0.

use crate::command::Wait;
use crate::command::testing::Client;

#[test]
fn pushing() {
    Client::new().check(&[
        ("LPUSH l a b", "2"),
        ("RPUSH l c d", "4"),
        ("LRANGE l 0 -1", "[\"b\", \"a\", \"c\", \"d\"]"),
        ("LPUSHX l z", "5"),
        ("RPUSHX l y ''", "7"),
        ("LPUSHX none a", "0"),
        ("RPUSHX none a", "0"),
        ("LLEN l", "7"),
        ("LLEN none", "0"),
        ("LRANGE l 0 -1", "[\"z\", \"b\", \"a\", \"c\", \"d\", \"y\", \"\"]"),
        ("APPEND text x", "1"),
        ("LPUSH text a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("RPUSHX text a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("LLEN text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("LPUSH l", "-ERR wrong number of arguments for 'lpush' command"),
        ("LLEN l l", "-ERR wrong number of arguments for 'llen' command"),
    ]);
}

#[test]
fn ranges_and_indices() {
    Client::new().check(&[
        ("RPUSH l a b c d e", "5"),
        ("LRANGE l 1 2", "[\"b\", \"c\"]"),
        ("LRANGE l -2 -1", "[\"d\", \"e\"]"),
        ("LRANGE l -100 100", "[\"a\", \"b\", \"c\", \"d\", \"e\"]"),
        ("LRANGE l 3 1", "[]"),
        ("LRANGE l 5 9", "[]"),
        ("LRANGE l -9223372036854775808 9223372036854775807", "[\"a\", \"b\", \"c\", \"d\", \"e\"]"),
        ("LRANGE none 0 -1", "[]"),
        ("LRANGE none x 1", "-ERR value is not an integer or out of range"),
        ("LRANGE l 0 x", "-ERR value is not an integer or out of range"),
        ("LINDEX l 0", "\"a\""),
        ("LINDEX l -1", "\"e\""),
        ("LINDEX l 5", "nil"),
        ("LINDEX l -6", "nil"),
        ("LINDEX l x", "-ERR value is not an integer or out of range"),
        ("LINDEX none x", "nil"),
        ("LSET l 0 A", "OK"),
        ("LSET l -1 E", "OK"),
        ("LSET l 5 x", "-ERR index out of range"),
        ("LSET l -6 x", "-ERR index out of range"),
        ("LSET l x x", "-ERR value is not an integer or out of range"),
        ("LSET none x x", "-ERR no such key"),
        ("LRANGE l 0 -1", "[\"A\", \"b\", \"c\", \"d\", \"E\"]"),
    ]);
}

#[test]
fn inserting_and_removing() {
    Client::new().check(&[
        ("RPUSH l a b a c a", "5"),
        ("LINSERT l BEFORE b x", "6"),
        ("LINSERT l after a y", "7"),
        ("LINSERT l BEFORE none x", "-1"),
        ("LINSERT none BEFORE a x", "0"),
        ("LINSERT l beside a x", "-ERR syntax error"),
        ("LRANGE l 0 -1", "[\"a\", \"y\", \"x\", \"b\", \"a\", \"c\", \"a\"]"),
        ("LREM l 1 a", "1"),
        ("LREM l -1 a", "1"),
        ("LRANGE l 0 -1", "[\"y\", \"x\", \"b\", \"a\", \"c\"]"),
        ("LREM l 0 none", "0"),
        ("LREM none 0 a", "0"),
        ("LREM l x a", "-ERR value is not an integer or out of range"),
        ("LREM l -9223372036854775808 a", "1"),
        ("LRANGE l 0 -1", "[\"y\", \"x\", \"b\", \"c\"]"),
        ("LREM l 0 y", "1"),
        ("LREM l 2 x", "1"),
        ("LREM l 2 b", "1"),
        ("LREM l 2 c", "1"),
        ("LLEN l", "0"),
        ("EXISTS l", "0"),
    ]);
}

#[test]
fn trimming() {
    Client::new().check(&[
        ("RPUSH l a b c d e f", "6"),
        ("LTRIM l 1 -2", "OK"),
        ("LRANGE l 0 -1", "[\"b\", \"c\", \"d\", \"e\"]"),
        ("LTRIM l -2 100", "OK"),
        ("LRANGE l 0 -1", "[\"d\", \"e\"]"),
        ("LTRIM l x 1", "-ERR value is not an integer or out of range"),
        ("LTRIM none 0 1", "OK"),
        ("LTRIM l 5 9", "OK"),
        ("EXISTS l", "0"),
    ]);
}

#[test]
fn positions() {
    Client::new().check(&[
            ("RPUSH l a b c 1 2 3 c c", "8"),
            ("LPOS l c", "2"),
            ("LPOS l x", "nil"),
            ("LPOS none c", "nil"),
            ("LPOS none c COUNT 0", "[]"),
            ("LPOS l c RANK 2", "6"),
            ("LPOS l c RANK -1", "7"),
            ("LPOS l c RANK -2", "6"),
            ("LPOS l c RANK 4", "nil"),
            ("LPOS l c COUNT 2", "[2, 6]"),
            ("LPOS l c COUNT 0", "[2, 6, 7]"),
            ("LPOS l x COUNT 0", "[]"),
            ("LPOS l c RANK -1 COUNT 2", "[7, 6]"),
            ("LPOS l c RANK 2 COUNT 0", "[6, 7]"),
            ("LPOS l c MAXLEN 2", "nil"),
            ("LPOS l c MAXLEN 3", "2"),
            ("LPOS l c RANK -1 MAXLEN 1", "7"),
            ("LPOS l c COUNT 0 MAXLEN 7", "[2, 6]"),
            ("LPOS l c count 0 maxlen 0 rank 1", "[2, 6, 7]"),
            (
                "LPOS l c RANK 0",
                "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
            ),
            ("LPOS l c RANK x", "-ERR value is not an integer or out of range"),
            ("LPOS l c COUNT -1", "-ERR COUNT can't be negative"),
            ("LPOS l c COUNT x", "-ERR COUNT can't be negative"),
            ("LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative"),
            ("LPOS l c RANK", "-ERR syntax error"),
            ("LPOS l c LIMIT 1", "-ERR syntax error"),
        ],
    );
}

#[test]
fn popping() {
    Client::new().check(&[
        ("RPUSH l a b c d e f g", "7"),
        ("LPOP l", "\"a\""),
        ("RPOP l", "\"g\""),
        ("LPOP l 2", "[\"b\", \"c\"]"),
        ("RPOP l 2", "[\"f\", \"e\"]"),
        ("LPOP l 0", "[]"),
        ("LPOP none", "nil"),
        ("LPOP none 1", "nil"),
        ("LPOP l -1", "-ERR value is out of range, must be positive"),
        ("LPOP l x", "-ERR value is out of range, must be positive"),
        ("LPOP l 1 2", "-ERR wrong number of arguments for 'lpop' command"),
        ("RPOP l 100", "[\"d\"]"),
        ("LPOP l 0", "nil"),
        ("EXISTS l", "0"),
        ("APPEND text x", "1"),
        ("LPOP text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("RPOP text 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn popping_from_several() {
    Client::new().check(&[
        ("RPUSH a 1 2 3 4", "4"),
        ("RPUSH b 5", "1"),
        ("LMPOP 1 none LEFT", "nil"),
        ("LMPOP 3 none a b LEFT", "[\"a\", [\"1\"]]"),
        ("LMPOP 2 a b RIGHT COUNT 2", "[\"a\", [\"4\", \"3\"]]"),
        ("LMPOP 2 b a right count 10", "[\"b\", [\"5\"]]"),
        ("LMPOP 2 b a LEFT COUNT 10", "[\"a\", [\"2\"]]"),
        ("LMPOP 2 b a LEFT", "nil"),
        ("APPEND text x", "1"),
        ("LMPOP 2 a text LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("LMPOP 0 a LEFT", "-ERR numkeys should be greater than 0"),
        ("LMPOP x a LEFT", "-ERR numkeys should be greater than 0"),
        ("LMPOP 1 a", "-ERR wrong number of arguments for 'lmpop' command"),
        ("LMPOP 2 a LEFT", "-ERR syntax error"),
        ("LMPOP 9223372036854775807 a LEFT", "-ERR syntax error"),
        ("LMPOP 1 a MIDDLE", "-ERR syntax error"),
        ("LMPOP 1 a LEFT COUNT 0", "-ERR count should be greater than 0"),
        ("LMPOP 1 a LEFT COUNT x COUNT", "-ERR count should be greater than 0"),
        ("LMPOP 1 a LEFT COUNT", "-ERR syntax error"),
        ("LMPOP 1 a LEFT COUNT 1 COUNT 1", "-ERR syntax error"),
        ("LMPOP 1 a LEFT LIMIT 1", "-ERR syntax error"),
    ]);
}

#[test]
fn moving() {
    Client::new().check(&[
        ("RPUSH a 1 2 3", "3"),
        ("APPEND text x", "1"),
        ("LMOVE a b LEFT RIGHT", "\"1\""),
        ("LMOVE a b RIGHT LEFT", "\"3\""),
        ("LRANGE b 0 -1", "[\"3\", \"1\"]"),
        ("LMOVE a b left left", "\"2\""),
        ("EXISTS a", "0"),
        ("LRANGE b 0 -1", "[\"2\", \"3\", \"1\"]"),
        ("LMOVE b b LEFT RIGHT", "\"2\""),
        ("LMOVE b b LEFT LEFT", "\"3\""),
        ("LRANGE b 0 -1", "[\"3\", \"1\", \"2\"]"),
        ("RPOPLPUSH b b", "\"2\""),
        ("RPOPLPUSH b a", "\"1\""),
        ("LRANGE b 0 -1", "[\"2\", \"3\"]"),
        ("LRANGE a 0 -1", "[\"1\"]"),
        ("RPOPLPUSH a a", "\"1\""),
        ("RPOPLPUSH none a", "nil"),
        ("LMOVE none text LEFT LEFT", "nil"),
        ("LMOVE b text LEFT LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("LMOVE text b LEFT LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("LRANGE b 0 -1", "[\"2\", \"3\"]"),
        ("LMOVE a b UP LEFT", "-ERR syntax error"),
        ("LMOVE a b LEFT UP", "-ERR syntax error"),
    ]);
}

#[test]
fn blocking_commands_answer_at_once_if_they_can() {
    let mut client = Client::new();
    for (line, answer, told) in [
        ("RPUSH b 1 2 3 4 5 6 7 8", "8", "the same"),
        ("BLPOP a b 0", "[\"b\", \"1\"]", "LPOP b"),
        ("BRPOP a b 1.5", "[\"b\", \"8\"]", "RPOP b"),
        ("BLMOVE b a RIGHT LEFT 0", "\"7\"", "LMOVE b a RIGHT LEFT"),
        ("BRPOPLPUSH b a 0", "\"6\"", "RPOPLPUSH b a"),
        ("BLMPOP 0 2 none b LEFT COUNT 2", "[\"b\", [\"2\", \"3\"]]", "LPOP b 2"),
        ("BLMPOP 0 2 a b RIGHT COUNT 100", "[\"a\", [\"7\", \"6\"]]", "RPOP a 2"),
        ("LMPOP 2 a b LEFT", "[\"b\", [\"4\"]]", "LPOP b 1"),
        ("LRANGE b 0 -1", "[\"5\"]", ""),
    ] {
        assert_eq!(client.run(line), answer, "{line}");
        assert_eq!(client.told().join("; "), told, "{line}");
        assert_eq!(client.wait, None, "{line}");
    }
}

#[test]
fn blocking_commands_wait_if_they_must() {
    let mut client = Client::new();
    for (line, millis, null_array) in [
        ("BLPOP a b 0", None, true),
        ("BRPOP a 0.0", None, true),
        ("BLPOP a 2.5", Some(2500), true),
        ("BLPOP a 0.0001", Some(1), true),
        ("BLMOVE a b LEFT RIGHT 1", Some(1000), false),
        ("BRPOPLPUSH a b 1e3", Some(1_000_000), false),
        ("BLMPOP 3 1 a LEFT", Some(3000), true),
    ] {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(client.run_words(&words), b"", "{line}");
        let until = millis.map(|millis| client.now + millis);
        assert_eq!(client.wait, Some(Wait { until, null_array }), "{line}");
    }
}

#[test]
fn blocking_commands_refuse_what_makes_no_sense() {
    Client::new().check(&[
        ("APPEND text x", "1"),
        ("BLPOP a x", "-ERR timeout is not a float or out of range"),
        ("BLPOP a nan", "-ERR timeout is not a float or out of range"),
        ("BLPOP a ''", "-ERR timeout is not a float or out of range"),
        ("BLPOP a -0.5", "-ERR timeout is negative"),
        ("BLPOP a 1e300", "-ERR timeout is out of range"),
        ("BLPOP a text 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("BLMOVE text a LEFT LEFT 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("BLMOVE a b LEFT MIDDLE x", "-ERR syntax error"),
        ("BLMOVE a b LEFT LEFT x", "-ERR timeout is not a float or out of range"),
        ("BLMPOP x 0 a LEFT", "-ERR numkeys should be greater than 0"),
        ("BLMPOP -1 1 a LEFT", "-ERR timeout is negative"),
    ]);
}
