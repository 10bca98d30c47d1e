//! Waiting for events: gates between a test and its scripts, and polling where there is nothing to wait on.

use std::fmt::Display;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Generous: it is only reached by a failure.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Asks `probe` again and again, with a short back-off, until it answers.
///
/// # Panics
/// After [`DEADLINE`], with `what` and the text of the last `Err`.
pub fn eventually<T, E: Display>(what: &str, mut probe: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + DEADLINE;
    let mut pause = Duration::from_millis(1);
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) if Instant::now() > deadline => {
                panic!("waited {DEADLINE:?} in vain for {what}; last seen: {last}")
            }
            Err(_) => thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(25));
    }
}

/// A door that is opened once; threads wait before it. Clones are the same door.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it for everybody, for good.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    /// Waits until it is open.
    ///
    /// # Panics
    /// After [`DEADLINE`].
    pub fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self.0.1.wait_timeout_while(open, DEADLINE, |open| !*open).unwrap();
        assert!(*open, "a gate stayed closed for {DEADLINE:?}");
    }
}

/// A value and everybody who waits for it to change.
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// Looks at the value.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the value and wakes who waits.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `look` finds something; `Err` holds the value's description after [`DEADLINE`].
    pub(crate) fn wait_for<R>(
        &self,
        mut look: impl FnMut(&T) -> Option<R>,
        describe: impl FnOnce(&T) -> String,
    ) -> Result<R, String> {
        let deadline = Instant::now() + DEADLINE;
        let mut value = self.lock();
        loop {
            if let Some(found) = look(&value) {
                return Ok(found);
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Err(describe(&value));
            };
            value = self.changed.wait_timeout(value, left).unwrap_or_else(|broken| broken.into_inner()).0;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, T> {
        // A script that panicked while it held the lock has already failed its test.
        self.value.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opened_gate_lets_everybody_through() {
        let gate = Gate::new();
        let waiting = gate.clone();
        let thread = thread::spawn(move || waiting.wait());
        gate.open();
        thread.join().unwrap();
        gate.wait();
    }

    #[test]
    fn eventually_asks_until_there_is_an_answer() {
        let mut asked = 0;
        let answer = eventually("the third question", || {
            asked += 1;
            if asked == 3 { Ok(asked) } else { Err("not yet") }
        });
        assert_eq!(answer, 3);
    }
}
