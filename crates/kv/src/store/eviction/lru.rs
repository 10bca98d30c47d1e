//! [`Lru`]: the least recently used goes first. Exact, where Redis takes samples.

use super::Order;
use super::queue::Queue;
use crate::store::Millis;
use crate::store::expiry::Deadlines;
use crate::store::shard::Entry;
use crate::store::slab::Slab;

/// Entries in the order of their last use.
#[derive(Debug)]
pub(super) struct Lru(Queue);

impl Default for Lru {
    fn default() -> Self {
        Self(Queue::new(1))
    }
}

impl Order for Lru {
    fn add(&mut self, entries: &mut Slab<Entry>, id: u32) {
        self.0.push(entries, id);
    }

    fn remove(&mut self, entries: &mut Slab<Entry>, id: u32) {
        self.0.remove(entries, id);
    }

    fn touch(&mut self, entries: &mut Slab<Entry>, id: u32, _now: Millis) {
        if !self.0.is_front(id) {
            self.0.remove(entries, id);
            self.0.push(entries, id);
        }
    }

    fn resize(&mut self, _entry: &Entry, before: usize, after: usize) {
        self.0.resize(before, after);
    }

    fn moved(&mut self, entries: &mut Slab<Entry>, _old: u32, new: u32) {
        self.0.moved(entries, new);
    }

    fn victim(
        &mut self,
        _: &mut Slab<Entry>,
        _: &Deadlines,
        _: &mut fastrand::Rng,
        _: Millis,
    ) -> Option<u32> {
        self.0.back()
    }

    #[cfg(test)]
    fn check(&self, entries: &Slab<Entry>) {
        self.0.check(entries);
    }
}
