//! Sequences of operations on a store against a plain map, with all accounts recounted after each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;

use super::*;
use crate::store::{Keyspace, Store, Text};

type Key = (u8, Vec<u8>);
type Content = BTreeMap<Key, (Vec<u8>, Option<Millis>)>;

#[derive(Clone, Debug)]
enum Operation {
    Set(u8, u16, usize, Option<Option<i64>>),
    Append(u8, u16, usize),
    Read(u8, u16),
    Take(u8, u16),
    Delete(u8, u16),
    Expire(u8, u16, Option<i64>),
    Watch(u8, u16),
    Pass(u32),
    ExpireSome(usize),
    Evict(usize),
    Policy(usize),
    Shrink(usize),
    FlushOne(u8),
    FlushAll,
    Swap(u8, u8),
    ScanSome(usize),
    BeginSnapshot,
    SnapshotSome(usize),
    KeepExpired(bool),
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let (db, key, length) = (0..3u8, 0..300u16, 0..200usize);
    let expiry = || proptest::option::of(-100..200_000i64);
    prop_oneof![
        400 => (db.clone(), key.clone(), length.clone(), proptest::option::of(expiry())).prop_map(|(d, k, l, e)| Set(d, k, l, e)),
        100 => (db.clone(), key.clone(), length).prop_map(|(d, k, l)| Append(d, k, l)),
        100 => (db.clone(), key.clone()).prop_map(|(d, k)| Read(d, k)),
        30 => (db.clone(), key.clone()).prop_map(|(d, k)| Take(d, k)),
        60 => (db.clone(), key.clone()).prop_map(|(d, k)| Delete(d, k)),
        60 => (db.clone(), key.clone(), expiry()).prop_map(|(d, k, e)| Expire(d, k, e)),
        20 => (db.clone(), key).prop_map(|(d, k)| Watch(d, k)),
        30 => (0..30_000u32).prop_map(Pass),
        30 => (1..200usize).prop_map(ExpireSome),
        30 => (1..20usize).prop_map(Evict),
        4 => (0..10usize).prop_map(Policy),
        10 => (1..500usize).prop_map(Shrink),
        2 => db.clone().prop_map(FlushOne),
        1 => Just(FlushAll),
        2 => (db.clone(), db).prop_map(|(one, other)| Swap(one, other)),
        60 => (1..30usize).prop_map(ScanSome),
        8 => Just(BeginSnapshot),
        60 => (0..40usize).prop_map(SnapshotSome),
        3 => any::<bool>().prop_map(KeepExpired),
    ]
}

/// Some keys need memory of their own.
fn key(number: u16) -> Vec<u8> {
    let mut key = format!("key:{number}").into_bytes();
    key.resize(key.len() + usize::from(number % 4) * 9, b'_');
    key
}

struct Pair {
    store: Store,
    now: Millis,
    model: Content,
    keeps_expired: bool,
    rng: fastrand::Rng,
    watched: Vec<(Key, Arc<AtomicBool>, bool)>,
    /// In database 0: the cursor, what was there since the beginning, and what was seen.
    scan: (u64, BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>),
    /// As it was at the beginning, and what came so far; by shard whether that goes on.
    snapshot: Option<(Content, Content, [bool; 2])>,
}

impl Pair {
    fn new() -> Self {
        let store = Store::new(2);
        for index in 0..2 {
            store.shard(index).unwrap().log_removals(true);
        }
        Self {
            store,
            now: 1_700_000_000_000,
            model: Content::new(),
            keeps_expired: false,
            rng: fastrand::Rng::with_seed(11),
            watched: Vec::new(),
            scan: Default::default(),
            snapshot: None,
        }
    }

    fn keys(&self, db: u8) -> Keyspace<'_> {
        self.store.hold_all(db, self.now)
    }

    fn at(&self, distance: i64) -> Millis {
        self.now.saturating_add_signed(distance)
    }

    fn seen(&self, db: u8, number: u16) -> Option<(Vec<u8>, Option<Millis>)> {
        let found = self.model.get(&(db, key(number)));
        found.filter(|(_, at)| at.is_none_or(|at| at > self.now)).cloned()
    }

    fn change(&mut self, db: u8, number: u16, content: Option<(Vec<u8>, Option<Millis>)>) {
        let key = (db, key(number));
        for (_, _, changed) in self.watched.iter_mut().filter(|(watched, ..)| *watched == key) {
            *changed = true;
        }
        match content {
            Some(content) => _ = self.model.insert(key, content),
            None => _ = self.model.remove(&key),
        }
    }

    fn run(&mut self, operation: &Operation) {
        use Operation::*;
        match *operation {
            Set(db, number, length, expiry) => {
                let value = vec![b'v'; length];
                let expiry = match expiry {
                    None => Expiry::Keep,
                    Some(None) => Expiry::Never,
                    Some(Some(distance)) => Expiry::At(self.at(distance)),
                };
                self.keys(db).set(&key(number), Text::new(&value), expiry);
                let at = match expiry {
                    Expiry::Keep => self.seen(db, number).and_then(|(_, at)| at),
                    Expiry::Never => None,
                    Expiry::At(at) => Some(at),
                };
                self.change(db, number, Some((value, at)));
            }
            Append(db, number, length) => {
                let change = |text: &mut Text| {
                    text.edit(|bytes| bytes.extend(vec![b'a'; length]));
                    Edited::when(length > 0, text.len())
                };
                let told = self.keys(db).edit(&key(number), change).unwrap();
                let (mut value, at) = match self.seen(db, number) {
                    Some(seen) => seen,
                    None => return assert_eq!(told, None),
                };
                value.extend(vec![b'a'; length]);
                assert_eq!(told, Some(value.len()));
                if length > 0 {
                    self.change(db, number, Some((value, at)));
                }
            }
            Read(db, number) => {
                let mut keys = self.keys(db);
                let told = keys.view::<Text>(&key(number)).unwrap().map(|text| text.as_bytes().to_vec());
                let at = keys.expiry(&key(number));
                assert_eq!(told.zip(at), self.seen(db, number));
            }
            Take(db, number) => {
                let told = self.keys(db).take(&key(number)).is_some();
                self.gone(db, number, told);
            }
            Delete(db, number) => {
                let told = self.keys(db).delete(&key(number));
                self.gone(db, number, told);
            }
            Expire(db, number, distance) => {
                let at = distance.map(|distance| self.at(distance));
                let told = self.keys(db).set_expiry(&key(number), at);
                let seen = self.seen(db, number);
                assert_eq!(told, seen.is_some());
                if let Some((value, _)) = seen {
                    self.change(db, number, Some((value, at)));
                }
            }
            Watch(db, number) => {
                let flag = Arc::new(AtomicBool::new(false));
                self.keys(db).watch(&key(number), &flag);
                self.watched.push(((db, key(number)), flag, false));
            }
            Pass(time) => self.now += Millis::from(time),
            ExpireSome(most) => {
                for index in 0..2 {
                    let steps = self.store.shard(index).unwrap().expire_some(self.now, most);
                    assert!(steps <= most);
                }
            }
            Evict(most) => {
                for _ in 0..most {
                    let mut shard = self.store.shard(self.rng.usize(0..2)).unwrap();
                    let (before, policy) = (shard.used(), shard.policy());
                    let eligible = match policy {
                        super::Policy::NoEviction => 0,
                        policy if policy.is_volatile() => shard.volatile.iter().sum(),
                        _ => shard.entries.len(),
                    };
                    let freed = shard.evict(&mut self.rng, self.now);
                    assert_eq!(freed.is_some(), eligible > 0, "{policy:?}");
                    assert_eq!(before.saturating_sub(shard.used()), freed.unwrap_or_default());
                    let last = shard.removed.last().cloned();
                    drop(shard);
                    if freed.is_some() && policy.is_volatile() {
                        assert!(self.model[&last.unwrap()].1.is_some());
                    }
                }
            }
            Policy(index) => {
                let policy = super::Policy::all().nth(index).unwrap();
                (0..2).for_each(|index| self.store.shard(index).unwrap().set_policy(policy));
            }
            Shrink(most) => {
                (0..2).for_each(|index| assert!(self.store.shard(index).unwrap().shrink(most) <= most));
            }
            FlushOne(db) => self.flush(Some(db)),
            FlushAll => self.flush(None),
            Swap(one, other) => {
                self.keys(0).swap_databases(one, other);
                let swapped = |db| {
                    if db == one {
                        other
                    } else if db == other {
                        one
                    } else {
                        db
                    }
                };
                for ((db, key), _, changed) in &mut self.watched {
                    let there = |db| self.model.contains_key(&(db, key.clone()));
                    *changed |= (*db == one || *db == other) && (there(one) || there(other));
                }
                self.model = std::mem::take(&mut self.model)
                    .into_iter()
                    .map(|((db, key), held)| ((swapped(db), key), held))
                    .collect();
            }
            ScanSome(count) => self.scan_some(count),
            BeginSnapshot => {
                (0..2).for_each(|index| self.store.shard(index).unwrap().begin_snapshot());
                self.snapshot = Some((self.model.clone(), Content::new(), [true; 2]));
            }
            SnapshotSome(count) => self.snapshot_some(count),
            KeepExpired(keeps) => {
                (0..2).for_each(|index| self.store.shard(index).unwrap().set_keeps_expired(keeps));
                self.keeps_expired = keeps;
            }
        }
    }

    fn gone(&mut self, db: u8, number: u16, told: bool) {
        assert_eq!(told, self.seen(db, number).is_some());
        if told {
            self.change(db, number, None);
        }
    }

    fn flush(&mut self, db: Option<u8>) {
        self.keys(0).flush(db);
        let goes = |key: &Key| db.is_none_or(|db| db == key.0);
        for (key, _, changed) in &mut self.watched {
            *changed |= goes(key) && self.model.contains_key(key);
        }
        self.model.retain(|key, _| !goes(key));
    }

    fn scan_some(&mut self, count: usize) {
        if self.scan.0 == 0 {
            let stays =
                self.model.iter().filter(|((db, _), (_, at))| *db == 0 && at.is_none_or(|at| at > self.now));
            self.scan = (0, stays.map(|((_, key), _)| key.clone()).collect(), BTreeSet::new());
        }
        let mut seen = Vec::new();
        let next = self.keys(0).scan(self.scan.0, count, |key, _| seen.push(key.to_vec()));
        assert!(seen.len() <= count + 2, "{} for {count}", seen.len());
        assert!(seen.iter().all(|key| self.model.contains_key(&(0, key.clone()))));
        self.scan.2.extend(seen);
        self.scan.0 = next;
        if next == 0 {
            assert!(self.scan.2.is_superset(&self.scan.1));
        }
    }

    fn snapshot_some(&mut self, count: usize) {
        let Some((expected, got, goes_on)) = &mut self.snapshot else { return };
        for (index, goes_on) in goes_on.iter_mut().enumerate().filter(|(_, goes_on)| **goes_on) {
            *goes_on = self.store.shard(index).unwrap().snapshot_some(count, &mut |saved| {
                let Value::Text(text) = saved.value else { panic!("no text") };
                let content = (text.as_bytes().to_vec(), saved.expires);
                assert_eq!(got.insert((saved.db, saved.key.to_vec()), content), None, "twice");
            });
            if !*goes_on {
                self.store.shard(index).unwrap().end_snapshot();
            }
        }
        if *goes_on == [false; 2] {
            assert_eq!(got, expected);
            self.snapshot = None;
        }
    }

    /// Takes over what the store says it removed.
    fn settle(&mut self) {
        for index in 0..2 {
            let mut shard = self.store.shard(index).unwrap();
            shard.take_garbage();
            let removed = shard.take_removed();
            drop(shard);
            for (db, key) in removed {
                for (_, _, changed) in
                    self.watched.iter_mut().filter(|(watched, ..)| watched.0 == db && watched.1 == key)
                {
                    *changed = true;
                }
                // What was expired may have been set again by the same operation.
                self.scan.1.remove(&key);
                let mut keys = self.keys(db);
                keys.see_expired();
                let there = keys.contains(&key);
                drop(keys);
                if !there {
                    self.model.remove(&(db, key));
                }
            }
        }
        let (now, model) = (self.now, &self.model);
        self.scan
            .1
            .retain(|key| model.get(&(0, key.clone())).is_some_and(|(_, at)| at.is_none_or(|at| at > now)));
    }

    /// Compares everything.
    fn check(&self) {
        (0..2).for_each(|index| recount(&self.store.shard(index).unwrap()));
        for ((db, key), (value, at)) in &self.model {
            let mut keys = self.keys(*db);
            let gone = at.is_some_and(|at| at <= self.now);
            assert_eq!(keys.peek(key).is_none(), gone, "{key:?}");
            keys.see_expired();
            // A replica's primary still finds it.
            assert_eq!(keys.get::<Text>(key).unwrap().map(Text::as_bytes), Some(&**value));
            assert_eq!(keys.expiry(key), Some(*at));
        }
        for db in 0..3 {
            let here = self.model.iter().filter(|((at, _), _)| *at == db);
            assert_eq!(self.keys(db).len(), here.clone().count());
            assert_eq!(self.keys(db).volatile_len(), here.filter(|(_, (_, at))| at.is_some()).count());
        }
        for (key, flag, changed) in &self.watched {
            assert_eq!(flag.load(Relaxed), *changed, "{key:?}");
        }
    }
}

/// Compares what the shard keeps count of with what is there.
fn recount(shard: &Shard) {
    let heap: usize = shard.entries.iter().map(|(_, entry)| entry.heap()).sum();
    assert_eq!(shard.heap, heap);
    assert_eq!(shard.index, shard.tables.iter().map(Table::bytes).sum::<usize>());
    assert_eq!(shard.tables.iter().map(Table::len).sum::<usize>(), shard.entries.len());
    assert!(shard.used() >= heap + shard.entries.len() * (72 + 6));
    let volatile = shard.entries.iter().filter(|(_, entry)| entry.expires());
    assert_eq!(shard.volatile.iter().sum::<usize>(), volatile.count());
    for (id, entry) in shard.entries.iter() {
        assert_eq!(shard.lookup(entry.db, entry.key.as_bytes(), entry.hash), Some(id));
        assert_eq!(shard.deadlines.at(entry.deadline).is_some(), entry.expires());
    }
    shard.order.check(&shard.entries);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_map_does(operations in proptest::collection::vec(operation(), 1..600)) {
        let mut pair = Pair::new();
        for (operation, number) in operations.iter().zip(1..) {
            pair.run(operation);
            pair.settle();
            if number % 16 == 0 {
                pair.check();
            }
        }
        pair.check();
        while pair.snapshot.is_some() {
            pair.snapshot_some(50);
        }
        pair.run(&Operation::FlushAll);
        pair.settle();
        pair.check();
    }
}

#[test]
fn shrinking_gives_back_and_changes_nothing() {
    const NOW: Millis = 1_700_000_000_000;
    for policy in [super::Policy::AllKeysLru, super::Policy::VolatileS3Fifo] {
        let store = Store::new(1);
        store.shard(0).unwrap().set_policy(policy);
        let mut keys = store.hold_all(0, NOW);
        for number in 0..40_000u16 {
            let expiry =
                if number % 3 == 0 { Expiry::Never } else { Expiry::At(NOW + Millis::from(number) + 1) };
            keys.set(&number.to_be_bytes(), Text::from(i64::from(number)), expiry);
        }
        (0..40_000u16)
            .filter(|number| number % 10 != 0)
            .for_each(|number| assert!(keys.delete(&number.to_be_bytes())));
        drop(keys);
        let mut shard = store.shard(0).unwrap();
        let (used, slack) = (shard.used(), shard.slack());
        shard.begin_snapshot();
        assert_eq!(shard.shrink(100), 0);
        shard.end_snapshot();
        let mut steps = 0;
        while shard.shrink(100) > 0 {
            steps += 1;
        }
        recount(&shard);
        assert!(steps > 20 && shard.slack() < slack / 3, "{steps} steps, {} of {slack} left", shard.slack());
        assert_eq!(shard.used(), used);
        while shard.expire_some(NOW + 100_000, 100) > 0 {}
        recount(&shard);
        drop(shard);
        let mut keys = store.hold_all(0, NOW);
        for number in (0..40_000u16).step_by(10) {
            let value = keys.view::<Text>(&number.to_be_bytes()).unwrap();
            assert_eq!(value.cloned(), (number % 3 == 0).then(|| Text::from(i64::from(number))));
        }
    }
}

#[test]
fn many_that_are_due_go_in_steps() {
    const NOW: Millis = 1_700_000_000_000;
    let store = Store::new(1);
    let mut keys = store.hold_all(0, NOW);
    (0..30_000u16).for_each(|number| keys.set(&number.to_be_bytes(), Text::default(), Expiry::At(NOW + 5)));
    drop(keys);
    let mut shard = store.shard(0).unwrap();
    assert_eq!(shard.expire_some(NOW + 5, 100), 0, "the tick is not over");
    let mut before = shard.len(0);
    loop {
        let steps = shard.expire_some(NOW + 1000, 100);
        assert!(before - shard.len(0) <= 100);
        before = shard.len(0);
        if steps < 100 {
            break;
        }
    }
    assert_eq!((shard.len(0), shard.counters().expired), (0, 30_000));
}

#[test]
fn generations_of_snapshots_given_up_do_not_come_back() {
    const NOW: Millis = 1_700_000_000_000;
    let store = Store::new(1);
    (0..10u8).for_each(|number| store.hold_all(0, NOW).set(&[number], Text::default(), Expiry::Never));
    for round in 0..1000 {
        let mut shard = store.shard(0).unwrap();
        shard.begin_snapshot();
        let (mut seen, count) = (0, round % 7);
        shard.snapshot_some(count, &mut |_| seen += 1);
        assert_eq!(seen, count);
        // Every so often one is finished.
        if round % 400 == 399 {
            while shard.snapshot_some(1, &mut |_| seen += 1) {}
            assert_eq!(seen, 10);
        }
        shard.end_snapshot();
    }
}
