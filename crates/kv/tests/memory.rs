//! What the store says it uses is what the process takes: `used` against the resident set, in a process for each case.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::Command;

use evenkeel_kv::store::{Expiry, Store, Text};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const CASE: &str = "EVENKEEL_KV_MEMORY_CASE";
const NOW: u64 = 1_700_000_000_000;

/// Bytes of a key and of a value, how many of them, and seconds to live (0 for ever).
const CASES: [[usize; 4]; 5] = [
    [16, 8, 1_000_000, 0],
    [16, 64, 1_000_000, 0],
    [64, 64, 1_000_000, 0],
    [16, 64, 1_000_000, 10_000],
    [16, 1024, 200_000, 0],
];

/// The resident set without the pages of files, which are those of the program.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: Vec<usize> = statm.split(' ').map_while(|word| word.parse().ok()).collect();
    (pages[1] - pages[2]) * 4096
}

#[test]
fn used_is_what_the_process_takes() {
    let this = std::env::current_exe().unwrap();
    for case in CASES {
        let words = case.map(|number| number.to_string()).join(" ");
        let output = Command::new(&this)
            .args(["one_case", "--exact", "--ignored", "--nocapture"])
            .env(CASE, words)
            // Freed pages go back at once and not within a second, as the server has it.
            .env("MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().filter(|line| line.contains("bytes a key")).for_each(|line| println!("{line}"));
    }
}

/// Run by the other test, in a process of its own.
#[test]
#[ignore = "measures a case that the other test chooses"]
fn one_case() {
    let Ok(case) = std::env::var(CASE) else { return };
    let case: Vec<usize> = case.split(' ').map(|word| word.parse().unwrap()).collect();
    let [key_bytes, value_bytes, keys, lifetime] = case[..] else { panic!("four numbers") };
    // Without optimisation it takes several times as long.
    let keys = if cfg!(debug_assertions) { keys / 4 } else { keys };
    let store = Store::new(4);
    let before = resident();
    for number in 0..keys {
        let key = format!("{number:0key_bytes$}").into_bytes();
        let value = Text::from(vec![b'v'; value_bytes]);
        let expiry = match lifetime as u64 {
            0 => Expiry::Never,
            seconds => Expiry::At(NOW + 1000 * (seconds + number as u64 % 50_000)),
        };
        store.hold_key(0, &key, NOW).set(&key, value, expiry);
    }
    let taken = resident() - before;
    let shards = || (0..store.shard_count()).map(|index| store.shard(index).unwrap());
    let used: usize = shards().map(|shard| shard.used()).sum();
    let slack: usize = shards().map(|shard| shard.slack()).sum();
    let each = |bytes: usize| bytes as f64 / keys as f64;
    println!(
        "{key_bytes}-byte keys, {value_bytes}-byte values, {}: {:.1} bytes a key used, {:.1} free beside, {:.1} resident",
        if lifetime > 0 { "expiring" } else { "lasting" },
        each(used),
        each(slack),
        each(taken)
    );
    let difference = used as f64 / taken as f64 - 1.0;
    assert!(difference.abs() < 0.1, "{used} used of {taken} taken");
}
