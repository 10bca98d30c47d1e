//! [`WaitingRoom`]: where the requests of all workers wait while every endpoint of an upstream is full.
//!
//! Nobody who finds a free place comes here, so the lock is taken by those only who would otherwise be refused, and by
//! those who make room for them.
//!
//! Invariant: while somebody waits there is either no free place, or somebody who was called and has not looked yet.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use evenkeel_policy::queue::{Joined, Queue, Ticket};
use tokio::sync::oneshot;

/// What somebody who waits is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// There may be a free place.
    YourTurn,
    /// Another one has the place in the queue.
    MakeRoom,
}

/// The queue of one upstream, shared by all workers; it outlives reloads that keep the upstream.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    /// How many wait, to be seen without the lock.
    waiting: AtomicUsize,
    queue: Mutex<Queue<oneshot::Sender<Call>>>,
}

/// Somebody's place in the queue; given up when it is dropped.
pub(crate) struct Waiting<'a> {
    room: &'a WaitingRoom,
    ticket: Ticket,
    /// What it is told.
    pub(crate) call: oneshot::Receiver<Call>,
    is_over: bool,
}

impl WaitingRoom {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Joins the queue, unless `size` wait already and nobody has to make room. The caller looks once more for a free
    /// place: it may have become free before anybody could know of the wait.
    pub(crate) fn join(&self, size: u32, now: Instant) -> Option<Waiting<'_>> {
        let (sender, call) = oneshot::channel();
        let mut queue = self.lock();
        let joined = queue.join(sender, size, now);
        self.publish(&queue);
        drop(queue);
        let ticket = match joined {
            Joined::Full => return None,
            Joined::Waits(ticket) => ticket,
            Joined::InsteadOf(ticket, oldest) => {
                // Who is gone needs no room.
                let _ = oldest.send(Call::MakeRoom);
                ticket
            }
        };
        Some(Waiting { room: self, ticket, call, is_over: false })
    }

    /// A place has become free, or may have.
    pub(crate) fn release(&self, now: Instant) {
        // Either we see who waits, or who waits sees the place.
        fence(SeqCst);
        while !self.is_empty() {
            let mut queue = self.lock();
            let served = queue.serve(now);
            self.publish(&queue);
            drop(queue);
            // Who has gone meanwhile leaves the place to the next.
            if served.is_none_or(|(_, waiter)| waiter.send(Call::YourTurn).is_ok()) {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<oneshot::Sender<Call>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, queue: &Queue<oneshot::Sender<Call>>) {
        self.waiting.store(queue.len(), Relaxed);
        fence(SeqCst);
    }
}

impl Waiting<'_> {
    /// It was called and there was no place: it waits on, where it was.
    pub(crate) fn again(&mut self, now: Instant) {
        let (sender, call) = oneshot::channel();
        self.call = call;
        let mut queue = self.room.lock();
        queue.restore(self.ticket, sender, now);
        self.room.publish(&queue);
    }

    /// It has what it waited for.
    pub(crate) fn served(mut self) {
        self.is_over = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut queue = self.room.lock();
        let left = queue.leave(self.ticket);
        self.room.publish(&queue);
        drop(queue);
        if left.is_none() && self.call.try_recv() == Ok(Call::YourTurn) {
            // It was called and does not come: the next one may.
            self.room.release(Instant::now());
        }
    }
}
