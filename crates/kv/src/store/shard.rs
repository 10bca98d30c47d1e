//! [`Shard`]: one part of the keys, with all that is kept about them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::error::Error;
use crate::store::{Edited, Expiry, Millis, Value};

/// The place of one entry, valid until the entry is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryId(u32);

/// One part of the keys.
#[derive(Debug, Default)]
pub struct Shard {
    index: HashMap<(u8, Vec<u8>), u32>,
    entries: Vec<Option<Entry>>,
    garbage: Vec<Value>,
    watched: HashMap<(u8, Vec<u8>), Vec<Arc<AtomicBool>>>,
}

#[derive(Debug)]
struct Entry {
    db: u8,
    key: Vec<u8>,
    value: Value,
    expires: Option<Millis>,
}

impl Shard {
    /// The entry of a key that exists; one that has expired is removed.
    pub fn find(&mut self, db: u8, key: &[u8], hash: u64, now: Millis) -> Option<EntryId> {
        if let Some(id) = self.peek(db, key, hash, now) {
            return Some(id);
        }
        let id = *self.index.get(&(db, key.to_vec()))?;
        self.remove(EntryId(id));
        None
    }

    /// The entry of a key that exists and has not expired.
    pub fn peek(&self, db: u8, key: &[u8], _hash: u64, now: Millis) -> Option<EntryId> {
        let id = EntryId(*self.index.get(&(db, key.to_vec()))?);
        self.expiry(id).is_none_or(|at| at > now).then_some(id)
    }

    fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(id.0 as usize)?.as_ref()
    }

    fn entry_mut(&mut self, id: EntryId) -> Option<&mut Entry> {
        self.entries.get_mut(id.0 as usize)?.as_mut()
    }

    /// What it holds.
    pub fn value(&self, id: EntryId) -> Option<&Value> {
        self.entry(id).map(|entry| &entry.value)
    }

    /// When it expires, if ever.
    pub fn expiry(&self, id: EntryId) -> Option<Millis> {
        self.entry(id)?.expires
    }

    /// Bytes that it takes, key, value and all bookkeeping.
    pub fn memory(&self, id: EntryId) -> usize {
        self.entry(id).map_or(0, |entry| entry.value.heap() + entry.key.len() + 80)
    }

    /// Milliseconds since it was used, and how often lately.
    pub fn usage(&self, _id: EntryId, _now: Millis) -> (Millis, u8) {
        (0, 0)
    }

    /// It is being used.
    pub fn touch(&mut self, _id: EntryId, _now: Millis) {}

    /// A key was looked up, and was there or not.
    pub fn count_lookup(&mut self, _found: bool) {}

    /// A new key.
    pub fn insert(&mut self, db: u8, key: &[u8], _hash: u64, value: Value, expiry: Expiry, _now: Millis) {
        let id = self.entries.len() as u32;
        let expires = if let Expiry::At(at) = expiry { Some(at) } else { None };
        self.entries.push(Some(Entry { db, key: key.to_vec(), value, expires }));
        self.index.insert((db, key.to_vec()), id);
        self.changed(db, key);
    }

    /// Another value for a key.
    pub fn replace(&mut self, id: EntryId, value: Value, expiry: Expiry, _now: Millis) {
        let Some(entry) = self.entry_mut(id) else { return };
        entry.value = value;
        match expiry {
            Expiry::Keep => {}
            Expiry::Never => entry.expires = None,
            Expiry::At(at) => entry.expires = Some(at),
        }
        let (db, key) = (entry.db, entry.key.clone());
        self.changed(db, &key);
    }

    /// Changes a value in place; a void collection goes.
    pub fn edit<R>(
        &mut self,
        id: EntryId,
        change: impl FnOnce(&mut Value) -> Result<Edited<R>, Error>,
    ) -> Result<Option<Edited<R>>, Error> {
        let Some(entry) = self.entry_mut(id) else { return Ok(None) };
        let edited = change(&mut entry.value)?;
        let (db, key) = (entry.db, entry.key.clone());
        if entry.value.is_void() {
            self.remove(id);
        } else if let Edited::Changed(_) = edited {
            self.changed(db, &key);
        }
        Ok(Some(edited))
    }

    /// Takes an entry out.
    pub fn remove(&mut self, id: EntryId) -> Option<Value> {
        let entry = self.entries.get_mut(id.0 as usize)?.take()?;
        self.index.remove(&(entry.db, entry.key.clone()));
        self.changed(entry.db, &entry.key);
        Some(entry.value)
    }

    /// Takes an entry out and drops its value, a large one later and elsewhere.
    pub fn discard(&mut self, id: EntryId) {
        let value = self.remove(id);
        self.garbage.extend(value);
    }

    /// Sets or takes away the time to live.
    pub fn set_expiry(&mut self, id: EntryId, at: Option<Millis>) {
        let Some(entry) = self.entry_mut(id) else { return };
        entry.expires = at;
        let (db, key) = (entry.db, entry.key.clone());
        self.changed(db, &key);
    }

    fn changed(&mut self, db: u8, key: &[u8]) {
        for flag in self.watched.get(&(db, key.to_vec())).into_iter().flatten() {
            flag.store(true, Relaxed);
        }
    }

    /// Marks `flag` when the key changes.
    pub fn watch(&mut self, db: u8, key: &[u8], flag: &Arc<AtomicBool>) {
        self.watched.entry((db, key.to_vec())).or_default().push(flag.clone());
    }

    /// Ends that.
    pub fn unwatch(&mut self, db: u8, key: &[u8], flag: &Arc<AtomicBool>) {
        if let Some(flags) = self.watched.get_mut(&(db, key.to_vec())) {
            flags.retain(|other| !Arc::ptr_eq(other, flag));
        }
    }

    /// Keys of a database.
    pub fn len(&self, db: u8) -> usize {
        self.index.keys().filter(|(at, _)| *at == db).count()
    }

    /// Keys of a database that will expire.
    pub fn volatile_len(&self, db: u8) -> usize {
        self.entries.iter().flatten().filter(|entry| entry.db == db && entry.expires.is_some()).count()
    }

    /// Visits about `count` keys from `position` on; the next position, 0 at the end.
    pub fn scan(
        &self,
        db: u8,
        position: u64,
        now: Millis,
        visit: &mut dyn FnMut(&[u8], &Value),
        count: usize,
    ) -> u64 {
        let from = position as usize;
        for entry in self.entries.iter().skip(from).take(count).flatten() {
            if entry.db == db && entry.expires.is_none_or(|at| at > now) {
                visit(&entry.key, &entry.value);
            }
        }
        if from + count >= self.entries.len() { 0 } else { (from + count) as u64 }
    }

    /// Some key.
    pub fn random_key(&self, db: u8, now: Millis, rng: &mut fastrand::Rng) -> Option<Vec<u8>> {
        let keys: Vec<_> = self
            .entries
            .iter()
            .flatten()
            .filter(|entry| entry.db == db && entry.expires.is_none_or(|at| at > now))
            .collect();
        keys.get(rng.usize(0..keys.len().max(1))).map(|entry| entry.key.clone())
    }

    /// Deletes all keys of a database, or of all.
    pub fn flush(&mut self, db: Option<u8>) {
        for id in 0..self.entries.len() {
            if self.entry(EntryId(id as u32)).is_some_and(|entry| db.is_none_or(|db| db == entry.db)) {
                self.remove(EntryId(id as u32));
            }
        }
    }
}
