//! The laws of each policy, through a shard.

use super::*;
use crate::store::{Expiry, Keyspace, Store, Text};

const NOW: Millis = 1_700_000_000_000;

struct Cache {
    store: Store,
    now: Millis,
    rng: fastrand::Rng,
}

impl Cache {
    fn new(policy: Policy) -> Self {
        let store = Store::new(1);
        let mut shard = store.shard(0).unwrap();
        shard.set_policy(policy);
        shard.log_removals(true);
        drop(shard);
        Self { store, now: NOW, rng: fastrand::Rng::with_seed(5) }
    }

    fn keys(&self) -> Keyspace<'_> {
        self.store.hold_all(0, self.now)
    }

    fn set(&self, key: &str, size: usize, expiry: Expiry) {
        self.keys().set(key.as_bytes(), Text::from(vec![b'v'; size]), expiry);
    }

    fn read(&self, key: &str) -> bool {
        self.keys().value(key.as_bytes()).is_some()
    }

    /// The key that goes.
    fn evict(&mut self) -> Option<String> {
        let mut shard = self.store.shard(0).unwrap();
        shard.evict(&mut self.rng, self.now)?;
        let (_, key) = shard.take_removed().pop()?;
        String::from_utf8(key).ok()
    }
}

#[test]
fn everything_goes_that_may_and_memory_with_it() {
    for policy in Policy::all() {
        let mut cache = Cache::new(policy);
        for number in 0..2000 {
            let expiry = if number % 2 == 0 { Expiry::At(NOW + 10_000 + number) } else { Expiry::Never };
            cache.set(&format!("key {number}"), (number % 300) as usize, expiry);
            cache.read(&format!("key {}", number / 3));
        }
        let full = cache.store.shard(0).unwrap().used();
        let gone = std::iter::from_fn(|| cache.evict()).count();
        let left = match policy {
            Policy::NoEviction => 2000,
            policy if policy.is_volatile() => 1000,
            _ => 0,
        };
        assert_eq!((cache.keys().len(), gone), (left, 2000 - left), "{policy:?}");
        let used = cache.store.shard(0).unwrap().used();
        assert!(used <= full * left / 2000 + full / 10, "{policy:?}: {used} of {full}");
    }
}

#[test]
fn lru_goes_by_last_use() {
    let mut cache = Cache::new(Policy::AllKeysLru);
    ["a", "b", "c", "d"].iter().for_each(|key| cache.set(key, 1, Expiry::Never));
    assert!(cache.read("a"));
    cache.set("c", 2, Expiry::Never);
    let order: Vec<_> = std::iter::from_fn(|| cache.evict()).collect();
    assert_eq!(order, ["b", "d", "a", "c"]);
}

#[test]
fn a_key_is_in_the_order_while_it_expires() {
    let mut cache = Cache::new(Policy::VolatileLru);
    cache.set("lasting", 1, Expiry::Never);
    cache.set("expiring", 1, Expiry::At(NOW + 1000));
    cache.set("for a while", 1, Expiry::At(NOW + 1000));
    cache.keys().set_expiry(b"for a while", None);
    assert_eq!(cache.evict().as_deref(), Some("expiring"));
    assert_eq!(cache.evict(), None);
    cache.keys().set_expiry(b"lasting", Some(NOW + 1000));
    assert_eq!(cache.evict().as_deref(), Some("lasting"));
}

#[test]
fn ttl_goes_by_deadline() {
    let mut cache = Cache::new(Policy::VolatileTtl);
    for (key, seconds) in [("c", 500), ("a", 3), ("d", 90_000), ("b", 60)] {
        cache.set(key, 1, Expiry::At(NOW + seconds * 1000));
    }
    let order: Vec<_> = std::iter::from_fn(|| cache.evict()).collect();
    assert_eq!(order, ["a", "b", "c", "d"]);
}

#[test]
fn lfu_keeps_what_is_used_often_until_it_no_longer_is() {
    let mut cache = Cache::new(Policy::AllKeysLfu);
    cache.set("often", 1, Expiry::Never);
    (0..2000).for_each(|_| assert!(cache.read("often")));
    let (_, frequency) = cache.keys().usage(b"often").unwrap();
    // As Redis documents it for a factor of 10: 1000 hits make 18.
    assert!((12..35).contains(&frequency), "{frequency}");
    (0..200).for_each(|number| cache.set(&number.to_string(), 1, Expiry::Never));
    (0..150).for_each(|_| assert_ne!(cache.evict().unwrap(), "often"));
    cache.now += 60_000 * u64::from(frequency + 1);
    assert_eq!(cache.keys().usage(b"often").unwrap().1, 0);
}

#[test]
fn s3fifo_lets_go_of_what_came_once_and_takes_it_back() {
    let mut cache = Cache::new(Policy::AllKeysS3Fifo);
    for key in ["kept", "once", "twice"] {
        cache.set(key, 1, Expiry::Never);
    }
    (0..2).for_each(|_| assert!(cache.read("kept")));
    assert!(cache.read("twice"));
    // `kept` goes on to the main queue, the others were not used enough.
    assert_eq!(cache.evict().as_deref(), Some("once"));
    // Back soon: straight to the main queue, and what is in the small one goes first.
    cache.set("once", 1, Expiry::Never);
    cache.set("new", 1, Expiry::Never);
    assert_eq!(cache.evict().as_deref(), Some("twice"));
    assert_eq!(cache.evict().as_deref(), Some("new"));
    assert_eq!(cache.evict().as_deref(), Some("kept"));
}

#[test]
fn s3fifo_does_not_let_large_values_fill_its_small_queue() {
    let mut cache = Cache::new(Policy::AllKeysS3Fifo);
    for number in 0..1000 {
        cache.set(&format!("small {number}"), 100, Expiry::Never);
        (0..2).for_each(|_| assert!(cache.read(&format!("small {number}"))));
    }
    cache.set("first", 1, Expiry::Never);
    assert_eq!(cache.evict().as_deref(), Some("small 0"), "the oldest, after many were moved");
    // Until the small queue has its share.
    (0..3).for_each(|_| assert_ne!(cache.evict().as_deref(), Some("first")));
    assert_ne!(cache.evict().as_deref(), Some("first"));
    // Four of these are more than a tenth of the bytes, though not of the entries: what is in the small queue goes first.
    (0..4).for_each(|number| cache.set(&format!("large {number}"), 8000, Expiry::Never));
    assert_eq!(cache.evict().as_deref(), Some("first"));
    assert_eq!(cache.evict().as_deref(), Some("large 0"));
}

#[test]
fn another_policy_takes_over_what_is_there() {
    let mut cache = Cache::new(Policy::NoEviction);
    (0..10).for_each(|number| cache.set(&number.to_string(), 1, Expiry::Never));
    assert_eq!(cache.evict(), None);
    for policy in Policy::all().filter(|policy| !policy.is_volatile() && *policy != Policy::NoEviction) {
        cache.store.shard(0).unwrap().set_policy(policy);
        assert!(cache.evict().is_some(), "{policy:?}");
    }
    cache.store.shard(0).unwrap().set_policy(Policy::VolatileLru);
    assert_eq!((cache.evict(), cache.keys().len()), (None, 6));
}

#[test]
fn policies_have_their_names() {
    assert!(Policy::all().all(|policy| Policy::named(policy.name()) == Some(policy)));
    assert!(Policy::all().all(|policy| policy.is_volatile() == policy.name().starts_with("volatile-")));
    assert_eq!(Policy::named("AllKeys-LRU"), Some(Policy::AllKeysLru));
    assert_eq!(Policy::named("lru"), None);
    assert_eq!(Policy::default().name(), "allkeys-s3fifo");
}
