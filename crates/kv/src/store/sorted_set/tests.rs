//! A sorted set against a simple model, and the account of its memory against a recount.

use std::collections::{BTreeSet, HashMap, HashSet};

use proptest::prelude::*;

use super::*;

/// A score that can be a key, as a number that is ordered alike: zero has no sign.
type Place = (i64, Vec<u8>);

fn place(score: f64, member: &[u8]) -> Place {
    let bits = (score + 0.0).to_bits() as i64;
    (bits ^ (((bits >> 63) as u64) >> 1) as i64, member.to_vec())
}

#[derive(Default)]
struct Model {
    scores: HashMap<Vec<u8>, f64>,
    order: BTreeSet<Place>,
}

impl Model {
    fn insert(&mut self, member: &[u8], score: f64) -> Placed {
        let old = self.scores.get(member).copied();
        if old == Some(score) {
            return Placed::Same;
        }
        if let Some(old) = old {
            self.order.remove(&place(old, member));
        }
        self.scores.insert(member.to_vec(), score);
        self.order.insert(place(score, member));
        if old.is_some() { Placed::Moved } else { Placed::Added }
    }

    fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let score = self.scores.remove(member)?;
        self.order.remove(&place(score, member));
        Some(score)
    }

    fn remove_range(&mut self, ranks: Range<usize>) -> usize {
        let gone: Vec<_> = self.order.iter().skip(ranks.start).take(ranks.len()).cloned().collect();
        gone.iter().for_each(|(_, member)| {
            self.remove(member);
        });
        gone.len()
    }

    fn listed(&self) -> Vec<(Vec<u8>, f64)> {
        self.order.iter().map(|(_, member)| (member.clone(), self.scores[member])).collect()
    }
}

fn listed<'a>(members: impl Iterator<Item = (&'a [u8], f64)>) -> Vec<(Vec<u8>, f64)> {
    members.map(|(member, score)| (member.to_vec(), score)).collect()
}

/// The set is what the model is, seen in every way, and its account is right.
fn same(set: &SortedSet, model: &Model) {
    let expected = model.listed();
    assert_eq!(set.len(), expected.len());
    assert_eq!(set.is_empty(), expected.is_empty());
    assert_eq!(listed(set.iter()), expected);
    let mut backwards = listed(set.iter().rev());
    backwards.reverse();
    assert_eq!(backwards, expected);
    for (rank, (member, score)) in expected.iter().enumerate() {
        assert_eq!(set.score(member), Some(*score));
        assert_eq!(set.rank(member), Some(rank));
    }
    let numbers: HashSet<_> = (0..set.len()).map(|number| set.nth(number).unwrap().0).collect();
    assert_eq!(numbers.len(), set.len());
    assert_eq!(set.nth(set.len()), None);
    assert_eq!(set.heap(), recount(set));
}

fn recount(set: &SortedSet) -> usize {
    allocation(size_of::<SortedSet>())
        + match &set.0 {
            Form::Compact(compact) => compact.heap(),
            Form::Large(large) => {
                assert_eq!(large.members.len(), large.order.len());
                allocation(size_of::<Large>()) + large.members.recount() + large.order.recount()
            }
        }
}

fn numbered(number: usize) -> Vec<u8> {
    // Some too long for their place.
    format!("member:{number}{}", "x".repeat(if number.is_multiple_of(7) { 30 } else { 0 })).into_bytes()
}

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, f64),
    Remove(usize),
    RemoveRange(usize, usize),
    Many(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let scores = prop_oneof![
        (-3i32..3).prop_map(f64::from),
        any::<i32>().prop_map(f64::from),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
    ];
    let step = prop_oneof![
        8 => (0usize..600, scores).prop_map(|(member, score)| Step::Insert(member, score)),
        4 => (0usize..600).prop_map(Step::Remove),
        1 => (0usize..500, 0usize..60).prop_map(|(start, length)| Step::RemoveRange(start, start + length)),
        1 => (0usize..400, any::<bool>()).prop_map(|(count, up)| Step::Many(count, up)),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn it_is_as_its_model(steps in steps()) {
        let (mut set, mut model) = (SortedSet::default(), Model::default());
        for step in steps {
            match step {
                Step::Insert(number, score) => {
                    let member = numbered(number);
                    assert_eq!(set.insert(&member, score), model.insert(&member, score));
                }
                Step::Remove(number) => {
                    let member = numbered(number);
                    assert_eq!(set.remove(&member), model.remove(&member));
                }
                Step::RemoveRange(start, end) => {
                    assert_eq!(set.remove_range(start..end), model.remove_range(start..end));
                }
                Step::Many(count, up) => for number in 0..count {
                    let member = numbered(number + 600);
                    let score = if up { number as f64 } else { -(number as f64) };
                    assert_eq!(set.insert(&member, score), model.insert(&member, score));
                },
            }
        }
        same(&set, &model);
        let copy = set.clone();
        same(&copy, &model);
        for score in [f64::NEG_INFINITY, -1.0, 0.0, 1.0, 2.5, f64::INFINITY] {
            let count = |inclusive: bool| {
                model.scores.values().filter(|other| **other < score || (inclusive && **other == score)).count()
            };
            assert_eq!(set.below(score, false), count(false));
            assert_eq!(set.below(score, true), count(true));
        }
        let (start, end) = (set.len() / 3, set.len() / 2 + 5);
        let expected: Vec<_> = model.listed().into_iter().skip(start).take(end - start).collect();
        assert_eq!(listed(set.range(start..end)), expected);
    }
}

#[test]
fn a_large_one_grows_and_shrinks_as_its_model() {
    let (mut set, mut model) = (SortedSet::default(), Model::default());
    let mut rng = fastrand::Rng::with_seed(1);
    for number in 0..20_000 {
        let (member, score) = (numbered(number), rng.u32(0..3000).into());
        assert_eq!(set.insert(&member, score), model.insert(&member, score));
    }
    same(&set, &model);
    let full = set.heap();
    let copy = set.clone();
    for number in (0..20_000).filter(|number| number % 20 != 0) {
        let member = numbered(number);
        assert_eq!(set.remove(&member), model.remove(&member));
    }
    same(&set, &model);
    assert!(set.heap() < full / 5, "{} of {full} for a twentieth", set.heap());
    assert_eq!(set.remove_range(100..900), model.remove_range(100..900));
    same(&set, &model);
    while !set.is_empty() {
        let at = rng.usize(0..set.len());
        assert_eq!(set.remove_range(at..at + 1), model.remove_range(at..at + 1));
    }
    same(&set, &model);
    set.insert(b"again", 1.0);
    assert_eq!(listed(set.iter()), [(b"again".to_vec(), 1.0)]);
    assert_eq!((copy.len(), copy.heap()), (20_000, recount(&copy)));
}

#[test]
fn a_copy_that_grows_keeps_its_account() {
    let mut set = SortedSet::default();
    (0..900).for_each(|number| {
        set.insert(&numbered(number), number as f64);
    });
    let mut copy = set.clone();
    (900..3000).for_each(|number| {
        copy.insert(&numbered(number), (number % 40) as f64);
    });
    assert_eq!(copy.heap(), recount(&copy));
    assert_eq!((set.len(), copy.len()), (900, 3000));
}

#[test]
fn what_comes_in_order_takes_little() {
    let (mut up, mut down) = (SortedSet::default(), SortedSet::default());
    for number in 0..100_000 {
        up.insert(&numbered(number), number as f64);
        down.insert(&numbered(number), -(number as f64));
    }
    let texts: usize = up.iter().map(|(member, _)| crate::store::Text::new(member).heap()).sum();
    for set in [&up, &down] {
        let each = (set.heap() - texts) as f64 / 100_000.0;
        assert!(each < 70.0, "{each} bytes for each member");
    }
    assert!(up.iter().eq(down.iter().rev().map(|(member, score)| (member, -score))));
}

#[test]
fn a_small_one_takes_little_more_than_its_members() {
    let mut set = SortedSet::default();
    for number in 0..100 {
        set.insert(format!("m{number}").as_bytes(), number.into());
    }
    assert!(matches!(set.0, Form::Compact(_)));
    assert!(set.heap() <= 100 * 16, "{}", set.heap());
    for number in 0..90 {
        set.remove(format!("m{number}").as_bytes());
    }
    assert!(set.heap() <= 10 * 24, "{}", set.heap());
}

#[test]
fn long_members_make_it_large_and_are_kept() {
    let mut set = SortedSet::default();
    let long = vec![b'x'; 100_000];
    set.insert(b"", 1.0);
    set.insert(&long, 0.0);
    assert!(matches!(set.0, Form::Large(_)));
    assert_eq!(listed(set.iter()), [(long.clone(), 0.0), (Vec::new(), 1.0)]);
    assert!(set.heap() > 100_000);
    assert_eq!(set.remove(&long), Some(0.0));
    assert!(set.heap() < 100_000);
    assert_eq!(set.heap(), recount(&set));
}

#[test]
fn equal_scores_are_ordered_by_bytes() {
    let members: [&[u8]; 10] =
        [b"", b"\0", b"\0\0", b"a", b"a\0", b"aaaa", b"aaaa\0", b"aaaab", b"b", b"\xff\xff\xff\xff\xff"];
    let mut set = SortedSet::default();
    (0..200).for_each(|number| {
        set.insert(format!("zz{number}").as_bytes(), 0.0);
    });
    for member in members.iter().rev() {
        set.insert(member, -0.0);
    }
    let mut sorted: Vec<_> = set.iter().map(|(member, _)| member.to_vec()).collect();
    sorted.sort();
    assert!(set.iter().map(|(member, _)| member).eq(sorted.iter().map(Vec::as_slice)));
    for (rank, member) in sorted.iter().enumerate() {
        assert_eq!(set.below_member(member, false), rank);
        assert_eq!(set.below_member(member, true), rank + 1);
    }
    assert_eq!(set.below_member(b"aaaaa", true), 7);
}

#[test]
fn a_scan_finds_all_that_stays() {
    let mut set = SortedSet::default();
    let mut rng = fastrand::Rng::with_seed(2);
    (0..3000).for_each(|number| {
        set.insert(&numbered(number), rng.f64());
    });
    // Those whose number 3 divides stay; others come, go and move while the scan is under way.
    let (mut found, mut cursor, mut calls) = (HashSet::new(), 0, 0);
    loop {
        cursor = set.scan(cursor, 10, |member, _| {
            found.insert(member.to_vec());
        });
        calls += 1;
        if cursor == 0 {
            break;
        }
        for _ in 0..20 {
            let number = rng.usize(0..3000) / 3 * 3 + 1;
            set.remove(&numbered(number));
            set.insert(&numbered(number + rng.usize(0..2) * 3000), rng.f64());
            set.insert(&numbered(rng.usize(0..1000) * 3), rng.f64());
        }
    }
    assert!(calls > 100, "{calls}");
    assert!((0..3000).step_by(3).all(|number| found.contains(&numbered(number))));
    assert_eq!(set.scan(u64::MAX, 5, |_, _| {}), set.len() as u64 - 5);
}

#[test]
fn what_a_listpack_holds() {
    let mut set = SortedSet::default();
    set.insert(b"abc", 1.0);
    set.insert(b"abcd", 2.0);
    assert!(set.is_within((2, 4)));
    assert!(!set.is_within((1, 4)));
    assert!(!set.is_within((2, 3)));
}
