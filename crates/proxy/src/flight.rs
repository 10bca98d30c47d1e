//! An attempt with a connection: the request goes out, the response comes back, each has its deadlines.
//!
//! The request's body and the response travel at the same time, in one task: an endpoint may answer before
//! it has read everything, and may stop reading. Meanwhile the client is watched, so that work for a client
//! that is gone is given up, and so is the endpoint: one that is found down while it keeps a request waiting
//! loses that request to another one, if it may be repeated.

use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use evenkeel_http1::{Framing, HeadParser};
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::retry::Failure;

use crate::attempt::{Attempt, Ended};
use crate::body::{Blocked, Relay};
use crate::connection::Next;
use crate::pool::EndpointConnection;
use crate::response::HeadStep;
use crate::turn::{TURN, end_turn};

/// An endpoint that lets a request wait this long is probed at once.
const SUSPECT_AFTER: Duration = Duration::from_secs(1);
/// How often it is then looked at whether the endpoint was found down.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// An attempt under way.
pub(crate) struct Flight<'a> {
    pub(crate) attempt: Attempt<'a>,
    pub(crate) endpoint: EndpointConnection,
    /// Bytes of the request's head (and a body that came with it) that the endpoint has taken.
    pub(crate) sent: usize,
    /// Whether the endpoint stopped taking the request. It may still answer.
    pub(crate) upload_is_broken: bool,
    /// The response's body; before that, interim responses on their way.
    pub(crate) download: Relay,
    /// A head that has not arrived whole.
    pub(crate) partial: Vec<u8>,
    pub(crate) parser: HeadParser,
    pub(crate) interims: u32,
    /// Whether the endpoint's connection can be used again.
    pub(crate) is_reusable: bool,
    /// By when the answer to this attempt must begin, once the request is sent.
    answer_by: Option<Instant>,
    /// When to look at the endpoint next, while it keeps us waiting.
    look_at: Option<Instant>,
    has_suspected: bool,
    /// By when an answer must begin to a client that sends nothing more.
    half_close_by: Option<Instant>,
    progress: u64,
}

impl<'a> Flight<'a> {
    pub(crate) fn new(attempt: Attempt<'a>, endpoint: EndpointConnection) -> Self {
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
            look_at: None,
            has_suspected: false,
            half_close_by: None,
            progress: 0,
        }
    }

    /// The attempt again, and its connection if that can be used again.
    pub(crate) fn land(self) -> (Attempt<'a>, Option<EndpointConnection>) {
        (self.attempt, self.is_reusable.then_some(self.endpoint))
    }

    pub(crate) async fn run(&mut self) -> Ended {
        let ended = std::future::poll_fn(|cx| self.poll_head(cx)).await;
        if let Some(ended) = ended {
            if matches!(ended, Ended::Answered(_) | Ended::Client(_)) || self.download.is_flushed() {
                return ended;
            }
            // A part of an interim response is on its way to the client: whatever came next would land in its middle.
            self.attempt.record.rejection = Some(Rejection::ResponseIncomplete);
            return Ended::Answered(Next::Reset);
        }
        self.progress = 0;
        Ended::Answered(std::future::poll_fn(|cx| self.poll_body(cx)).await)
    }

    /// Whether the endpoint has as much of the request as it will get.
    pub(crate) fn is_sent(&self) -> bool {
        self.upload_is_broken || (self.head_is_sent() && self.attempt.upload.relay.is_done())
    }

    fn head_is_sent(&self) -> bool {
        self.sent == self.attempt.record.request.bytes.len()
    }

    /// Whether it is the endpoint's turn: it has the request, or is to say whether it wants the body.
    fn is_endpoints_turn(&self) -> bool {
        let awaits_continue = self.head_is_sent()
            && self.interims == 0
            && self.attempt.record.request.expects_continue
            && !self.attempt.upload.is_begun;
        awaits_continue || self.is_sent()
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
        if self.is_sent() && self.attempt.connection.poll_watch(cx).is_err() {
            return Poll::Ready(Some(Ended::Client(Rejection::ClientClosed)));
        }
        if self.attempt.connection.worker.is_over.get() {
            return Poll::Ready(Some(Ended::Rejected(Rejection::ShuttingDown, None)));
        }
        loop {
            self.arm_for_head();
            ready!(self.attempt.connection.deadline.poll(cx));
            if let Some(ended) = self.head_is_late() {
                return Poll::Ready(Some(ended));
            }
        }
    }

    fn arm(&self, by: Instant) {
        self.attempt.connection.deadline.set(by);
    }

    /// Sets the deadline of what is waited for: the request's progress, then the answer.
    fn arm_for_head(&mut self) {
        let timeouts = &self.attempt.retries.upstream().settings.timeouts;
        let client = &self.attempt.connection.listener.settings.timeouts;
        if !self.is_endpoints_turn() {
            let progress = self.sent as u64 + self.attempt.upload.relay.progress() + 1;
            if self.progress != progress {
                self.progress = progress;
                let waits_for_client = self.attempt.upload.relay.is_flushed();
                self.arm(Instant::now() + if waits_for_client { client.stall } else { timeouts.stall });
            }
            return;
        }
        let is_half_closed = self.attempt.connection.half_closed && self.half_close_by.is_none();
        if self.look_at.is_some() && !is_half_closed {
            return;
        }
        // On a kept connection the request went out the moment it was taken up.
        let is_fresh = self.look_at.is_none() && self.endpoint.reused && !self.attempt.upload.is_begun;
        let now = if is_fresh { self.attempt.in_flight.began } else { Instant::now() };
        if is_half_closed {
            self.half_close_by = Some(now + client.half_close);
        }
        let overall = *self.attempt.upload.answer_by.get_or_insert(now + timeouts.response);
        // An attempt's time includes its connect, but not the time a client took to send its body.
        let began = if self.attempt.upload.is_begun { now } else { self.attempt.in_flight.began };
        let attempt = timeouts.attempt.map_or(overall, |attempt| overall.min(began + attempt));
        let answer_by = *self.answer_by.get_or_insert(attempt);
        let look_at = *self.look_at.get_or_insert(now + SUSPECT_AFTER);
        self.arm(self.half_close_by.unwrap_or(answer_by).min(answer_by).min(look_at));
    }

    /// A deadline was reached: says what that means, or `None` if there is more patience.
    fn head_is_late(&mut self) -> Option<Ended> {
        if !self.is_endpoints_turn() {
            if self.head_is_sent() && self.attempt.upload.relay.is_flushed() {
                return Some(Ended::Rejected(Rejection::BodyTimeout, None));
            }
            return Some(Ended::Failed(Failure::AttemptTimeout, Rejection::ResponseTimeout, self.sent > 0));
        }
        let now = Instant::now();
        let is_over = |by: Option<Instant>| by.is_some_and(|by| by <= now);
        if is_over(self.half_close_by) {
            return Some(Ended::Client(Rejection::ClientClosed));
        }
        if is_over(self.attempt.upload.answer_by) {
            return Some(Ended::Rejected(Rejection::ResponseTimeout, None));
        }
        if is_over(self.answer_by) {
            return Some(Ended::Failed(Failure::AttemptTimeout, Rejection::ResponseTimeout, self.sent > 0));
        }
        let Attempt { in_flight, retries, record, upload, .. } = &mut self.attempt;
        let shared = &in_flight.endpoint.shared;
        if !shared.status.is_up() && retries.allow(Failure::AttemptTimeout, record, upload, true) {
            return Some(Ended::Elsewhere);
        }
        if !std::mem::replace(&mut self.has_suspected, true) {
            shared.suspect();
        }
        let look_at = now + LOOK_EVERY;
        self.look_at = Some(look_at);
        let answer_by = self.answer_by.unwrap_or(look_at);
        self.arm(self.half_close_by.unwrap_or(answer_by).min(answer_by).min(look_at));
        None
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
        let enough = upload.relay.bytes + TURN;
        loop {
            match ready!(upload.relay.poll_flush(cx, &self.endpoint.stream)) {
                Ok(()) if upload.relay.is_done() => return Poll::Pending,
                Ok(()) => {}
                Err(_) => {
                    self.upload_is_broken = true;
                    return Poll::Pending;
                }
            }
            if upload.relay.bytes >= enough {
                end_turn(cx);
                return Poll::Pending;
            }
            let scratch = &mut *connection.worker.scratch.borrow_mut();
            scratch.output.clear();
            let fed = if connection.carry.is_empty() {
                let room = upload.relay.room(&mut scratch.input);
                let read = match ready!(connection.stream.poll_read(cx, room)) {
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

    /// Passes on the response's body and, if it is not through yet, the request's.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let before = self.download.bytes;
        let next = self.poll_download(cx);
        self.attempt.record.bytes_out += self.download.bytes - before;
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
        let progress = self.download.progress() + self.attempt.upload.relay.progress() + 1;
        let uploads = !self.is_sent() && self.attempt.upload.relay.is_flushed();
        let waits_for_client = uploads || !self.download.is_flushed();
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
        let enough = self.download.bytes + TURN;
        loop {
            ready!(self.download.poll_flush(cx, client)).map_err(gone)?;
            if self.download.is_done() {
                return Poll::Ready(Ok(()));
            }
            if self.download.bytes >= enough {
                end_turn(cx);
                return Poll::Pending;
            }
            let scratch = &mut *self.attempt.connection.worker.scratch.borrow_mut();
            let room = self.download.room(&mut scratch.input);
            let read = match ready!(self.endpoint.stream.poll_read(cx, room)) {
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
            Ok(()) => {
                let now = Instant::now();
                self.attempt.in_flight.ended = Some(now);
                self.attempt.record.ended = Some(now);
                self.attempt.connection.quiet_since = Some(now);
                self.attempt.record.is_complete = true;
                self.attempt.connection.is_answering = false;
                match self.attempt.record.request.keep_alive {
                    _ if !is_sent => Next::Linger,
                    true => Next::Keep,
                    false => Next::Close,
                }
            }
        }
    }
}
