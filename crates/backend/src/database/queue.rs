//! The queue before the connections: first come, first served, and no longer than its bound.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

/// Work for one connection, in two steps so that the thread counts as free before the answer is known.
pub(super) trait Job: Send {
    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Does it.
    fn work(&mut self, connection: &mut Connection);
    /// Hands over what was found.
    fn reply(self: Box<Self>);
}

/// Jobs that wait, and how many of the threads have one.
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    closing: Condvar,
    threads: usize,
    bound: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<dyn Job>>,
    busy: usize,
    closed: bool,
}

/// The bound is reached, or the queue closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    /// `threads` will call [`Queue::work`]; `bound` jobs may wait beyond those that free threads are about to take.
    pub(super) fn new(threads: usize, bound: usize) -> Queue {
        Queue { state: Mutex::default(), arrived: Condvar::new(), closing: Condvar::new(), threads, bound }
    }

    pub(super) fn push(&self, job: Box<dyn Job>) -> Result<(), Full> {
        let mut state = self.lock();
        let most = self.free(&state).saturating_add(self.bound);
        if state.jobs.len() >= most {
            state.jobs.retain(|job| !job.is_abandoned());
        }
        if state.closed || state.jobs.len() >= most {
            return Err(Full);
        }
        state.jobs.push_back(job);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Does jobs on this thread until the queue is closed.
    pub(super) fn work(&self, connection: &mut Connection) {
        while let Some(mut job) = self.next() {
            job.work(connection);
            self.lock().busy -= 1;
            job.reply();
        }
    }

    /// Keeps this thread, and with it its connection, for so long; less when the queue is closed.
    pub(super) fn pause(&self, time: Duration) {
        if !time.is_zero() {
            // Both outcomes end the pause.
            let _ = self.closing.wait_timeout_while(self.lock(), time, |state| !state.closed);
        }
    }

    /// Jobs being done and jobs waiting.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.busy, state.jobs.len().saturating_sub(self.free(&state)))
    }

    /// Drops what waits and sends the threads home.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        self.arrived.notify_all();
        self.closing.notify_all();
        drop(dropped);
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        while !state.closed {
            match state.jobs.pop_front() {
                Some(job) if job.is_abandoned() => {}
                Some(job) => {
                    state.busy += 1;
                    return Some(job);
                }
                None => state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        None
    }

    fn free(&self, state: &State) -> usize {
        self.threads.saturating_sub(state.busy)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
