//! What happened: counters of each thread, summed when somebody asks, and those of the whole process.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::server::lookup::Table;

/// A count that one thread alone increases.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// So many more.
    pub(crate) fn add(&self, more: u64) {
        // No other thread writes, so that this needs no locked instruction.
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// How many until now.
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// From the beginning again.
    fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// Bounds of the histogram: 2^10 ns (about a microsecond), doubled until 2^33 (about 8.6 s); and what takes longer.
pub(crate) const BUCKETS: usize = 25;
const FIRST_BOUND: u32 = 10;

/// The upper bound of a bucket in seconds; `None` for the last, which has none.
pub(crate) fn bound(bucket: usize) -> Option<f64> {
    (bucket + 1 < BUCKETS).then(|| (1_u64 << (FIRST_BOUND as usize + bucket)) as f64 / 1e9)
}

fn bucket(nanos: u64) -> usize {
    let bits = u64::BITS - nanos.saturating_sub(1).leading_zeros();
    (bits.saturating_sub(FIRST_BOUND) as usize).min(BUCKETS - 1)
}

/// What one thread did.
#[derive(Debug)]
pub(crate) struct Counters {
    commands: Box<[PerCommand]>,
    durations: [Count; BUCKETS],
    /// All durations, in nanoseconds.
    pub(crate) nanos: Count,
    pub(crate) unknown: Count,
    pub(crate) reads: Count,
    pub(crate) writes: Count,
    pub(crate) received: Count,
    pub(crate) sent: Count,
    /// Changes to data.
    pub(crate) changes: Count,
    /// Error replies.
    pub(crate) errors: Count,
}

/// What became of one command.
#[derive(Debug, Default)]
pub(crate) struct PerCommand {
    pub(crate) calls: Count,
    pub(crate) nanos: Count,
    /// Not carried out: no password, wrong number of words, no memory.
    pub(crate) rejected: Count,
    /// Carried out, with an error as the answer.
    pub(crate) failed: Count,
}

impl Counters {
    fn new() -> Self {
        Self {
            commands: (0..Table::of_all().len()).map(|_| PerCommand::default()).collect(),
            durations: Default::default(),
            nanos: Count::default(),
            unknown: Count::default(),
            reads: Count::default(),
            writes: Count::default(),
            received: Count::default(),
            sent: Count::default(),
            changes: Count::default(),
            errors: Count::default(),
        }
    }

    /// The counts of the command with that number.
    pub(crate) fn command(&self, number: u16) -> Option<&PerCommand> {
        self.commands.get(usize::from(number))
    }

    /// A command was carried out and took so long.
    pub(crate) fn took(&self, number: u16, nanos: u64) {
        if let Some(command) = self.command(number) {
            command.nanos.add(nanos);
        }
        self.nanos.add(nanos);
        if let Some(count) = self.durations.get(bucket(nanos)) {
            count.add(1);
        }
    }

    /// `CONFIG RESETSTAT`; a count that its thread increases at this moment may survive.
    fn reset(&self) {
        for command in &self.commands {
            for count in [&command.calls, &command.nanos, &command.rejected, &command.failed] {
                count.reset();
            }
        }
        self.durations.iter().for_each(Count::reset);
        for count in
            [&self.nanos, &self.unknown, &self.reads, &self.writes, &self.received, &self.sent, &self.errors]
        {
            count.reset();
        }
    }
}

/// What the process did.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    threads: Mutex<Vec<Arc<Counters>>>,
    errors: Mutex<BTreeMap<String, u64>>,
    pub(crate) connections: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Closed since they did not take what was sent to them.
    pub(crate) slow_readers: AtomicU64,
    /// Closed since they had been silent for too long.
    pub(crate) idle_closed: AtomicU64,
    pub(crate) protocol_errors: AtomicU64,
    pub(crate) published: AtomicU64,
    /// Commands a second, as the housekeeping measured it last.
    pub(crate) rate: AtomicU64,
}

/// Kinds of errors that are counted, so that nobody fills the memory with inventing some.
const MOST_ERROR_KINDS: usize = 128;

impl Stats {
    /// Counters of one more thread.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters::new());
        self.threads().push(counters.clone());
        counters
    }

    /// The sum of something over all threads.
    pub(crate) fn sum(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        self.threads().iter().map(|counters| of(counters)).sum()
    }

    /// Calls, nanoseconds, rejections and failures of a command.
    pub(crate) fn command(&self, number: u16) -> [u64; 4] {
        let of = |count: fn(&PerCommand) -> &Count| {
            self.sum(|counters| counters.command(number).map_or(0, |command| count(command).now()))
        };
        [of(|c| &c.calls), of(|c| &c.nanos), of(|c| &c.rejected), of(|c| &c.failed)]
    }

    /// Commands carried out.
    pub(crate) fn calls(&self) -> u64 {
        self.sum(|counters| counters.commands.iter().map(|command| command.calls.now()).sum())
    }

    /// How many commands took how long, by buckets.
    pub(crate) fn durations(&self) -> [u64; BUCKETS] {
        let mut sums = [0; BUCKETS];
        for counters in self.threads().iter() {
            for (sum, count) in sums.iter_mut().zip(&counters.durations) {
                *sum += count.now();
            }
        }
        sums
    }

    /// An error was answered: counts its first word.
    pub(crate) fn error(&self, error: &Error) {
        let code = error.text().split(' ').next().unwrap_or_default();
        let mut errors = self.errors();
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else if errors.len() < MOST_ERROR_KINDS {
            errors.insert(code.to_owned(), 1);
        }
    }

    /// How often each kind of error was answered.
    pub(crate) fn error_kinds(&self) -> Vec<(String, u64)> {
        self.errors().iter().map(|(code, count)| (code.clone(), *count)).collect()
    }

    /// `CONFIG RESETSTAT`
    pub(crate) fn reset(&self) {
        self.threads().iter().for_each(|counters| counters.reset());
        self.errors().clear();
        for count in [
            &self.connections,
            &self.refused,
            &self.slow_readers,
            &self.idle_closed,
            &self.protocol_errors,
            &self.published,
        ] {
            count.store(0, Relaxed);
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Arc<Counters>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn errors(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        for (nanos, expected) in [
            (0, 0),
            (1024, 0),
            (1025, 1),
            (2048, 1),
            (2049, 2),
            (1 << 33, 23),
            ((1 << 33) + 1, 24),
            (u64::MAX, 24),
        ] {
            assert_eq!(bucket(nanos), expected, "{nanos}");
        }
        assert_eq!(bound(0), Some(0.000_001_024));
        assert_eq!(bound(BUCKETS - 1), None);
    }

    #[test]
    fn threads_are_summed() {
        let stats = Stats::default();
        let (one, two) = (stats.counters(), stats.counters());
        for counters in [&one, &two] {
            counters.command(3).unwrap().calls.add(2);
            counters.took(3, 5000);
        }
        assert_eq!(stats.command(3), [4, 10_000, 0, 0]);
        assert_eq!((stats.calls(), stats.durations().iter().sum::<u64>()), (4, 2));
        stats.error(&Error::WRONG_TYPE);
        assert_eq!(stats.error_kinds(), [("WRONGTYPE".to_owned(), 1)]);
        stats.reset();
        assert_eq!((stats.calls(), stats.error_kinds().len()), (0, 0));
    }
}
