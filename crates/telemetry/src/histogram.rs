//! How long things took: counts in fixed buckets, written by one thread, and the snapshot readers work with.

use crate::counter::Counter;
use std::time::Duration;

/// Upper bounds of the buckets in microseconds, inclusive; one more bucket takes everything above.
pub(crate) const BOUNDS: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// [`BOUNDS`] as values of the label `le`.
pub(crate) const BOUND_LABELS: [&str; 15] = [
    "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5",
    "10", "30",
];

/// The same for sessions, which last longer than requests: a millisecond to a day.
pub(crate) const SESSION_BOUNDS: [u64; 15] = [
    1_000,
    10_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    14_400_000_000,
    43_200_000_000,
    86_400_000_000,
];

/// [`SESSION_BOUNDS`] as values of the label `le`.
pub(crate) const SESSION_BOUND_LABELS: [&str; 15] = [
    "0.001", "0.01", "0.1", "0.5", "1", "5", "10", "30", "60", "300", "900", "3600", "14400", "43200",
    "86400",
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// Durations counted by bucket. Microseconds keep the sum far from overflow (at 10,000 requests in flight it lasts
/// 58 years; nanoseconds would last three weeks); rounding to the nearest keeps it without bias.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Counter; BUCKETS],
    sum: Counter,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub(crate) fn record(&self, duration: Duration) {
        self.record_by(&BOUNDS, duration);
    }

    /// Counts one duration in buckets with other bounds.
    #[inline]
    pub(crate) fn record_by(&self, bounds: &[u64; BUCKETS - 1], duration: Duration) {
        let micros = micros(duration);
        // Comparing with all bounds has no branch to mispredict and is done four or more at a time.
        let bucket = bounds.iter().map(|bound| usize::from(micros > *bound)).sum::<usize>();
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add(1);
        }
        self.sum.add(micros);
    }

    /// The counts now.
    pub(crate) fn snapshot(&self) -> HistogramSnapshot {
        let mut snapshot = HistogramSnapshot::default();
        self.add_to(&mut snapshot);
        snapshot
    }

    /// Adds the counts to `snapshot`.
    pub(crate) fn add_to(&self, snapshot: &mut HistogramSnapshot) {
        for (sum, bucket) in snapshot.buckets.iter_mut().zip(&self.buckets) {
            *sum = sum.wrapping_add(bucket.value());
        }
        snapshot.sum_micros = snapshot.sum_micros.wrapping_add(self.sum.value());
    }

    /// Adds all of `other`.
    pub(crate) fn absorb(&self, other: &Self) {
        let other = other.snapshot();
        for (bucket, n) in self.buckets.iter().zip(other.buckets) {
            bucket.add(n);
        }
        self.sum.add(other.sum_micros);
    }
}

/// A duration in microseconds, to the nearest one.
pub(crate) fn micros(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000)
        .saturating_add((u64::from(duration.subsec_nanos()) + 500) / 1_000)
}

/// Counts of a histogram at one moment, summed over the workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Per bucket, not cumulative; the last one is everything above 30 s.
    pub(crate) buckets: [u64; BUCKETS],
    pub(crate) sum_micros: u64,
}

impl HistogramSnapshot {
    /// Counts that came by another way than a series, such as the admin API; the inverse of
    /// [`buckets`](Self::buckets). Missing counts are 0, surplus ones are left out.
    pub fn of(counts: impl IntoIterator<Item = u64>, sum: Duration) -> Self {
        let mut snapshot = Self { sum_micros: micros(sum), ..Self::default() };
        for (bucket, n) in snapshot.buckets.iter_mut().zip(counts) {
            *bucket = n;
        }
        snapshot
    }

    /// How many durations fell into each bucket, with its upper bound, inclusive; the last one has none.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.iter().map(|bound| Some(Duration::from_micros(*bound))).chain([None]);
        bounds.zip(self.buckets)
    }

    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All durations together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_micros)
    }

    /// The mean, or `None` when nothing was recorded.
    pub fn mean(&self) -> Option<Duration> {
        self.sum_micros.checked_div(self.count()).map(Duration::from_micros)
    }

    /// An estimate of the `p`-quantile (0.0 ..= 1.0): linear within its bucket, as `histogram_quantile` of Prometheus
    /// does it, so it is as exact as the bucket is narrow. 30 s is the largest answer. `None` when nothing was recorded.
    pub fn quantile(&self, p: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = p.clamp(0.0, 1.0) * count as f64;
        let (mut below, mut lower) = (0.0, 0.0);
        for (bucket, upper) in self.buckets.iter().zip(BOUNDS) {
            let (n, upper) = (*bucket as f64, upper as f64);
            if n > 0.0 && below + n >= rank {
                let micros = lower + (upper - lower) * ((rank - below).max(0.0) / n);
                return Some(Duration::from_nanos((micros * 1e3) as u64));
            }
            below += n;
            lower = upper;
        }
        BOUNDS.last().map(|most| Duration::from_micros(*most))
    }

    /// What was recorded after `earlier`, for rates and quantiles of the last seconds.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        for (now, before) in since.buckets.iter_mut().zip(earlier.buckets) {
            *now = now.saturating_sub(before);
        }
        since.sum_micros = since.sum_micros.saturating_sub(earlier.sum_micros);
        since
    }

    /// Adds all of `other`, for a figure over several routes or endpoints.
    pub fn add(&mut self, other: &Self) {
        for (sum, n) in self.buckets.iter_mut().zip(other.buckets) {
            *sum = sum.wrapping_add(n);
        }
        self.sum_micros = self.sum_micros.wrapping_add(other.sum_micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_say_the_bounds() {
        for (bounds, labels) in [(BOUNDS, BOUND_LABELS), (SESSION_BOUNDS, SESSION_BOUND_LABELS)] {
            assert!(bounds.is_sorted());
            for (bound, label) in bounds.iter().zip(labels) {
                assert_eq!(label.parse::<f64>().unwrap(), *bound as f64 / 1e6);
            }
        }
    }

    #[test]
    fn bounds_are_inclusive() {
        let histogram = Histogram::default();
        histogram.record(Duration::ZERO);
        histogram.record(Duration::from_micros(500));
        histogram.record(Duration::from_micros(501));
        histogram.record(Duration::from_secs(30));
        histogram.record(Duration::MAX);
        let buckets = histogram.snapshot().buckets;
        assert_eq!((buckets[0], buckets[1], buckets[14], buckets[15]), (2, 1, 1, 1));
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        assert_eq!(HistogramSnapshot::default().quantile(0.5), None);
        let histogram = Histogram::default();
        for _ in 0..90 {
            histogram.record(Duration::from_micros(800));
        }
        for _ in 0..10 {
            histogram.record(Duration::from_millis(80));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.quantile(0.5), Some(Duration::from_nanos(777_777)));
        assert_eq!(snapshot.quantile(0.95), Some(Duration::from_millis(75)));
        assert_eq!(snapshot.quantile(1.0), Some(Duration::from_millis(100)));
        assert_eq!(snapshot.mean(), Some(Duration::from_micros((90 * 800 + 10 * 80_000) / 100)));
        histogram.record(Duration::from_secs(100));
        assert_eq!(histogram.snapshot().quantile(1.0), Some(Duration::from_secs(30)));
        assert_eq!(histogram.snapshot().since(&snapshot).count(), 1);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(durations in prop::collection::vec(0u64..100_000_000, 0..200)) {
            let (all, even, odd) = (Histogram::default(), Histogram::default(), Histogram::default());
            for (i, micros) in durations.iter().enumerate() {
                all.record(Duration::from_micros(*micros));
                if i % 2 == 0 { &even } else { &odd }.record(Duration::from_micros(*micros));
            }
            even.absorb(&odd);
            prop_assert_eq!(all.snapshot(), even.snapshot());
            prop_assert_eq!(all.snapshot().count(), durations.len() as u64);
            prop_assert_eq!(all.snapshot().sum(), Duration::from_micros(durations.iter().sum()));
            let mut low = Duration::ZERO;
            for p in [0.0, 0.1, 0.5, 0.9, 0.99, 1.0] {
                if let Some(q) = all.snapshot().quantile(p) {
                    prop_assert!(q >= low);
                    low = q;
                }
            }
        }
    }
}
