//! One attempt at one endpoint: a connection, the request, the response, and the deadlines of all three.
//!
//! The request's body and the response travel at the same time, in one task: an endpoint may answer before
//! it has read everything, and may stop reading. Meanwhile the client is watched, so that work for a client
//! that is gone is given up.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use evenkeel_http1::response::{Meaning, StatusLine};
use evenkeel_http1::{Fault, FaultKind, Framing, HeadParser, LineEnds};
use evenkeel_net::dial;
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::retry::Failure;

use crate::body::{Blocked, Relay};
use crate::connection::{Connection, Next};
use crate::forward::{Retries, Upload};
use crate::heads::{self, Leaving};
use crate::pool::EndpointConnection;
use crate::record::Record;
use crate::state::EndpointState;

/// The largest head accepted of an endpoint, interim responses not counted.
const RESPONSE_HEAD_LIMIT: usize = 64 * 1024;

/// Interim responses (1xx) accepted before the final one.
const INTERIM_LIMIT: u32 = 16;

/// A request counted at an endpoint for as long as the attempt lasts. The count itself was made by the pick.
pub(crate) struct InFlight {
    endpoint: Rc<EndpointState>,
    began: Instant,
    status: Option<u16>,
}

impl InFlight {
    pub(crate) fn begin(endpoint: Rc<EndpointState>) -> Self {
        endpoint.series.begin();
        Self { endpoint, began: Instant::now(), status: None }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.shared.load.end();
        self.endpoint.series.end(self.status, self.began.elapsed());
    }
}

/// How an attempt ended.
pub(crate) enum Ended {
    /// The client has an answer, or as much of one as could be had.
    Answered(Next),
    /// The endpoint failed before the client saw anything; `true` if some of the request had been sent.
    Failed(Failure, Rejection, bool),
    /// The endpoint answered with a status that is tried again elsewhere, which has been decided and paid for.
    StatusToRetry,
    /// The request is answered by us; no other endpoint would do better.
    Rejected(Rejection, Option<&'static str>),
    /// The client violates its framing.
    Faulty(Fault),
    /// The client is gone: nobody is answered.
    Client(Rejection),
}

/// One attempt, to be run.
pub(crate) struct Attempt<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) record: &'a mut Record,
    pub(crate) upload: &'a mut Upload,
    pub(crate) in_flight: InFlight,
    pub(crate) retries: Retries<'a>,
}

/// An attempt with a connection.
struct Flight<'a> {
    attempt: Attempt<'a>,
    endpoint: EndpointConnection,
    /// Bytes of the request's head (and a body that came with it) that the endpoint has taken.
    sent: usize,
    /// Whether the endpoint stopped taking the request. It may still answer.
    upload_is_broken: bool,
    /// The response's body; before that, interim responses on their way.
    download: Relay,
    /// A head that has not arrived whole.
    partial: Vec<u8>,
    parser: HeadParser,
    interims: u32,
    /// Whether the endpoint's connection can be used again.
    is_reusable: bool,
    /// By when the answer must begin, once the request is sent.
    answer_by: Option<Instant>,
    half_close_by: Option<Instant>,
    progress: u64,
}

/// What there is after looking at some bytes of a response.
enum HeadStep {
    More,
    Final,
    Ended(Ended),
}

impl Attempt<'_> {
    pub(crate) async fn run(mut self) -> Ended {
        loop {
            let endpoint = match self.connect().await {
                Ok(endpoint) => endpoint,
                Err((failure, rejection)) => return Ended::Failed(failure, rejection, false),
            };
            let is_reused = endpoint.reused;
            let mut flight = Flight::new(self, endpoint);
            let outcome = flight.run().await;
            let Flight { attempt, endpoint, is_reusable, .. } = flight;
            self = attempt;
            if is_reusable && matches!(outcome, Ended::Answered(_)) {
                let limit = self.retries.upstream().settings.pool.idle_connections;
                self.in_flight.endpoint.pool.put(endpoint, Instant::now(), limit);
            }
            match outcome {
                // The endpoint had closed a connection that was kept: replace it, nobody needs to know.
                Ended::Failed(Failure::Reset, _, sent)
                    if is_reused && !self.upload.is_begun && (!sent || self.record.request.idempotent) => {}
                outcome => return outcome,
            }
        }
    }

    /// An idle connection, or a new one.
    async fn connect(&mut self) -> Result<EndpointConnection, (Failure, Rejection)> {
        let endpoint = &self.in_flight.endpoint;
        while let Some(connection) = endpoint.pool.take() {
            // What may not be repeated is worth a system call to see whether the endpoint is still there.
            if self.record.request.idempotent || connection.stream.is_idle() {
                return Ok(connection);
            }
        }
        let Some(target) = endpoint.shared.target() else {
            endpoint.series.connect_failed();
            return Err((Failure::Connect, Rejection::UnresolvedName));
        };
        let began = Instant::now();
        let timeouts = &self.retries.upstream().settings.timeouts;
        let patience = timeouts.attempt.unwrap_or(Duration::MAX).min(timeouts.connect);
        self.connection.deadline.set(began + patience);
        let mut dialing = pin!(dial(&target));
        let dialed = std::future::poll_fn(|cx| match dialing.as_mut().poll(cx) {
            Poll::Pending => self.connection.deadline.poll(cx).map(|()| None),
            Poll::Ready(dialed) => Poll::Ready(Some(dialed)),
        })
        .await;
        let failure = match dialed {
            Some(Ok(stream)) => {
                self.record.connect = Some(began.elapsed());
                return Ok(EndpointConnection::new(stream, endpoint.series.clone()));
            }
            Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                (Failure::Connect, Rejection::ConnectRefused)
            }
            Some(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                (Failure::ConnectTimeout, Rejection::ConnectTimeout)
            }
            Some(Err(_)) => (Failure::Connect, Rejection::ConnectFailed),
            None => (Failure::ConnectTimeout, Rejection::ConnectTimeout),
        };
        endpoint.series.connect_failed();
        Err(failure)
    }
}

impl<'a> Flight<'a> {
    fn new(attempt: Attempt<'a>, endpoint: EndpointConnection) -> Self {
        Self {
            attempt,
            endpoint,
            sent: 0,
            upload_is_broken: false,
            download: Relay::new(Framing::None, false),
            partial: Vec::new(),
            parser: HeadParser::default(),
            interims: 0,
            is_reusable: false,
            answer_by: None,
            half_close_by: None,
            progress: 0,
        }
    }

    async fn run(&mut self) -> Ended {
        let ended = std::future::poll_fn(|cx| self.poll_head(cx)).await;
        if let Some(ended) = ended {
            return ended;
        }
        let next = std::future::poll_fn(|cx| self.poll_body(cx)).await;
        self.attempt.record.bytes_out += self.download.bytes;
        Ended::Answered(next)
    }

    fn is_sent(&self) -> bool {
        self.upload_is_broken
            || (self.sent == self.attempt.record.request.bytes.len() && self.attempt.upload.relay.is_done())
    }

    fn failed(&self, failure: Failure, rejection: Rejection) -> Poll<Option<Ended>> {
        Poll::Ready(Some(Ended::Failed(failure, rejection, self.sent > 0)))
    }

    /// Sends the request and waits for the final response's head. `None` once it was passed on.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended>> {
        if let Poll::Ready(ended) = self.poll_request(cx) {
            return Poll::Ready(Some(ended));
        }
        loop {
            match self.poll_response(cx) {
                Poll::Ready(HeadStep::More) => {}
                Poll::Ready(HeadStep::Final) => return Poll::Ready(None),
                Poll::Ready(HeadStep::Ended(ended)) => return Poll::Ready(Some(ended)),
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(Err(_)) = self.download.poll_flush(cx, &self.attempt.connection.stream) {
            return Poll::Ready(Some(Ended::Client(Rejection::ClientClosed)));
        }
        if self.is_sent() {
            if self.attempt.connection.poll_watch(cx).is_err() {
                return Poll::Ready(Some(Ended::Client(Rejection::ClientClosed)));
            }
            let patience = self.attempt.connection.listener.settings.timeouts.half_close;
            if self.attempt.connection.half_closed && self.half_close_by.is_none() {
                let by = Instant::now() + patience;
                self.half_close_by = Some(by);
                self.arm(self.answer_by.map_or(by, |answer| answer.min(by)));
            }
        }
        self.arm_for_head();
        ready!(self.attempt.connection.deadline.poll(cx));
        self.head_is_late()
    }

    fn arm(&self, by: Instant) {
        self.attempt.connection.deadline.set(by);
    }

    /// Sets the deadline of what is waited for: the request's progress, then the answer.
    fn arm_for_head(&mut self) {
        let timeouts = &self.attempt.retries.upstream().settings.timeouts;
        if self.is_sent() {
            if self.answer_by.is_none() {
                let patience =
                    timeouts.attempt.map_or(timeouts.response, |attempt| attempt.min(timeouts.response));
                let by = Instant::now() + patience;
                self.answer_by = Some(by);
                self.arm(by);
            }
            return;
        }
        let progress = self.sent as u64 + self.attempt.upload.relay.bytes + 1;
        if self.progress != progress {
            self.progress = progress;
            let waits_for_client = self.attempt.upload.relay.is_flushed();
            let client = self.attempt.connection.listener.settings.timeouts.stall;
            self.arm(Instant::now() + if waits_for_client { client } else { timeouts.stall });
        }
    }

    fn head_is_late(&self) -> Poll<Option<Ended>> {
        if self.half_close_by.is_some_and(|by| by <= Instant::now()) {
            return Poll::Ready(Some(Ended::Client(Rejection::ClientClosed)));
        }
        let request_is_sent = self.sent == self.attempt.record.request.bytes.len();
        if !self.is_sent() && request_is_sent && self.attempt.upload.relay.is_flushed() {
            return Poll::Ready(Some(Ended::Rejected(Rejection::BodyTimeout, None)));
        }
        self.failed(Failure::AttemptTimeout, Rejection::ResponseTimeout)
    }

    /// Sends what can be sent of the request. Ready when there is no point in waiting for an answer.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        while let Some(rest @ [_, ..]) = self.attempt.record.request.bytes.get(self.sent..) {
            if self.upload_is_broken {
                return Poll::Pending;
            }
            match ready!(self.endpoint.stream.poll_write(cx, rest)) {
                Ok(written) => self.sent += written,
                Err(_) => self.upload_is_broken = true,
            }
        }
        if self.upload_is_broken || self.attempt.upload.relay.is_done() {
            return Poll::Pending;
        }
        let before = self.attempt.upload.relay.bytes;
        let outcome = self.poll_upload(cx);
        self.attempt.record.bytes_in += self.attempt.upload.relay.bytes - before;
        outcome
    }

    /// Moves the request's body from the client to the endpoint.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let Attempt { connection, upload, .. } = &mut self.attempt;
        let connection = &mut **connection;
        loop {
            match ready!(upload.relay.poll_flush(cx, &self.endpoint.stream)) {
                Ok(()) if upload.relay.is_done() => return Poll::Pending,
                Ok(()) => {}
                Err(_) => {
                    self.upload_is_broken = true;
                    return Poll::Pending;
                }
            }
            let scratch = &mut *connection.worker.scratch.borrow_mut();
            scratch.output.clear();
            let fed = if connection.carry.is_empty() {
                let read = match ready!(connection.stream.poll_read(cx, &mut scratch.input)) {
                    Ok(read) if read > 0 => read,
                    _ => return Poll::Ready(Ended::Client(Rejection::ClientClosed)),
                };
                let input = scratch.input.get(..read).unwrap_or_default();
                upload.relay.feed(&mut scratch.output, input, &self.endpoint.stream).inspect(|&taken| {
                    connection.carry.extend_from_slice(input.get(taken..).unwrap_or_default());
                })
            } else {
                let fed = upload.relay.feed(&mut scratch.output, &connection.carry, &self.endpoint.stream);
                fed.inspect(|&taken| {
                    connection.carry.drain(..taken);
                })
            };
            upload.is_begun = true;
            match fed {
                Ok(_) if upload.limit.is_some_and(|limit| upload.relay.bytes > limit) => {
                    return Poll::Ready(Ended::Rejected(Rejection::BodyTooLarge, None));
                }
                Ok(_) => {}
                Err(Blocked::Sender(fault)) => return Poll::Ready(Ended::Faulty(fault)),
                Err(Blocked::Receiver(_)) => {
                    self.upload_is_broken = true;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Reads some of the response's head.
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<HeadStep> {
        let worker = self.attempt.connection.worker.clone();
        let scratch = &mut *worker.scratch.borrow_mut();
        let read = match ready!(self.endpoint.stream.poll_read(cx, &mut scratch.input)) {
            Ok(read) if read > 0 => read,
            _ => {
                let ended = Ended::Failed(Failure::Reset, Rejection::UpstreamClosed, self.sent > 0);
                return Poll::Ready(HeadStep::Ended(ended));
            }
        };
        let input = scratch.input.get(..read).unwrap_or_default();
        if self.partial.is_empty() {
            let parser = &mut scratch.parser;
            parser.reset();
            return Poll::Ready(self.read_heads(input, parser, &mut scratch.output));
        }
        let mut partial = std::mem::take(&mut self.partial);
        let mut parser = std::mem::take(&mut self.parser);
        partial.extend_from_slice(input);
        Poll::Ready(self.read_heads(&partial, &mut parser, &mut scratch.output))
    }

    /// Reads interim heads and perhaps the final one from the front of `input`; keeps what is not whole.
    fn read_heads(&mut self, mut input: &[u8], parser: &mut HeadParser, output: &mut Vec<u8>) -> HeadStep {
        loop {
            let length = match parser.parse(input, RESPONSE_HEAD_LIMIT, LineEnds::Lenient) {
                Ok(Some(length)) => length,
                Ok(None) => {
                    self.partial = input.to_vec();
                    self.parser = std::mem::take(parser);
                    return HeadStep::More;
                }
                Err(fault) => return HeadStep::Ended(refuse(fault)),
            };
            let (head, rest) = input.split_at(length);
            let read = || {
                let line = StatusLine::parse(parser.start_line(head).unwrap_or_default())?;
                let to_head = self.attempt.record.request.to_head;
                let meaning = Meaning::parse(&line, head, parser.fields(), to_head)?;
                Ok((line, meaning))
            };
            let (line, meaning) = match read() {
                Ok(read) => read,
                Err(fault) => return HeadStep::Ended(refuse(fault)),
            };
            let received = heads::Received {
                head,
                fields: parser.fields(),
                status: line.status,
                reason: line.reason,
                clean: parser.is_clean(),
                names_fields: meaning.names_fields,
            };
            if line.status >= 200 {
                return self.take_final(&received, &meaning, rest, output);
            }
            self.interims += 1;
            if line.status == 101 || self.interims > INTERIM_LIMIT {
                let what = "there are too many interim responses, or one that was not asked for";
                return HeadStep::Ended(Ended::Rejected(Rejection::ResponseMalformed, Some(what)));
            }
            let request = &self.attempt.record.request;
            if request.is_http11 && (line.status != 100 || request.expects_continue) {
                output.clear();
                heads::write_response(output, &received, None);
                if self.download.send(&[output], &self.attempt.connection.stream).is_err() {
                    return HeadStep::Ended(Ended::Client(Rejection::ClientClosed));
                }
            }
            if rest.is_empty() {
                return HeadStep::More;
            }
            input = rest;
            parser.reset();
        }
    }

    /// Passes the final head on, and what came with it of the body.
    fn take_final(
        &mut self,
        received: &heads::Received<'_>,
        meaning: &Meaning,
        rest: &[u8],
        output: &mut Vec<u8>,
    ) -> HeadStep {
        let status = received.status;
        self.attempt.in_flight.status = Some(status);
        let is_sent = self.is_sent();
        let Attempt { connection, record, upload, retries, .. } = &mut self.attempt;
        let may_retry = retries.upstream().settings.retry.on.statuses.contains(&status);
        if may_retry && retries.allow(Failure::Status(status), record, upload, true) {
            return HeadStep::Ended(Ended::StatusToRetry);
        }
        let request = &record.request;
        let chunked = request.is_http11 && matches!(meaning.framing, Framing::Chunked | Framing::UntilClose);
        let until_close = !chunked && matches!(meaning.framing, Framing::Chunked | Framing::UntilClose);
        let close =
            until_close || !request.keep_alive || !is_sent || self.upload_is_broken || connection.is_ending();
        let leaving = Leaving { chunked, close, say_keep_alive: !close && !request.is_http11 };
        output.clear();
        heads::write_response(output, received, Some(leaving));
        record.status = status;
        record.first_byte = Some(Instant::now());
        record.bytes_out = output.len() as u64;

        // Interim responses that the client has not taken yet go first.
        let waiting = std::mem::replace(&mut self.download, Relay::new(meaning.framing, chunked));
        self.download.follow(waiting);
        self.is_reusable = meaning.keep_alive;
        record.request.keep_alive = !close;
        self.take_body(rest, output)
    }

    /// Passes on what `output` holds already and what `input` holds of the body.
    fn take_body(&mut self, input: &[u8], output: &mut Vec<u8>) -> HeadStep {
        match self.download.feed(output, input, &self.attempt.connection.stream) {
            Ok(taken) => {
                // Whatever follows the body was not asked for.
                self.is_reusable &= taken == input.len();
                HeadStep::Final
            }
            Err(Blocked::Receiver(_)) => HeadStep::Ended(Ended::Client(Rejection::ClientClosed)),
            Err(Blocked::Sender(_)) => {
                self.is_reusable = false;
                self.attempt.record.rejection = Some(Rejection::ResponseIncomplete);
                HeadStep::Ended(Ended::Answered(Next::Reset))
            }
        }
    }

    /// Passes on the response's body and, if it is not through yet, the request's.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let next = self.poll_download(cx);
        if let Poll::Ready(next) = next {
            return Poll::Ready(self.finish(next));
        }
        if self.is_sent() {
            if self.attempt.connection.poll_watch(cx).is_err() {
                return Poll::Ready(self.finish(Err((Rejection::ClientClosed, Next::Close))));
            }
        } else if self.poll_request(cx).is_ready() {
            // The client is gone or breaks its framing in the middle of an answer: there is no other way to say so.
            return Poll::Ready(self.finish(Err((Rejection::ClientClosed, Next::Close))));
        }
        let progress = self.download.bytes + self.attempt.upload.relay.bytes + 1;
        let waits_for_client = !self.download.is_flushed();
        if self.progress != progress {
            self.progress = progress;
            let upstream = self.attempt.retries.upstream().settings.timeouts.stall;
            let client = self.attempt.connection.listener.settings.timeouts.stall;
            self.arm(Instant::now() + if waits_for_client { client } else { upstream });
        }
        ready!(self.attempt.connection.deadline.poll(cx));
        let rejection =
            if waits_for_client { Rejection::ClientStalled } else { Rejection::ResponseIncomplete };
        Poll::Ready(self.finish(Err((rejection, Next::Reset))))
    }

    fn poll_download(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), (Rejection, Next)>> {
        let client = &self.attempt.connection.stream;
        let gone = |_| (Rejection::ClientClosed, Next::Close);
        loop {
            ready!(self.download.poll_flush(cx, client)).map_err(gone)?;
            if self.download.is_done() {
                return Poll::Ready(Ok(()));
            }
            let scratch = &mut *self.attempt.connection.worker.scratch.borrow_mut();
            let read = match ready!(self.endpoint.stream.poll_read(cx, &mut scratch.input)) {
                Ok(read) if read > 0 => read,
                Ok(_) if self.download.end_of_input(client) => continue,
                _ => return Poll::Ready(Err((Rejection::ResponseIncomplete, Next::Reset))),
            };
            let input = scratch.input.get(..read).unwrap_or_default();
            scratch.output.clear();
            match self.download.feed(&mut scratch.output, input, client) {
                Ok(taken) => self.is_reusable &= taken == read,
                Err(Blocked::Receiver(error)) => return Poll::Ready(Err(gone(error))),
                Err(Blocked::Sender(_)) => {
                    return Poll::Ready(Err((Rejection::ResponseIncomplete, Next::Reset)));
                }
            }
        }
    }

    /// Ends the answer: says what becomes of the client's connection, and keeps the endpoint's if it can.
    fn finish(&mut self, outcome: Result<(), (Rejection, Next)>) -> Next {
        let is_sent = self.is_sent() && !self.upload_is_broken;
        self.is_reusable &= is_sent && outcome.is_ok();
        match outcome {
            Err((rejection, next)) => {
                self.attempt.record.rejection = Some(rejection);
                next
            }
            Ok(()) if !is_sent => Next::Linger,
            Ok(()) if self.attempt.record.request.keep_alive => Next::Keep,
            Ok(()) => Next::Close,
        }
    }
}

/// The endpoint's answer cannot be understood.
fn refuse(fault: Fault) -> Ended {
    let rejection = match fault.kind {
        FaultKind::HeadTooLarge | FaultKind::StartLineTooLong => Rejection::ResponseHeaderTooLarge,
        _ => Rejection::ResponseMalformed,
    };
    Ended::Rejected(rejection, Some(fault.what))
}
