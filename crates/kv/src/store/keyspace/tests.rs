//! What commands rely on, over several shards.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::store::Text;

const NOW: Millis = 1_700_000_000_000;

fn text(number: u32) -> Text {
    Text::new(number.to_string().as_bytes())
}

fn key(number: u32) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

/// A store of eight shards with so many keys in database 0.
fn filled(count: u32) -> Store {
    let store = Store::new(8);
    let mut keys = store.hold_all(0, NOW);
    (0..count).for_each(|number| keys.set(&key(number), text(number), Expiry::Never));
    drop(keys);
    store
}

#[test]
fn a_scan_visits_about_as_many_as_it_is_asked_for() {
    let store = filled(5000);
    let keys = store.hold_all(0, NOW);
    let (mut cursor, mut seen, mut calls) = (0, BTreeSet::new(), 0);
    loop {
        let mut visited = 0;
        cursor = keys.scan(cursor, 10, |key, _| {
            seen.insert(key.to_vec());
            visited += 1;
        });
        calls += 1;
        assert!(visited <= 12);
        if cursor == 0 {
            break;
        }
        assert!(visited >= 10);
    }
    assert_eq!(seen.len(), 5000);
    assert!(calls <= 501, "{calls}");
    // Another database with few keys is done at once, however many there are elsewhere.
    let mut keys = keys;
    keys.select(1);
    keys.set(b"alone", text(1), Expiry::Never);
    let mut seen = Vec::new();
    assert_eq!(keys.scan(0, 10, |key, _| seen.push(key.to_vec())), 0);
    assert_eq!(seen, [b"alone"]);
    assert_eq!(keys.scan(u64::MAX, 10, |_, _| panic!("nothing is there")), 0);
}

#[test]
fn a_random_key_is_any_key_that_is_seen() {
    let store = filled(40);
    let mut rng = fastrand::Rng::with_seed(1);
    let mut keys = store.hold_all(0, NOW);
    for number in 0..20 {
        keys.set_expiry(&key(number), Some(NOW - 1));
    }
    let seen: BTreeSet<_> = (0..2000).filter_map(|_| keys.random_key(&mut rng)).collect();
    assert_eq!(seen, (20..40).map(key).collect());
    keys.select(1);
    assert_eq!(keys.random_key(&mut rng), None);
}

#[test]
fn lookups_count_and_leave_their_time() {
    let store = filled(1);
    let mut keys = store.hold_key(0, b"key 0", NOW + 5500);
    assert_eq!(keys.usage(b"key 0"), Some((5000, 0)));
    assert!(keys.value(b"key 0").is_some());
    assert!(keys.contains(b"key 0"));
    assert_eq!(keys.usage(b"key 0"), Some((0, 1)));
    assert_eq!(keys.shards_mut().map(|shard| shard.counters().hits).sum::<u64>(), 1);
    // A key of its own that is another one, at the same address or not.
    assert!(keys.value(b"key 1").is_none());
}

#[test]
fn what_is_over_is_settled_before_a_transaction_looks() {
    let store = filled(1);
    let flag = Arc::new(AtomicBool::new(false));
    let mut keys = store.hold_all(0, NOW);
    keys.set_expiry(b"key 0", Some(NOW + 10));
    keys.watch(b"key 0", &flag);
    drop(keys);
    let mut keys = store.hold_all(0, NOW + 10);
    assert!(!keys.contains(b"key 0") && !flag.load(Relaxed));
    keys.settle(b"key 0");
    assert!(flag.load(Relaxed));
}

#[test]
fn a_replica_repeats_what_its_primary_did_in_time() {
    let store = filled(1);
    store.hold_all(0, NOW).set_expiry(b"key 0", Some(NOW + 10));
    (0..8).for_each(|index| store.shard(index).unwrap().set_keeps_expired(true));
    let mut keys = store.hold_all(0, NOW + 1000);
    assert_eq!((keys.value(b"key 0").is_none(), keys.len()), (true, 1));
    (0..8).for_each(|_| assert!(keys.shards_mut().all(|shard| shard.expire_some(NOW + 1000, 100) == 0)));
    keys.see_expired();
    assert!(keys.set_expiry(b"key 0", None));
    drop(keys);
    let mut keys = store.hold_all(0, NOW + 1000);
    assert!(keys.contains(b"key 0"));
    // A write of its own takes the place of what it does not see.
    keys.set_expiry(b"key 0", Some(NOW));
    keys.set(b"key 0", text(2), Expiry::Keep);
    assert_eq!((keys.len(), keys.volatile_len(), keys.contains(b"key 0")), (1, 0, true));
}

#[test]
fn databases_are_exchanged() {
    let store = filled(3);
    let mut keys = store.hold_all(2, NOW);
    keys.set(b"other", text(9), Expiry::At(NOW + 10));
    keys.swap_databases(0, 2);
    assert_eq!((keys.len(), keys.volatile_len(), keys.contains(b"key 1")), (3, 0, true));
    keys.select(0);
    assert_eq!((keys.len(), keys.volatile_len(), keys.contains(b"other")), (1, 1, true));
    // Deleting finds it in the database it is in now.
    assert!(keys.delete(b"other") && keys.is_empty());
}

#[test]
fn a_flush_leaves_its_work_to_others() {
    let store = filled(2000);
    let mut keys = store.hold_all(0, NOW);
    let before: usize = keys.shards_mut().map(|shard| shard.used()).sum();
    keys.flush(Some(0));
    assert!(keys.is_empty());
    let after: usize = keys.shards_mut().map(|shard| shard.used()).sum();
    assert!(after < before / 5, "{after} of {before}");
    assert!(keys.shards_mut().all(|shard| !shard.take_garbage().is_empty() && shard.slack() == 0));
}
