//! From bytes to commands: reads, and carries out what has arrived.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::error::Error;
use crate::resp::{Args, Limits, Parsed, ProtocolError, Reply, UNAUTHENTICATED};
use crate::server::clients::Mark;
use crate::server::connection::{AHEAD, Connection, Suspended, timer};
use crate::server::dispatch::{Next, dispatch};
use crate::server::execute::Executor;
use crate::server::worker::Scratch;

/// Answers gathered before they are sent, although more commands have arrived.
const OUTPUT: usize = 64 * 1024;

impl Connection {
    /// Reads, and carries out what has arrived.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let worker = self.worker.clone();
        let scratch = &mut *worker.scratch.borrow_mut();
        let Scratch { input, output, ranges, executor } = scratch;
        let mut buffer = ReadBuf::new(input);
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(0)) };
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        let received = buffer.filled();
        executor.counters.reads.add(1);
        executor.counters.received.add(received.len() as u64);
        if received.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.suspended.is_some() {
            self.input.extend_from_slice(received);
            self.has_more = true;
            self.show_input();
            return Poll::Ready(Ok(received.len()));
        }
        if self.input.is_empty() {
            let done = self.carry_out(executor, received, ranges, output);
            let rest = received.get(done..).unwrap_or_default();
            if !rest.is_empty() {
                self.input = rest.to_vec();
                self.show_input();
            }
        } else {
            self.input.extend_from_slice(received);
            self.carry_out_kept(executor, ranges, output);
        }
        let length = received.len();
        self.send(cx, executor, output);
        Poll::Ready(Ok(length))
    }

    /// Carries out what had to wait.
    pub(super) fn carry_on(&mut self, cx: &mut Context<'_>) {
        let worker = self.worker.clone();
        let scratch = &mut *worker.scratch.borrow_mut();
        let Scratch { output, ranges, executor, .. } = scratch;
        self.carry_out_kept(executor, ranges, output);
        self.send(cx, executor, output);
    }

    fn carry_out_kept(
        &mut self,
        executor: &mut Executor,
        ranges: &mut Vec<(usize, usize)>,
        output: &mut Vec<u8>,
    ) {
        let mut input = std::mem::take(&mut self.input);
        let done = self.carry_out(executor, &input, ranges, output);
        if done < input.len() {
            input.drain(..done);
            if input.capacity() > 2 * AHEAD && input.capacity() / 4 > input.len() {
                input.shrink_to_fit();
            }
            self.input = input;
        }
        self.show_input();
    }

    fn show_input(&self) {
        self.session.client.input.store(self.input.len(), Relaxed);
    }

    /// Carries out the commands in `bytes`, until one is incomplete, has to wait, or there are answers enough. How many
    /// bytes are done with.
    fn carry_out(
        &mut self,
        executor: &mut Executor,
        bytes: &[u8],
        ranges: &mut Vec<(usize, usize)>,
        output: &mut Vec<u8>,
    ) -> usize {
        if self.requests.is_incomplete() {
            std::mem::swap(ranges, &mut self.ranges);
        }
        executor.begin();
        self.session.client.active.store(executor.now, Relaxed);
        self.has_more = false;
        let mut limits = self.limits(executor);
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            match self.requests.parse(rest, ranges, &limits) {
                Ok(Parsed::Command { end }) => {
                    let args = Args::new(self.requests.words(rest), ranges);
                    let next = dispatch(executor, &mut self.session, &args, output);
                    self.requests.finish();
                    if let Next::Again(until) = next {
                        self.has_more = true;
                        self.suspended = Some(Suspended::Paused(timer(until)));
                        break;
                    }
                    at += end;
                    if !self.go_on(next) || output.len() >= OUTPUT {
                        self.has_more = at < bytes.len();
                        break;
                    }
                    if limits == UNAUTHENTICATED {
                        limits = self.limits(executor);
                    }
                }
                Ok(Parsed::Nothing { end }) => at += end,
                Ok(Parsed::Partial { .. }) => break,
                Err(error) => {
                    self.refuse(executor, error, output);
                    at = bytes.len();
                    break;
                }
            }
        }
        executor.end();
        if self.requests.is_incomplete() {
            std::mem::swap(ranges, &mut self.ranges);
        } else if self.ranges.capacity() > 0 {
            self.ranges = Vec::new();
        }
        at
    }

    fn limits(&self, executor: &Executor) -> Limits {
        if self.session.is_authenticated { executor.config.limits() } else { UNAUTHENTICATED }
    }

    /// Whether the next command may follow at once.
    fn go_on(&mut self, next: Next) -> bool {
        self.suspended = match next {
            Next::Go => return true,
            Next::Close => {
                self.is_closing = true;
                return false;
            }
            Next::Again(until) => Some(Suspended::Paused(timer(until))),
            Next::Blocked(waiter) => {
                let timer = waiter.until.map(timer);
                Some(Suspended::Blocked(waiter, timer))
            }
            Next::Later(answer) => {
                // It is not idle meanwhile.
                self.session.client.set(Mark::Blocked, true);
                Some(Suspended::Later(answer))
            }
            Next::Handed(take_over) => Some(Suspended::Handed(take_over)),
        };
        false
    }

    /// What is no command ends the connection: nobody knows where the next would begin.
    fn refuse(&mut self, executor: &mut Executor, error: ProtocolError, output: &mut Vec<u8>) {
        let client = &self.session.client;
        tracing::info!(client = client.id, address = %client.address, %error, "closed: what it sent is no command");
        executor.shared.stats.protocol_errors.fetch_add(1, Relaxed);
        let error = Error::told(format!("ERR {error}"));
        executor.failed(&error);
        Reply::new(output, self.session.protocol).error(&error);
        self.is_closing = true;
    }
}
