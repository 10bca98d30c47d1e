//! [`Mailbox`]: what others want to reach a connection with: messages, an order to close, a reason to look.
//!
//! Any thread may send; the connection alone takes. The connection's waker never changes, so it is told once, and a
//! sender that finds the mailbox closed or already marked costs nothing more.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::store::Millis;

/// What a connection is reached with.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    /// There may be something in the queue, or to look at elsewhere.
    marked: AtomicBool,
    /// The connection has to close.
    closing: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Arc<[u8]>>,
    bytes: usize,
    waker: Option<Waker>,
    /// Since when more than the soft limit is waiting.
    over_since: Option<Millis>,
}

/// How many bytes may wait for a client that does not read: `client-output-buffer-limit`. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutputLimit {
    /// Never more than this, in bytes.
    pub(crate) hard: usize,
    /// More than this only for a while, in bytes.
    pub(crate) soft: usize,
    /// For how long, in seconds.
    pub(crate) seconds: u64,
}

impl Mailbox {
    /// Where the connection is to be woken; before anybody can send.
    pub(crate) fn open(&self, waker: &Waker) {
        self.lock().waker = Some(waker.clone());
    }

    /// Sends a message, of which `unsent` bytes of earlier output are still waiting elsewhere. False if this was too much:
    /// then the connection is told to close, and `false` comes once.
    pub(crate) fn send(&self, message: &Arc<[u8]>, unsent: usize, limit: OutputLimit, now: Millis) -> bool {
        if self.closing.load(Acquire) {
            return true;
        }
        let mut queue = self.lock();
        queue.messages.push_back(message.clone());
        queue.bytes += message.len();
        let fits = queue.fits(unsent, limit, now);
        if !fits {
            self.closing.store(true, Release);
            queue.messages = VecDeque::new();
            queue.bytes = 0;
        }
        drop(queue);
        self.wake();
        fits
    }

    /// Looks again whether what waits is within the limits, as time passes.
    pub(crate) fn keeps_to(&self, unsent: usize, limit: OutputLimit, now: Millis) -> bool {
        self.lock().fits(unsent, limit, now)
    }

    /// Makes the connection close.
    pub(crate) fn close(&self) {
        self.closing.store(true, Release);
        self.wake();
    }

    /// Whether it has to.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Acquire)
    }

    /// Makes the connection look at what concerns it.
    pub(crate) fn wake(&self) {
        if !self.marked.swap(true, AcqRel) {
            let waker = self.lock().waker.clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Whether somebody sent or woke since the last time this was asked.
    pub(crate) fn is_marked(&self) -> bool {
        self.marked.load(Acquire) && self.marked.swap(false, AcqRel)
    }

    /// Appends all messages to `out`.
    pub(crate) fn take(&self, out: &mut Vec<u8>) {
        let mut queue = self.lock();
        queue.bytes = 0;
        for message in queue.messages.drain(..) {
            out.extend_from_slice(&message);
        }
        if queue.messages.capacity() > 64 {
            queue.messages = VecDeque::new();
        }
    }

    /// Bytes of the messages that wait, and their number.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.bytes, queue.messages.len())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn fits(&mut self, unsent: usize, limit: OutputLimit, now: Millis) -> bool {
        let waiting = self.bytes + unsent;
        if limit.hard > 0 && waiting > limit.hard {
            return false;
        }
        if limit.soft == 0 || waiting <= limit.soft {
            self.over_since = None;
            return true;
        }
        let since = *self.over_since.get_or_insert(now);
        now.saturating_sub(since) <= limit.seconds.saturating_mul(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Arc<[u8]> {
        vec![b'x'; bytes].into()
    }

    #[test]
    fn messages_come_in_order_and_once() {
        let mailbox = Mailbox::default();
        assert!(!mailbox.is_marked());
        for text in [b"one ".as_slice(), b"two"] {
            assert!(mailbox.send(&text.into(), 0, OutputLimit::default(), 0));
        }
        assert_eq!(mailbox.waiting(), (7, 2));
        assert!(mailbox.is_marked());
        assert!(!mailbox.is_marked());
        let mut out = Vec::new();
        mailbox.take(&mut out);
        mailbox.take(&mut out);
        assert_eq!(out, b"one two");
        assert_eq!(mailbox.waiting(), (0, 0));
    }

    #[test]
    fn the_hard_limit_closes_at_once() {
        let mailbox = Mailbox::default();
        let limit = OutputLimit { hard: 100, soft: 0, seconds: 0 };
        assert!(mailbox.send(&message(60), 0, limit, 0));
        assert!(!mailbox.send(&message(30), 11, limit, 0));
        assert!(mailbox.is_closing());
        assert_eq!(mailbox.waiting(), (0, 0));
        // It is counted once.
        assert!(mailbox.send(&message(1000), 0, limit, 0));
    }

    #[test]
    fn the_soft_limit_closes_after_its_time() {
        let mailbox = Mailbox::default();
        let limit = OutputLimit { hard: 0, soft: 50, seconds: 10 };
        assert!(mailbox.send(&message(60), 0, limit, 1000));
        assert!(mailbox.keeps_to(0, limit, 11_000));
        assert!(!mailbox.keeps_to(0, limit, 11_001));
        // Being read starts the time anew.
        mailbox.take(&mut Vec::new());
        assert!(mailbox.keeps_to(0, limit, 12_000));
        assert!(mailbox.send(&message(60), 0, limit, 20_000));
        assert!(mailbox.keeps_to(0, limit, 30_000));
    }
}
