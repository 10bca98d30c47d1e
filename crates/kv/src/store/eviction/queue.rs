//! [`Queue`]: entries in a row, linked through themselves.

use crate::store::shard::Entry;
use crate::store::slab::{NONE, Slab};

/// Entries from front to back. Those in it bear its mark.
#[derive(Debug)]
pub(super) struct Queue {
    mark: u8,
    front: u32,
    back: u32,
    len: usize,
    weight: usize,
}

impl Queue {
    /// An empty one. `mark` is not 0, and no other queue of the same order has it.
    pub(super) fn new(mark: u8) -> Self {
        Self { mark, front: NONE, back: NONE, len: 0, weight: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that its entries take.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn resize(&mut self, before: usize, after: usize) {
        self.weight = self.weight - before + after;
    }

    /// The entry that has been in it for longest.
    pub(super) fn back(&self) -> Option<u32> {
        (self.back != NONE).then_some(self.back)
    }

    pub(super) fn is_front(&self, id: u32) -> bool {
        self.front == id
    }

    /// Puts an entry that is in no queue in front.
    pub(super) fn push(&mut self, entries: &mut Slab<Entry>, id: u32) {
        let Some(entry) = entries.get_mut(id) else { return };
        entry.queue = self.mark;
        entry.previous = NONE;
        entry.next = self.front;
        self.weight += entry.weight();
        self.len += 1;
        match entries.get_mut(self.front) {
            Some(front) => front.previous = id,
            None => self.back = id,
        }
        self.front = id;
    }

    /// Takes an entry out that is in this queue.
    pub(super) fn remove(&mut self, entries: &mut Slab<Entry>, id: u32) {
        let Some(entry) = entries.get_mut(id) else { return };
        debug_assert_eq!(entry.queue, self.mark);
        entry.queue = 0;
        let (previous, next) = (entry.previous, entry.next);
        self.weight -= entry.weight();
        self.len -= 1;
        self.join(entries, previous, next, next, previous);
    }

    /// An entry stands in another place, itself unchanged.
    pub(super) fn moved(&mut self, entries: &mut Slab<Entry>, new: u32) {
        let Some(entry) = entries.get(new) else { return };
        let (previous, next) = (entry.previous, entry.next);
        self.join(entries, previous, next, new, new);
    }

    /// Walks through it both ways and counts again.
    #[cfg(test)]
    pub(super) fn check(&self, entries: &Slab<Entry>) {
        let walk = |from: u32, next: fn(&Entry) -> u32| {
            let there = |id: u32| (id != NONE).then_some(id);
            std::iter::successors(there(from), |&id| there(next(entries.get(id).unwrap())))
                .collect::<Vec<_>>()
        };
        let there = walk(self.front, |entry| entry.next);
        assert!(walk(self.back, |entry| entry.previous).iter().eq(there.iter().rev()));
        let marked: Vec<_> = entries.iter().filter(|(_, entry)| entry.queue == self.mark).collect();
        assert_eq!((there.len(), marked.len()), (self.len, self.len));
        assert_eq!(marked.iter().map(|(_, entry)| entry.weight()).sum::<usize>(), self.weight);
    }

    /// Tells `previous` what comes after it, and `next` what comes before it.
    fn join(&mut self, entries: &mut Slab<Entry>, previous: u32, next: u32, after: u32, before: u32) {
        match entries.get_mut(previous) {
            Some(previous) => previous.next = after,
            None => self.front = after,
        }
        match entries.get_mut(next) {
            Some(next) => next.previous = before,
            None => self.back = before,
        }
    }
}
