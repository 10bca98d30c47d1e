//! [`Snapshot`]: the keys as they were when it began, taken in small steps while commands go on.
//!
//! An entry that the snapshot has not come to yet is copied before it changes, and handed over if it goes. So a step costs
//! what it visits, and a change the copy of one value; a large collection that is changed meanwhile is copied whole, once.

use std::collections::VecDeque;

use crate::store::expiry::Deadlines;
use crate::store::shard::garbage::Content;
use crate::store::shard::{Entry, Shard};
use crate::store::slab::{NONE, Slab};
use crate::store::{Millis, Text, Value};

/// One key of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a> {
    /// Its database.
    pub db: u8,
    /// The key.
    pub key: &'a [u8],
    /// What it held.
    pub value: &'a Value,
    /// When it expires, if ever; may be over.
    pub expires: Option<Millis>,
}

/// How far a snapshot has come.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Of the slab, the number to visit next.
    next: u32,
    /// Entries that changed or went before they were visited, as they were.
    early: VecDeque<Early>,
    /// Whole slabs that were flushed before they were visited, with the number to visit next.
    flushed: VecDeque<(Slab<Entry>, Deadlines, u32)>,
    /// Bytes that `early` has allocated.
    bytes: usize,
}

#[derive(Debug)]
struct Early {
    db: u8,
    key: Text,
    value: Value,
    expires: Option<Millis>,
}

impl Snapshot {
    fn push(&mut self, early: Early) {
        self.bytes += early.key.heap() + early.value.heap();
        self.early.push_back(early);
    }

    pub(super) fn push_flushed(&mut self, entries: Slab<Entry>, deadlines: Deadlines) {
        self.flushed.push_back((entries, deadlines, self.next));
        // What comes now is newer than the snapshot.
        self.next = NONE;
    }
}

impl Shard {
    /// Begins a snapshot of what is there now; one that was being made is given up.
    pub fn begin_snapshot(&mut self) {
        self.end_snapshot();
        if self.given_up >= u8::MAX - 1 {
            // Generations are about to repeat that some entries may still bear.
            for number in 0..self.entries.bound() {
                if let Some(entry) = self.entries.get_mut(number) {
                    entry.generation = self.generation;
                }
            }
            self.given_up = 0;
        }
        self.generation = self.generation.wrapping_add(1);
        self.given_up += 1;
        self.snapshot = Some(Box::default());
    }

    /// Visits up to `count` entries: first those that changed meanwhile, as they were, then others. `false` once all have been visited, which
    /// is to be followed by [`Shard::end_snapshot`].
    pub fn snapshot_some(&mut self, count: usize, visit: &mut dyn FnMut(Saved<'_>)) -> bool {
        let Some(mut snapshot) = self.snapshot.take() else { return false };
        let mut left = count;
        while left > 0
            && let Some(Early { db, key, value, expires }) = snapshot.early.pop_front()
        {
            snapshot.bytes -= key.heap() + value.heap();
            visit(Saved { db, key: key.as_bytes(), value: &value, expires });
            self.throw_away(value);
            left -= 1;
        }
        while left > 0
            && let Some((entries, deadlines, next)) = snapshot.flushed.front_mut()
        {
            match entries.next_from(*next) {
                Some((number, entry)) => {
                    if entry.generation != self.generation {
                        visit(saved(entry, deadlines));
                    }
                    *next = number + 1;
                    left -= 1;
                }
                None => {
                    if let Some((entries, deadlines, _)) = snapshot.flushed.pop_front() {
                        self.garbage.push(Content::All(entries, deadlines).into());
                    }
                }
            }
        }
        while left > 0
            && let Some((number, entry)) = self.entries.next_from(snapshot.next)
        {
            if entry.generation != self.generation {
                visit(saved(entry, &self.deadlines));
                if let Some(entry) = self.entries.get_mut(number) {
                    entry.generation = self.generation;
                }
            }
            snapshot.next = number + 1;
            left -= 1;
        }
        let more = left == 0;
        if !more {
            self.given_up = 0;
        }
        self.snapshot = Some(snapshot);
        more
    }

    /// Ends the snapshot, whether or not all was visited.
    pub fn end_snapshot(&mut self) {
        let Some(snapshot) = self.snapshot.take() else { return };
        for (entries, deadlines, _) in snapshot.flushed {
            self.garbage.push(Content::All(entries, deadlines).into());
        }
    }

    /// Bytes held for the snapshot alone. They are not in [`Shard::used`]: evicting more would not free them.
    pub fn snapshot_bytes(&self) -> usize {
        self.snapshot.as_ref().map_or(0, |snapshot| {
            let slabs =
                snapshot.flushed.iter().map(|(entries, deadlines, _)| entries.bytes() + deadlines.bytes());
            snapshot.bytes + snapshot.early.len() * size_of::<Early>() + slabs.sum::<usize>()
        })
    }

    pub(super) fn is_saved(&self, entry: &Entry) -> bool {
        self.snapshot.is_none() || entry.generation == self.generation
    }

    /// Copies an entry that is about to change, if the snapshot needs it.
    #[inline]
    pub(super) fn preserve(&mut self, id: u32) {
        let Some(snapshot) = &mut self.snapshot else { return };
        let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.generation != self.generation) else {
            return;
        };
        entry.generation = self.generation;
        snapshot.push(Early {
            db: entry.db,
            key: entry.key.clone(),
            value: entry.value.clone(),
            expires: self.deadlines.at(entry.deadline),
        });
    }

    /// Keeps an entry that was taken out, if the snapshot needs it; or else returns it.
    pub(super) fn preserve_taken(&mut self, entry: Entry, expires: Option<Millis>) -> Option<Entry> {
        if self.is_saved(&entry) {
            return Some(entry);
        }
        let Entry { db, key, value, .. } = entry;
        self.snapshot.as_mut()?.push(Early { db, key, value, expires });
        None
    }
}

fn saved<'a>(entry: &'a Entry, deadlines: &Deadlines) -> Saved<'a> {
    let expires = deadlines.at(entry.deadline);
    Saved { db: entry.db, key: entry.key.as_bytes(), value: &entry.value, expires }
}
