//! From answers to bytes: sends, and keeps what the client does not take.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use crate::server::connection::Connection;
use crate::server::execute::Executor;

/// Capacity that the thread's output keeps, and what is left of it when it had to be larger.
const OUTPUT_KEPT: usize = 256 * 1024;
const OUTPUT: usize = 64 * 1024;

/// Answers that the client has not taken yet.
#[derive(Default)]
pub(super) struct Unsent {
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
}

impl Connection {
    /// Sends the answers; what the client does not take is kept.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, executor: &Executor, output: &mut Vec<u8>) {
        if output.is_empty() {
            return;
        }
        let mut sent = 0;
        // Answers that are waiting already come first.
        if self.unsent.bytes.is_empty() {
            while let Some(rest) = output.get(sent..).filter(|rest| !rest.is_empty()) {
                match self.poll_write(cx, rest) {
                    Poll::Ready(Ok(more @ 1..)) => {
                        executor.counters.writes.add(1);
                        executor.counters.sent.add(more as u64);
                        sent += more;
                    }
                    // The next attempt at reading tells why.
                    Poll::Ready(_) => {
                        self.is_closing = true;
                        sent = output.len();
                    }
                    Poll::Pending => break,
                }
            }
        }
        if let Some(rest) = output.get(sent..).filter(|rest| !rest.is_empty()) {
            // Much is taken as it is: a copy would need as much memory once more.
            if rest.len() > OUTPUT_KEPT && self.unsent.bytes.is_empty() {
                let bytes = std::mem::replace(output, Vec::with_capacity(OUTPUT));
                self.unsent = Unsent { bytes, sent };
            } else {
                self.unsent.bytes.extend_from_slice(rest);
            }
            let (client, unsent) = (&self.session.client, self.unsent.bytes.len() - self.unsent.sent);
            client.unsent.store(unsent, Relaxed);
            let limit = executor.config.output_limit(client.kind());
            if limit.hard > 0 && unsent > limit.hard {
                self.worker.shared.slow_reader(client.id, client.address, "answers");
                client.mailbox.close();
            }
        }
        output.clear();
        if output.capacity() > OUTPUT_KEPT {
            output.shrink_to(OUTPUT);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Sends what is kept.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Unsent { bytes, mut sent } = std::mem::take(&mut self.unsent);
        let result = loop {
            let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) else {
                return Poll::Ready(Ok(()));
            };
            match self.poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(more)) => {
                    let scratch = self.worker.scratch.borrow();
                    scratch.executor.counters.writes.add(1);
                    scratch.executor.counters.sent.add(more as u64);
                    sent += more;
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.unsent = Unsent { bytes, sent };
        result
    }
}
