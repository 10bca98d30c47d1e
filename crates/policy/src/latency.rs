//! How long an endpoint takes, as all workers together have seen it: the estimate behind the algorithms that heed
//! latency.
//!
//! Two signals. **Mean:** an exponentially weighted mean of the answers' times; [`Memory`] says how it is weighted. An
//! endpoint that has nothing under way fades, so that one that has recovered is tried again, by one request at a time.
//! **Age:** what is under way now has taken that long already, so an endpoint that stalls is known before its first
//! answer.
//!
//! What counts is the time until an answer begins: how fast a client takes a body is no endpoint's fault.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How answers' times are averaged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// Whether an answer slower than the estimate becomes the estimate, as in Finagle's peak EWMA.
    pub peak: bool,
    /// The largest weight of what was known before an answer: 15/16 averages over sixteen.
    pub keep: f32,
    /// In how many seconds what was known falls to 1/e, however few answers there are.
    pub seconds: f32,
}

/// A moment, in microseconds since an epoch that all who share an endpoint agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(u64);

impl Moment {
    /// `now`, seen from `epoch`; the epoch itself if it is earlier.
    #[must_use]
    pub fn new(epoch: Instant, now: Instant) -> Self {
        Self::after(now.saturating_duration_since(epoch))
    }

    /// That long after the epoch.
    #[must_use]
    pub fn after(epoch: Duration) -> Self {
        Self(u64::try_from(epoch.as_micros()).unwrap_or(u64::MAX))
    }

    /// So many seconds later.
    #[must_use]
    pub fn plus(self, seconds: f32) -> Self {
        Self(self.0.saturating_add((seconds * 1e6) as u64))
    }

    /// So much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Self(self.0.saturating_add(Self::after(by).0))
    }

    /// In microseconds after the epoch, for words that are shared.
    pub(crate) const fn micros(self) -> u64 {
        self.0
    }

    /// So many microseconds after the epoch.
    pub(crate) const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The time from `earlier` until this; none if it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// What has been seen of one endpoint. Shared: what one worker learns all workers know.
#[derive(Debug, Default)]
pub struct Latency {
    /// The estimate in seconds (`f32`), and when it was made, in milliseconds, which wrap after 49 days. 0 is nothing
    /// seen yet.
    estimate: AtomicU64,
    /// The sum of the moments at which what is under way began; wraps.
    begun: AtomicU64,
    /// How many those are.
    under_way: AtomicU32,
}

impl Latency {
    /// An attempt begins. Followed by one [`Latency::end`] with the same moment.
    pub fn begin(&self, at: Moment) {
        // In this order, so that a reader in between sees too young a load, not too old a one.
        self.begun.fetch_add(at.0, Relaxed);
        self.under_way.fetch_add(1, Relaxed);
    }

    /// It is over.
    pub fn end(&self, began: Moment) {
        self.under_way.fetch_sub(1, Relaxed);
        self.begun.fetch_sub(began.0, Relaxed);
    }

    /// What an answer is expected to take, in seconds: at least the mean age of what is under way. 0 if nothing is
    /// known.
    #[must_use]
    pub fn estimate(&self, memory: Memory, now: Moment) -> f32 {
        let (cost, at) = unpack(self.estimate.load(Relaxed));
        match self.under_way.load(Relaxed) {
            0 => cost * faded(at, now, memory.seconds),
            count => cost.max(self.age(count, now)),
        }
    }

    /// [`Latency::estimate`] if it is above `bound`; where it is not, that is seen without making it.
    #[must_use]
    pub fn estimate_above(&self, bound: f32, memory: Memory, now: Moment) -> Option<f32> {
        let (cost, _) = unpack(self.estimate.load(Relaxed));
        let count = self.under_way.load(Relaxed);
        if cost <= bound && (count == 0 || self.age(count, now) <= bound) {
            return None;
        }
        Some(self.estimate(memory, now)).filter(|estimate| *estimate > bound)
    }

    /// The mean age of what is under way, in seconds.
    fn age(&self, count: u32, now: Moment) -> f32 {
        let sum = u64::from(count).wrapping_mul(now.0).wrapping_sub(self.begun.load(Relaxed)).cast_signed();
        // Who came or went meanwhile makes the difference meaningless.
        if sum < 0 || self.under_way.load(Relaxed) != count { 0.0 } else { sum as f32 / count as f32 / 1e6 }
    }

    /// One that began then is answered. What just fails is not told: it says nothing of an answer's time.
    pub fn see(&self, began: Moment, memory: Memory, now: Moment) {
        let seconds = now.since(began).as_secs_f32();
        let update = |packed: u64| {
            let (cost, at) = unpack(packed);
            let weight = left(at, now, memory.seconds).min(memory.keep);
            let is_first = packed == 0;
            let cost = match is_first || (memory.peak && seconds > cost) {
                true => seconds,
                false => cost * weight + seconds * (1.0 - weight),
            };
            Some(pack(cost, now))
        };
        // The closure always has a value.
        let _ = self.estimate.fetch_update(Relaxed, Relaxed, update);
    }
}

fn milliseconds(at: Moment) -> u32 {
    // Wraps on purpose.
    (at.0 / 1000) as u32
}

fn pack(cost: f32, at: Moment) -> u64 {
    u64::from(cost.to_bits()) << 32 | u64::from(milliseconds(at))
}

fn unpack(packed: u64) -> (f32, u32) {
    (f32::from_bits((packed >> 32) as u32), packed as u32)
}

/// The time since `at` in so many seconds.
fn passed(at: u32, now: Moment, seconds: f32) -> f32 {
    milliseconds(now).wrapping_sub(at).cast_signed().max(0) as f32 / (seconds * 1e3)
}

/// How much is left of what was known `at`, if it falls to 1/e in `seconds`.
fn left(at: u32, now: Moment, seconds: f32) -> f32 {
    (-passed(at, now, seconds)).exp()
}

/// About the same for a tenth of the cost, which a pick pays for each endpoint: (1 + x/8)^-8 for e^-x.
fn faded(at: u32, now: Moment, seconds: f32) -> f32 {
    (1.0 + passed(at, now, seconds) / 8.0).powi(-8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Memory = Memory { peak: true, keep: 1.0, seconds: 10.0 };

    fn at(millis: u64) -> Moment {
        Moment::after(Duration::from_millis(millis))
    }

    fn answered(latency: &Latency, began: u64, ended: u64) {
        latency.begin(at(began));
        latency.see(at(began), TEN, at(ended));
        latency.end(at(began));
    }

    #[test]
    fn a_slow_answer_counts_at_once_and_fast_ones_by_and_by() {
        let latency = Latency::default();
        assert_eq!(latency.estimate(TEN, at(5)), 0.0);
        answered(&latency, 0, 100);
        assert!((latency.estimate(TEN, at(100)) - 0.1).abs() < 1e-6);
        answered(&latency, 100, 2_100);
        assert!((latency.estimate(TEN, at(2_100)) - 2.0).abs() < 1e-6);
        answered(&latency, 12_000, 12_100);
        // Ten seconds later the old one counts for 1/e.
        assert!(
            (latency.estimate(TEN, at(12_100)) - 0.799).abs() < 0.001,
            "{}",
            latency.estimate(TEN, at(12_100))
        );
        assert!((latency.estimate(TEN, at(22_100)) - 0.311).abs() < 0.001, "unused, it fades");
    }

    #[test]
    fn what_is_under_way_counts_with_its_age() {
        let latency = Latency::default();
        answered(&latency, 0, 10);
        latency.begin(at(10));
        latency.begin(at(30));
        assert!((latency.estimate(TEN, at(1_020)) - 1.0).abs() < 1e-4);
        latency.end(at(10));
        latency.end(at(30));
        assert!(latency.estimate(TEN, at(1_020)) < 0.01, "a failure says nothing of an answer's time");
        assert_eq!(Latency::default().estimate(TEN, at(5_000)), 0.0);
    }

    #[test]
    fn moments_wrap_and_never_run_backwards() {
        let latency = Latency::default();
        let late = u64::from(u32::MAX) - 5;
        answered(&latency, late, late + 100);
        assert!((latency.estimate(TEN, at(late + 101)) - 0.1).abs() < 1e-4);
        answered(&latency, late + 101, late + 111);
        assert_eq!(at(5).since(at(7)), Duration::ZERO);
    }
}
