//! A count that one thread writes and any thread reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A single-writer count. Two threads adding at once would lose counts (never more than that), which is why every
/// worker has its own; in exchange adding is an ordinary load and store instead of a locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; wraps like every Prometheus counter after 2^64.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The count now.
    #[inline]
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let counter = Counter::default();
        counter.add(2);
        counter.add(40);
        assert_eq!(counter.value(), 42);
    }
}
