//! [`CacheMeter`]: what the cache did, for those in the same process.

use std::iter::Sum;
use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

use super::link::Link;
use super::state::CacheState;

/// Reads a backend's [`CacheFigures`], also when the backend has ended; see
/// [`Server::cache_meter`](crate::Server::cache_meter).
#[derive(Clone, Debug)]
pub struct CacheMeter(pub(super) Arc<Link>);

/// What the cache of one backend did since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Reads that the cache answered.
    pub hits: u64,
    /// Reads that it had no entry for.
    pub misses: u64,
    /// Reads that it gave no answer to.
    pub bypassed: u64,
    /// Queries to the database for misses and bypassed reads.
    pub database_reads: u64,
    /// What these took together, with waiting for a connection.
    pub database_time: Duration,
}

impl CacheFigures {
    /// What came after `earlier`.
    pub fn since(&self, earlier: &CacheFigures) -> CacheFigures {
        CacheFigures {
            hits: self.hits.saturating_sub(earlier.hits),
            misses: self.misses.saturating_sub(earlier.misses),
            bypassed: self.bypassed.saturating_sub(earlier.bypassed),
            database_reads: self.database_reads.saturating_sub(earlier.database_reads),
            database_time: self.database_time.saturating_sub(earlier.database_time),
        }
    }

    /// All reads, whoever answered them.
    pub fn reads(&self) -> u64 {
        self.hits + self.misses + self.bypassed
    }
}

impl Add for CacheFigures {
    type Output = CacheFigures;

    fn add(self, other: CacheFigures) -> CacheFigures {
        CacheFigures {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            bypassed: self.bypassed + other.bypassed,
            database_reads: self.database_reads + other.database_reads,
            database_time: self.database_time.saturating_add(other.database_time),
        }
    }
}

impl Sum for CacheFigures {
    fn sum<I: Iterator<Item = CacheFigures>>(figures: I) -> CacheFigures {
        figures.fold(CacheFigures::default(), Add::add)
    }
}

impl CacheMeter {
    /// How the backend stands with its cache.
    pub fn state(&self) -> CacheState {
        *self.0.told.borrow()
    }

    /// The counters as they are now.
    pub fn figures(&self) -> CacheFigures {
        let tally = &self.0.tally;
        CacheFigures {
            hits: tally.hits.value(),
            misses: tally.misses.value(),
            bypassed: tally.bypassed(),
            database_reads: tally.reads.value(),
            database_time: tally.read_time.value(),
        }
    }
}
