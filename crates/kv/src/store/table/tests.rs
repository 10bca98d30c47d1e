//! A table against a plain map, while it grows, shrinks and is walked through.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Numbers whose hashes are known to the test.
#[derive(Default)]
struct Known {
    table: Table,
    hashes: BTreeMap<u32, u32>,
}

impl Known {
    fn insert(&mut self, hash: u32, number: u32) {
        self.table.insert(hash, number, |number| self.hashes[&number]);
        self.hashes.insert(number, hash);
    }

    fn remove(&mut self, number: u32) {
        let hash = self.hashes.remove(&number).unwrap();
        assert!(self.table.remove(hash, number));
        assert!(!self.table.remove(hash, number));
    }

    fn check(&self) {
        let table = &self.table;
        assert_eq!(table.len(), self.hashes.len());
        for (&number, &hash) in &self.hashes {
            assert_eq!(table.find(hash, |found| found == number), Some(number));
        }
        let segments = || table.segments.iter().map(|(_, segment)| segment);
        assert_eq!(table.pairs, segments().map(Segment::bytes).sum::<usize>());
        assert_eq!(segments().map(Segment::len).sum::<usize>(), self.hashes.len());
        if table.len() > 0 {
            assert_eq!(table.directory.len(), 1 << table.depth);
            assert_eq!(segments().map(Segment::depth).max(), Some(table.depth));
        }
        let mut walked = Vec::new();
        assert_eq!(
            table.walk(0, |number| {
                walked.push(number);
                true
            }),
            None
        );
        assert_eq!(walked.len(), self.hashes.len());
        // Sorted, by as many bits as the segments know.
        assert!(walked.is_sorted_by_key(|number| self.hashes[number] >> 16));
    }
}

#[test]
fn it_grows_and_shrinks_to_nothing() {
    let mut known = Known::default();
    let mut rng = fastrand::Rng::with_seed(2);
    for number in 0..20_000 {
        known.insert(rng.u32(..), number);
        if number % 4999 == 0 {
            known.check();
        }
    }
    known.check();
    let per_pair = known.table.bytes() as f64 / 20_000.0;
    assert!(per_pair < 8.0, "{per_pair} bytes for a pair");
    for number in 0..20_000 {
        known.remove(number);
        if number % 4999 == 0 {
            known.check();
        }
    }
    known.check();
    assert_eq!((known.table.bytes(), known.table.segments.len()), (0, 0));
}

#[test]
fn hashes_that_are_alike_are_told_apart_by_number() {
    let mut known = Known::default();
    for number in 0..40 {
        known.insert((7 << 28) | (number % 3), number);
    }
    // Enough others that the segment splits, deep.
    for number in 40..4000 {
        known.insert((7 << 28) | (number << 8), number);
    }
    known.check();
    for number in (0..4000).step_by(2) {
        known.remove(number);
    }
    known.check();
    // A walk stops behind those that it could not come back between.
    let mut alike = 0;
    let next = known.table.walk(7 << 28, |number| {
        alike += u32::from(number < 40);
        false
    });
    assert_eq!(alike, 7);
    assert!(next.is_some_and(|next| next > 7 << 28));
    known.table.renumber((7 << 28) | 1, 1, 5000);
    assert_eq!(known.table.find((7 << 28) | 1, |number| number == 5000), Some(5000));
}

#[test]
fn a_walk_in_steps_misses_nothing_that_stays() {
    let mut rng = fastrand::Rng::with_seed(3);
    for round in 0..20 {
        let mut known = Known::default();
        let stay: BTreeSet<u32> = (0..2000).collect();
        for &number in &stay {
            known.insert(rng.u32(..), number);
        }
        let (mut next, mut seen, mut position, mut steps) = (2000, BTreeSet::new(), Some(0), 0);
        while let Some(at) = position {
            let mut left = rng.usize(1..40);
            let budget = left;
            let mut visited = 0;
            position = known.table.walk(at, |number| {
                seen.insert(number);
                visited += 1;
                left = left.saturating_sub(1);
                left > 0
            });
            assert!(visited <= budget + 3, "{visited} for {budget}");
            // It grows meanwhile; in odd rounds what was added goes again.
            for _ in 0..200 {
                if steps < 20 {
                    known.insert(rng.u32(..), next);
                    next += 1;
                } else if let Some((&number, _)) =
                    known.hashes.range(2000..).next().filter(|_| round % 2 == 1)
                {
                    known.remove(number);
                }
            }
            steps += 1;
        }
        assert!(seen.is_superset(&stay), "round {round}");
    }
}
