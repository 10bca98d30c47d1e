//! [`Throttle`]: a part that may use a share of a core, as a container with a CPU quota may, without the privileges that
//! a cgroup needs.
//!
//! A thread looks every few milliseconds what the part has used. When that is more than its share of the time that has
//! passed, the part is stopped (SIGSTOP) until it is not, and goes on (SIGCONT). So the share is one of processor time,
//! whoever else is on the machine.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Part, Scheduled};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(3);
/// So much of its time a part that idled may use at once afterwards.
const BURST: Duration = Duration::from_millis(10);

/// The throttle of a part. The part goes on unhindered when it is dropped.
#[derive(Debug)]
pub struct Throttle<'a> {
    part: &'a Part,
    /// Dropped, it ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<'a> Throttle<'a> {
    /// From now on the part uses at most `cores` of processor time for each second: 0.5 is half a core.
    ///
    /// # Errors
    /// `cores` is not a positive number, or the part cannot be watched.
    pub fn start(part: &'a Part, cores: f64) -> io::Result<Self> {
        if !cores.is_finite() || cores <= 0.0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a part cannot have {cores} cores"),
            ));
        }
        let pid = part.pid();
        let process = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        let used = Scheduled::of(pid)?;
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("throttle".into()).spawn(move || {
            hold_back(pid, process, Allowance::new(cores), used, &stopped);
        })?;
        Ok(Self { part, stop: Some(stop), thread: Some(thread) })
    }

    /// The part that is held back.
    pub fn part(&self) -> &Part {
        self.part
    }
}

impl Drop for Throttle<'_> {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has been heard of.
            let _ = thread.join();
        }
    }
}

fn hold_back(pid: u32, process: Pid, mut allowance: Allowance, mut used: Scheduled, stopped: &Receiver<()>) {
    let is_over = |time: Duration| stopped.recv_timeout(time) != Err(RecvTimeoutError::Timeout);
    let mut at = Instant::now();
    while !is_over(LOOK) {
        // A part that is gone is held back no more.
        let Ok(now) = Scheduled::of(pid) else { return };
        let owed = allowance.spend(at.elapsed(), (now - used).ran);
        (at, used) = (Instant::now(), now);
        if owed.is_zero() {
            continue;
        }
        if kill_process(process, Signal::STOP).is_err() {
            return;
        }
        let is_over = is_over(owed);
        // Gone or not, there is nothing else to be done.
        let _ = kill_process(process, Signal::CONT);
        if is_over {
            return;
        }
    }
}

/// What may still be used: grows with time up to a burst, shrinks with use, also below nothing.
#[derive(Debug)]
struct Allowance {
    cores: f64,
    /// In seconds.
    left: f64,
}

impl Allowance {
    fn new(cores: f64) -> Self {
        Self { cores, left: 0.0 }
    }

    /// So much time has passed, and so much was used in it. Says how long nothing may be used now.
    fn spend(&mut self, passed: Duration, used: Duration) -> Duration {
        let most = self.cores * BURST.as_secs_f64();
        self.left = (self.left + self.cores * passed.as_secs_f64()).min(most) - used.as_secs_f64();
        Duration::try_from_secs_f64(-self.left / self.cores).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_too_much_is_waited_for() {
        let ms = Duration::from_millis;
        let mut half = Allowance::new(0.5);
        assert_eq!(half.spend(ms(10), ms(5)), ms(0), "its share");
        let owed = half.spend(ms(3), ms(6)).as_secs_f64();
        assert!((owed - 0.009).abs() < 1e-9, "4.5 ms too much are 9 ms of time: {owed}");
        assert_eq!(half.spend(ms(9), ms(0)), ms(0), "after which all is well");
        assert_eq!(half.spend(ms(60_000), ms(0)), ms(0));
        let owed = half.spend(ms(0), ms(25)).as_secs_f64();
        assert!((owed - 0.04).abs() < 1e-9, "a minute of idling is worth a burst of 5 ms: {owed}");
    }
}
