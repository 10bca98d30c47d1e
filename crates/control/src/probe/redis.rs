//! A probe of a Redis server: `PING`, with `AUTH` before it where a password is given.

use std::io;

use evenkeel_config::plan::Secret;
use evenkeel_net::Stream;
use evenkeel_telemetry::ProbeResult;

use super::{Finding, read_more, reason, write_all};

/// The longest reply that is read; errors are sentences.
const REPLY_LIMIT: usize = 1024;
/// As much of a reply is shown.
const SHOWN: usize = 120;
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// Asks once. The caller keeps the time.
pub(super) async fn ask(stream: &mut Stream, password: Option<&Secret>) -> Finding {
    let mut request = Vec::new();
    if let Some(password) = password {
        let password = password.reveal();
        request.extend_from_slice(
            format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len()).as_bytes(),
        );
    }
    request.extend_from_slice(PING);
    let died = |error: io::Error| {
        Finding::new(ProbeResult::Reset, format!("the connection died during the probe: {}", reason(&error)))
    };
    if let Err(error) = write_all(stream, &request).await {
        return died(error);
    }
    let mut received = Vec::new();
    loop {
        if let Some(finding) = judge(&received, password.is_some()) {
            return finding;
        }
        match read_more(stream, &mut received).await {
            Ok(0) => return died(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) => return died(error),
        }
    }
}

/// The verdict on what was received so far; `None` when more has to come.
fn judge(received: &[u8], authenticates: bool) -> Option<Finding> {
    let mut rest = received;
    if authenticates {
        let (reply, after) = match line(rest) {
            Line::Whole(reply, after) => (reply, after),
            Line::Part => return None,
            Line::Foreign => return Some(foreign(rest)),
        };
        if reply != b"+OK" {
            return Some(refused(reply));
        }
        rest = after;
    }
    match line(rest) {
        Line::Whole(b"+PONG", _) => Some(Finding::new(ProbeResult::Success, "answers PING")),
        Line::Whole(reply, _) => Some(refused(reply)),
        Line::Part => None,
        Line::Foreign => Some(foreign(rest)),
    }
}

enum Line<'b> {
    /// A reply of one line, without its end, and what is behind it.
    Whole(&'b [u8], &'b [u8]),
    /// The beginning of one.
    Part,
    /// Not what Redis would say.
    Foreign,
}

/// The simple string or error that `bytes` begin with.
fn line(bytes: &[u8]) -> Line<'_> {
    if bytes.first().is_some_and(|first| !matches!(first, b'+' | b'-')) {
        return Line::Foreign;
    }
    match bytes.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => {
            let (reply, rest) = bytes.split_at(end);
            Line::Whole(reply, rest.get(2..).unwrap_or_default())
        }
        None if bytes.len() >= REPLY_LIMIT => Line::Foreign,
        None => Line::Part,
    }
}

/// A reply that is Redis and is not the wanted one.
fn refused(reply: &[u8]) -> Finding {
    let shown = shown(reply);
    let words = match shown.split(' ').next().unwrap_or_default() {
        "-NOAUTH" => {
            "it wants a password (NOAUTH): give the probe one with `password` in the upstream's health table"
                .to_owned()
        }
        "-WRONGPASS" => "it refuses the probe's password (WRONGPASS)".to_owned(),
        "-LOADING" => "it is loading its data (LOADING)".to_owned(),
        "-MASTERDOWN" => "it is a replica that has lost its master (MASTERDOWN)".to_owned(),
        _ => format!("the probe was answered with {shown}"),
    };
    Finding::new(ProbeResult::BadStatus, words)
}

fn foreign(received: &[u8]) -> Finding {
    let words = format!("the answer to the probe is not Redis: {}", shown(received));
    Finding::new(ProbeResult::Malformed, words)
}

/// The first line of a reply, for people and logs.
fn shown(reply: &[u8]) -> String {
    let reply = reply.get(..SHOWN).unwrap_or(reply);
    let first = reply.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    first.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(received: &[u8], authenticates: bool) -> Option<(ProbeResult, String)> {
        judge(received, authenticates).map(|finding| (finding.result, finding.words))
    }

    #[test]
    fn only_a_pong_is_good() {
        assert_eq!(verdict(b"+PONG\r\n", false), Some((ProbeResult::Success, "answers PING".into())));
        assert_eq!(verdict(b"+OK\r\n+PONG\r\n", true), Some((ProbeResult::Success, "answers PING".into())));
        for (reply, said) in [
            (&b"-NOAUTH Authentication required.\r\n"[..], "wants a password (NOAUTH)"),
            (b"-LOADING Redis is loading the dataset in memory\r\n", "loading its data (LOADING)"),
            (b"-MASTERDOWN Link with MASTER is down\r\n", "lost its master (MASTERDOWN)"),
            (b"-ERR max number of clients reached\r\n", "answered with -ERR max number of clients reached"),
            (b"+QUEUED\r\n", "answered with +QUEUED"),
        ] {
            let (result, words) = verdict(reply, false).unwrap();
            assert!(result == ProbeResult::BadStatus && words.contains(said), "{result:?} {words}");
        }
        let (result, words) =
            verdict(b"-WRONGPASS invalid username-password pair\r\n-NOAUTH x\r\n", true).unwrap();
        assert!(result == ProbeResult::BadStatus && words.contains("(WRONGPASS)"), "{words}");
    }

    #[test]
    fn what_is_not_redis_is_told_at_once_and_what_is_not_whole_is_waited_for() {
        for part in [&b""[..], b"+", b"+PON", b"+PONG\r"] {
            assert_eq!(verdict(part, false), None);
        }
        assert_eq!(verdict(b"+OK\r\n+PO", true), None);
        let (result, words) = verdict(b"HTTP/1.1 400 Bad Request\r\n", false).unwrap();
        assert_eq!(
            (result, &*words),
            (ProbeResult::Malformed, "the answer to the probe is not Redis: HTTP/1.1 400 Bad Request")
        );
        assert_eq!(verdict(&[b'+'; REPLY_LIMIT], false).unwrap().0, ProbeResult::Malformed);
    }
}
