//! Counters that threads share without a lock, and the page for Prometheus they are written on.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number of things that happened.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts at a place, if there is such a place.
pub(crate) fn count(counters: &[Counter], place: usize) {
    if let Some(counter) = counters.get(place) {
        counter.add_one();
    }
}

/// A sum of durations: nanoseconds, enough for five hundred years.
#[derive(Debug, Default)]
pub(crate) struct Time(AtomicU64);

impl Time {
    pub(crate) fn add(&self, more: Duration) {
        self.0.fetch_add(u64::try_from(more.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Upper bounds of the buckets, in microseconds: fine enough for a cache, far enough for a request that waits.
const BUCKETS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// How durations are spread.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Not cumulative; what is above the last bound is in the count alone.
    buckets: [Counter; BUCKETS.len()],
    count: Counter,
    sum: Time,
}

impl Histogram {
    pub(crate) fn add(&self, took: Duration) {
        if let Some(bucket) = BUCKETS.iter().position(|bound| took <= Duration::from_micros(*bound)) {
            count(&self.buckets, bucket);
        }
        self.sum.add(took);
        self.count.add_one();
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.value()
    }
}

/// The text of `/metrics`.
#[derive(Debug)]
pub(crate) struct Page(String);

// Writing to a String cannot fail.
impl Page {
    pub(crate) fn new() -> Page {
        Page(String::with_capacity(8 * 1024))
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    /// What stands before the lines of one name; `kind` is counter, gauge or histogram.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(crate) fn line(&mut self, name: &str, labels: &str, value: impl fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            _ => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    /// A family of one line.
    pub(crate) fn figure(&mut self, name: &str, kind: &str, help: &str, value: impl fmt::Display) {
        self.family(name, kind, help);
        self.line(name, "", value);
    }

    /// The lines of a histogram; its family stands before them already.
    pub(crate) fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut sum = 0;
        for (bound, bucket) in BUCKETS.iter().zip(&histogram.buckets) {
            sum += bucket.value();
            let labels = format!("{labels}{comma}le=\"{}\"", *bound as f64 / 1e6);
            self.line(&format!("{name}_bucket"), &labels, sum);
        }
        // A duration that is counted while the page is written must not make the buckets decrease.
        let count = histogram.count.value().max(sum);
        self.line(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"+Inf\""), count);
        self.line(&format!("{name}_sum"), labels, histogram.sum.value().as_secs_f64());
        self.line(&format!("{name}_count"), labels, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_its_bounds_and_beyond() {
        let histogram = Histogram::default();
        for micros in [100, 101, 10_000_001] {
            histogram.add(Duration::from_micros(micros));
        }
        let mut page = Page::new();
        page.histogram("a_seconds", "b=\"c\"", &histogram);
        page.histogram("d_seconds", "", &histogram);
        let text = page.into_text();
        for line in [
            "a_seconds_bucket{b=\"c\",le=\"0.0001\"} 1",
            "a_seconds_bucket{b=\"c\",le=\"0.00025\"} 2",
            "a_seconds_bucket{b=\"c\",le=\"10\"} 2",
            "a_seconds_bucket{b=\"c\",le=\"+Inf\"} 3",
            "a_seconds_sum{b=\"c\"} 10.000202",
            "a_seconds_count{b=\"c\"} 3",
            "d_seconds_bucket{le=\"+Inf\"} 3",
            "d_seconds_sum 10.000202",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
