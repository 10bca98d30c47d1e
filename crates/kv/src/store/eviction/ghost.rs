//! [`Ghost`]: the hashes of entries that were evicted lately, without the entries.

use std::collections::VecDeque;

use crate::store::memory::allocation;
use crate::store::table::Table;

/// Hashes in a block of the row.
const BLOCK: usize = 1024;

/// Hashes in the order they came, each found by itself.
#[derive(Debug, Default)]
pub(super) struct Ghost {
    /// By hash, the number in the row.
    table: Table,
    /// Oldest first, in blocks, so that growing copies little. Those removed since leave their place behind.
    row: VecDeque<Vec<u32>>,
    /// Number of the first in the first block; numbers wrap around.
    base: u32,
    /// Places in the first block that are done with.
    passed: usize,
}

impl Ghost {
    /// Remembers a hash, and forgets the oldest until there are at most `most` (at least one).
    pub(super) fn insert(&mut self, hash: u32, most: usize) {
        self.remove(hash);
        if self.row.back().is_none_or(|block| block.len() == BLOCK) {
            self.row.push_back(Vec::with_capacity(BLOCK));
        }
        let number = self.base.wrapping_add(self.places() as u32);
        if let Some(block) = self.row.back_mut() {
            block.push(hash);
        }
        let (row, base) = (&self.row, self.base);
        self.table.insert(hash, number, |number| at(row, base, number).unwrap_or_default());
        // Places left behind do not count, but they must not pile up either.
        while self.table.len() > most.max(1) || self.places() > 2 * most.max(BLOCK) {
            self.forget_oldest();
        }
    }

    /// Whether the hash was remembered; it no longer is.
    pub(super) fn remove(&mut self, hash: u32) -> bool {
        let found = self.table.find(hash, |number| at(&self.row, self.base, number) == Some(hash));
        found.is_some_and(|number| self.table.remove(hash, number))
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        self.table.bytes()
            + self.row.len() * allocation(BLOCK * size_of::<u32>())
            + allocation(self.row.capacity() * size_of::<Vec<u32>>())
    }

    /// Places in the row, counted from the beginning of the first block.
    fn places(&self) -> usize {
        self.row.len().saturating_sub(1) * BLOCK + self.row.back().map_or(0, Vec::len)
    }

    fn forget_oldest(&mut self) {
        let number = self.base.wrapping_add(self.passed as u32);
        if let Some(hash) = at(&self.row, self.base, number) {
            self.table.remove(hash, number);
        }
        self.passed += 1;
        if self.passed >= BLOCK {
            self.row.pop_front();
            self.base = self.base.wrapping_add(BLOCK as u32);
            self.passed = 0;
        }
    }
}

/// The hash with this number.
fn at(row: &VecDeque<Vec<u32>>, base: u32, number: u32) -> Option<u32> {
    let place = number.wrapping_sub(base) as usize;
    row.get(place / BLOCK)?.get(place % BLOCK).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_latest() {
        let mut ghost = Ghost::default();
        let hash = |number: u32| number.wrapping_mul(0x9e37_79b9);
        for number in 0..50_000 {
            ghost.insert(hash(number), 5000);
        }
        assert_eq!(ghost.table.len(), 5000);
        assert!(!ghost.remove(hash(44_999)));
        assert!(ghost.remove(hash(45_000)));
        assert!(!ghost.remove(hash(45_000)));
        assert!(ghost.remove(hash(49_999)));
        assert!(ghost.bytes() < 5000 * 16, "{}", ghost.bytes());
    }

    #[test]
    fn what_came_back_leaves_no_heap_behind() {
        let mut ghost = Ghost::default();
        for number in 0..1_000_000u32 {
            ghost.insert(number.rotate_left(12), 100);
            assert!(ghost.remove(number.rotate_left(12)));
        }
        assert!(ghost.bytes() < 20_000, "{}", ghost.bytes());
    }

    #[test]
    fn numbers_wrap_around() {
        let mut ghost = Ghost { base: u32::MAX - 1500, ..Ghost::default() };
        for number in 0..4000u32 {
            ghost.insert(number << 16, 100);
        }
        assert!((3900..4000).all(|number| ghost.remove(number << 16)));
        assert_eq!(ghost.table.len(), 0);
    }
}
