//! What the store says it uses is what the process takes: `used` against the resident set, in a process for each case.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::Command;

use evenkeel_kv::store::{Edited, Expiry, Hash, Keyspace, List, Placed, Set, SortedSet, Store, Text};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const CASE: &str = "EVENKEEL_KV_MEMORY_CASE";
const NOW: u64 = 1_700_000_000_000;

/// What is stored, bytes of a key and of a value or element, how many of them, elements of a key, seconds to live (0 for ever).
type Case = (&'static str, usize, usize, usize, usize, usize);

const CASES: [Case; 11] = [
    ("string", 16, 8, 1_000_000, 1, 0),
    ("string", 16, 64, 1_000_000, 1, 0),
    ("string", 64, 64, 1_000_000, 1, 0),
    ("string", 16, 64, 1_000_000, 1, 10_000),
    ("string", 16, 1024, 200_000, 1, 0),
    ("hash", 16, 20, 100_000, 10, 0),
    ("hash", 16, 20, 4, 250_000, 0),
    ("set", 16, 20, 4, 250_000, 0),
    ("list", 16, 20, 4, 1_000_000, 0),
    ("zset", 16, 20, 4, 250_000, 0),
    ("zset", 16, 20, 20_000, 50, 0),
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
    for number in 0..CASES.len() {
        let output = Command::new(&this)
            .args(["one_case", "--exact", "--ignored", "--nocapture"])
            .env(CASE, number.to_string())
            // Freed pages go back at once and not within a second, as the server has it.
            .env("MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().filter(|line| line.contains("bytes each")).for_each(|line| println!("{line}"));
    }
}

/// Run by the other test, in a process of its own.
#[test]
#[ignore = "one case, run in a process of its own by: cargo test -p evenkeel-kv --test memory"]
fn one_case() {
    let Ok(case) = std::env::var(CASE) else { return };
    let (kind, key_bytes, value_bytes, keys, elements, lifetime) = CASES[case.parse::<usize>().unwrap()];
    // Without optimisation it takes several times as long.
    let share = if cfg!(debug_assertions) { 4 } else { 1 };
    let (keys, elements) = if keys > 100 { (keys / share, elements) } else { (keys, elements / share) };
    let store = Store::new(4);
    let before = resident();
    for number in 0..keys {
        let key = format!("{number:0key_bytes$}").into_bytes();
        let expiry = match lifetime as u64 {
            0 => Expiry::Never,
            seconds => Expiry::At(NOW + 1000 * (seconds + number as u64 % 50_000)),
        };
        let mut keyspace = store.hold_key(0, &key, NOW);
        if kind == "string" {
            keyspace.set(&key, Text::from(vec![b'v'; value_bytes]), expiry);
            continue;
        }
        for element in 0..elements {
            add(&mut keyspace, kind, &key, format!("{element:0value_bytes$}").as_bytes());
        }
    }
    let taken = resident() - before;
    let shards = || (0..store.shard_count()).map(|index| store.shard(index).unwrap());
    let used: usize = shards().map(|shard| shard.used()).sum();
    let slack: usize = shards().map(|shard| shard.slack()).sum();
    let each = |bytes: usize| bytes as f64 / (keys * elements) as f64;
    println!(
        "{kind}, {keys} × {elements}, {key_bytes}-byte keys, {value_bytes}-byte values, {}: {:.1} bytes each used, {:.1} free beside, {:.1} resident",
        if lifetime > 0 { "expiring" } else { "lasting" },
        each(used),
        each(slack),
        each(taken)
    );
    let difference = used as f64 / taken as f64 - 1.0;
    assert!(difference.abs() < 0.1, "{kind}: {used} used of {taken} taken");
}

/// Adds one element to a collection.
fn add(keyspace: &mut Keyspace<'_>, kind: &str, key: &[u8], element: &[u8]) {
    let added = match kind {
        "hash" => keyspace.edit_or_new(key, |hash: &mut Hash| Edited::Changed(hash.insert(element, element))),
        "set" => keyspace.edit_or_new(key, |set: &mut Set| Edited::Changed(set.insert(element))),
        "list" => keyspace.edit_or_new(key, |list: &mut List| {
            list.push_back(element);
            Edited::Changed(true)
        }),
        _ => keyspace.edit_or_new(key, |set: &mut SortedSet| {
            Edited::Changed(set.insert(element, element.len() as f64) != Placed::Same)
        }),
    };
    assert!(added.unwrap());
}
