//! Requests, whole and in pieces, good and bad.

use proptest::prelude::*;

use super::*;

/// All commands of `bytes`, which arrive in pieces of the given sizes, and the error that ended them.
fn commands(bytes: &[u8], pieces: &[usize]) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let (mut requests, mut ranges, mut found) = (Requests::default(), Vec::new(), Vec::new());
    let (mut buffer, mut arrived, mut pieces) = (Vec::new(), 0, pieces.iter().copied().cycle());
    loop {
        match requests.parse(&buffer, &mut ranges, &Limits::default()) {
            Err(error) => return (found, Some(error)),
            Ok(Parsed::Command { end }) => {
                let words = requests.words(&buffer);
                found.push(ranges.iter().map(|(start, end)| words[*start..*end].to_vec()).collect());
                requests.finish();
                buffer.drain(..end);
            }
            Ok(Parsed::Nothing { end }) => drop(buffer.drain(..end)),
            Ok(Parsed::Partial { missing }) => {
                assert!(missing > 0);
                if arrived == bytes.len() {
                    return (found, None);
                }
                let piece = pieces.next().unwrap_or(1).clamp(1, bytes.len() - arrived);
                buffer.extend_from_slice(&bytes[arrived..arrived + piece]);
                arrived += piece;
            }
        }
    }
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn arrays_and_lines_may_follow_each_other() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n\r\n*0\r\n*-1\r\nset  a\tb\n*1\r\n$0\r\n\r\n";
    let (found, error) = commands(bytes, &[1]);
    assert_eq!(error, None);
    assert_eq!(found, [words(&["GET", "k"]), words(&["PING"]), words(&["set", "a", "b"]), words(&[""])]);
}

#[test]
fn quotes_in_lines_are_resolved() {
    let (found, _) = commands(b"SET \"a b\" 'it\\'s' \"\\x41\\n\\\"\" plain \"\"\r\n", &[3]);
    assert_eq!(found, [words(&["SET", "a b", "it's", "A\n\"", "plain", ""])]);
    for line in ["GET \"a\r\n", "GET 'a\r\n", "GET \"a\"b\r\n"] {
        assert_eq!(commands(line.as_bytes(), &[64]).1, Some(ProtocolError::UnbalancedQuotes), "{line}");
    }
}

#[test]
fn what_is_no_command_is_named() {
    let error = |bytes: &[u8]| commands(bytes, &[bytes.len()]).1.map(|error| error.to_string());
    assert_eq!(error(b"*x\r\n").as_deref(), Some("Protocol error: invalid multibulk length"));
    assert_eq!(error(b"*9999999999\r\n").as_deref(), Some("Protocol error: invalid multibulk length"));
    assert_eq!(error(b"*1\r\n+OK\r\n").as_deref(), Some("Protocol error: expected '$', got '+'"));
    assert_eq!(error(b"*1\r\n$-1\r\n").as_deref(), Some("Protocol error: invalid bulk length"));
    assert_eq!(error(b"*1\r\n$999999999999\r\n").as_deref(), Some("Protocol error: invalid bulk length"));
    assert_eq!(
        error(b"*1\r\n$1\r\nabc").as_deref(),
        Some("Protocol error: expected a line end behind a bulk string")
    );
    assert_eq!(error(&[b'a'; 70_000]).as_deref(), Some("Protocol error: too big inline request"));
    assert_eq!(error(&[b"*".as_slice(), &[b'1'; 40]].concat()).as_deref(), error(b"*x\r\n").as_deref());
}

#[test]
fn strangers_may_ask_for_little() {
    let mut ranges = Vec::new();
    let mut parse = |bytes: &[u8]| Requests::default().parse(bytes, &mut ranges, &UNAUTHENTICATED);
    assert_eq!(parse(b"*11\r\n"), Err(ProtocolError::Unauthenticated));
    assert_eq!(parse(b"*1\r\n$16385\r\n"), Err(ProtocolError::Unauthenticated));
}

#[test]
fn a_long_string_tells_how_much_is_missing() {
    let (mut requests, mut ranges) = (Requests::default(), Vec::new());
    let parsed = requests.parse(b"*1\r\n$1000\r\nabc", &mut ranges, &Limits::default());
    assert_eq!(parsed, Ok(Parsed::Partial { missing: 999 }));
}

proptest! {
    /// However the bytes are cut, the same commands are found.
    #[test]
    fn cuts_change_nothing(
        sent in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5), 0..6),
        pieces in prop::collection::vec(1..30usize, 1..10),
    ) {
        let mut bytes = Vec::new();
        for command in &sent {
            bytes.extend(format!("*{}\r\n", command.len()).bytes());
            for word in command {
                bytes.extend(format!("${}\r\n", word.len()).bytes());
                bytes.extend_from_slice(word);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        let (found, error) = commands(&bytes, &pieces);
        prop_assert_eq!(error, None);
        prop_assert_eq!(found, sent);
    }

    /// Garbage ends in an error or waits for more; never in a panic, and alike however it is cut.
    #[test]
    fn garbage_is_survived(
        bytes in prop::collection::vec(prop_oneof![
            Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'"'), Just(b' '), any::<u8>()
        ], 0..200),
        pieces in prop::collection::vec(1..30usize, 1..10),
    ) {
        prop_assert_eq!(commands(&bytes, &[bytes.len().max(1)]), commands(&bytes, &pieces));
    }
}
