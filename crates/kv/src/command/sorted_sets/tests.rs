//! What the commands answer; the expected answers are those of Redis 7.0, scores printed as since 7.2.

use crate::command::testing::Client;
use crate::resp::Protocol;

/// A client of a store with `z`: a 1, b 2, c 2.5, d inf; `plain`: a set; and `text`: a string.
fn client() -> Client {
    let mut client = Client::new();
    client.check(&[("ZADD z 1 a 2 b 2.5 c inf d", "4"), ("SADD plain a x", "2"), ("APPEND text x", "1")]);
    client
}

#[test]
fn adding() {
    client().check(&[
        ("ZADD z 1 a 3 b 7 new", "1"),
        ("ZADD z CH 1 a 4 b 8 new 9 newer", "3"),
        ("ZADD z NX 100 a 100 newest", "1"),
        ("ZADD z XX CH 5 a 5 nobody", "1"),
        ("ZADD z GT CH 4 a 6 b", "1"),
        ("ZADD z LT CH 4 a 7 b", "1"),
        ("ZADD z GT LT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("ZADD z NX GT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible"),
        ("ZADD z INCR 1 a", "\"5\""),
        ("ZADD z NX INCR 1 a", "nil"),
        ("ZADD z XX INCR 1 nobody", "nil"),
        ("ZADD none XX INCR 1 nobody", "nil"),
        ("ZADD none XX 1 nobody", "0"),
        ("ZADD z GT INCR -1 a", "nil"),
        ("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair"),
        ("ZADD z INCR -inf d", "-ERR resulting score is not a number (NaN)"),
        ("ZADD z 1", "-ERR wrong number of arguments for 'zadd' command"),
        ("ZADD z 1 a 2", "-ERR syntax error"),
        ("ZADD z NX XX", "-ERR syntax error"),
        ("ZADD z nan a", "-ERR value is not a valid float"),
        ("ZADD z 1 fresh x b", "-ERR value is not a valid float"),
        ("ZADD z 1e400 a", "-ERR value is not a valid float"),
        ("ZSCORE z fresh", "nil"),
        ("ZADD text 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("ZADD plain XX 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("ZCARD none", "0"),
        ("ZADD zero -0 m", "1"),
        ("ZADD zero CH 0 m", "0"),
        ("ZSCORE zero m", "\"0\""),
        ("ZINCRBY z 1.5 a", "\"6.5\""),
        ("ZINCRBY none -2 m", "\"-2\""),
        ("ZINCRBY z -inf d", "-ERR resulting score is not a number (NaN)"),
        ("ZINCRBY z x d", "-ERR value is not a valid float"),
    ]);
}

#[test]
fn nothing_added_is_no_change() {
    let mut client = client();
    for (line, changes) in [
        ("ZADD z 1 a", 0),
        ("ZADD z NX 5 a", 0),
        ("ZADD z XX 5 nobody", 0),
        ("ZADD z 1 a 5 b", 1),
        ("ZINCRBY z 0 a", 0),
        ("ZREM z nobody", 0),
        ("ZREM z a", 1),
        ("ZREMRANGEBYSCORE z 100 200", 0),
        ("ZPOPMIN z 0", 0),
        ("ZRANGESTORE none z 9 10", 0),
        ("ZINTERSTORE none 2 z none", 0),
    ] {
        client.run(line);
        assert_eq!(client.changes, changes, "{line}");
    }
}

#[test]
fn removing() {
    client().check(&[
        ("ZREM z a a nobody b", "2"),
        ("ZREM none a", "0"),
        ("ZREM text a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("ZREMRANGEBYRANK z 0 0", "1"),
        ("ZREMRANGEBYRANK z x 0", "-ERR value is not an integer or out of range"),
        ("ZREMRANGEBYSCORE z 0 (inf", "0"),
        ("ZREMRANGEBYSCORE z x 1", "-ERR min or max is not a float"),
        ("ZREMRANGEBYSCORE z 0 inf", "1"),
        ("ZCARD z", "0"),
        ("ZADD z 0 a 0 b 0 c", "3"),
        ("ZREMRANGEBYLEX z [b (c", "1"),
        ("ZREMRANGEBYLEX z b c", "-ERR min or max not valid string range item"),
        ("ZREMRANGEBYRANK z -5 -2", "1"),
        ("ZRANGE z 0 -1", "[\"c\"]"),
    ]);
}

#[test]
fn looking() {
    client().check(&[
        ("ZCARD z", "4"),
        ("ZSCORE z c", "\"2.5\""),
        ("ZSCORE z d", "\"inf\""),
        ("ZSCORE z nobody", "nil"),
        ("ZMSCORE z a nobody c", "[\"1\", nil, \"2.5\"]"),
        ("ZMSCORE none a b", "[nil, nil]"),
        ("ZCOUNT z 1 2", "2"),
        ("ZCOUNT z (1 (2.5", "1"),
        ("ZCOUNT z -inf +inf", "4"),
        ("ZCOUNT z 2 1", "0"),
        ("ZCOUNT z [1 2", "-ERR min or max is not a float"),
        ("ZCOUNT none x 1", "-ERR min or max is not a float"),
        ("ZLEXCOUNT z - +", "4"),
        ("ZLEXCOUNT z + -", "0"),
        ("ZLEXCOUNT z [b (d", "2"),
        ("ZLEXCOUNT z b d", "-ERR min or max not valid string range item"),
        ("ZRANK z a", "0"),
        ("ZRANK z d", "3"),
        ("ZREVRANK z d", "0"),
        ("ZRANK z nobody", "nil"),
        ("ZRANK z c WITHSCORE", "[2, \"2.5\"]"),
        ("ZREVRANK z c withscore", "[1, \"2.5\"]"),
        ("ZRANK none c WITHSCORE", "nil"),
        ("ZRANK z c WITHSCORES", "-ERR syntax error"),
        ("ZRANK z c WITHSCORE x", "-ERR wrong number of arguments for 'zrank' command"),
        ("ZCARD plain", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("ZRANK text a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn ranges() {
    client().check(&[
        ("ZRANGE z 0 -1", r#"["a", "b", "c", "d"]"#),
        ("ZRANGE z 1 2 WITHSCORES", r#"["b", "2", "c", "2.5"]"#),
        ("ZRANGE z -2 100 REV", r#"["b", "a"]"#),
        ("ZRANGE z 3 1", "[]"),
        ("ZRANGE z -100 -4", r#"["a"]"#),
        ("ZRANGE z -100 -5", "[]"),
        ("ZRANGE z -9223372036854775808 9223372036854775807", r#"["a", "b", "c", "d"]"#),
        ("ZRANGE z 4 9", "[]"),
        ("ZRANGE z 0 x", "-ERR value is not an integer or out of range"),
        ("ZRANGE none 0 -1", "[]"),
        ("ZREVRANGE z 0 1 WITHSCORES", r#"["d", "inf", "c", "2.5"]"#),
        ("ZREVRANGE z 0 1 REV", "-ERR syntax error"),
        ("ZRANGE z (1 2.5 BYSCORE", r#"["b", "c"]"#),
        ("ZRANGE z 2.5 (1 BYSCORE REV", r#"["c", "b"]"#),
        ("ZRANGE z 1 2.5 BYSCORE REV", "[]"),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 1 2", r#"["b", "c"]"#),
        ("ZREVRANGEBYSCORE z +inf -inf WITHSCORES LIMIT 1 1", r#"["c", "2.5"]"#),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 1 -1", r#"["b", "c", "d"]"#),
        ("ZRANGEBYSCORE z -inf +inf LIMIT -1 2", "[]"),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 9 2", "[]"),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 1", "-ERR syntax error"),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 1 x", "-ERR value is not an integer or out of range"),
        ("ZRANGEBYLEX z [b + LIMIT 1 5", r#"["c", "d"]"#),
        ("ZREVRANGEBYLEX z (d - LIMIT 0 2", r#"["c", "b"]"#),
        ("ZRANGE z - (c BYLEX", r#"["a", "b"]"#),
        (
            "ZRANGE z 0 -1 LIMIT 0 1",
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ),
        (
            "ZRANGE z - + BYLEX WITHSCORES",
            "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ),
        ("ZRANGE z 0 1 BYSCORE BYLEX", "-ERR syntax error"),
        ("ZRANGE text 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn ranges_that_are_stored() {
    client().check(&[
        ("ZRANGESTORE kept z 0 1", "2"),
        ("ZRANGE kept 0 -1 WITHSCORES", r#"["a", "1", "b", "2"]"#),
        ("ZRANGESTORE kept z 2 9 BYSCORE LIMIT 1 5", "1"),
        ("ZRANGE kept 0 -1", r#"["c"]"#),
        ("ZRANGESTORE kept z 0 0 REV", "1"),
        ("ZRANGE kept 0 -1", r#"["d"]"#),
        ("ZRANGESTORE text z - [b BYLEX", "2"),
        ("ZRANGE text 0 -1", r#"["a", "b"]"#),
        ("ZRANGESTORE z z 1 2", "2"),
        ("ZRANGE z 0 -1", r#"["b", "c"]"#),
        ("ZRANGESTORE z none 0 -1", "0"),
        ("ZCARD z", "0"),
        ("ZRANGESTORE kept text 0 1 WITHSCORES", "-ERR syntax error"),
        ("ZRANGESTORE kept plain 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn popping() {
    let mut client = client();
    client.check(&[
        ("ZPOPMIN z", r#"["a", "1"]"#),
        ("ZPOPMAX z", r#"["d", "inf"]"#),
        ("ZADD z 1 a 9 d", "2"),
        ("ZPOPMAX z 2", r#"["d", "9", "c", "2.5"]"#),
        ("ZPOPMIN z 0", "[]"),
        ("ZPOPMIN z -1", "-ERR value is out of range, must be positive"),
        ("ZPOPMIN z x", "-ERR value is out of range, must be positive"),
        ("ZPOPMIN z 1 2", "-ERR syntax error"),
        ("ZPOPMIN none", "[]"),
        ("ZPOPMIN plain", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("ZMPOP 2 none z MIN", r#"["z", [["a", "1"]]]"#),
    ]);
    assert_eq!(client.told(), ["ZPOPMIN z 1"]);
    client.check(&[("ZADD z 1 a", "1"), ("ZMPOP 1 z MAX COUNT 10", r#"["z", [["b", "2"], ["a", "1"]]]"#)]);
    assert_eq!(client.told(), ["ZPOPMAX z 2"]);
    client.check(&[
        ("ZMPOP 1 z MAX", "nil"),
        ("ZMPOP 0 z MAX", "-ERR numkeys should be greater than 0"),
        ("ZMPOP x z MAX", "-ERR numkeys should be greater than 0"),
        ("ZMPOP 2 z MAX", "-ERR syntax error"),
        ("ZMPOP 1 z LEAST", "-ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT 0", "-ERR count should be greater than 0"),
        ("ZMPOP 1 z MIN COUNT", "-ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT 1 COUNT 2", "-ERR syntax error"),
        ("ZMPOP 1 text MIN", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn popping_waits() {
    let mut client = client();
    client.check(&[("BZPOPMIN none z 0", r#"["z", "a", "1"]"#)]);
    assert_eq!((client.told(), client.wait), (vec!["ZPOPMIN z".to_owned()], None));
    client.check(&[("BZPOPMAX z none 1", r#"["z", "d", "inf"]"#)]);
    assert_eq!(client.told(), ["ZPOPMAX z"]);
    client.check(&[("BZMPOP 1 2 none z MIN COUNT 5", r#"["z", [["b", "2"], ["c", "2.5"]]]"#)]);
    assert_eq!(client.told(), ["ZPOPMIN z 2"]);
    client.check(&[
        ("BZPOPMIN z x", "-ERR timeout is not a float or out of range"),
        ("BZPOPMIN z -1", "-ERR timeout is negative"),
        ("BZMPOP -1 1 z MIN", "-ERR timeout is negative"),
        ("BZMPOP -1 0 z MIN", "-ERR numkeys should be greater than 0"),
        ("BZPOPMIN none text 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
    for (line, until) in [
        (["BZPOPMIN", "z", "none", "0.25"].as_slice(), Some(client.now + 250)),
        (&["BZPOPMAX", "z", "0"], None),
        (&["BZMPOP", "2", "1", "z", "MIN"], Some(client.now + 2000)),
    ] {
        let words: Vec<_> = line.iter().map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(client.run_words(&words), b"", "{line:?}");
        let wait = client.wait.expect("it waits");
        assert_eq!((wait.until, wait.null_array, client.changes), (until, true, 0));
    }
}

#[test]
fn combining() {
    client().check(&[
        ("ZADD y 10 b 20 e -inf d", "3"),
        ("ZUNION 2 z y", r#"["d", "a", "c", "b", "e"]"#),
        ("ZUNION 2 z y WITHSCORES", r#"["d", "0", "a", "1", "c", "2.5", "b", "12", "e", "20"]"#),
        (
            "ZUNION 2 z y AGGREGATE MIN WITHSCORES",
            r#"["d", "-inf", "a", "1", "b", "2", "c", "2.5", "e", "20"]"#,
        ),
        ("ZINTER 2 z y WITHSCORES AGGREGATE max", r#"["b", "10", "d", "inf"]"#),
        ("ZINTER 2 z y WEIGHTS 2 0.5 WITHSCORES", r#"["d", "0", "b", "9"]"#),
        ("ZINTER 2 z plain WITHSCORES", r#"["a", "2"]"#),
        ("ZINTER 2 z z WITHSCORES WEIGHTS 1 2", r#"["a", "3", "b", "6", "c", "7.5", "d", "inf"]"#),
        ("ZINTER 2 z none", "[]"),
        ("ZUNION 1 plain WEIGHTS 3 WITHSCORES", r#"["a", "3", "x", "3"]"#),
        ("ZDIFF 2 z y WITHSCORES", r#"["a", "1", "c", "2.5"]"#),
        ("ZDIFF 3 z y plain", r#"["c"]"#),
        ("ZDIFF 2 none z", "[]"),
        ("ZDIFF 2 z z", "[]"),
        ("ZDIFF 2 z y WEIGHTS 1 2", "-ERR syntax error"),
        ("ZINTERCARD 2 z y", "2"),
        ("ZINTERCARD 2 z y LIMIT 1", "1"),
        ("ZINTERCARD 2 z y LIMIT 0", "2"),
        ("ZINTERCARD 2 z none", "0"),
        ("ZINTERCARD 2 z y LIMIT -1", "-ERR LIMIT can't be negative"),
        ("ZINTERCARD 2 z y WITHSCORES", "-ERR syntax error"),
        ("ZINTERCARD 0 z", "-ERR at least 1 input key is needed for 'zintercard' command"),
        ("ZUNION 0 z", "-ERR at least 1 input key is needed for 'zunion' command"),
        ("ZUNION x z", "-ERR value is not an integer or out of range"),
        ("ZUNION 2 z", "-ERR syntax error"),
        ("ZUNION 1 z WEIGHTS x", "-ERR weight value is not a float"),
        ("ZUNION 2 z y WEIGHTS 1", "-ERR syntax error"),
        ("ZUNION 1 z AGGREGATE AVG", "-ERR syntax error"),
        ("ZUNION 2 z text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("ZUNIONSTORE text 2 z y", "5"),
        ("ZRANGE text 0 0 WITHSCORES", r#"["d", "0"]"#),
        ("ZINTERSTORE z 2 z y AGGREGATE MIN", "2"),
        ("ZRANGE z 0 -1 WITHSCORES", r#"["d", "-inf", "b", "2"]"#),
        ("ZDIFFSTORE z 2 z y", "0"),
        ("ZCARD z", "0"),
        ("ZUNIONSTORE z 1 y WITHSCORES", "-ERR syntax error"),
        ("ZINTERSTORE z 0 y", "-ERR at least 1 input key is needed for 'zinterstore' command"),
    ]);
}

#[test]
fn drawing() {
    let mut client = client();
    client.check(&[
        ("ZRANDMEMBER none", "nil"),
        ("ZRANDMEMBER none 3", "[]"),
        ("ZRANDMEMBER z 0", "[]"),
        ("ZRANDMEMBER z 10", r#"["a", "b", "c", "d"]"#),
        ("ZRANDMEMBER z 4 WITHSCORES", r#"["a", "1", "b", "2", "c", "2.5", "d", "inf"]"#),
        ("ZRANDMEMBER z 1 WITHSCORE", "-ERR syntax error"),
        ("ZRANDMEMBER z x", "-ERR value is not an integer or out of range"),
        ("ZRANDMEMBER z -9223372036854775807 WITHSCORES", "-ERR value is out of range"),
        ("ZRANDMEMBER text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
    let words = |answer: String| -> Vec<String> {
        answer.trim_matches(['[', ']']).split(", ").map(str::to_owned).collect()
    };
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        seen.insert(client.run("ZRANDMEMBER z"));
        let mut two = words(client.run("ZRANDMEMBER z 2"));
        two.dedup();
        assert_eq!(two.len(), 2);
    }
    assert_eq!(seen.len(), 4);
    assert_eq!(words(client.run("ZRANDMEMBER z -50")).len(), 50);
    assert_eq!(words(client.run("ZRANDMEMBER z -50 WITHSCORES")).len(), 100);
    (0..1000).for_each(|number| {
        client.run(&format!("ZADD large {number} m{number}"));
    });
    for count in [3, 200, 400, 999] {
        let mut members = words(client.run(&format!("ZRANDMEMBER large {count}")));
        members.sort();
        members.dedup();
        assert_eq!(members.len(), count);
    }
}

#[test]
fn scanning() {
    let mut client = client();
    client.check(&[
        ("ZSCAN none 0", r#"["0", []]"#),
        ("ZSCAN z 0", r#"["0", ["a", "1", "b", "2", "c", "2.5", "d", "inf"]]"#),
        ("ZSCAN z 0 MATCH [bc] COUNT 1", r#"["0", ["b", "2", "c", "2.5"]]"#),
        ("ZSCAN z x", "-ERR invalid cursor"),
        ("ZSCAN z 0 COUNT 0", "-ERR syntax error"),
        ("ZSCAN z 0 COUNT x", "-ERR value is not an integer or out of range"),
        ("ZSCAN z 0 MATCH", "-ERR syntax error"),
        ("ZSCAN text 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
    (0..500).for_each(|number| {
        client.run(&format!("ZADD large {number} m{number}"));
    });
    let (mut cursor, mut members) = ("0".to_owned(), Vec::new());
    for call in 0.. {
        assert!(call < 10, "it ends");
        let answer = client.run(&format!("ZSCAN large {cursor} COUNT 100"));
        let words: Vec<_> = answer.split(", ").map(|word| word.trim_matches(['[', ']', '"'])).collect();
        cursor = words[0].to_owned();
        members.extend(words[1..].iter().step_by(2).map(|word| (*word).to_owned()));
        if cursor == "0" {
            break;
        }
    }
    members.sort();
    members.dedup();
    assert_eq!(members.len(), 500);
}

#[test]
fn answers_in_resp3() {
    let mut client = client();
    client.protocol = Protocol::Resp3;
    client.check(&[
        ("ZSCORE z c", ",2.5"),
        ("ZSCORE z nobody", "nil"),
        ("ZMSCORE z a nobody", "[,1, nil]"),
        ("ZADD z INCR 1 a", ",2"),
        ("ZINCRBY z -1 a", ",1"),
        ("ZRANGE z 0 1 WITHSCORES", r#"[["a", ,1], ["b", ,2]]"#),
        ("ZRANGE z 0 1", r#"["a", "b"]"#),
        ("ZREVRANGEBYSCORE z inf (2.5 WITHSCORES", r#"[["d", ,inf]]"#),
        ("ZUNION 1 z WITHSCORES WEIGHTS 0", r#"[["a", ,0], ["b", ,0], ["c", ,0], ["d", ,0]]"#),
        ("ZRANK z c WITHSCORE", "[2, ,2.5]"),
        ("ZRANDMEMBER z 9 WITHSCORES", r#"[["a", ,1], ["b", ,2], ["c", ,2.5], ["d", ,inf]]"#),
        ("ZSCAN z 0 MATCH c", r#"["0", ["c", "2.5"]]"#),
        ("ZPOPMIN z", r#"["a", ,1]"#),
        ("ZPOPMAX z 1", r#"[["d", ,inf]]"#),
        ("BZPOPMIN z 0", r#"["z", "b", ,2]"#),
        ("ZMPOP 1 z MIN", r#"["z", [["c", ,2.5]]]"#),
        ("ZMPOP 1 z MIN", "nil"),
    ]);
}
