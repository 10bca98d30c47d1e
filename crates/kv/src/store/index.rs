//! [`Index`]: finds things by a hash of theirs and says by what number they are kept: linear hashing over small tables.
//!
//! One table at a time is split or merged (Litwin, "Linear hashing", VLDB 1980), so that growing and shrinking never
//! rehash more than some hundred numbers at once.

use hashbrown::HashTable;

use crate::store::memory::allocation;

/// Numbers for each table, on average.
const TABLE: usize = 320;

/// Numbers, each with a hash.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// Of those, `2^level..` are split off from `0..`.
    tables: Vec<HashTable<Slot>>,
    len: usize,
    /// Bytes allocated for the tables' content.
    heap: usize,
}

/// The hash is kept so that no table has to look at the things themselves when it grows.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    id: u32,
}

impl Index {
    /// Bytes allocated.
    pub(super) fn heap(&self) -> usize {
        self.heap + allocation(self.tables.capacity() * size_of::<HashTable<Slot>>())
    }

    /// The number with this hash that `is` agrees to.
    pub(super) fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let table = self.tables.get(place(hash, self.tables.len()))?;
        table.find(spread(hash), |slot| slot.hash == hash && is(slot.id)).map(|slot| slot.id)
    }

    /// Another number.
    pub(super) fn insert(&mut self, hash: u32, id: u32) {
        if self.len >= self.tables.len() * TABLE {
            self.split();
        }
        self.len += 1;
        self.put(Slot { hash, id });
    }

    /// Takes a number out.
    pub(super) fn remove(&mut self, hash: u32, id: u32) {
        let at = place(hash, self.tables.len());
        let table = self.tables.get_mut(at);
        let found = table.and_then(|table| table.find_entry(spread(hash), |slot| slot.id == id).ok());
        if let Some(found) = found {
            found.remove();
            self.len -= 1;
            if self.tables.len() > 1 && self.len < self.tables.len() * TABLE / 2 {
                self.merge();
            }
        }
    }

    /// What had the number `from` has the number `to` now.
    pub(super) fn renumber(&mut self, hash: u32, from: u32, to: u32) {
        let at = place(hash, self.tables.len());
        let table = self.tables.get_mut(at);
        if let Some(slot) = table.and_then(|table| table.find_mut(spread(hash), |slot| slot.id == from)) {
            slot.id = to;
        }
    }

    fn put(&mut self, slot: Slot) {
        let at = place(slot.hash, self.tables.len());
        if let Some(table) = self.tables.get_mut(at) {
            let before = size(table);
            table.insert_unique(spread(slot.hash), slot, |slot| spread(slot.hash));
            self.heap += size(table) - before;
        }
    }

    /// One table more, with numbers from the one that has its place until then.
    fn split(&mut self) {
        let new = self.tables.len();
        self.tables.push(HashTable::new());
        let Some(old) = self.tables.get_mut(buddy(new)) else { return };
        self.heap -= size(old);
        let moved: Vec<_> = old.extract_if(|slot| place(slot.hash, new + 1) == new).collect();
        old.shrink_to_fit(|slot| spread(slot.hash));
        self.heap += size(old);
        moved.into_iter().for_each(|slot| self.put(slot));
    }

    /// One table less.
    fn merge(&mut self) {
        let Some(table) = self.tables.pop() else { return };
        self.heap -= size(&table);
        table.into_iter().for_each(|slot| self.put(slot));
        if self.tables.len() < self.tables.capacity() / 4 {
            self.tables.shrink_to(self.tables.len() * 2);
        }
    }

    /// The heap, looked up at every table.
    #[cfg(test)]
    pub(super) fn recount(&self) -> usize {
        assert_eq!(self.tables.iter().map(HashTable::len).sum::<usize>(), self.len);
        assert_eq!(self.tables.iter().map(size).sum::<usize>(), self.heap);
        self.heap()
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { tables: vec![HashTable::new()], len: 0, heap: 0 }
    }
}

fn size(table: &HashTable<Slot>) -> usize {
    allocation(table.allocation_size())
}

/// Which of so many tables has the numbers with this hash.
fn place(hash: u32, tables: usize) -> usize {
    let (hash, doubled) = (hash as usize, tables.next_power_of_two());
    let at = hash & (doubled - 1);
    if at < tables { at } else { hash & (doubled / 2 - 1) }
}

/// The table whose numbers the one at `at`, the last, shares; not for the first.
fn buddy(at: usize) -> usize {
    at - (at + 1).next_power_of_two() / 2
}

/// A hash for within a table, where all have the same low bits: a table looks at the lowest and at the highest.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}
