//! Miss ratios of the eviction policies on synthetic traces: experiment E8 of the cache server.
//!
//! The published figures for a Zipf distribution of exponent 1 and a cache of a tenth of the objects are 0.304 for LRU and
//! 0.251 for S3-FIFO (SOSP'23, NSDI'24). They depend on the length of the trace; 20,000 objects and 400,000 requests are one
//! for which a plain LRU gives 0.304. All run through the store itself, on one shard, with values of one size, so that
//! capacity can be counted in entries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use evenkeel_kv::store::{Expiry, Policy, Store, Text};

const OBJECTS: usize = 20_000;
const REQUESTS: usize = 400_000;
const CAPACITY: usize = OBJECTS / 10;
const NOW: u64 = 1_700_000_000_000;

/// Numbers of objects, the most popular first, with frequencies that fall as 1/rank.
fn zipf(objects: usize, requests: usize, rng: &mut fastrand::Rng) -> Vec<u32> {
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (1..=objects)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let mut draw = || {
        let point = rng.f64() * sum;
        cumulated.partition_point(|&upper| upper < point).min(objects - 1) as u32
    };
    (0..requests).map(|_| draw()).collect()
}

/// Objects with this number or a higher one are asked for once.
const ONCE: u32 = 1 << 30;

/// The share of requests that were not answered, where each of those brings its object in. Requests for objects that are
/// asked for once cannot be answered, and do not count.
fn miss_ratio(policy: Policy, trace: &[u32]) -> f64 {
    let store = Store::new(1);
    store.shard(0).unwrap().set_policy(policy);
    let mut rng = fastrand::Rng::with_seed(3);
    let (mut present, mut misses, mut first) = (0, 0, 0);
    for (number, object) in trace.iter().enumerate() {
        // A thousand requests a second, for policies that forget with time.
        let now = NOW + number as u64;
        let key = object.to_be_bytes();
        if store.hold_key(0, &key, now).value(&key).is_some() {
            continue;
        }
        misses += 1;
        first += u64::from(*object >= ONCE);
        if present == CAPACITY {
            assert!(store.shard(0).unwrap().evict(&mut rng, now).is_some());
            present -= 1;
        }
        store.hold_key(0, &key, now).set(&key, Text::new(b"value"), Expiry::Never);
        present += 1;
    }
    let mut keys = store.hold_all(0, NOW);
    assert_eq!(keys.len(), present);
    let counted = keys.shards_mut().next().unwrap().counters();
    assert_eq!((counted.misses, counted.evicted), (misses, misses - CAPACITY as u64));
    (misses - first) as f64 / trace.iter().filter(|object| **object < ONCE).count() as f64
}

#[test]
fn zipf_miss_ratios_are_the_published_ones() {
    let trace = zipf(OBJECTS, REQUESTS, &mut fastrand::Rng::with_seed(42));
    let lru = miss_ratio(Policy::AllKeysLru, &trace);
    let s3fifo = miss_ratio(Policy::AllKeysS3Fifo, &trace);
    let random = miss_ratio(Policy::AllKeysRandom, &trace);
    println!(
        "Zipf 1.0, cache of 10 %: random {random:.4}  LRU {lru:.4} (0.304)  S3-FIFO {s3fifo:.4} (0.251)"
    );
    assert!((lru - 0.304).abs() < 0.005, "LRU {lru:.4}");
    assert!((s3fifo - 0.251).abs() < 0.005, "S3-FIFO {s3fifo:.4}");
    assert!(random > lru);
}

/// Objects that are asked for once and never again, as a crawler or a batch job does, push the others out of LRU; and what
/// was popular once keeps its place in LFU after the popular objects have changed.
#[test]
fn s3fifo_resists_scans_and_change() {
    let mut rng = fastrand::Rng::with_seed(43);
    let mut once = ONCE;
    let mut trace = Vec::new();
    for (number, object) in zipf(OBJECTS, REQUESTS / 2, &mut rng).into_iter().enumerate() {
        // Four times other objects are the popular ones.
        let era = (number * 4 / (REQUESTS / 2)) as u32;
        trace.push(object + era * OBJECTS as u32);
        // In runs of 500, one request in three.
        if number % 1000 == 0 {
            trace.extend(once..once + 500);
            once += 500;
        }
    }
    let [lru, lfu, s3fifo] = [Policy::AllKeysLru, Policy::AllKeysLfu, Policy::AllKeysS3Fifo]
        .map(|policy| miss_ratio(policy, &trace));
    println!("Zipf with scans and changing favourites: LRU {lru:.4}  LFU {lfu:.4}  S3-FIFO {s3fifo:.4}");
    assert!(s3fifo < lru - 0.04 && s3fifo < lfu - 0.01, "LRU {lru:.4}, LFU {lfu:.4}, S3-FIFO {s3fifo:.4}");
}
