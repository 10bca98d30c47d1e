//! [`Timers`]: every deadline of a worker, in one queue behind one runtime timer.
//!
//! Deadlines are set several times per request and hardly ever reached. Moving one to a later time is a
//! store: the queue keeps the earlier time and looks again when that has come. So a busy connection costs
//! the queue nothing, and an idle one costs it one entry.
//!
//! Invariant: the queue holds, for each armed deadline, an entry no later than the deadline.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

/// All deadlines of one worker.
pub(crate) struct Timers {
    start: Instant,
    queue: RefCell<Queue>,
}

#[derive(Default)]
struct Queue {
    entries: Slab<Entry>,
    /// Times at which to look at an entry: `(when, key, the entry's birth)`.
    looks: BinaryHeap<Reverse<(Tick, u32, u32)>>,
    births: u32,
    /// What the driver sleeps until, and how to wake it earlier.
    armed: Option<Tick>,
    driver: Option<Waker>,
}

/// Nanoseconds since the queue was made: half the size of an [`Instant`], and there are many of them.
type Tick = NonZeroU64;

struct Entry {
    deadline: Option<Tick>,
    /// The earliest look that is queued for this entry.
    look: Option<Tick>,
    waker: Option<Waker>,
    birth: u32,
    expired: bool,
}

/// One deadline of one task; off until [`Deadline::set`].
pub(crate) struct Deadline {
    timers: Rc<Timers>,
    key: u32,
}

impl Default for Timers {
    fn default() -> Self {
        Self { start: Instant::now(), queue: RefCell::default() }
    }
}

impl Timers {
    fn tick(&self, at: Instant) -> Tick {
        let nanos = at.saturating_duration_since(self.start).as_nanos();
        Tick::MIN.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// A deadline for the task that will poll it.
    pub(crate) fn deadline(self: &Rc<Self>) -> Deadline {
        let mut queue = self.queue.borrow_mut();
        queue.births = queue.births.wrapping_add(1);
        let birth = queue.births;
        let key =
            queue.entries.insert(Entry { birth, deadline: None, look: None, expired: false, waker: None });
        Deadline { timers: self.clone(), key: key as u32 }
    }

    /// Wakes every task that waits with a deadline, so that it looks at the state of the worker.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<Waker> =
            self.queue.borrow_mut().entries.iter_mut().filter_map(|(_, entry)| entry.waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Fires deadlines as they are reached. Runs as a task of its own for as long as the worker lives.
    pub(crate) async fn drive(self: Rc<Self>) {
        let mut sleep = Box::pin(tokio::time::sleep_until(far_future()));
        std::future::poll_fn(|cx| self.poll_drive(cx, sleep.as_mut())).await
    }

    fn poll_drive(&self, cx: &mut Context<'_>, mut sleep: Pin<&mut tokio::time::Sleep>) -> Poll<()> {
        loop {
            let next = self.queue.borrow_mut().fire(self.tick(Instant::now()));
            let mut queue = self.queue.borrow_mut();
            queue.armed = next;
            if !queue.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                queue.driver = Some(cx.waker().clone());
            }
            drop(queue);
            let until =
                next.map_or_else(far_future, |next| (self.start + Duration::from_nanos(next.get())).into());
            if sleep.deadline() != until {
                sleep.as_mut().reset(until);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// As long as the runtime's timer can sleep.
fn far_future() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(86_400 * 365)
}

impl Queue {
    /// Expires what is due; says when to look next.
    fn fire(&mut self, now: Tick) -> Option<Tick> {
        while let Some(&Reverse((when, key, birth))) = self.looks.peek() {
            if when > now {
                return Some(when);
            }
            self.looks.pop();
            let Some(entry) = self.entries.get_mut(key as usize).filter(|entry| entry.birth == birth) else {
                continue;
            };
            if entry.look != Some(when) {
                continue;
            }
            entry.look = None;
            match entry.deadline {
                Some(deadline) if deadline <= now => {
                    entry.deadline = None;
                    entry.expired = true;
                    if let Some(waker) = entry.waker.take() {
                        waker.wake();
                    }
                }
                Some(deadline) => {
                    entry.look = Some(deadline);
                    self.looks.push(Reverse((deadline, key, birth)));
                }
                None => {}
            }
        }
        None
    }

    fn look_at(&mut self, when: Tick, key: u32, birth: u32) {
        self.looks.push(Reverse((when, key, birth)));
        // Looks of entries that are gone or moved earlier stay behind; they must not outnumber the live ones.
        if self.looks.len() > 2 * self.entries.len() + 1024 {
            let entries = &self.entries;
            self.looks.retain(|Reverse((when, key, birth))| {
                entries
                    .get(*key as usize)
                    .is_some_and(|entry| entry.birth == *birth && entry.look == Some(*when))
            });
        }
        if self.armed.is_none_or(|armed| when < armed) {
            self.armed = Some(when);
            if let Some(driver) = &self.driver {
                driver.wake_by_ref();
            }
        }
    }
}

impl Deadline {
    /// Arms it, or moves it.
    pub(crate) fn set(&self, when: Instant) {
        let when = self.timers.tick(when);
        let mut queue = self.timers.queue.borrow_mut();
        let Some(entry) = queue.entries.get_mut(self.key as usize) else { return };
        entry.deadline = Some(when);
        entry.expired = false;
        if entry.look.is_none_or(|look| when < look) {
            entry.look = Some(when);
            let birth = entry.birth;
            queue.look_at(when, self.key, birth);
        }
    }

    /// Ready once it was reached, until it is set again. Also registers the task for [`Timers::wake_all`].
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.timers.queue.borrow_mut();
        let Some(entry) = queue.entries.get_mut(self.key as usize) else { return Poll::Pending };
        if entry.expired {
            return Poll::Ready(());
        }
        if !entry.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            entry.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let entry = self.timers.queue.borrow_mut().entries.try_remove(self.key as usize);
        // Outside the borrow: with the last waker of a task its future may go, deadlines and all.
        drop(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(deadline: &Deadline) -> bool {
        deadline.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_deadline_fires_when_reached_and_not_when_moved_on() {
        let timers = Rc::new(Timers::default());
        let at = |ms| timers.start + Duration::from_millis(ms);
        let fire = |ms| timers.queue.borrow_mut().fire(timers.tick(at(ms)));
        let deadline = timers.deadline();
        deadline.set(at(10));
        deadline.set(at(30));
        assert_eq!(fire(10), Some(timers.tick(at(30))));
        assert!(!poll(&deadline));
        assert_eq!(fire(30), None);
        assert!(poll(&deadline));
        deadline.set(at(50));
        assert!(!poll(&deadline));
        deadline.set(at(40));
        fire(40);
        assert!(poll(&deadline));
    }

    #[test]
    fn a_dropped_deadline_does_not_fire_for_its_successor() {
        let timers = Rc::new(Timers::default());
        let first = timers.deadline();
        first.set(timers.start);
        drop(first);
        let second = timers.deadline();
        second.set(timers.start + Duration::from_secs(3));
        timers.queue.borrow_mut().fire(timers.tick(timers.start + Duration::from_secs(2)));
        assert!(!poll(&second));
    }

    #[test]
    fn looks_stay_bounded() {
        let timers = Rc::new(Timers::default());
        let start = timers.start + Duration::from_secs(3600);
        for n in 0..100_000u64 {
            let deadline = timers.deadline();
            deadline.set(start + Duration::from_millis(n));
        }
        assert!(timers.queue.borrow().looks.len() <= 1026);
    }
}
