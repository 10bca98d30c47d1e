//! What the cache did, counted: the `toy_backend_cache_*` lines of `/metrics`.

use std::fmt::Display;
use std::time::Duration;

use super::fault::Fault;
use crate::count::{Counter, Histogram, Page, Time, count};

/// What the cache is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Lookup,
    Store,
    Invalidate,
}

/// What became of a row that was read and could be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Done,
    /// A fence or an entry stands there.
    Present,
    /// The item was written meanwhile, or the read took too long to be sure that it was not.
    Late,
    Failed,
}

/// What became of a row that was written through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// It was the newest after it had been stored.
    Done,
    /// Another write came in between, or the database did not say: it was invalidated.
    Overtaken,
    /// The cache was not told.
    Failed,
    /// The cache had no room for it: what stood there was deleted.
    Refused,
}

/// Counters of one backend's cache.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    /// Reads answered by an old copy, as the database gave none.
    pub(super) stale: Counter,
    bypasses: ByFault,
    /// Requests answered by another one's database read.
    pub(super) followers: Counter,
    /// Database reads as the cache had no answer.
    pub(super) reads: Counter,
    /// What those took.
    pub(super) read_time: Time,
    /// Entries no toy backend wrote.
    pub(super) bad_entries: Counter,
    stores: [Counter; 4],
    throughs: [Counter; 4],
    pub(super) invalidations: Counter,
    /// Invalidations that could not be made at once.
    pub(super) owed: Counter,
    /// Owed invalidations beyond what is remembered.
    pub(super) lost: Counter,
    failures: [ByFault; 3],
    durations: [Histogram; 3],
}

type ByFault = [Counter; Fault::ALL.len()];

impl Tally {
    pub(super) fn bypass(&self, fault: Fault) {
        count(&self.bypasses, fault as usize);
    }

    /// All bypasses, whatever was wrong.
    pub(super) fn bypassed(&self) -> u64 {
        self.bypasses.iter().map(Counter::value).sum()
    }

    pub(super) fn stored(&self, stored: Stored) {
        count(&self.stores, stored as usize);
    }

    pub(super) fn written_through(&self, through: Through) {
        count(&self.throughs, through as usize);
    }

    /// A question that was put to the cache, and how long the answer took, good or bad.
    pub(super) fn asked(&self, operation: Operation, took: Duration, fault: Option<Fault>) {
        if let (Some(fault), Some(failures)) = (fault, self.failures.get(operation as usize)) {
            count(failures, fault as usize);
        }
        let Some(histogram) = self.durations.get(operation as usize) else { return };
        histogram.add(took);
    }

    /// Writes the lines; `gauges` are the current figures: name, help, value.
    pub(super) fn write(&self, page: &mut Page, gauges: &[(&str, &str, u64)]) {
        let counters = [
            ("hits_total", "Reads answered by the cache.", &self.hits),
            ("misses_total", "Reads the cache had no entry for.", &self.misses),
            ("stale_total", "Reads answered by an old copy, as the database gave no answer.", &self.stale),
            ("database_reads_total", "Database reads as the cache had no answer.", &self.reads),
            ("followers_total", "Reads answered by another one's database read.", &self.followers),
            ("bad_entries_total", "Entries that no toy backend wrote, invalidated.", &self.bad_entries),
            (
                "invalidations_total",
                "Entries invalidated or replaced at once, after a write or as they were bad.",
                &self.invalidations,
            ),
            (
                "invalidations_owed_total",
                "Invalidations that had to wait for the cache, also behind stores without an answer.",
                &self.owed,
            ),
            (
                "invalidations_lost_total",
                "Owed invalidations beyond those remembered: only time ends what is cached.",
                &self.lost,
            ),
        ];
        for (name, help, counter) in counters {
            family(page, name, "counter", help);
            line(page, name, "", counter.value());
        }
        let help = "Time of those database reads, with waiting for a connection.";
        family(page, "database_read_seconds_total", "counter", help);
        let seconds = self.read_time.value().as_secs_f64();
        line(page, "database_read_seconds_total", "", seconds);
        for (name, help, value) in gauges {
            family(page, name, "gauge", help);
            line(page, name, "", *value);
        }
        family(
            page,
            "bypasses_total",
            "counter",
            "Reads answered without the cache, by what was wrong with it.",
        );
        for (fault, counter) in Fault::ALL.into_iter().zip(&self.bypasses) {
            line(page, "bypasses_total", &format!("reason=\"{}\"", fault.word()), counter.value());
        }
        family(page, "stores_total", "counter", "What became of rows that were read.");
        for (word, counter) in ["done", "present", "late", "failed"].into_iter().zip(&self.stores) {
            line(page, "stores_total", &format!("outcome=\"{word}\""), counter.value());
        }
        family(page, "writes_through_total", "counter", "What became of rows that were written through.");
        for (word, counter) in ["done", "overtaken", "failed", "refused"].into_iter().zip(&self.throughs) {
            line(page, "writes_through_total", &format!("outcome=\"{word}\""), counter.value());
        }
        let operations = ["lookup", "store", "invalidate"];
        family(page, "failures_total", "counter", "Questions to the cache that failed.");
        for (operation, failures) in operations.into_iter().zip(&self.failures) {
            for (fault, counter) in Fault::ALL.into_iter().zip(failures) {
                let labels = format!("operation=\"{operation}\",reason=\"{}\"", fault.word());
                line(page, "failures_total", &labels, counter.value());
            }
        }
        family(page, "request_duration_seconds", "histogram", "Time the cache took to answer or to fail.");
        for (operation, histogram) in operations.into_iter().zip(&self.durations) {
            let name = "toy_backend_cache_request_duration_seconds";
            page.histogram(name, &format!("operation=\"{operation}\""), histogram);
        }
    }
}

fn family(page: &mut Page, name: &str, kind: &str, help: &str) {
    page.family(&format!("toy_backend_cache_{name}"), kind, help);
}

fn line(page: &mut Page, name: &str, labels: &str, value: impl Display) {
    page.line(&format!("toy_backend_cache_{name}"), labels, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_what_was_counted() {
        let tally = Tally::default();
        tally.hits.add_one();
        tally.read_time.add(Duration::from_micros(1_500));
        tally.bypass(Fault::Timeout);
        tally.stored(Stored::Late);
        tally.written_through(Through::Overtaken);
        tally.stale.add_one();
        tally.asked(Operation::Lookup, Duration::from_micros(100), None);
        tally.asked(Operation::Lookup, Duration::from_micros(101), None);
        tally.asked(Operation::Lookup, Duration::from_secs(1), Some(Fault::Timeout));
        let mut page = Page::new();
        tally.write(&mut page, &[("breaker_state", "State.", 2)]);
        let page = page.into_text();
        for expected in [
            "hits_total 1",
            "misses_total 0",
            "breaker_state 2",
            "database_read_seconds_total 0.0015",
            "bypasses_total{reason=\"timeout\"} 1",
            "bypasses_total{reason=\"refused\"} 0",
            "stores_total{outcome=\"late\"} 1",
            "writes_through_total{outcome=\"overtaken\"} 1",
            "stale_total 1",
            "failures_total{operation=\"lookup\",reason=\"timeout\"} 1",
            "failures_total{operation=\"store\",reason=\"timeout\"} 0",
            "request_duration_seconds_bucket{operation=\"lookup\",le=\"0.0001\"} 1",
            "request_duration_seconds_bucket{operation=\"lookup\",le=\"0.25\"} 2",
            "request_duration_seconds_bucket{operation=\"lookup\",le=\"+Inf\"} 3",
            "request_duration_seconds_sum{operation=\"lookup\"} 1.000201",
            "request_duration_seconds_count{operation=\"store\"} 0",
        ] {
            let expected = format!("toy_backend_cache_{expected}");
            assert!(page.lines().any(|line| line == expected), "{expected} in\n{page}");
        }
        let families = page.lines().filter(|line| line.starts_with("# TYPE")).count();
        assert_eq!(families, page.lines().filter(|line| line.starts_with("# HELP")).count());
    }
}
