//! [`Shard`]: one part of the keys, with all that is kept about them.

mod adopt;
mod entry;
mod garbage;
mod snapshot;
mod upkeep;
mod watch;

pub(super) use entry::Entry;
pub use garbage::Garbage;
pub use snapshot::Saved;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::store::eviction::{Order, Policy};
use crate::store::expiry::Deadlines;
use crate::store::slab::{NONE, Slab};
use crate::store::table::Table;
use crate::store::{DATABASES, Edited, Expiry, Millis, Value};
use snapshot::Snapshot;
use watch::Watched;

/// The place of one entry, valid until the entry is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryId(u32);

/// One part of the keys.
///
/// Entries stand in a slab; a table for each database finds them by hash, deadlines and the order of eviction refer to them
/// by number. What a command may do with a key is in [`Keyspace`](crate::store::Keyspace); public here is upkeep.
#[derive(Debug)]
pub struct Shard {
    entries: Slab<Entry>,
    tables: Box<[Table]>,
    deadlines: Deadlines,
    /// Entries that expire, by database.
    volatile: Box<[usize]>,
    policy: Policy,
    order: Box<dyn Order>,
    /// Bytes that keys and values have allocated.
    heap: usize,
    /// Bytes that the tables have allocated.
    index: usize,
    watched: Watched,
    garbage: Vec<Garbage>,
    snapshot: Option<Box<Snapshot>>,
    /// Of the snapshot being made, or the last one.
    generation: u8,
    /// Snapshots since the last that went through.
    given_up: u8,
    keeps_expired: bool,
    logs_removals: bool,
    removed: Vec<(u8, Vec<u8>)>,
    counters: Counters,
}

/// What happened in a shard so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Keys that were looked up and there.
    pub hits: u64,
    /// Keys that were looked up and not there.
    pub misses: u64,
    /// Keys removed because their time was over.
    pub expired: u64,
    /// Keys removed because memory was short.
    pub evicted: u64,
}

/// The half of a hash that tables go by. Its lowest bits have chosen the shard.
fn half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Shard {
    // Reading.

    /// The entry of a key that exists; one that has expired is removed.
    #[inline]
    pub(super) fn find(&mut self, db: u8, key: &[u8], hash: u64, now: Millis) -> Option<EntryId> {
        let id = self.lookup(db, key, half(hash))?;
        if self.is_due(id, now) {
            if !self.keeps_expired {
                self.expire(id);
            }
            return None;
        }
        Some(EntryId(id))
    }

    /// The entry of a key that exists and has not expired.
    pub(super) fn peek(&self, db: u8, key: &[u8], hash: u64, now: Millis) -> Option<EntryId> {
        let id = self.lookup(db, key, half(hash))?;
        (!self.is_due(id, now)).then_some(EntryId(id))
    }

    /// What it holds.
    #[inline]
    pub(super) fn value(&self, id: EntryId) -> Option<&Value> {
        self.entries.get(id.0).map(|entry| &entry.value)
    }

    /// When it expires, if ever.
    pub(super) fn expiry(&self, id: EntryId) -> Option<Millis> {
        self.deadlines.at(self.entries.get(id.0)?.deadline)
    }

    /// Bytes that it takes, key, value and all bookkeeping.
    pub(super) fn memory(&self, id: EntryId) -> usize {
        /// In a table, with what is free there.
        const PAIR: usize = 7;
        self.entries
            .get(id.0)
            .map_or(0, |entry| entry.weight() + PAIR + if entry.expires() { Deadlines::BYTES } else { 0 })
    }

    /// Milliseconds since it was used (seconds in fact), and how often lately.
    pub(super) fn usage(&self, id: EntryId, now: Millis) -> (Millis, u8) {
        self.entries.get(id.0).map_or((0, 0), |entry| {
            let idle = (now / 1000).saturating_sub(u64::from(entry.used)) * 1000;
            (idle, self.order.frequency(entry, now))
        })
    }

    /// Keys of a database, those included that have expired and were not removed yet.
    pub fn len(&self, db: u8) -> usize {
        self.table(db).map_or(0, Table::len)
    }

    /// Keys of a database that will expire.
    pub fn volatile_len(&self, db: u8) -> usize {
        self.volatile.get(usize::from(db)).copied().unwrap_or_default()
    }

    /// Visits the keys from `position` on until about `count` were looked at. The next position, 0 at the end; and how
    /// many it were, expired ones included.
    pub(super) fn scan(
        &self,
        db: u8,
        position: u64,
        now: Millis,
        count: usize,
        visit: &mut dyn FnMut(&[u8], &Value),
    ) -> (u64, usize) {
        let mut looked_at = 0;
        let next = self.table(db).and_then(|table| {
            table.walk(position, |id| {
                looked_at += 1;
                if let Some(entry) = self.entries.get(id).filter(|_| !self.is_due(id, now)) {
                    visit(entry.key.as_bytes(), &entry.value);
                }
                looked_at < count
            })
        });
        (next.unwrap_or_default(), looked_at)
    }

    /// Some key.
    pub(super) fn random_key(&self, db: u8, now: Millis, rng: &mut fastrand::Rng) -> Option<Vec<u8>> {
        const TRIES: usize = 32;
        let table = self.table(db)?;
        let mut found = (0..TRIES).find_map(|_| table.random(rng).filter(|&id| !self.is_due(id, now)));
        if found.is_none() {
            table.walk(0, |id| {
                found = found.or(Some(id).filter(|&id| !self.is_due(id, now)));
                found.is_none()
            });
        }
        self.entries.get(found?).map(|entry| entry.key.as_bytes().to_vec())
    }

    // Writing.

    /// A key was looked up, and was there or not.
    #[inline]
    pub(super) fn count_lookup(&mut self, found: bool) {
        if found {
            self.counters.hits += 1;
        } else {
            self.counters.misses += 1;
        }
    }

    /// It is being used.
    #[inline]
    pub(super) fn touch(&mut self, id: EntryId, now: Millis) {
        let Some(entry) = self.entries.get(id.0) else { return };
        if self.may_go(entry) {
            self.order.touch(&mut self.entries, id.0, now);
        }
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.used = (now / 1000) as u32;
        }
    }

    /// A new key; [`Shard::find`] has not found it.
    pub(super) fn insert(
        &mut self,
        db: u8,
        key: &[u8],
        hash: u64,
        value: Value,
        expiry: Expiry,
        now: Millis,
    ) {
        let hash = half(hash);
        if self.keeps_expired
            && let Some(hidden) = self.lookup(db, key, hash)
        {
            self.discard(EntryId(hidden));
        }
        let mut entry = Entry::new(db, key, value, hash);
        entry.used = (now / 1000) as u32;
        entry.generation = self.generation;
        self.heap += entry.heap();
        let id = self.entries.insert(entry);
        if let Some(table) = self.tables.get_mut(usize::from(db)) {
            let (entries, before) = (&self.entries, table.bytes());
            table.insert(hash, id, |id| entries.get(id).map_or(0, |entry| entry.hash));
            self.index = self.index - before + table.bytes();
        }
        if let Expiry::At(at) = expiry {
            self.link_deadline(id, at, now);
        }
        if self.entries.get(id).is_some_and(|entry| self.may_go(entry)) {
            self.order.add(&mut self.entries, id);
        }
        self.changed(id);
    }

    /// Another value for a key.
    pub(super) fn replace(&mut self, id: EntryId, value: Value, expiry: Expiry, now: Millis) {
        self.preserve(id.0);
        let Some(entry) = self.entries.get_mut(id.0) else { return };
        let before = entry.value.heap();
        let old = std::mem::replace(&mut entry.value, value);
        self.resized(id.0, before);
        self.throw_away(old);
        match expiry {
            Expiry::Keep => {}
            Expiry::Never => self.schedule(id.0, None, now),
            Expiry::At(at) => self.schedule(id.0, Some(at), now),
        }
        self.touch(id, now);
        self.changed(id.0);
    }

    /// Changes a value in place; a void collection goes.
    pub(super) fn edit<R>(
        &mut self,
        id: EntryId,
        change: impl FnOnce(&mut Value) -> Result<Edited<R>, Error>,
    ) -> Result<Option<Edited<R>>, Error> {
        self.preserve(id.0);
        let Some(entry) = self.entries.get_mut(id.0) else { return Ok(None) };
        let before = entry.value.heap();
        let edited = change(&mut entry.value);
        let is_void = entry.value.is_void();
        self.resized(id.0, before);
        let edited = edited?;
        if is_void {
            self.discard(id);
        } else if let Edited::Changed(_) = edited {
            self.changed(id.0);
        }
        Ok(Some(edited))
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, id: EntryId) -> Option<Value> {
        self.preserve(id.0);
        self.take_out(id.0).map(|(entry, _)| entry.value)
    }

    /// Takes an entry out and drops its value, a large one later and elsewhere.
    pub(super) fn discard(&mut self, id: EntryId) {
        if let Some((entry, expires)) = self.take_out(id.0) {
            self.part_with(entry, expires);
        }
    }

    /// Sets or takes away the time to live.
    pub(super) fn set_expiry(&mut self, id: EntryId, at: Option<Millis>, now: Millis) {
        self.preserve(id.0);
        self.schedule(id.0, at, now);
        self.changed(id.0);
    }

    /// Marks `flag` when the key changes.
    pub(super) fn watch(&mut self, db: u8, key: &[u8], hash: u64, flag: &Arc<AtomicBool>) {
        self.watched.add(db, key, half(hash), flag);
    }

    /// Ends that.
    pub(super) fn unwatch(&mut self, db: u8, key: &[u8], flag: &Arc<AtomicBool>) {
        self.watched.remove(db, key, flag);
    }

    fn table(&self, db: u8) -> Option<&Table> {
        self.tables.get(usize::from(db))
    }

    #[inline]
    fn lookup(&self, db: u8, key: &[u8], hash: u32) -> Option<u32> {
        let is =
            |id| self.entries.get(id).is_some_and(|entry| entry.hash == hash && entry.key.as_bytes() == key);
        self.table(db)?.find(hash, is)
    }

    #[inline]
    fn is_due(&self, id: u32, now: Millis) -> bool {
        let deadline = self.entries.get(id).map_or(NONE, |entry| entry.deadline);
        deadline != NONE && self.deadlines.at(deadline).is_some_and(|at| at <= now)
    }

    /// Whether the policy allows this entry to be evicted: then its order knows it.
    fn may_go(&self, entry: &Entry) -> bool {
        entry.expires() || !self.policy.is_volatile()
    }

    fn changed(&mut self, id: u32) {
        if !self.watched.is_empty()
            && let Some(entry) = self.entries.get(id)
        {
            self.watched.mark(entry.db, entry.key.as_bytes());
        }
    }

    /// Settles the account after a value changed that had allocated `before`.
    fn resized(&mut self, id: u32, before: usize) {
        let Some(entry) = self.entries.get(id) else { return };
        let after = entry.value.heap();
        if before != after {
            self.heap = self.heap - before + after;
            if self.may_go(entry) {
                let weight = entry.weight();
                self.order.resize(entry, weight - after + before, weight);
            }
        }
    }

    /// Sets or takes away a deadline.
    fn schedule(&mut self, id: u32, at: Option<Millis>, now: Millis) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let (deadline, db) = (entry.deadline, usize::from(entry.db));
        match at {
            Some(at) if deadline == NONE => {
                self.link_deadline(id, at, now);
                if self.policy.is_volatile() {
                    self.order.add(&mut self.entries, id);
                }
            }
            Some(at) => self.deadlines.change(deadline, at),
            None if deadline == NONE => {}
            None => {
                if self.policy.is_volatile() {
                    self.order.remove(&mut self.entries, id);
                }
                self.deadlines.remove(deadline);
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.deadline = NONE;
                }
                if let Some(volatile) = self.volatile.get_mut(db) {
                    *volatile -= 1;
                }
            }
        }
    }

    fn link_deadline(&mut self, id: u32, at: Millis, now: Millis) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.deadline = self.deadlines.insert(at, id, now);
        if let Some(volatile) = self.volatile.get_mut(usize::from(entry.db)) {
            *volatile += 1;
        }
    }

    /// Removes an entry from everywhere. It, and when it would have expired.
    fn take_out(&mut self, id: u32) -> Option<(Entry, Option<Millis>)> {
        if self.may_go(self.entries.get(id)?) {
            self.order.remove(&mut self.entries, id);
        }
        let entry = self.entries.remove(id)?;
        if let Some(table) = self.tables.get_mut(usize::from(entry.db)) {
            let before = table.bytes();
            table.remove(entry.hash, id);
            self.index = self.index - before + table.bytes();
        }
        let expires = self.deadlines.remove(entry.deadline);
        if expires.is_some()
            && let Some(volatile) = self.volatile.get_mut(usize::from(entry.db))
        {
            *volatile -= 1;
        }
        self.heap -= entry.heap();
        self.watched.mark(entry.db, entry.key.as_bytes());
        Some((entry, expires))
    }
}

impl Default for Shard {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            entries: Slab::default(),
            tables: (0..DATABASES).map(|_| Table::default()).collect(),
            deadlines: Deadlines::default(),
            volatile: (0..DATABASES).map(|_| 0).collect(),
            policy,
            order: policy.order(),
            heap: 0,
            index: 0,
            watched: Watched::default(),
            garbage: Vec::new(),
            snapshot: None,
            generation: 0,
            given_up: 0,
            keeps_expired: false,
            logs_removals: false,
            removed: Vec::new(),
            counters: Counters::default(),
        }
    }
}

#[cfg(test)]
mod tests;
