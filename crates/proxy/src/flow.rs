//! [`Flow`]: the bytes of a session in one direction.
//!
//! A read goes into the worker's buffer and straight out again. What the receiver does not take is kept, and
//! nothing more is read until it has gone: a slow receiver slows the sender, and a flow costs at most one read
//! of memory, and none while it rests.

use std::task::{Context, Poll, ready};

use evenkeel_net::Stream;

use crate::turn::{TURN, end_turn};

/// How much is read at once: what flows in larger pieces, which costs less CPU per byte; what is kept for a slow
/// receiver in smaller ones.
const WINDOW: usize = 64 * 1024;
const SMALLEST_WINDOW: usize = 16 * 1024;

/// One direction.
pub(crate) struct Flow {
    /// Bytes for the receiver that it has not taken yet, from `sent` on.
    kept: Vec<u8>,
    sent: usize,
    window: usize,
    stage: Stage,
    /// Bytes that came from the sender.
    pub(crate) received: u64,
    /// Bytes that the receiver took late, after they had been kept.
    late: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The sender has ended; what is kept has still to go.
    Ending,
    /// The receiver has been told so.
    Ended,
}

/// Which side is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Sender,
    Receiver,
}

impl Flow {
    pub(crate) fn new() -> Self {
        Self { kept: Vec::new(), sent: 0, window: WINDOW, stage: Stage::Open, received: 0, late: 0 }
    }

    /// Grows whenever something moves, the end included.
    pub(crate) fn progress(&self) -> u64 {
        self.received + self.late + u64::from(self.has_ended())
    }

    /// Bytes that the receiver has taken.
    pub(crate) fn delivered(&self) -> u64 {
        self.received - (self.kept.len() - self.sent) as u64
    }

    /// Whether the sender has said that nothing more will come.
    pub(crate) fn has_ended(&self) -> bool {
        self.stage != Stage::Open
    }

    /// Whether it is the sender that is waited for: otherwise nothing tells of the sender's fate.
    pub(crate) fn awaits_sender(&self) -> bool {
        self.stage == Stage::Open && self.kept.is_empty()
    }

    /// Moves what can be moved. Ready once the end, too, was passed on.
    ///
    /// # Errors
    /// One side has reset its connection.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &Stream,
        to: &Stream,
        buffer: &mut [u8],
    ) -> Poll<Result<(), Broken>> {
        let enough = self.received + TURN;
        while self.received < enough {
            ready!(self.poll_flush(cx, to))?;
            match self.stage {
                Stage::Open => ready!(self.poll_pass(cx, from, to, buffer))?,
                Stage::Ending => {
                    to.finish_writing().map_err(|_| Broken::Receiver)?;
                    self.stage = Stage::Ended;
                }
                Stage::Ended => return Poll::Ready(Ok(())),
            }
        }
        end_turn(cx);
        Poll::Pending
    }

    /// Reads once and passes on what the receiver takes.
    fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        from: &Stream,
        to: &Stream,
        buffer: &mut [u8],
    ) -> Poll<Result<(), Broken>> {
        let room = buffer.get_mut(..self.window).unwrap_or_default();
        let read = ready!(from.poll_read(cx, room)).map_err(|_| Broken::Sender)?;
        if read == 0 {
            self.stage = Stage::Ending;
            return Poll::Ready(Ok(()));
        }
        self.received += read as u64;
        let bytes = room.get(..read).unwrap_or_default();
        let taken = match to.try_write(bytes) {
            Ok(taken) => taken,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
            Err(_) => return Poll::Ready(Err(Broken::Receiver)),
        };
        if taken < read {
            self.kept.extend_from_slice(bytes.get(taken..).unwrap_or_default());
            self.window = SMALLEST_WINDOW;
        } else if read == self.window {
            self.window = (self.window * 2).min(WINDOW);
        }
        Poll::Ready(Ok(()))
    }

    /// Passes on what was kept.
    fn poll_flush(&mut self, cx: &mut Context<'_>, to: &Stream) -> Poll<Result<(), Broken>> {
        while let Some(rest @ [_, ..]) = self.kept.get(self.sent..) {
            let taken = ready!(to.poll_write(cx, rest)).map_err(|_| Broken::Receiver)?;
            self.sent += taken;
            self.late += taken as u64;
        }
        if self.sent > 0 {
            (self.kept, self.sent) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::net::UnixStream;
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    fn pair() -> (Stream, Stream) {
        let (a, b) = UnixStream::pair().unwrap();
        (Stream::Unix(a), Stream::Unix(b))
    }

    #[test]
    fn what_is_kept_is_not_delivered_yet() {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let ((sender, from), (to, receiver)) = (pair(), pair());
            let mut stuffed = 0;
            while let Ok(taken) = to.try_write(&[0; 4096]) {
                stuffed += taken;
            }
            let mut buffer = vec![0; WINDOW];
            let mut flow = Flow::new();
            sender.try_write(b"hello").unwrap();
            std::future::poll_fn(|cx| from.poll_read_ready(cx)).await.unwrap();
            let mut cx = Context::from_waker(Waker::noop());
            assert!(flow.poll(&mut cx, &from, &to, &mut buffer).is_pending());
            assert_eq!((flow.received, flow.delivered(), flow.awaits_sender()), (5, 0, false));

            let mut taken = 0;
            while taken < stuffed {
                let mut sink = [0; 4096];
                taken += std::future::poll_fn(|cx| receiver.poll_read(cx, &mut sink)).await.unwrap();
            }
            std::future::poll_fn(|cx| to.poll_write_ready(cx)).await.unwrap();
            assert!(flow.poll(&mut cx, &from, &to, &mut buffer).is_pending());
            assert_eq!((flow.received, flow.delivered(), flow.awaits_sender()), (5, 5, true));

            sender.finish_writing().unwrap();
            assert_eq!(std::future::poll_fn(|cx| flow.poll(cx, &from, &to, &mut buffer)).await, Ok(()));
            assert!(flow.has_ended());
        });
    }
}
