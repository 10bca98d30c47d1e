//! The response's head: read, understood, passed on in our own form.

use std::task::{Context, Poll, ready};
use std::time::Instant;

use evenkeel_http1::response::{Meaning, StatusLine};
use evenkeel_http1::{Fault, FaultKind, Framing, HeadParser, LineEnds};
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::retry::Failure;

use crate::attempt::{Attempt, Ended};
use crate::body::{Blocked, Relay, first_room};
use crate::connection::Next;
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
}

/// The endpoint's answer cannot be understood.
fn refuse(fault: Fault) -> Ended {
    let rejection = match fault.kind {
        FaultKind::HeadTooLarge | FaultKind::StartLineTooLong => Rejection::ResponseHeaderTooLarge,
        _ => Rejection::ResponseMalformed,
    };
    Ended::Rejected(rejection, Some(fault.what))
}
