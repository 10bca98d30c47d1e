//! What a [`Keyspace`] does with whole databases. Only sensible with all shards held.

use std::sync::PoisonError;

use super::store::MOST_SHARDS;
use super::{Keyspace, Store};
use crate::store::Value;

impl Keyspace<'_> {
    /// Keys in the database in use, those included that have expired and were not looked at since.
    pub fn len(&self) -> usize {
        self.shards().map(|shard| shard.len(self.db)).sum()
    }

    /// Whether the database in use is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys that will expire, in the database in use.
    pub fn volatile_len(&self) -> usize {
        self.shards().map(|shard| shard.volatile_len(self.db)).sum()
    }

    /// Visits about `count` keys of the database in use from `cursor` on, and returns the next cursor, 0 at the end. A
    /// key that is there from the first call to the last is visited at least once, whatever happens to the others.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], &Value)) -> u64 {
        let (mut index, mut position) = ((cursor % MOST_SHARDS as u64) as usize, cursor / MOST_SHARDS as u64);
        let mut left = count.max(1);
        while let Some(shard) = self.shard_at(index) {
            let (next, looked_at) = shard.scan(self.db, position, self.seen, left, &mut visit);
            (position, left) = (next, left.saturating_sub(looked_at));
            if position == 0 {
                index += 1;
            }
            if left == 0 {
                break;
            }
        }
        if self.shard_at(index).is_none() { 0 } else { position * MOST_SHARDS as u64 + index as u64 }
    }

    /// A key of the database in use, all about equally likely.
    pub fn random_key(&self, rng: &mut fastrand::Rng) -> Option<Vec<u8>> {
        let mut chosen = rng.usize(0..self.len().max(1));
        let mut shards = self.shards();
        let shard = shards.find(|shard| {
            let here = chosen < shard.len(self.db);
            if !here {
                chosen -= shard.len(self.db);
            }
            here
        })?;
        // Keys that have expired may be all that this shard has.
        shard
            .random_key(self.db, self.seen, rng)
            .or_else(|| self.shards().find_map(|shard| shard.random_key(self.db, self.seen, rng)))
    }

    /// Deletes all keys of a database, or of all.
    pub fn flush(&mut self, db: Option<u8>) {
        self.changes += 1;
        self.shards_mut().for_each(|shard| shard.flush(db));
    }

    /// Exchanges the keys of two databases.
    pub fn swap_databases(&mut self, one: u8, other: u8) {
        self.changes += 1;
        self.shards_mut().for_each(|shard| shard.swap_databases(one, other));
    }

    /// Puts the keys of a [`Store::sibling`] in the place of all keys; with all shards held.
    pub fn adopt(&mut self, sibling: Store) {
        self.changes += 1;
        for (shard, other) in self.shards_mut().zip(sibling.shards) {
            shard.adopt(other.0.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
