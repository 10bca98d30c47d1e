//! [`Watched`]: the keys that transactions watch.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::store::Text;
use crate::store::memory::allocation;

/// Flags to set when keys change.
///
/// They are set and read with the shard held, whose lock orders that.
#[derive(Debug, Default)]
pub(super) struct Watched {
    keys: HashMap<Text, Vec<Watcher>>,
    /// Allocated beside the map itself.
    heap: usize,
}

#[derive(Debug)]
struct Watcher {
    db: u8,
    hash: u32,
    flag: Arc<AtomicBool>,
}

impl Watched {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        self.keys.capacity() * (size_of::<(Text, Vec<Watcher>)>() + 1) + self.heap
    }

    pub(super) fn add(&mut self, db: u8, key: &[u8], hash: u32, flag: &Arc<AtomicBool>) {
        let key = Text::new(key);
        let new = key.heap();
        let watchers = self.keys.entry(key).or_insert_with(|| {
            self.heap += new;
            Vec::new()
        });
        self.heap -= room(watchers);
        watchers.push(Watcher { db, hash, flag: flag.clone() });
        self.heap += room(watchers);
    }

    pub(super) fn remove(&mut self, db: u8, key: &[u8], flag: &Arc<AtomicBool>) {
        let Some(watchers) = self.keys.get_mut(key) else { return };
        watchers.retain(|other| other.db != db || !Arc::ptr_eq(&other.flag, flag));
        if watchers.is_empty()
            && let Some((key, watchers)) = self.keys.remove_entry(key)
        {
            self.heap -= key.heap() + room(&watchers);
            if self.keys.len() * 8 < self.keys.capacity() {
                self.keys.shrink_to_fit();
            }
        }
    }

    /// The key changed.
    pub(super) fn mark(&self, db: u8, key: &[u8]) {
        if self.keys.is_empty() {
            return;
        }
        for watcher in self.keys.get(key).into_iter().flatten().filter(|watcher| watcher.db == db) {
            watcher.flag.store(true, Relaxed);
        }
    }

    /// Keys changed, those for which `did` holds: given the database, the key and its hash.
    pub(super) fn mark_where(&self, did: impl Fn(u8, &[u8], u32) -> bool) {
        for (key, watchers) in &self.keys {
            for watcher in watchers.iter().filter(|watcher| did(watcher.db, key.as_bytes(), watcher.hash)) {
                watcher.flag.store(true, Relaxed);
            }
        }
    }
}

fn room(watchers: &Vec<Watcher>) -> usize {
    allocation(watchers.capacity() * size_of::<Watcher>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_leaves_nothing() {
        let mut watched = Watched::default();
        let flags: Vec<_> = (0..100).map(|_| Arc::new(AtomicBool::new(false))).collect();
        let key = |number: usize| format!("a key that needs memory of its own, {}", number % 40).into_bytes();
        for (number, flag) in flags.iter().enumerate() {
            watched.add(0, &key(number), 0, flag);
            watched.add(0, &key(number), 0, flag);
            watched.add(1, &key(number), 0, flag);
        }
        assert!(watched.bytes() > 40 * 40);
        watched.mark(1, &key(3));
        assert!(flags.iter().enumerate().all(|(number, flag)| flag.load(Relaxed) == (number % 40 == 3)));
        for (number, flag) in flags.iter().enumerate() {
            watched.remove(0, &key(number), flag);
            watched.remove(1, &key(number), flag);
        }
        assert!(watched.is_empty());
        assert_eq!((watched.heap, watched.bytes()), (0, 0));
    }
}
