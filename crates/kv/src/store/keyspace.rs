//! [`Keyspace`]: the shards that one command holds, and all that it may do with the keys in them.

mod store;
mod whole;

pub use store::Store;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, MutexGuard};

use crate::error::Error;
use crate::store::shard::EntryId;
use crate::store::{Kind, Millis, Shard, Value};

/// The shards that a command holds, with the database it is in and the time it happens at.
///
/// Invariant: a key of a shard that is not held looks absent; which shards are held follows from the command's keys.
#[derive(Debug)]
pub struct Keyspace<'s> {
    store: &'s Store,
    held: Held<'s>,
    db: u8,
    now: Millis,
    /// Keys that expire after this time are seen.
    seen: Millis,
    /// Looks and changes count as use, by which the policies of eviction go.
    touches: bool,
    /// The key it was held for, if one, with its hash: most commands have one key and look at it once.
    hashed: Option<(&'s [u8], u64)>,
    changes: u64,
}

#[derive(Debug)]
enum Held<'s> {
    One(usize, MutexGuard<'s, Shard>),
    /// In the order of their numbers, which all threads lock in.
    Several(Vec<(usize, MutexGuard<'s, Shard>)>),
}

/// What becomes of a key's time to live when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Stays as it is.
    Keep,
    /// The key lives until it is deleted or evicted.
    Never,
    /// The key is gone from this time on.
    At(Millis),
}

/// What a change came to, and whether there was one: only then are watchers, replicas and snapshots concerned.
#[derive(Clone, Copy, Debug)]
pub enum Edited<R> {
    /// The value differs.
    Changed(R),
    /// The value is what it was.
    Unchanged(R),
}

impl<R> Edited<R> {
    /// `result`, of a change that happened or not.
    pub fn when(changed: bool, result: R) -> Self {
        if changed { Self::Changed(result) } else { Self::Unchanged(result) }
    }
}

impl<'s> Keyspace<'s> {
    fn new(store: &'s Store, held: Held<'s>, db: u8, now: Millis) -> Self {
        Self { store, held, db, now, seen: now, touches: true, hashed: None, changes: 0 }
    }

    /// What is looked at or changed does not count as used from now on: `CLIENT NO-TOUCH`.
    pub fn leave_untouched(&mut self) {
        self.touches = false;
    }

    /// Sees keys as well that have expired and were not removed: as a replica has to that repeats what its primary did
    /// before.
    pub fn see_expired(&mut self) {
        self.seen = 0;
    }

    /// The time the command happens at.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Whether a key with such a deadline would not be seen any more.
    pub fn is_over(&self, deadline: Millis) -> bool {
        deadline <= self.seen
    }

    /// The database in use.
    pub fn db(&self) -> u8 {
        self.db
    }

    /// Uses another database. Only with all shards held, or keys that were held for that database.
    pub fn select(&mut self, db: u8) {
        self.db = db;
    }

    /// How often something was changed so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    // Reading.

    /// What a key holds, for a command that reads it: counts a hit or a miss, and the key as used.
    pub fn value(&mut self, key: &[u8]) -> Option<&Value> {
        let (now, touches) = (self.now, self.touches);
        let (shard, id) = self.find(key);
        let shard = shard?;
        shard.count_lookup(id.is_some());
        let id = id?;
        if touches {
            shard.touch(id, now);
        }
        shard.value(id)
    }

    /// The same, if it is of the expected type.
    ///
    /// # Errors
    /// It is of another type.
    pub fn view<K: Kind>(&mut self, key: &[u8]) -> Result<Option<&K>, Error> {
        self.value(key).map(|value| K::of(value).ok_or(Error::WRONG_TYPE)).transpose()
    }

    /// What a key holds, for looking at several at once: nothing is counted, nothing expires.
    ///
    /// # Errors
    /// It is of another type.
    pub fn get<K: Kind>(&self, key: &[u8]) -> Result<Option<&K>, Error> {
        self.peek(key).map(|value| K::of(value).ok_or(Error::WRONG_TYPE)).transpose()
    }

    /// What a key holds, of whatever type: nothing is counted, nothing expires.
    pub fn peek(&self, key: &[u8]) -> Option<&Value> {
        let hash = self.hash(key);
        let shard = self.shard(hash)?;
        shard.value(shard.peek(self.db, key, hash, self.seen)?)
    }

    /// Whether the key exists; nothing is counted.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.peek(key).is_some()
    }

    /// When the key expires: `None` without the key, `Some(None)` if never.
    pub fn expiry(&self, key: &[u8]) -> Option<Option<Millis>> {
        let hash = self.hash(key);
        let shard = self.shard(hash)?;
        Some(shard.expiry(shard.peek(self.db, key, hash, self.seen)?))
    }

    /// Bytes a key and its value take, all bookkeeping included.
    pub fn memory(&self, key: &[u8]) -> Option<usize> {
        let hash = self.hash(key);
        let shard = self.shard(hash)?;
        Some(shard.memory(shard.peek(self.db, key, hash, self.seen)?))
    }

    /// How long ago the key was used, in milliseconds, and how often lately (logarithmic, 0 to 255): as far as the
    /// eviction policy keeps account of it.
    pub fn usage(&self, key: &[u8]) -> Option<(Millis, u8)> {
        let hash = self.hash(key);
        let shard = self.shard(hash)?;
        Some(shard.usage(shard.peek(self.db, key, hash, self.seen)?, self.now))
    }

    // Writing.

    /// Sets a key, whatever it held. Returns nothing of the old value: read it before if it is needed.
    pub fn set(&mut self, key: &[u8], value: impl Into<Value>, expiry: Expiry) {
        let (db, now, seen, hash) = (self.db, self.now, self.seen, self.hash(key));
        self.changes += 1;
        if let Some(shard) = self.shard_mut(hash) {
            match shard.find(db, key, hash, seen) {
                Some(id) => shard.replace(id, value.into(), expiry, now),
                None => shard.insert(db, key, hash, value.into(), expiry, now),
            }
        }
    }

    /// Changes a key's value in place, if there is one. A collection that ends up empty goes, with its key.
    ///
    /// # Errors
    /// It is of another type. `change` may itself return a `Result` as its `R`.
    pub fn edit<K: Kind, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut K) -> Edited<R>,
    ) -> Result<Option<R>, Error> {
        let (now, touches) = (self.now, self.touches);
        let (shard, id) = self.find(key);
        let (Some(shard), Some(id)) = (shard, id) else { return Ok(None) };
        if touches {
            shard.touch(id, now);
        }
        let edited = shard.edit(id, |value| Ok(change(K::of_mut(value).ok_or(Error::WRONG_TYPE)?)))?;
        Ok(edited.map(|edited| self.counted(edited)))
    }

    /// The same, with a new and empty value if there is none. If it is still empty then, there is still no key.
    ///
    /// # Errors
    /// It is of another type.
    pub fn edit_or_new<K: Kind, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut K) -> Edited<R>,
    ) -> Result<R, Error> {
        let (now, touches) = (self.now, self.touches);
        let (shard, id) = self.find(key);
        if let (Some(shard), Some(id)) = (shard, id) {
            if touches {
                shard.touch(id, now);
            }
            let edited = shard.edit(id, |value| Ok(change(K::of_mut(value).ok_or(Error::WRONG_TYPE)?)))?;
            return edited.map(|edited| self.counted(edited)).ok_or(Error::NO_SUCH_KEY);
        }
        let mut value = K::default();
        match change(&mut value) {
            Edited::Changed(result) => {
                let value = value.into_value();
                if !value.is_void() {
                    self.set(key, value, Expiry::Never);
                }
                Ok(result)
            }
            Edited::Unchanged(result) => Ok(result),
        }
    }

    /// Takes a key out, with its value.
    pub fn take(&mut self, key: &[u8]) -> Option<Value> {
        let (shard, id) = self.find(key);
        let value = shard?.remove(id?);
        self.changes += u64::from(value.is_some());
        value
    }

    /// Deletes a key; whether there was one. Large values are left to the garbage of the shard.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let (shard, id) = self.find(key);
        let (Some(shard), Some(id)) = (shard, id) else { return false };
        shard.discard(id);
        self.changes += 1;
        true
    }

    /// Sets or takes away a key's time to live; whether there is the key.
    pub fn set_expiry(&mut self, key: &[u8], at: Option<Millis>) -> bool {
        let now = self.now;
        let (shard, id) = self.find(key);
        let (Some(shard), Some(id)) = (shard, id) else { return false };
        shard.set_expiry(id, at, now);
        self.changes += 1;
        true
    }

    /// Removes the key if its time is over, which marks those who watch it: to be done before `EXEC` looks at its flag.
    pub fn settle(&mut self, key: &[u8]) {
        self.find(key);
    }

    /// Marks `flag` when the key changes: `WATCH`.
    pub fn watch(&mut self, key: &[u8], flag: &Arc<AtomicBool>) {
        let (db, hash) = (self.db, self.hash(key));
        if let Some(shard) = self.shard_mut(hash) {
            shard.watch(db, key, hash, flag);
        }
    }

    /// Ends [`Keyspace::watch`].
    pub fn unwatch(&mut self, key: &[u8], flag: &Arc<AtomicBool>) {
        let (db, hash) = (self.db, self.hash(key));
        if let Some(shard) = self.shard_mut(hash) {
            shard.unwatch(db, key, flag);
        }
    }

    /// The shards held, for what the command's surroundings have to settle: account, garbage, removals.
    pub fn shards_mut(&mut self) -> impl Iterator<Item = &mut Shard> {
        let (one, several) = match &mut self.held {
            Held::One(_, shard) => (Some(&mut **shard), None),
            Held::Several(held) => (None, Some(held.iter_mut().map(|(_, shard)| &mut **shard))),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }

    fn shards(&self) -> impl Iterator<Item = &Shard> {
        let (one, several) = match &self.held {
            Held::One(_, shard) => (Some(&**shard), None),
            Held::Several(held) => (None, Some(held.iter().map(|(_, shard)| &**shard))),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }

    fn shard_at(&self, index: usize) -> Option<&Shard> {
        match &self.held {
            Held::One(at, shard) => (*at == index).then_some(&**shard),
            Held::Several(held) => {
                let place = held.binary_search_by_key(&index, |(at, _)| *at).ok()?;
                held.get(place).map(|(_, shard)| &**shard)
            }
        }
    }

    fn hash(&self, key: &[u8]) -> u64 {
        match self.hashed {
            Some((known, hash)) if std::ptr::eq(known, key) => hash,
            _ => self.store.hash(key),
        }
    }

    fn shard(&self, hash: u64) -> Option<&Shard> {
        self.shard_at(self.store.index(hash))
    }

    fn shard_mut(&mut self, hash: u64) -> Option<&mut Shard> {
        let index = self.store.index(hash);
        match &mut self.held {
            Held::One(at, shard) => (*at == index).then_some(&mut **shard),
            Held::Several(held) => {
                let place = held.binary_search_by_key(&index, |(at, _)| *at).ok()?;
                held.get_mut(place).map(|(_, shard)| &mut **shard)
            }
        }
    }

    /// The key's shard, and its entry there if it exists and has not expired.
    fn find(&mut self, key: &[u8]) -> (Option<&mut Shard>, Option<EntryId>) {
        let (db, seen, hash) = (self.db, self.seen, self.hash(key));
        let Some(shard) = self.shard_mut(hash) else { return (None, None) };
        let id = shard.find(db, key, hash, seen);
        (Some(shard), id)
    }

    fn counted<R>(&mut self, edited: Edited<R>) -> R {
        match edited {
            Edited::Changed(result) => {
                self.changes += 1;
                result
            }
            Edited::Unchanged(result) => result,
        }
    }
}

#[cfg(test)]
mod tests;
