//! One probe of one endpoint.

mod redis;

use std::io;
use std::time::Duration;

use evenkeel_config::plan::{Health, ProbeKind};
use evenkeel_http1::response::{Meaning, StatusLine};
use evenkeel_http1::{BodyReader, HeadParser, LineEnds, Piece};
use evenkeel_net::{Stream, Target, dial, is_local_shortage};
use evenkeel_telemetry::ProbeResult;

/// The largest head of an answer to a probe.
const HEAD_LIMIT: usize = 16 * 1024;
/// How much of a body is searched for the expected text.
const BODY_LIMIT: usize = 64 * 1024;

/// What a probe found: its class for metrics, and words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) result: ProbeResult,
    pub(crate) words: String,
}

impl Finding {
    pub(crate) fn new(result: ProbeResult, words: impl Into<String>) -> Self {
        Self { result, words: words.into() }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.result == ProbeResult::Success
    }
}

/// Probes once, within the timeout of `health`.
pub(crate) async fn probe(target: &Target, host: &str, health: &Health) -> Finding {
    match tokio::time::timeout(health.timeout, attempt(target, host, health)).await {
        Ok(finding) => finding,
        Err(_) => Finding::new(
            ProbeResult::Timeout,
            format!("no answer to the probe within {}", Human(health.timeout)),
        ),
    }
}

async fn attempt(target: &Target, host: &str, health: &Health) -> Finding {
    let mut stream = match dial(target).await {
        Ok(stream) => stream,
        Err(error) if is_local_shortage(&error) => {
            return Finding::new(ProbeResult::LocalShortage, format!("cannot probe: {error}"));
        }
        Err(error) => {
            return Finding::new(ProbeResult::ConnectFailed, format!("cannot connect: {}", reason(&error)));
        }
    };
    let (path, wanted, expect, body) = match &health.kind {
        ProbeKind::Http { path, host, expect, body } => (path, host, expect, body),
        ProbeKind::Tcp => return Finding::new(ProbeResult::Success, "accepts connections"),
        ProbeKind::Redis { password } => return redis::ask(&mut stream, password.as_ref()).await,
    };
    let host = wanted.as_deref().unwrap_or(host);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: evenkeel-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    match exchange(&mut stream, request.as_bytes(), body.as_deref()).await {
        Err(Broken::Io(error)) => Finding::new(
            ProbeResult::Reset,
            format!("the connection died during the probe: {}", reason(&error)),
        ),
        Err(Broken::Protocol(what)) => {
            Finding::new(ProbeResult::Malformed, format!("the answer to the probe is not HTTP: {what}"))
        }
        Ok((status, _)) if !expect.iter().any(|(from, to)| (*from..=*to).contains(&status)) => {
            Finding::new(ProbeResult::BadStatus, format!("the probe was answered with {status}"))
        }
        Ok((status, text)) => match body {
            Some(wanted) if !contains(&text, wanted.as_bytes()) => Finding::new(
                ProbeResult::BadBody,
                format!("the answer to the probe does not contain {wanted:?}"),
            ),
            _ => Finding::new(ProbeResult::Success, format!("answered {status}")),
        },
    }
}

enum Broken {
    Io(io::Error),
    Protocol(&'static str),
}

/// Sends a request; gives the status and, if something is wanted in it, the body as far as needed.
async fn exchange(
    stream: &mut Stream,
    request: &[u8],
    wanted: Option<&str>,
) -> Result<(u16, Vec<u8>), Broken> {
    write_all(stream, request).await.map_err(Broken::Io)?;
    let mut received = Vec::new();
    let mut parser = HeadParser::default();
    loop {
        match parser.parse(&received, HEAD_LIMIT, LineEnds::Lenient) {
            Err(fault) => return Err(Broken::Protocol(fault.what)),
            Ok(None) => {
                if read_more(stream, &mut received).await.map_err(Broken::Io)? == 0 {
                    return Err(Broken::Io(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            Ok(Some(length)) => {
                let head = received.get(..length).unwrap_or_default();
                let line = StatusLine::parse(parser.start_line(head).unwrap_or_default())
                    .map_err(|fault| Broken::Protocol(fault.what))?;
                let meaning = Meaning::parse(&line, head, parser.fields(), false)
                    .map_err(|fault| Broken::Protocol(fault.what))?;
                let status = line.status;
                received.drain(..length);
                if status < 200 {
                    parser.reset();
                    continue;
                }
                let body = match wanted {
                    Some(wanted) => {
                        let reader = BodyReader::new(meaning.framing);
                        read_body(stream, reader, received, wanted.as_bytes()).await?
                    }
                    None => Vec::new(),
                };
                return Ok((status, body));
            }
        }
    }
}

/// Reads a body until `wanted` is found in it, or its end, or the limit.
async fn read_body(
    stream: &mut Stream,
    mut reader: BodyReader,
    mut received: Vec<u8>,
    wanted: &[u8],
) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    while body.len() < BODY_LIMIT && !reader.is_done() && !contains(&body, wanted) {
        let (taken, piece) = reader.next(&received).map_err(|fault| Broken::Protocol(fault.what))?;
        match piece {
            Piece::Data(data) => body.extend_from_slice(data),
            Piece::End => break,
            Piece::More => {
                received.clear();
                if read_more(stream, &mut received).await.map_err(Broken::Io)? == 0 {
                    if reader.may_end_here() {
                        break;
                    }
                    return Err(Broken::Io(io::ErrorKind::UnexpectedEof.into()));
                }
                continue;
            }
        }
        received.drain(..taken);
    }
    body.truncate(BODY_LIMIT);
    Ok(body)
}

async fn write_all(stream: &Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::future::poll_fn(|cx| stream.poll_write(cx, bytes)).await?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

async fn read_more(stream: &mut Stream, received: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; 4096];
    let read = std::future::poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await?;
    received.extend_from_slice(buffer.get(..read).unwrap_or_default());
    Ok(read)
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|window| window == wanted)
}

/// What an operator wants to read of an error.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::UnexpectedEof => "it was closed before the answer was whole".into(),
        io::ErrorKind::TimedOut => "timed out".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable".into(),
        io::ErrorKind::NotFound => "there is no such socket".into(),
        _ => error.to_string(),
    }
}

/// A duration as the configuration writes it.
struct Human(Duration);

impl std::fmt::Display for Human {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1000) { write!(f, "{}s", millis / 1000) } else { write!(f, "{millis}ms") }
    }
}
