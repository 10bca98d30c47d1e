//! [`Tally`]: where the threads of a load write down what they see; and [`Totals`], all of it in a few numbers.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::load::{Failure, Record, Slice, Summary};

/// What was seen from the start, by when it was answered: does not grow however long a load runs.
#[derive(Debug, Clone)]
pub struct Totals {
    /// How long the load has run, in seconds.
    pub seconds: f64,
    /// Requests that were due.
    pub offered: u64,
    /// Answered well.
    pub ok: u64,
    /// Failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Tried at another target.
    pub moved: u64,
    /// Of those answered well, from when they were due, in µs; three digits.
    pub latency: Histogram<u64>,
    /// The sum of those latencies, in seconds.
    pub latency_sum: f64,
    /// As [`Record::lag`].
    pub lag: Duration,
    /// The one that failed last.
    pub last_failure: Option<Failure>,
}

/// What the threads of a load share.
#[derive(Debug)]
pub(super) struct Tally {
    began: Instant,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    record: Record,
    totals: Totals,
    /// Since the beginning, when the load was over.
    end: Option<Duration>,
}

impl Tally {
    /// # Errors
    /// There is no memory for its histogram.
    pub(super) fn new(began: Instant) -> io::Result<Self> {
        let counts = Counts { record: Record::default(), totals: Totals::new()?, end: None };
        Ok(Self { began, counts: Mutex::new(counts) })
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn offered(&self, due: Duration) {
        let mut counts = self.counts();
        counts.totals.offered += 1;
        counts.slice(due, |slice| slice.offered += 1);
    }

    /// A request started that long after it could have.
    pub(super) fn started(&self, due: Duration, lag: Duration) {
        let mut counts = self.counts();
        counts.totals.lag = counts.totals.lag.max(lag);
        counts.slice(due, |slice| slice.lag = slice.lag.max(lag));
    }

    pub(super) fn answered(&self, due: Duration, is_moved: bool) {
        let latency = self.began.elapsed().saturating_sub(due);
        let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        let mut counts = self.counts();
        counts.totals.ok += 1;
        counts.totals.moved += u64::from(is_moved);
        counts.totals.latency.saturating_record(micros.into());
        counts.totals.latency_sum += latency.as_secs_f64();
        counts.slice(due, |slice| {
            slice.ok += 1;
            slice.moved += u64::from(is_moved);
            Arc::make_mut(&mut slice.latencies).push(micros);
        });
    }

    /// `reason` is counted; `detail` comes after it where failures are kept one by one.
    pub(super) fn failed(&self, due: Duration, is_moved: bool, request: &str, reason: &str, detail: &str) {
        let mut counts = self.counts();
        *counts.totals.failed.entry(reason.to_owned()).or_default() += 1;
        counts.totals.moved += u64::from(is_moved);
        let why = if detail.is_empty() { reason.to_owned() } else { format!("{reason}: {detail}") };
        let failure = Failure { due, request: request.to_owned(), why };
        if counts.record.failures.len() < Record::FAILURES {
            counts.record.failures.push(failure.clone());
        }
        counts.totals.last_failure = Some(failure);
        counts.slice(due, |slice| {
            *slice.failed.entry(reason.to_owned()).or_default() += 1;
            slice.moved += u64::from(is_moved);
        });
    }

    /// No more requests become due.
    pub(super) fn over(&self, length: Duration) {
        self.counts().end = Some(length);
    }

    /// Whether no more requests become due.
    pub(super) fn is_over(&self) -> bool {
        self.counts().end.is_some()
    }

    /// Keeps no slices of what was due earlier.
    pub(super) fn forget_before(&self, time: Duration) {
        let mut counts = self.counts();
        let count = index(time).saturating_sub(counts.record.forgotten).min(counts.record.slices.len());
        counts.record.slices.drain(..count);
        counts.record.forgotten += count;
    }

    pub(super) fn record(&self) -> Record {
        let mut counts = self.counts();
        let length = counts.end.unwrap_or_else(|| self.began.elapsed());
        // Spans in which nothing was due are slices, too.
        let slices = length.as_millis().div_ceil(Record::SLICE.as_millis()) as usize;
        let slices = slices.saturating_sub(counts.record.forgotten).max(counts.record.slices.len());
        counts.record.slices.resize_with(slices, Slice::default);
        let mut record = counts.record.clone();
        record.length = length;
        record.lag = counts.totals.lag;
        record
    }

    pub(super) fn totals(&self) -> Totals {
        let counts = self.counts();
        let mut totals = counts.totals.clone();
        totals.seconds = counts.end.unwrap_or_else(|| self.began.elapsed()).as_secs_f64();
        totals
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn slice(&mut self, due: Duration, change: impl FnOnce(&mut Slice)) {
        let Some(place) = index(due).checked_sub(self.record.forgotten) else { return };
        let slices = &mut self.record.slices;
        if slices.len() <= place {
            slices.resize_with(place + 1, Slice::default);
        }
        if let Some(slice) = slices.get_mut(place) {
            change(slice);
        }
    }
}

fn index(due: Duration) -> usize {
    (due.as_millis() / Record::SLICE.as_millis()) as usize
}

impl Totals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            seconds: 0.0,
            offered: 0,
            ok: 0,
            failed: BTreeMap::new(),
            moved: 0,
            // From 1 µs to 71 minutes.
            latency: Histogram::new_with_max(u32::MAX.into(), 3).map_err(io::Error::other)?,
            latency_sum: 0.0,
            lag: Duration::ZERO,
            last_failure: None,
        })
    }

    /// What came since `earlier`, the same load's totals of before. Lag and last failure are those
    /// from the start.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        since.seconds -= earlier.seconds;
        since.offered -= earlier.offered;
        since.ok -= earlier.ok;
        since.moved -= earlier.moved;
        since.latency_sum -= earlier.latency_sum;
        for (reason, count) in &earlier.failed {
            if let Some(now) = since.failed.get_mut(reason) {
                *now -= count;
            }
        }
        since.failed.retain(|_, count| *count > 0);
        if since.latency.subtract(&earlier.latency).is_err() {
            // It is not of the same load.
            since.latency.reset();
        }
        since
    }

    /// In numbers.
    pub fn summary(&self) -> Summary {
        let quantile = |share: f64| {
            (!self.latency.is_empty()).then(|| Duration::from_micros(self.latency.value_at_quantile(share)))
        };
        Summary {
            seconds: self.seconds,
            offered: self.offered,
            ok: self.ok,
            failed: self.failed.clone(),
            moved: self.moved,
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p999: quantile(0.999),
            longest: quantile(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_stay_when_slices_are_forgotten() {
        let tally = Tally::new(Instant::now()).unwrap();
        let at = Duration::from_millis;
        for n in 0..10 {
            tally.offered(at(n * 100));
            tally.failed(at(n * 100), n == 3, "GET /", "connect", "refused");
        }
        let before = tally.totals();
        tally.forget_before(at(500));
        tally.offered(at(950));
        tally.answered(at(100), true);
        let since = tally.totals().since(&before).summary();
        assert_eq!((since.offered, since.ok, since.failures(), since.moved), (1, 1, 0, 1));
        assert!(since.p50.is_some());
        tally.over(at(1_200));
        let record = tally.record();
        assert_eq!((record.all().offered, record.all().failures(), record.all().ok), (6, 5, 0));
        assert_eq!((record.slices.len(), record.forgotten, record.length), (7, 5, at(1_200)));
        assert_eq!((record.failures.len(), record.between(at(900)..at(1_000)).offered), (10, 2));
        assert_eq!(record.every(Record::SLICE).last().unwrap().0, at(1_100));
        assert_eq!(record.failures[3].why, "connect: refused");
        assert_eq!((tally.totals().offered, tally.totals().summary().failures()), (11, 10));
    }

    #[test]
    fn a_record_is_a_picture_that_later_answers_do_not_change() {
        let tally = Tally::new(Instant::now()).unwrap();
        tally.offered(Duration::ZERO);
        tally.answered(Duration::ZERO, false);
        let picture = tally.record();
        tally.answered(Duration::ZERO, false);
        assert_eq!((picture.slices[0].latencies.len(), tally.record().slices[0].latencies.len()), (1, 2));
    }
}
