//! [`Record`]: what became of requests, by when they were due.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What became of all requests of a load. Times are since its beginning. A request is `ok` when it was answered whole
/// with a status from 200 to 299 in time, and failed otherwise; those still under way are neither.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Equal spans of time, in order; [`Record::SLICE`] long.
    pub slices: Vec<Slice>,
    /// How many slices before those were forgotten ([`Load::forget_before`](crate::load::Load::forget_before)).
    pub forgotten: usize,
    /// The first failures, at most [`Record::FAILURES`].
    pub failures: Vec<Failure>,
    /// How long the load ran, or has run until now.
    pub length: Duration,
    /// The longest that a request started after it was due because the load itself was behind, not for lack of a
    /// free connection. Latencies include it; where it is not small, they tell of this machine and not of the
    /// target.
    pub lag: Duration,
}

/// The requests that were due within a span of time.
#[derive(Debug, Clone, Default)]
pub struct Slice {
    /// All of them.
    pub offered: u64,
    /// Answered well.
    pub ok: u64,
    /// Failed, by reason: `status 503`, `connect`, `reset`, `closed`, `timeout`, `malformed`, `resolve`.
    pub failed: BTreeMap<String, u64>,
    /// Answered or failed only after another target was tried.
    pub moved: u64,
    /// Of each one answered well, from when it was due, in µs, in order of their answers.
    pub latencies: Arc<Vec<u32>>,
    /// As [`Record::lag`].
    pub lag: Duration,
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// When it was due.
    pub due: Duration,
    /// What it asked: method and path.
    pub request: String,
    /// Why it failed: the reason and, of an answer, the first line of its body.
    pub why: String,
}

/// A record's span in numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// How long the span is, in seconds.
    pub seconds: f64,
    /// Requests that were due.
    pub offered: u64,
    /// Answered well.
    pub ok: u64,
    /// Failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Tried at another target.
    pub moved: u64,
    /// Latencies of those answered well; `None` if none was.
    pub p50: Option<Duration>,
    /// The same.
    pub p95: Option<Duration>,
    /// The same.
    pub p99: Option<Duration>,
    /// The same.
    pub p999: Option<Duration>,
    /// The slowest.
    pub longest: Option<Duration>,
}

impl Record {
    /// How long a slice is.
    pub const SLICE: Duration = Duration::from_millis(100);
    /// How many failures are kept one by one.
    pub const FAILURES: usize = 100;

    /// The requests that were due in that span, in numbers. Its ends are rounded to slices.
    pub fn between(&self, span: Range<Duration>) -> Summary {
        let round = |time: Duration| {
            let slice = (time.as_secs_f64() / Self::SLICE.as_secs_f64()).round() as usize;
            slice.saturating_sub(self.forgotten).min(self.slices.len())
        };
        self.part(round(span.start), round(span.end))
    }

    /// All of it.
    pub fn all(&self) -> Summary {
        self.part(0, self.slices.len())
    }

    /// The record in spans of that width (rounded to slices, at least one), each with its beginning: for plots over
    /// time. The last one may be shorter.
    pub fn every(&self, width: Duration) -> Vec<(Duration, Summary)> {
        let width = ((width.as_secs_f64() / Self::SLICE.as_secs_f64()).round() as usize).max(1);
        let starts = (0..self.slices.len()).step_by(width);
        starts
            .map(|start| {
                let end = (start + width).min(self.slices.len());
                (self.beginning(start), self.part(start, end))
            })
            .collect()
    }

    /// When the slice at this place begins.
    fn beginning(&self, place: usize) -> Duration {
        Self::SLICE.saturating_mul(u32::try_from(self.forgotten + place).unwrap_or(u32::MAX))
    }

    fn part(&self, start: usize, end: usize) -> Summary {
        let at = |place: usize| self.beginning(place).min(self.length);
        let mut summary =
            Summary { seconds: at(end).saturating_sub(at(start)).as_secs_f64(), ..Summary::default() };
        let mut latencies = Vec::new();
        for slice in self.slices.get(start..end).unwrap_or_default() {
            summary.offered += slice.offered;
            summary.ok += slice.ok;
            summary.moved += slice.moved;
            for (reason, count) in &slice.failed {
                *summary.failed.entry(reason.clone()).or_default() += count;
            }
            latencies.extend_from_slice(&slice.latencies);
        }
        latencies.sort_unstable();
        let quantile = |share: f64| {
            let rank = (share * latencies.len() as f64).ceil() as usize;
            latencies.get(rank.saturating_sub(1)).map(|micros| Duration::from_micros((*micros).into()))
        };
        summary.p50 = quantile(0.5);
        summary.p95 = quantile(0.95);
        summary.p99 = quantile(0.99);
        summary.p999 = quantile(0.999);
        summary.longest = quantile(1.0);
        summary
    }
}

impl Summary {
    /// Failed, for whatever reason.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Answered well, of those that were answered well or failed; 1 of none.
    pub fn availability(&self) -> f64 {
        let all = self.ok + self.failures();
        if all == 0 { 1.0 } else { self.ok as f64 / all as f64 }
    }

    /// Answered well per second.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.ok as f64 / self.seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slice n has n requests answered in n ms, and one that failed.
    fn record() -> Record {
        let slices = (0..5_u32).map(|n| Slice {
            offered: u64::from(n) + 1,
            ok: n.into(),
            failed: BTreeMap::from([("reset".to_owned(), 1)]),
            moved: 2,
            latencies: Arc::new(vec![n * 1000; n as usize]),
            lag: Duration::ZERO,
        });
        Record { slices: slices.collect(), length: Duration::from_millis(450), ..Record::default() }
    }

    #[test]
    fn spans_are_summed_and_their_ends_rounded() {
        let ms = Duration::from_millis;
        let summary = record().between(ms(190)..ms(420));
        assert_eq!((summary.offered, summary.ok, summary.failures(), summary.moved), (7, 5, 2, 4));
        assert_eq!((summary.p50, summary.p95, summary.longest), (Some(ms(3)), Some(ms(3)), Some(ms(3))));
        assert!((summary.seconds - 0.2).abs() < 1e-9 && (summary.rate() - 25.0).abs() < 1e-6, "{summary:?}");
        let all = record().all();
        assert_eq!((all.ok, all.failed.get("reset"), all.p50), (10, Some(&5), Some(ms(3))));
        assert!((all.seconds - 0.45).abs() < 1e-9, "the last slice is not over");
        assert!((all.availability() - 10.0 / 15.0).abs() < 1e-9);
        let beyond = record().between(ms(5_000)..ms(6_000));
        assert_eq!((beyond.p50, beyond.offered, beyond.availability()), (None, 0, 1.0));
    }

    #[test]
    fn a_plot_has_a_point_for_each_span() {
        let points = record().every(Duration::from_millis(200));
        let shown: Vec<_> = points.iter().map(|(at, summary)| (at.as_millis(), summary.ok)).collect();
        assert_eq!(shown, [(0, 1), (200, 5), (400, 4)]);
        assert_eq!(record().every(Duration::ZERO).len(), 5);
    }
}
