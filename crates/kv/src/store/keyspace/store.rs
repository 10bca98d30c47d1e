//! [`Store`]: all shards, each behind its lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Held, Keyspace};
use crate::store::{Millis, Shard};

/// Most shards, so that a cursor of `SCAN` can name one in eight bits.
pub(super) const MOST_SHARDS: usize = 256;

/// All the data of a server.
#[derive(Debug)]
pub struct Store {
    pub(super) shards: Box<[Padded]>,
    hasher: RandomState,
}

/// A shard on cache lines of its own, so that threads at different shards do not slow each other down.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Padded(pub(super) Mutex<Shard>);

impl Store {
    /// A store of `shards` shards; rounded up to a power of two, at most 256.
    pub fn new(shards: usize) -> Self {
        let shards = shards.clamp(1, MOST_SHARDS).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| Padded(Mutex::new(Shard::default()))).collect(),
            hasher: RandomState::new(),
        }
    }

    /// An empty store that keeps every key in the shard of the same number, by the same policy.
    pub fn sibling(&self) -> Self {
        let shards = (0..self.shard_count())
            .filter_map(|index| Some(Padded(Mutex::new(self.shard(index)?.sibling()))));
        Self { shards: shards.collect(), hasher: self.hasher.clone() }
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Waits for the shard with this number, for housekeeping. `None` beyond the last.
    pub fn shard(&self, index: usize) -> Option<MutexGuard<'_, Shard>> {
        Some(self.shards.get(index)?.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the shard of one key.
    pub fn hold_key<'s>(&'s self, db: u8, key: &'s [u8], now: Millis) -> Keyspace<'s> {
        let hash = self.hash(key);
        let index = self.index(hash);
        match self.shard(index) {
            Some(shard) => Keyspace {
                hashed: Some((key, hash)),
                ..Keyspace::new(self, Held::One(index, shard), db, now)
            },
            // There is a shard for every hash.
            None => self.hold_all(db, now),
        }
    }

    /// Waits for the shards of some keys.
    pub fn hold_keys<'k>(&self, db: u8, keys: impl Iterator<Item = &'k [u8]>, now: Millis) -> Keyspace<'_> {
        let mut indices: Vec<usize> = keys.map(|key| self.index(self.hash(key))).collect();
        indices.sort_unstable();
        indices.dedup();
        self.hold(indices.into_iter(), db, now)
    }

    /// Waits for all shards.
    pub fn hold_all(&self, db: u8, now: Millis) -> Keyspace<'_> {
        self.hold(0..self.shards.len(), db, now)
    }

    /// `indices` ascend, so that two threads never wait for each other.
    fn hold(&self, indices: impl Iterator<Item = usize>, db: u8, now: Millis) -> Keyspace<'_> {
        let held = indices.filter_map(|index| Some((index, self.shard(index)?))).collect();
        Keyspace::new(self, Held::Several(held), db, now)
    }

    /// The same for all databases, so that a key can be moved from one to another, and they can be exchanged.
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn index(&self, hash: u64) -> usize {
        // The shard's own table uses the other bits.
        (hash & (self.shards.len() as u64 - 1)) as usize
    }
}
