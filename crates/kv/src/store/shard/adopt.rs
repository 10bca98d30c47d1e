//! Other keys in the place of all that are there: how a replica takes over what it has loaded beside its data.

use crate::store::shard::Shard;

impl Shard {
    /// An empty shard with the same policy and settings.
    pub(in crate::store) fn sibling(&self) -> Self {
        let mut sibling = Self::default();
        sibling.set_policy(self.policy);
        sibling.keeps_expired = self.keeps_expired;
        sibling
    }

    /// Puts the keys of `other` in the place of all keys; what was there becomes garbage. At once, unless the policies
    /// differ or a snapshot is being made, which is not to have the new keys: then it takes some 10 ns for each.
    pub(in crate::store) fn adopt(&mut self, mut other: Self) {
        other.set_policy(self.policy);
        // Marks what is watched and there.
        self.flush(None);
        if self.snapshot.is_some() {
            for number in 0..other.entries.bound() {
                if let Some(entry) = other.entries.get_mut(number) {
                    entry.generation = self.generation;
                }
            }
        } else {
            self.generation = other.generation;
            self.given_up = other.given_up;
        }
        let Self { entries, tables, deadlines, volatile, order, heap, index, .. } = other;
        (self.entries, self.tables, self.deadlines) = (entries, tables, deadlines);
        (self.volatile, self.order, self.heap, self.index) = (volatile, order, heap, index);
        // And what is watched and there from now on.
        let watched = std::mem::take(&mut self.watched);
        watched.mark_where(|db, key, hash| self.lookup(db, key, hash).is_some());
        self.watched = watched;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use crate::store::{Expiry, Policy, Store, Text};

    const NOW: u64 = 1_700_000_000_000;

    fn set(store: &Store, db: u8, key: &str, value: &str, expiry: Expiry) {
        store.hold_key(db, key.as_bytes(), NOW).set(key.as_bytes(), Text::new(value.as_bytes()), expiry);
    }

    fn used(store: &Store) -> usize {
        (0..store.shard_count()).map(|index| store.shard(index).unwrap().used()).sum()
    }

    fn saved(store: &Store) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for index in 0..store.shard_count() {
            let mut shard = store.shard(index).unwrap();
            while shard.snapshot_some(3, &mut |saved| {
                let key = format!("{} {}", saved.db, saved.key.escape_ascii());
                let value = format!("{:?} {:?}", saved.value, saved.expires);
                assert!(all.insert(key, value).is_none(), "twice");
            }) {}
            shard.end_snapshot();
        }
        all
    }

    fn begin(store: &Store) {
        (0..store.shard_count()).for_each(|index| store.shard(index).unwrap().begin_snapshot());
    }

    fn filled() -> (Store, Store) {
        let store = Store::new(4);
        for number in 0..200 {
            set(&store, number % 3, &format!("old {number}"), "o", Expiry::Never);
        }
        set(&store, 0, "both", "old", Expiry::At(NOW + 5));
        let fresh = store.sibling();
        for number in 0..100 {
            set(&fresh, number % 2, &format!("new {number}"), "n", Expiry::At(NOW + 1000));
        }
        set(&fresh, 0, "both", "new", Expiry::Never);
        (store, fresh)
    }

    #[test]
    fn the_new_keys_are_there_and_nothing_else() {
        let (store, fresh) = filled();
        let flags: Vec<_> = (0..3).map(|_| Arc::new(AtomicBool::new(false))).collect();
        let mut keys = store.hold_all(0, NOW);
        for (key, flag) in ["old 0", "new 0", "nowhere"].iter().zip(&flags) {
            keys.watch(key.as_bytes(), flag);
        }
        let expected = used(&fresh);
        keys.adopt(fresh);
        assert_eq!((keys.len(), keys.volatile_len()), (51, 50));
        assert!(!keys.contains(b"old 0") && keys.contains(b"new 0"));
        assert_eq!(keys.get::<Text>(b"both").unwrap().unwrap().as_bytes(), b"new");
        for (key, flag) in ["old 0", "new 0", "nowhere"].iter().zip(&flags) {
            keys.unwatch(key.as_bytes(), flag);
        }
        drop(keys);
        assert_eq!(flags.iter().map(|flag| flag.load(Relaxed)).collect::<Vec<_>>(), [true, true, false]);
        // What is left of the watching is all that differs.
        assert!(used(&store).abs_diff(expected) < 1024, "{} and {expected}", used(&store));
        // It lives on: keys expire, are evicted, are saved.
        begin(&store);
        assert_eq!(saved(&store).len(), 101);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut gone = 0;
        for index in 0..4 {
            let mut shard = store.shard(index).unwrap();
            shard.set_policy(Policy::named("allkeys-lru").unwrap());
            gone += shard.expire_some(NOW + 5000, 1000);
            while shard.evict(&mut rng, NOW).is_some() {
                gone += 1;
            }
        }
        assert!(gone >= 101, "{gone}");
        assert!(store.hold_all(0, NOW).is_empty());
    }

    #[test]
    fn a_snapshot_that_is_being_made_has_the_old_keys() {
        let (store, fresh) = filled();
        begin(&store);
        let wanted = saved(&store);
        assert_eq!(wanted.len(), 201);
        for _ in 0..300 {
            // Generations repeat, and still nothing is taken for saved that is not.
            begin(&store);
            saved(&store);
        }
        begin(&store);
        store.hold_all(0, NOW).adopt(fresh);
        set(&store, 0, "newer", "n", Expiry::Never);
        assert_eq!(saved(&store), wanted);
        begin(&store);
        let next = saved(&store);
        assert_eq!(next.len(), 102);
        assert!(next.keys().all(|key| !key.contains("old")));
    }

    #[test]
    fn the_policy_stays() {
        let (store, fresh) = filled();
        for index in 0..4 {
            store.shard(index).unwrap().set_policy(Policy::named("volatile-lru").unwrap());
        }
        store.hold_all(0, NOW).adopt(fresh);
        let mut rng = fastrand::Rng::with_seed(1);
        for index in 0..4 {
            let mut shard = store.shard(index).unwrap();
            while shard.evict(&mut rng, NOW).is_some() {}
        }
        let mut keys = store.hold_all(0, NOW);
        assert_eq!(keys.len(), 1, "what does not expire may not go");
        keys.select(1);
        assert!(keys.is_empty());
    }
}
