//! What requests met at one endpoint, over all workers.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{Ejection, Reason};
use crate::endpoint::Status;

/// What requests met at one endpoint. Shared: what one worker meets all workers know.
///
/// While all is well it is read and not written, unless endpoints are compared.
#[derive(Debug, Default)]
pub struct Monitor {
    /// A [`Run`]; 0 while all is well.
    run: AtomicU64,
    /// Since endpoints were last compared: attempts above, below [`TIME_BITS`] bits the time that good answers took, in
    /// units of 16 µs.
    counts: AtomicU64,
    /// Errors among those attempts.
    errors: AtomicU32,
    /// Of the latest ejection: which one in a row, below; the place of its reason in [`Reason::ALL`] and whether it was on
    /// trial, above. 0 if there was none.
    latest: AtomicU32,
}

const TIME_BITS: u32 = 40;
const ATTEMPT: u64 = 1 << TIME_BITS;
/// The highest bit of either half: with one of them set, no more is counted. Half of the range is left for those who
/// count at the same time.
const FULL: u64 = 1 << 63 | 1 << (TIME_BITS - 1);
const ON_TRIAL: u32 = 1 << 24;

/// What an endpoint's latest attempts came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Run {
    /// Errors since the last good answer.
    pub(super) errors: u16,
    /// Failed connects since the last one that did not fail.
    pub(super) connects: u16,
    /// Good answers that its trial still takes; 0 is no trial.
    pub(super) trial: u16,
}

impl Run {
    fn pack(self) -> u64 {
        u64::from(self.errors) | u64::from(self.connects) << 16 | u64::from(self.trial) << 32
    }

    fn unpack(word: u64) -> Self {
        Self { errors: word as u16, connects: (word >> 16) as u16, trial: (word >> 32) as u16 }
    }
}

/// What an ejection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) reason: Reason,
    pub(super) is_on_trial: bool,
}

/// What was counted of an endpoint between two comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Counts {
    pub(super) attempts: u32,
    pub(super) errors: u32,
    /// All that good answers took.
    pub(super) seconds: f64,
}

impl Monitor {
    /// Whether a good answer would change anything: there was an error since the last one, or it is on trial.
    pub(super) fn is_marked(&self) -> bool {
        self.run.load(Relaxed) != 0
    }

    /// A good answer.
    pub(super) fn good(&self) {
        let update = |word: u64| {
            let trial = Run::unpack(word).trial.saturating_sub(1);
            Some(Run { trial, ..Run::default() }.pack())
        };
        // The closure always has a value.
        let _ = self.run.fetch_update(Relaxed, Relaxed, update);
    }

    /// An error; gives what it comes to.
    pub(super) fn bad(&self, is_connect: bool) -> Run {
        let after = |word: u64| {
            let Run { errors, connects, trial } = Run::unpack(word);
            let connects = if is_connect { connects.saturating_add(1) } else { 0 };
            Run { errors: errors.saturating_add(1), connects, trial }
        };
        let update = |word: u64| Some(after(word).pack());
        after(self.run.fetch_update(Relaxed, Relaxed, update).unwrap_or_else(|word| word))
    }

    /// It is ejected for the `times`th time in a row, and will be on trial.
    pub(super) fn begin_trial(&self, trial: u16, cause: Cause, times: u16) {
        let Cause { reason, is_on_trial } = cause;
        let on_trial = if is_on_trial { ON_TRIAL } else { 0 };
        self.latest.store(u32::from(times) | (reason as u32) << 16 | on_trial, Relaxed);
        self.run.store(Run { trial, ..Run::default() }.pack(), Relaxed);
    }

    /// The latest ejection, over or not.
    #[must_use]
    pub fn ejection(&self, status: &Status) -> Option<Ejection> {
        let until = status.ejected_until();
        let latest = self.latest.load(Relaxed);
        let reason = *Reason::ALL.get((latest >> 16 & 0xff) as usize)?;
        let times = latest as u16;
        (times > 0).then_some(Ejection { reason, is_on_trial: latest & ON_TRIAL != 0, times, until })
    }

    /// As if nothing had been met.
    pub(super) fn forget(&self) {
        self.run.store(0, Relaxed);
        self.latest.store(0, Relaxed);
        self.take_counts();
    }

    /// Counts an attempt for the next comparison: with the time it took to be answered well, or as an error.
    pub(super) fn count(&self, good: Option<Duration>) {
        if self.counts.load(Relaxed) & FULL != 0 {
            return;
        }
        let units = good.map_or(0, |took| u32::try_from(took.as_micros() / 16).unwrap_or(u32::MAX));
        self.counts.fetch_add(ATTEMPT | u64::from(units), Relaxed);
        if good.is_none() {
            self.errors.fetch_add(1, Relaxed);
        }
    }

    /// What was counted since the last comparison; the next one begins at zero.
    pub(super) fn take_counts(&self) -> Counts {
        let counts = self.counts.swap(0, Relaxed);
        let attempts = (counts >> TIME_BITS) as u32;
        Counts {
            attempts,
            // An error may be counted between the two.
            errors: self.errors.swap(0, Relaxed).min(attempts),
            seconds: (counts & (ATTEMPT - 1)) as f64 * 16e-6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::State;
    use crate::latency::Moment;

    #[test]
    fn a_run_survives_its_word() {
        for run in [
            Run { errors: u16::MAX, connects: 3, trial: 0 },
            Run { errors: 0, connects: u16::MAX, trial: u16::MAX },
        ] {
            assert_eq!(Run::unpack(run.pack()), run);
        }
        assert_eq!(Run::default().pack(), 0);
    }

    #[test]
    fn errors_and_connects_are_counted_apart_and_never_wrap() {
        let monitor = Monitor::default();
        assert_eq!(monitor.bad(true), Run { errors: 1, connects: 1, trial: 0 });
        assert_eq!(monitor.bad(true), Run { errors: 2, connects: 2, trial: 0 });
        assert_eq!(monitor.bad(false), Run { errors: 3, connects: 0, trial: 0 });
        for _ in 0..70_000 {
            monitor.bad(true);
        }
        assert_eq!(monitor.bad(true), Run { errors: u16::MAX, connects: u16::MAX, trial: 0 });
        monitor.good();
        assert!(!monitor.is_marked());
    }

    #[test]
    fn an_ejection_is_remembered_with_its_cause() {
        let (monitor, status) = (Monitor::default(), Status::new(State::default()));
        assert_eq!(monitor.ejection(&status), None);
        for reason in Reason::ALL {
            for is_on_trial in [false, true] {
                monitor.begin_trial(5, Cause { reason, is_on_trial }, 700);
                let until = Moment::default();
                let ejection = Ejection { reason, is_on_trial, times: 700, until };
                assert_eq!(monitor.ejection(&status), Some(ejection));
            }
        }
        monitor.forget();
        assert_eq!(monitor.ejection(&status), None);
    }

    #[test]
    fn counts_hold_what_they_say_and_stop_before_they_wrap() {
        let monitor = Monitor::default();
        (0..3).for_each(|_| monitor.count(Some(Duration::from_millis(160))));
        monitor.count(None);
        let Counts { attempts, errors, seconds } = monitor.take_counts();
        assert_eq!((attempts, errors), (4, 1));
        assert!((seconds - 0.48).abs() < 1e-9, "{seconds}");
        assert_eq!(monitor.take_counts(), Counts::default());

        (0..200).for_each(|_| monitor.count(Some(Duration::MAX)));
        let full = monitor.take_counts();
        assert!(full.attempts < 200 && full.seconds < 2_f64.powi(40) * 16e-6, "{full:?}");
        monitor.counts.store(u64::MAX ^ (1 << 63) ^ (ATTEMPT - 1), Relaxed);
        (0..10).for_each(|_| monitor.count(None));
        assert_eq!(monitor.take_counts().attempts, 1 << 23);
    }
}
