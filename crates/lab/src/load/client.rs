//! The client: one request to one target after another, until it is answered or all of them failed.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::load::Reply;
use crate::load::target::{Connection, Target};

/// Where another target is left to try, a connection that takes longer is given up.
const CONNECT: Duration = Duration::from_secs(1);
/// As much of the first line of an answer's body is quoted.
const QUOTED: usize = 200;

/// What became of a request.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Another target than the first was tried.
    pub(super) is_moved: bool,
    /// The answer where it is to be kept.
    pub(super) result: Result<Option<Reply>, Trouble>,
}

/// Why a request failed.
#[derive(Debug, PartialEq)]
pub(super) struct Trouble {
    /// Counted by.
    pub(super) reason: String,
    /// More of it, maybe empty.
    pub(super) detail: String,
    /// Nothing of an answer was seen: another target may be tried.
    may_move: bool,
}

/// Sends the request to the target its number falls on, and to the others after it if need be. Gives up at `deadline`.
/// A good answer is handed back if it is to be kept, and otherwise read and forgotten.
pub(super) async fn exchange(
    targets: &[Arc<Target>],
    number: u64,
    request: &Request<Bytes>,
    deadline: Instant,
    keeps: bool,
) -> Outcome {
    let count = targets.len();
    let first = usize::try_from(number % (count as u64).max(1)).unwrap_or_default();
    let round = number / (count as u64).max(1);
    let mut outcome = Outcome { is_moved: false, result: Err(Trouble::new("resolve", "there is no target")) };
    for (place, target) in targets.iter().cycle().skip(first).take(count).enumerate() {
        outcome.is_moved = place > 0;
        let is_last = place + 1 == count || !request.method().is_safe();
        let tried = timeout_at(deadline, exchange_with(target, round, request, is_last, keeps)).await;
        outcome.result = tried.unwrap_or_else(|_| Err(Trouble::timeout()));
        match &outcome.result {
            Err(trouble) if trouble.may_move && !is_last => {}
            _ => break,
        }
    }
    outcome
}

async fn exchange_with(
    target: &Target,
    round: u64,
    request: &Request<Bytes>,
    is_last: bool,
    keeps: bool,
) -> Result<Option<Reply>, Trouble> {
    let mut connection = match target.idle_connection() {
        Some(connection) => connection,
        None => connect_to(target, round, is_last).await?,
    };
    let (mut parts, body) = request.clone().into_parts();
    if let Ok(authority) = HeaderValue::from_str(&target.authority) {
        parts.headers.insert(header::HOST, authority);
    }
    let sent = connection.send_request(Request::from_parts(parts, Full::new(body))).await;
    let response = sent.map_err(|error| Trouble::broken(&error, true))?;
    let (head, mut body) = response.into_parts();
    let is_good = head.status.is_success();
    let most = match (is_good, keeps) {
        (false, _) => QUOTED,
        (true, true) => Reply::MOST,
        (true, false) => 0,
    };
    let mut beginning = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Trouble::broken(&error, false))?;
        if let Some(data) = frame.data_ref() {
            let room = most.saturating_sub(beginning.len()).min(data.len());
            beginning.extend_from_slice(data.get(..room).unwrap_or_default());
        }
    }
    // Kept however it was answered, and as soon as it can take another request.
    if connection.ready().await.is_ok() {
        target.keep(connection);
    }
    match is_good {
        true => Ok(keeps.then_some(Reply { headers: head.headers, body: beginning })),
        false => Err(Trouble::status(head.status, &beginning)),
    }
}

async fn connect_to(target: &Target, round: u64, is_last: bool) -> Result<Connection, Trouble> {
    let addresses = target.addresses(round);
    let detail = format!("{} has no address", target.authority);
    let mut trouble = Trouble { may_move: true, ..Trouble::new("resolve", &detail) };
    for (place, address) in addresses.iter().enumerate() {
        let is_last = is_last && place + 1 == addresses.len();
        let patience = if is_last { Duration::MAX } else { CONNECT };
        let connected = timeout(patience, connect(*address)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                let detail = format!("{address}: {error}");
                trouble = Trouble { may_move: true, ..Trouble::new("connect", &detail) };
            }
        }
    }
    target.doubt();
    Err(trouble)
}

async fn connect(address: SocketAddr) -> io::Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (connection, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        // How it ended is told to the request on it.
        let _ = driver.await;
    });
    Ok(connection)
}

impl Trouble {
    /// No whole answer in time.
    pub(super) fn timeout() -> Self {
        Self::new("timeout", "")
    }

    fn new(reason: &str, detail: &str) -> Self {
        Self { reason: reason.to_owned(), detail: detail.to_owned(), may_move: false }
    }

    fn status(status: StatusCode, body: &[u8]) -> Self {
        let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        Self::new(&format!("status {}", status.as_u16()), line.trim_end())
    }

    fn broken(error: &hyper::Error, may_move: bool) -> Self {
        let kind = error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
        let reason = match kind {
            _ if error.is_parse() => "malformed",
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => "reset",
            _ => "closed",
        };
        let may_move = may_move && !error.is_parse();
        Self { may_move, ..Self::new(reason, &error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_all_its_addresses_tried() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let origin = evenkeel_testkit::Origin::named("here");
        let target = Target::new("name:80".to_owned(), vec![nobody, origin.address()], false);
        let targets = [Arc::new(target)];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        for number in 0..2 {
            let outcome = runtime.block_on(exchange(&targets, number, &Request::default(), deadline, false));
            assert_eq!((outcome.is_moved, outcome.result), (false, Ok(None)), "{number}");
        }
    }

    #[test]
    fn answers_are_quoted_by_their_first_line() {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let trouble = Trouble::status(status, b"nobody is up\r\nmore");
        assert_eq!((trouble.reason.as_str(), trouble.detail.as_str()), ("status 503", "nobody is up"));
        assert_eq!(Trouble::status(status, b"").detail, "");
    }
}
