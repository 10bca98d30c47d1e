//! How fast the store is, without a server around it: `cargo run --release -p evenkeel-kv --example store`.
//!
//! The second part is the measured choice between threads that share shards behind locks and threads that own shards and
//! send each other operations.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement"
)]

use std::hint::black_box;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use evenkeel_kv::store::{Expiry, Policy, Store, Text};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const KEYS: u32 = 1_000_000;
const NOW: u64 = 1_700_000_000_000;
const VALUE: &[u8] = &[b'v'; 64];

fn main() {
    one_thread();
    expiry();
    println!(
        "two threads, GET of random keys; for each operation wall time, and processor time of both threads:"
    );
    for shards in [1, 4, 16, 64] {
        let (wall, processor) = locked(shards);
        println!("  {shards:3} shards behind locks    {wall:6.0} ns {processor:6.0} ns");
    }
    for batch in [1, 16, 64] {
        let (wall, processor) = handed_over(batch);
        println!("  handed over, {batch:2} at a time {wall:6.0} ns {processor:6.0} ns");
    }
}

fn key(number: u32) -> [u8; 16] {
    (u128::from(number) << 64 | u128::from(number)).to_be_bytes()
}

fn filled(shards: usize, expiry: Expiry) -> Store {
    let store = Store::new(shards);
    for number in 0..KEYS {
        store.hold_key(0, &key(number), NOW).set(&key(number), Text::new(VALUE), expiry);
    }
    store
}

fn get(store: &Store, number: u32) {
    let key = key(number);
    black_box(store.hold_key(0, &key, NOW).view::<Text>(&key).is_ok_and(|text| text.is_some()));
}

/// Best of five, in nanoseconds for each of `count`, by this thread's processor time.
fn best(count: u32, mut run: impl FnMut()) -> f64 {
    let times = (0..5).map(|_| {
        let start = on_processor();
        run();
        (on_processor() - start) as f64 / f64::from(count)
    });
    times.fold(f64::INFINITY, f64::min)
}

/// The same by the clock and, as `run` returns it, by the processor time of several threads.
fn best_of_both(count: u32, mut run: impl FnMut() -> u64) -> (f64, f64) {
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..7 {
        let start = Instant::now();
        let processor = run();
        let wall = start.elapsed().as_secs_f64() * 1e9;
        best = (best.0.min(wall / f64::from(count)), best.1.min(processor as f64 / f64::from(count)));
    }
    best
}

/// Nanoseconds this thread has run.
fn on_processor() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn one_thread() {
    println!("one thread, one shard, {KEYS} keys of 16 bytes with 64-byte values:");
    println!(
        "  insert                   {:7.0} ns",
        best(KEYS, || drop(black_box(filled(1, Expiry::Never))))
    );
    for policy in [Policy::AllKeysS3Fifo, Policy::AllKeysLru, Policy::AllKeysLfu] {
        let store = filled(1, Expiry::Never);
        store.shard(0).unwrap().set_policy(policy);
        let mut rng = fastrand::Rng::with_seed(1);
        let hot = best(KEYS, || (0..KEYS).for_each(|_| get(&store, rng.u32(0..1000))));
        let cold = best(KEYS, || (0..KEYS).for_each(|_| get(&store, rng.u32(0..KEYS))));
        let mut next = KEYS;
        let evict = best(KEYS, || {
            for _ in 0..KEYS {
                store.shard(0).unwrap().evict(&mut rng, NOW);
                store.hold_key(0, &key(next), NOW).set(&key(next), Text::new(VALUE), Expiry::Never);
                next += 1;
            }
        });
        println!(
            "  {:15} GET, 1000 hot {hot:4.0} ns, all {cold:4.0} ns; evict and insert {evict:5.0} ns",
            policy.name()
        );
    }
    let store = filled(1, Expiry::At(NOW + 1_000_000));
    let mut rng = fastrand::Rng::with_seed(1);
    let cold = best(KEYS, || (0..KEYS).for_each(|_| get(&store, rng.u32(0..KEYS))));
    println!("  GET of keys that expire  {cold:7.0} ns");
    let start = Instant::now();
    store.shard(0).unwrap().set_policy(Policy::AllKeysLru);
    println!("  another policy           {:7.1} ms", start.elapsed().as_secs_f64() * 1e3);
}

/// A million keys whose time ends at once.
fn expiry() {
    let store = filled(1, Expiry::At(NOW + 1000));
    let (start, mut longest, mut steps) = (Instant::now(), Duration::ZERO, 0);
    loop {
        let begin = Instant::now();
        let mut shard = store.shard(0).unwrap();
        let done = shard.expire_some(NOW + 5000, 256);
        drop(shard);
        longest = longest.max(begin.elapsed());
        steps += 1;
        if done < 256 {
            break;
        }
    }
    println!("  a million expire in {steps} steps of {longest:?} at most, {:?} in all", start.elapsed());
}

fn locked(shards: usize) -> (f64, f64) {
    let store = filled(shards, Expiry::Never);
    best_of_both(2 * KEYS, || {
        std::thread::scope(|scope| {
            let threads = [1, 2].map(|seed| {
                let store = &store;
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(seed);
                    (0..KEYS).for_each(|_| get(store, rng.u32(0..KEYS)));
                    on_processor()
                })
            });
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        })
    })
}

/// One thread owns the store, the other asks it, so many operations in a message. With two threads that own a half each,
/// every other operation takes this long.
fn handed_over(batch: usize) -> (f64, f64) {
    let store = filled(1, Expiry::Never);
    let count = KEYS / 10;
    best_of_both(count, || {
        let (ask, asked) = mpsc::channel::<Vec<u32>>();
        let (answer, answered) = mpsc::channel::<Vec<u32>>();
        std::thread::scope(|scope| {
            let store = &store;
            let owner = scope.spawn(move || {
                while let Ok(numbers) = asked.recv() {
                    numbers.iter().for_each(|&number| get(store, number));
                    if answer.send(numbers).is_err() {
                        break;
                    }
                }
                on_processor()
            });
            let asker = scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(1);
                for _ in 0..count as usize / batch {
                    ask.send((0..batch).map(|_| rng.u32(0..KEYS)).collect()).unwrap();
                    black_box(answered.recv().unwrap());
                }
                on_processor()
            });
            asker.join().unwrap() + owner.join().unwrap()
        })
    })
}
