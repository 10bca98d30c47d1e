//! One request and its answer: receive, route, forward or answer, record.

use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use evenkeel_http1::request::{Meaning, RequestLine};
use evenkeel_http1::{Fault, FaultKind, Field, Framing, HeadParser, Known, LineEnds, Version};
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::{retry, routing};

use crate::body::first_room;
use crate::connection::{Connection, Next};
use crate::forward;
use crate::heads::{self, Sender, Spans};
use crate::record::Record;
use crate::rejection::{self, Form};
use crate::state::{Destination, Outcome, RouteState};
use crate::upstream::UpstreamState;

/// A request, understood, in the form in which it goes to an endpoint.
#[derive(Default)]
pub(crate) struct Request {
    /// The head for an endpoint, and behind it the body if that had arrived whole.
    pub(crate) bytes: Vec<u8>,
    spans: Spans,
    /// Bytes of the head as the client sent it.
    pub(crate) received: usize,
    pub(crate) framing: Option<Framing>,
    pub(crate) is_http11: bool,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) to_head: bool,
    /// Whether doing it twice is like doing it once (RFC 9110 §9.2.2).
    pub(crate) idempotent: bool,
    /// What its upstream picks an endpoint by, if that is a hash.
    pub(crate) hash: Option<u64>,
}

impl Request {
    fn span(&self, span: &Range<usize>) -> &[u8] {
        self.bytes.get(span.clone()).unwrap_or_default()
    }

    pub(crate) fn method(&self) -> &[u8] {
        self.span(&self.spans.method)
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &[u8] {
        self.span(&self.spans.target)
    }

    pub(crate) fn host(&self) -> &[u8] {
        self.span(&self.spans.host)
    }

    pub(crate) fn id(&self) -> &[u8] {
        self.span(&self.spans.id)
    }

    /// How an answer of ours to it looks; `close` when the connection ends with it.
    fn form(&self, close: bool) -> Form<'_> {
        let say_keep_alive = !close && !self.is_http11;
        Form { request_id: self.id(), close, say_keep_alive, to_head: self.to_head }
    }
}

/// Serves one request.
pub(crate) async fn run(connection: &mut Connection) -> Next {
    let (mut record, route, destination) = match receive(connection).await {
        Received::Request(record, route, destination) => (record, route, destination),
        Received::Faulty(fault, record) => {
            return reject(connection, record, rejection_for(fault.kind), Some(fault.what)).await;
        }
        Received::Late(record) => {
            return reject(connection, record, Rejection::HeaderTimeout, None).await;
        }
        Received::Ended => return Next::Close,
    };
    let Some(route) = route else {
        return reject(connection, record, Rejection::NoRoute, None).await;
    };
    record.route = Some(route.clone());
    match &route.outcome {
        Outcome::Forward(_) => match destination {
            Some(destination) => forward::run(connection, record, &destination).await,
            None => reject(connection, record, Rejection::NoRoute, None).await,
        },
        Outcome::Redirect { to, status, series } => {
            record.series = Some(series.clone());
            let location = locate(to, &record.request);
            answer(connection, record, *status, &format!("Location: {location}\r\n"), "").await
        }
        Outcome::Respond { status, body, series } => {
            record.series = Some(series.clone());
            answer(connection, record, *status, "", body).await
        }
    }
}

/// What came of waiting for a request.
#[allow(clippy::large_enum_variant)] // made once per request and taken apart at once
enum Received {
    /// What it is, its route, and where that forwards it to, if it does.
    Request(Record, Option<Rc<RouteState>>, Option<Destination>),
    Faulty(Fault, Record),
    /// The head did not arrive in time.
    Late(Record),
    /// The connection ended without a request.
    Ended,
}

/// Receives a head and routes it.
async fn receive(connection: &mut Connection) -> Received {
    let started = Instant::now();
    let mut parser = HeadParser::default();
    let mut is_timed = false;
    std::future::poll_fn(|cx| {
        loop {
            match read_head(cx, connection, &mut parser, started) {
                Poll::Ready(Some(received)) => return Poll::Ready(received),
                Poll::Ready(None) => continue,
                Poll::Pending => {}
            }
            if !is_timed {
                is_timed = true;
                connection.deadline.set(started + connection.listener.settings.timeouts.header);
            }
            ready!(connection.deadline.poll(cx));
            // A line end too many after a body is no request.
            let is_empty = connection.carry.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            if is_empty {
                return Poll::Ready(Received::Ended);
            }
            let record = unfinished(connection, &connection.carry, &parser, started);
            return Poll::Ready(Received::Late(record));
        }
    })
    .await
}

/// Reads what there is. `None` when that was not the whole head.
///
/// Most heads arrive whole and are read in the worker's buffers; one that does not moves to the connection.
fn read_head(
    cx: &mut Context<'_>,
    connection: &mut Connection,
    parser: &mut HeadParser,
    started: Instant,
) -> Poll<Option<Received>> {
    let worker = connection.worker.clone();
    let scratch = &mut *worker.scratch.borrow_mut();
    let limit = connection.listener.settings.limits.header_bytes;
    let is_new = parser.is_fresh();
    if connection.carry.is_empty() || !is_new {
        let read = match ready!(connection.stream.poll_read(cx, first_room(&mut scratch.input))) {
            Ok(read) if read > 0 => read,
            _ => return Poll::Ready(Some(Received::Ended)),
        };
        let input = scratch.input.get(..read).unwrap_or_default();
        if is_new {
            scratch.parser.reset();
            return Poll::Ready(match scratch.parser.parse(input, limit, LineEnds::Strict) {
                Ok(Some(length)) => {
                    let (head, rest) = input.split_at(length);
                    connection.carry.extend_from_slice(rest);
                    Some(understand(connection, head, &scratch.parser, started))
                }
                Ok(None) => {
                    connection.carry.extend_from_slice(input);
                    *parser = std::mem::take(&mut scratch.parser);
                    None
                }
                Err(fault) => {
                    let record = unfinished(connection, input, &scratch.parser, started);
                    Some(Received::Faulty(fault, record))
                }
            });
        }
        connection.carry.extend_from_slice(input);
    }
    Poll::Ready(match parser.parse(&connection.carry, limit, LineEnds::Strict) {
        Ok(Some(length)) => {
            let rest = connection.carry.split_off(length);
            let head = std::mem::replace(&mut connection.carry, rest);
            Some(understand(connection, &head, parser, started))
        }
        Ok(None) => None,
        Err(fault) => {
            let record = unfinished(connection, &connection.carry, parser, started);
            Some(Received::Faulty(fault, record))
        }
    })
}

/// What is recorded of a request that was not understood: what its first line says, if that much arrived, and an id.
fn unfinished(connection: &Connection, received: &[u8], parser: &HeadParser, started: Instant) -> Record {
    let line = parser.start_line(received).and_then(|line| RequestLine::parse(line).ok());
    let mut request = Request { received: received.len(), ..Request::default() };
    let rng = &mut connection.worker.rng.borrow_mut();
    request.spans = heads::write_unfinished(&mut request.bytes, line.as_ref(), rng);
    request.to_head = line.is_some_and(|line| line.method == b"HEAD");
    Record::new(connection, started, request)
}

/// Makes a request of a whole head, and finds its route.
fn understand(connection: &Connection, head: &[u8], parser: &HeadParser, started: Instant) -> Received {
    let fields = parser.fields();
    let read = || {
        let line = RequestLine::parse(parser.start_line(head).unwrap_or_default())?;
        let meaning = Meaning::parse(&line, head, fields)?;
        Ok((line, meaning))
    };
    let (line, meaning) = match read() {
        Ok(read) => read,
        Err(fault) => return Received::Faulty(fault, unfinished(connection, head, parser, started)),
    };
    let path = line.target.split(|&byte| byte == b'?').next().unwrap_or_default();
    let route = connection.listener.route(&routing::Request {
        host: meaning.host,
        path: &routing::normalize_path(path),
        method: line.method,
        has_header: &|name, value| {
            fields.iter().any(|field| {
                field.name(head).eq_ignore_ascii_case(name.as_bytes())
                    && field.value(head) == value.as_bytes()
            })
        },
    });
    // While the fields are at hand: the upstream may pick by one of them.
    let destination = route.as_deref().and_then(|route| choose(connection, route));
    let sender = Sender {
        client: connection.client,
        trusted: connection.is_trusted(),
        scheme: "http",
        own_host: &connection.listener.own_host,
    };
    let mut request = Request {
        received: head.len(),
        framing: Some(meaning.framing),
        is_http11: line.version == Version::Http11,
        keep_alive: meaning.keep_alive,
        expects_continue: meaning.expects_continue,
        to_head: line.method == b"HEAD",
        idempotent: retry::idempotent(line.method),
        hash: destination.as_ref().and_then(|to| hash(connection, &to.upstream, line.target, head, fields)),
        ..Request::default()
    };
    let rng = &mut connection.worker.rng.borrow_mut();
    request.spans = heads::write_request(&mut request.bytes, &line, &meaning, head, fields, &sender, rng);
    Received::Request(Record::new(connection, started, request), route, destination)
}

/// What the upstream picks an endpoint by, if that is a hash.
fn hash(
    connection: &Connection,
    upstream: &UpstreamState,
    target: &[u8],
    head: &[u8],
    fields: &[Field],
) -> Option<u64> {
    let client = || {
        let forwarded = fields.iter().filter(|field| field.known == Known::XForwardedFor);
        connection.listener.trust.client(connection.client, forwarded.map(|field| field.value(head)))
    };
    upstream.key()?.hash(client, target, fields.iter().map(|field| (field.name(head), field.value(head))))
}

/// Where a route forwards to, if it does: one of several destinations, by weight.
fn choose(connection: &Connection, route: &RouteState) -> Option<Destination> {
    let Outcome::Forward(destinations) = &route.outcome else { return None };
    let [(only, _)] = destinations.as_slice() else {
        let total: u32 = destinations.iter().map(|(_, weight)| weight).sum();
        let mut ticket = connection.worker.rng.borrow_mut().below(total.max(1));
        let mut chosen = None;
        for (destination, weight) in destinations {
            chosen = Some(destination);
            if ticket < *weight {
                break;
            }
            ticket -= weight;
        }
        return chosen.cloned();
    };
    Some(only.clone())
}

/// Fills in a redirect's placeholders. Nothing that a target or host may contain breaks a field.
fn locate(to: &str, request: &Request) -> String {
    to.replace("{host}", &String::from_utf8_lossy(request.host()))
        .replace("{path}", &String::from_utf8_lossy(request.target()))
}

fn rejection_for(kind: FaultKind) -> Rejection {
    match kind {
        FaultKind::Malformed => Rejection::MalformedRequest,
        FaultKind::Ambiguous => Rejection::AmbiguousFraming,
        FaultKind::BadHost => Rejection::BadHost,
        FaultKind::Version => Rejection::UnsupportedVersion,
        FaultKind::TransferCoding => Rejection::UnsupportedTransferCoding,
        FaultKind::Expectation => Rejection::UnsupportedExpectation,
        FaultKind::Method => Rejection::UnsupportedMethod,
        FaultKind::StartLineTooLong => Rejection::UriTooLong,
        FaultKind::HeadTooLarge => Rejection::HeaderTooLarge,
    }
}

/// Rejects a request whose body violates its framing.
pub(crate) async fn reject_fault(connection: &mut Connection, record: Record, fault: Fault) -> Next {
    reject(connection, record, rejection_for(fault.kind), Some(fault.what)).await
}

/// Answers a request that is not forwarded, or whose forwarding failed, with the reason.
pub(crate) async fn reject(
    connection: &mut Connection,
    mut record: Record,
    rejection: Rejection,
    detail: Option<&str>,
) -> Next {
    record.rejection = Some(rejection);
    let next = after_own_answer(connection, &record.request);
    let mut output = Vec::new();
    rejection::write(&mut output, rejection, detail, record.request.form(next != Next::Keep));
    deliver(connection, record, rejection.status(), &output, next).await
}

/// Answers as the configuration says.
async fn answer(connection: &mut Connection, record: Record, status: u16, fields: &str, body: &str) -> Next {
    let next = after_own_answer(connection, &record.request);
    let mut output = Vec::new();
    rejection::answer(&mut output, status, fields, body, record.request.form(next != Next::Keep));
    deliver(connection, record, status, &output, next).await
}

async fn deliver(
    connection: &mut Connection,
    mut record: Record,
    status: u16,
    output: &[u8],
    next: Next,
) -> Next {
    record.status = status;
    record.bytes_out = output.len() as u64;
    record.is_complete = connection.send(output).await;
    if record.is_complete {
        return next;
    }
    record.rejection = Some(Rejection::ClientClosed);
    Next::Close
}

/// A connection whose request was not read to its end cannot be used further.
fn after_own_answer(connection: &Connection, request: &Request) -> Next {
    let is_read = request.framing == Some(Framing::None);
    match (is_read, request.keep_alive && !connection.is_ending()) {
        (true, true) => Next::Keep,
        (true, false) => Next::Close,
        (false, _) => Next::Linger,
    }
}
