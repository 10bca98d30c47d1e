//! A snapshot is the data of one moment, and its file is whole or the old one.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::*;
use crate::store::{Expiry, Keyspace, List, Millis, Store, Text};

const NOW: Millis = 1_700_000_000_000;

/// A directory of a test's own.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("evenkeel-kv-{}-{name}", std::process::id()));
        // Left by an earlier process of the same number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("dump.rdb")
    }

    fn names(&self) -> Vec<String> {
        let names =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(text: &str) -> Text {
    Text::new(text.as_bytes())
}

fn filled() -> Store {
    let store = Store::new(4);
    let mut keys = store.hold_all(0, NOW);
    for number in 0..5000 {
        keys.set(format!("key {number}").as_bytes(), text(&number.to_string()), Expiry::Never);
    }
    let mut list = List::default();
    list.push_back(b"one");
    keys.set(b"list", crate::store::Value::List(Box::new(list)), Expiry::At(NOW + 10_000));
    keys.set(b"over", text("x"), Expiry::At(NOW + 5));
    keys.select(7);
    keys.set(b"elsewhere", text("y"), Expiry::Never);
    drop(keys);
    store
}

fn saved(store: &Store, path: &std::path::Path) -> Figures {
    save(path, Snapshot::begin(store, NOW, |_| facts(NOW))).unwrap()
}

fn restored(path: &std::path::Path, now: Millis) -> (Store, Found) {
    let store = Store::new(8);
    let found = restore(path, &store, now, || {}).unwrap();
    (store, found)
}

fn value(keys: &Keyspace<'_>, key: &str) -> Option<String> {
    keys.get::<Text>(key.as_bytes()).unwrap().map(|text| text.as_bytes().escape_ascii().to_string())
}

#[test]
fn what_is_saved_is_there_again() {
    let directory = Directory::new("again");
    assert!(matches!(restored(&directory.file(), NOW).1, Found::Nothing));
    let figures = saved(&filled(), &directory.file());
    assert_eq!(figures.keys, 5003);
    assert_eq!(figures.bytes, fs::metadata(directory.file()).unwrap().len());
    assert_eq!(directory.names(), ["dump.rdb"]);
    let (store, found) = restored(&directory.file(), NOW + 6);
    let Found::Loaded(loaded) = found else { panic!("{found:?}") };
    assert_eq!((loaded.keys, loaded.expired), (5002, 1));
    let mut keys = store.hold_all(0, NOW + 6);
    assert_eq!(keys.len(), 5001);
    assert_eq!(value(&keys, "key 4999").unwrap(), "4999");
    assert_eq!(keys.expiry(b"list"), Some(Some(NOW + 10_000)));
    assert_eq!(keys.get::<List>(b"list").unwrap().unwrap().iter().collect::<Vec<_>>(), [b"one"]);
    assert!(!keys.contains(b"over"));
    keys.select(7);
    assert_eq!(value(&keys, "elsewhere").unwrap(), "y");
}

#[test]
fn a_snapshot_is_of_one_moment_whatever_happens_meanwhile() {
    let directory = Directory::new("moment");
    let store = Arc::new(filled());
    let snapshot = Snapshot::begin(&store, NOW, |_| Vec::new());
    let mut keys = store.hold_all(0, NOW + 1);
    for number in 0..5000 {
        let key = format!("key {number}");
        match number % 5 {
            0 => keys.set(key.as_bytes(), text("changed"), Expiry::Never),
            1 => _ = keys.delete(key.as_bytes()),
            2 => _ = keys.set_expiry(key.as_bytes(), Some(NOW + 99_999)),
            3 => keys.set(format!("new {number}").as_bytes(), text("new"), Expiry::Never),
            _ => {}
        }
    }
    keys.flush(Some(7));
    drop(keys);
    // Others change things while it is written as well.
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut rng = fastrand::Rng::with_seed(1);
            while !stop.load(Relaxed) {
                let key = format!("key {}", rng.u32(0..5000));
                store.hold_key(0, key.as_bytes(), NOW).set(key.as_bytes(), text("later"), Expiry::Never);
            }
        })
    };
    let figures = save(&directory.file(), snapshot).unwrap();
    stop.store(true, Relaxed);
    writer.join().unwrap();
    assert_eq!(figures.keys, 5003);
    let (store, _) = restored(&directory.file(), NOW);
    let mut keys = store.hold_all(0, NOW);
    assert_eq!(keys.len(), 5002);
    for number in 0..5000 {
        let key = format!("key {number}");
        assert_eq!(value(&keys, &key), Some(number.to_string()), "{key}");
        assert_eq!(keys.expiry(key.as_bytes()), Some(None), "{key}");
    }
    keys.select(7);
    assert!(keys.contains(b"elsewhere"));
}

#[test]
fn a_snapshot_that_is_given_up_leaves_nothing_behind() {
    let directory = Directory::new("given-up");
    let store = filled();
    saved(&store, &directory.file());
    let before = fs::read(directory.file()).unwrap();
    // The directory of the temporary file does not exist.
    let nowhere = directory.0.join("nowhere").join("dump.rdb");
    save(&nowhere, Snapshot::begin(&store, NOW, |_| Vec::new())).unwrap_err();
    let mut pieces = 0;
    let full = Snapshot::begin(&store, NOW, |_| Vec::new()).write(|_| {
        pieces += 1;
        Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
    });
    assert_eq!((full.unwrap_err().kind(), pieces), (std::io::ErrorKind::StorageFull, 1));
    assert_eq!(fs::read(directory.file()).unwrap(), before);
    assert_eq!(directory.names(), ["dump.rdb"]);
    // The next one is whole.
    assert_eq!(saved(&store, &directory.file()).keys, 5003);
}

#[test]
fn a_damaged_file_is_set_aside_and_never_written_over() {
    let directory = Directory::new("damaged");
    for damage in 0..3 {
        saved(&filled(), &directory.file());
        let mut bytes = fs::read(directory.file()).unwrap();
        let at = 1000 + damage;
        bytes[at] ^= 0x10;
        fs::write(directory.file(), &bytes).unwrap();
        let (store, found) = restored(&directory.file(), NOW);
        let Found::Damaged { aside, .. } = found else { panic!("{found:?}") };
        assert_eq!(fs::read(aside).unwrap(), bytes);
        assert!(store.hold_all(0, NOW).is_empty(), "nothing of it is kept");
    }
    let seconds = NOW / 1000;
    let name = format!("dump.rdb.damaged-{seconds}");
    assert_eq!(directory.names(), [name.clone(), format!("{name}-1"), format!("{name}-2")]);
}

#[test]
fn what_a_dead_process_left_is_removed() {
    let directory = Directory::new("stale");
    fs::write(directory.0.join("dump.rdb.tmp-123"), "half").unwrap();
    fs::write(directory.0.join("dump.rdb.other"), "not ours").unwrap();
    assert!(matches!(restored(&directory.file(), NOW).1, Found::Nothing));
    assert_eq!(directory.names(), ["dump.rdb.other"]);
}

#[test]
fn room_is_made_while_loading() {
    let directory = Directory::new("room");
    saved(&filled(), &directory.file());
    let mut calls = 0;
    restore(&directory.file(), &Store::new(1), NOW, || calls += 1).unwrap();
    assert!(calls > 10, "{calls}");
}

#[test]
fn the_saver_saves_when_asked_and_when_something_changed() {
    let directory = Directory::new("saver");
    let (store, changes) = (filled(), AtomicU64::new(0));
    let turn = Turn::default();
    let saver = Saver::new(Some(directory.file()), None, Arc::clone(&turn), NOW);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| saver.run(&store, || NOW + 1, || changes.load(Relaxed)));
        changes.store(3, Relaxed);
        assert_eq!(saver.status(changes.load(Relaxed)).unsaved_changes, 3);
        // While somebody else takes a snapshot it waits, and refuses another.
        let held = turn.blocking_lock();
        let attempt = saver.request().unwrap();
        assert_eq!(saver.request(), Err(Refused::InProgress));
        drop(held);
        assert!(runtime.block_on(saver.finished(attempt)));
        let status = saver.status(changes.load(Relaxed));
        assert_eq!((status.last_success, status.saves, status.unsaved_changes), (NOW + 1, 1, 0));
        // On an interval, as something has changed.
        changes.store(4, Relaxed);
        saver.set_interval(Some(std::time::Duration::from_millis(1)));
        assert!(runtime.block_on(saver.finished(2)));
        saver.set_interval(None);
        // Where it cannot be written.
        runtime.block_on(saver.idle());
        let attempts =
            saver.status(changes.load(Relaxed)).saves + saver.status(changes.load(Relaxed)).failures;
        fs::remove_dir_all(&directory.0).unwrap();
        let attempt = saver.request().unwrap();
        assert_eq!(attempt, attempts + 1);
        assert!(!runtime.block_on(saver.finished(attempt)));
        let status = saver.status(changes.load(Relaxed));
        assert!(!status.last_ok && status.failures == 1);
        saver.stop();
    });
    assert_eq!(saver.request(), Err(Refused::Off));
}

#[test]
fn the_last_save_has_everything_or_fails() {
    let directory = Directory::new("last");
    let (store, changes) = (filled(), AtomicU64::new(0));
    let now = || changes.load(Relaxed);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for fails in [false, true] {
        let turn = Turn::default();
        let saver = Saver::new(Some(directory.file()), None, Arc::clone(&turn), NOW);
        std::thread::scope(|scope| {
            scope.spawn(|| saver.run(&store, || NOW + 1, now));
            runtime.block_on(saver.settle(now)).unwrap();
            assert_eq!(saver.status(now()).saves, 0, "nothing has changed");
            changes.fetch_add(1, Relaxed);
            // Another one is being saved, and is awaited.
            let held = turn.blocking_lock();
            saver.request().unwrap();
            if fails {
                fs::remove_dir_all(&directory.0).unwrap();
            }
            drop(held);
            let finished = runtime.block_on(saver.finish(now));
            let status = saver.status(now());
            if fails {
                let error = finished.unwrap_err().to_string();
                assert!(error.starts_with(&format!("cannot save {}", directory.file().display())), "{error}");
                assert_eq!((status.failures, status.last_ok), (2, false), "and tried again");
            } else {
                finished.unwrap();
                assert_eq!((status.saves, status.unsaved_changes), (1, 0));
            }
        });
        changes.store(0, Relaxed);
    }
}
