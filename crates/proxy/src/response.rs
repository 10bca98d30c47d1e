//! The response's head: read, understood, passed on in our own form.

use std::task::{Context, Poll, ready};
use std::time::Instant;

use evenkeel_http1::response::{Meaning, StatusLine};
use evenkeel_http1::{Fault, FaultKind, Framing, HeadParser, LineEnds};
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::retry::Failure;

use crate::attempt::{Attempt, Ended};
use crate::body::{Blocked, Relay, first_room};
use crate::flight::Flight;
use crate::heads::{self, Leaving};

/// The largest head accepted of an endpoint, interim responses not counted.
const RESPONSE_HEAD_LIMIT: usize = 64 * 1024;

/// Interim responses (1xx) accepted before the final one.
const INTERIM_LIMIT: u32 = 16;

/// What there is after looking at some bytes of a response.
pub(crate) enum HeadStep {
    More,
    Final,
    Ended(Ended),
}

impl Flight<'_> {
    /// Reads some of the response's head.
    pub(crate) fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<HeadStep> {
        let worker = self.attempt.connection.worker.clone();
        let scratch = &mut *worker.scratch.borrow_mut();
        let read = match ready!(self.endpoint.stream.poll_read(cx, first_room(&mut scratch.input))) {
            Ok(read) if read > 0 => read,
            _ => {
                let ended = Ended::Failed(Failure::Reset, Rejection::UpstreamClosed, self.sent > 0);
                return Poll::Ready(HeadStep::Ended(ended));
            }
        };
        let input = scratch.input.get(..read).unwrap_or_default();
        let output = &mut scratch.output;
        let mut taken = 0;
        if self.partial.is_empty() {
            scratch.parser.reset();
            let step = self.read_heads(input, &mut taken, &mut scratch.parser, output);
            if matches!(step, HeadStep::More) && taken < read {
                self.partial = input.get(taken..).unwrap_or_default().to_vec();
                self.parser = std::mem::take(&mut scratch.parser);
            }
            return Poll::Ready(step);
        }
        let mut partial = std::mem::take(&mut self.partial);
        let mut parser = std::mem::take(&mut self.parser);
        partial.extend_from_slice(input);
        let step = self.read_heads(&partial, &mut taken, &mut parser, output);
        if matches!(step, HeadStep::More) {
            partial.drain(..taken);
            self.partial = partial;
            self.parser = parser;
        }
        Poll::Ready(step)
    }

    /// Reads interim heads, which count as taken, and perhaps the final one from the front of `input`.
    fn read_heads(
        &mut self,
        mut input: &[u8],
        taken: &mut usize,
        parser: &mut HeadParser,
        output: &mut Vec<u8>,
    ) -> HeadStep {
        loop {
            let length = match parser.parse(input, RESPONSE_HEAD_LIMIT, LineEnds::Lenient) {
                Ok(Some(length)) => length,
                Ok(None) => return HeadStep::More,
                Err(fault) => return HeadStep::Ended(self.refuse_or_replace(fault)),
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
                Err(fault) => return HeadStep::Ended(self.refuse_or_replace(fault)),
            };
            let received = heads::Received {
                head,
                fields: parser.fields(),
                status: line.status,
                reason: line.reason,
                clean: parser.is_clean(),
                names_fields: meaning.names_fields,
            };
            if line.status == 408 && self.endpoint.reused && self.interims == 0 {
                // The endpoint's farewell to an idle connection, not an answer.
                let ended = Ended::Failed(Failure::Reset, Rejection::UpstreamClosed, self.sent > 0);
                return HeadStep::Ended(ended);
            }
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
            *taken += length;
            input = rest;
            parser.reset();
            if input.is_empty() {
                return HeadStep::More;
            }
        }
    }

    /// What a kept connection says first may be left over from before: nobody asked for it. Then the connection is
    /// replaced, as if it had been found closed.
    fn refuse_or_replace(&self, fault: Fault) -> Ended {
        if self.endpoint.reused && self.interims == 0 {
            return Ended::Failed(Failure::Reset, Rejection::UpstreamClosed, self.sent > 0);
        }
        refuse(fault)
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
        let now = Instant::now();
        self.attempt.in_flight.answered(status, now);
        self.attempt.retries.answered(status, self.attempt.in_flight.began, now);
        let is_sent = self.is_sent();
        let Attempt { connection, record, upload, retries, .. } = &mut self.attempt;
        let may_retry = retries.upstream().settings.retry.on.statuses.contains(&status);
        if may_retry && retries.allow(Failure::Status(status), record, upload, true) {
            return HeadStep::Ended(Ended::Elsewhere);
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
        record.first_byte = Some(now);
        record.bytes_out = output.len() as u64;
        connection.is_answering = true;

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
                self.attempt.record.bytes_out += self.download.bytes;
                // Whatever follows the body was not asked for.
                self.is_reusable &= taken == input.len();
                HeadStep::Final
            }
            Err(Blocked::Receiver(_)) => HeadStep::Ended(Ended::Client(Rejection::ClientClosed)),
            Err(Blocked::Sender(fault)) => {
                // Found before anything of it was sent, so that it can still be said.
                self.is_reusable = false;
                self.attempt.record.status = 0;
                self.attempt.record.bytes_out = 0;
                self.attempt.connection.is_answering = false;
                HeadStep::Ended(refuse(fault))
            }
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
