//! [`S3Fifo`]: three static FIFO queues (Yang et al., "FIFO queues are all you need for cache eviction", SOSP'23).
//!
//! New entries enter a small queue. Those used twice or more before they come to its end go on to the main queue, the
//! others leave; their hashes are remembered for a while, and who comes back in that time enters the main queue at once. At
//! the end of the main queue, what was used gets another round. A use only counts, up to 3: no entry is moved on a hit.
//!
//! The small queue's tenth is of bytes, not of entries: memory is what is short, and large values that are used once would
//! otherwise hold far more than a tenth of it.

use super::Order;
use super::ghost::Ghost;
use super::queue::Queue;
use crate::store::Millis;
use crate::store::expiry::Deadlines;
use crate::store::shard::Entry;
use crate::store::slab::Slab;

/// The small queue's share: one in so many bytes.
const SMALL_SHARE: usize = 10;
/// Uses before the small queue's end that make an entry stay.
const KEPT: u8 = 2;
/// Highest count of uses.
const MOST: u8 = 3;
/// Entries moved at most to find one that goes, so that no command waits long; then the oldest goes, used or not.
const MOVES: usize = 256;

/// Marks of the two queues.
const SMALL: u8 = 1;
const MAIN: u8 = 2;

/// The three queues.
#[derive(Debug)]
pub(super) struct S3Fifo {
    small: Queue,
    main: Queue,
    /// Who left the small queue; as many as the main queue has.
    ghost: Ghost,
}

impl Default for S3Fifo {
    fn default() -> Self {
        Self { small: Queue::new(SMALL), main: Queue::new(MAIN), ghost: Ghost::default() }
    }
}

impl S3Fifo {
    fn queue(&mut self, mark: u8) -> &mut Queue {
        if mark == MAIN { &mut self.main } else { &mut self.small }
    }

    fn small_is_next(&self) -> bool {
        self.main.len() == 0 || self.small.weight() * SMALL_SHARE > self.small.weight() + self.main.weight()
    }
}

/// Databases have the same hash for the same key.
fn fingerprint(entry: &Entry) -> u32 {
    entry.hash ^ u32::from(entry.db).wrapping_mul(0x9e37_79b9)
}

impl Order for S3Fifo {
    fn add(&mut self, entries: &mut Slab<Entry>, id: u32) {
        let Some(entry) = entries.get_mut(id) else { return };
        entry.frequency = 0;
        let returns = self.ghost.remove(fingerprint(entry));
        self.queue(if returns { MAIN } else { SMALL }).push(entries, id);
    }

    fn remove(&mut self, entries: &mut Slab<Entry>, id: u32) {
        if let Some(entry) = entries.get(id) {
            self.queue(entry.queue).remove(entries, id);
        }
    }

    fn touch(&mut self, entries: &mut Slab<Entry>, id: u32, _now: Millis) {
        if let Some(entry) = entries.get_mut(id)
            && entry.frequency < MOST
        {
            entry.frequency += 1;
        }
    }

    fn resize(&mut self, entry: &Entry, before: usize, after: usize) {
        self.queue(entry.queue).resize(before, after);
    }

    fn moved(&mut self, entries: &mut Slab<Entry>, _old: u32, new: u32) {
        if let Some(entry) = entries.get(new) {
            self.queue(entry.queue).moved(entries, new);
        }
    }

    fn victim(
        &mut self,
        entries: &mut Slab<Entry>,
        _: &Deadlines,
        _: &mut fastrand::Rng,
        _: Millis,
    ) -> Option<u32> {
        for _ in 0..MOVES {
            if self.small_is_next() {
                let id = self.small.back()?;
                let entry = entries.get_mut(id)?;
                if entry.frequency < KEPT {
                    self.ghost.insert(fingerprint(entry), self.main.len());
                    return Some(id);
                }
                entry.frequency = 0;
                self.small.remove(entries, id);
                self.main.push(entries, id);
            } else {
                let id = self.main.back()?;
                let entry = entries.get_mut(id)?;
                if entry.frequency == 0 {
                    return Some(id);
                }
                entry.frequency -= 1;
                self.main.remove(entries, id);
                self.main.push(entries, id);
            }
        }
        self.main.back().or(self.small.back())
    }

    fn bytes(&self) -> usize {
        self.ghost.bytes()
    }

    #[cfg(test)]
    fn check(&self, entries: &Slab<Entry>) {
        self.small.check(entries);
        self.main.check(entries);
    }
}
