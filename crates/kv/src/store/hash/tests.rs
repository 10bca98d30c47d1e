//! Hashes against a model, and their account against a recount.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    Clone,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0..600u16).prop_map(|number| number.to_string().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
        1 => (0..4u8).prop_map(|letter| vec![letter; 200]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (100..400usize).prop_map(|length| vec![b'v'; length]),
    ];
    prop_oneof![
        60 => (name(), value).prop_map(|(field, value)| Step::Insert(field, value)),
        30 => name().prop_map(Step::Remove),
        1 => Just(Step::Clone),
    ]
}

fn recount(hash: &Hash) -> usize {
    allocation(size_of::<Hash>())
        + match &hash.0 {
            Form::Small(small) => small.heap(),
            Form::Large(large) => allocation(size_of::<Large>()) + large.recount(),
        }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn it_is_a_map(steps in proptest::collection::vec(step(), 0..900)) {
        let (mut hash, mut model) = (Hash::default(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Insert(field, value) => {
                    prop_assert_eq!(hash.insert(&*field, &*value), !model.contains_key(&field));
                    model.insert(field, value);
                }
                Step::Remove(field) => prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                Step::Clone => hash = hash.clone(),
            }
            prop_assert_eq!(hash.len(), model.len());
            prop_assert_eq!(hash.heap(), recount(&hash));
        }
        let pairs: BTreeMap<Vec<u8>, Vec<u8>> =
            hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
        prop_assert_eq!(&pairs, &model);
        prop_assert_eq!(hash.iter().count(), model.len());
        for (field, value) in &model {
            prop_assert_eq!(hash.get(field), Some(&**value));
        }
        let numbered: BTreeSet<_> = (0..hash.len()).filter_map(|number| hash.nth(number)).collect();
        prop_assert_eq!(numbered.len(), model.len());
        prop_assert!(hash.nth(hash.len()).is_none());
    }

    #[test]
    fn a_scan_sees_what_stays(
        changes in proptest::collection::vec((any::<bool>(), 0..3000u32), 0..600),
        count in 1..60usize,
    ) {
        let mut hash = Hash::default();
        for number in 0..1000u32 {
            hash.insert(number.to_string().as_bytes(), &b""[..]);
        }
        let (mut stays, mut seen) = ((0..1000).collect::<BTreeSet<u32>>(), BTreeSet::new());
        let (mut cursor, mut changes) = (0, changes.into_iter());
        loop {
            cursor = hash.scan(cursor, count, |field, _| {
                seen.insert(std::str::from_utf8(field).unwrap().parse::<u32>().unwrap());
            });
            if cursor == 0 {
                break;
            }
            for (insert, number) in changes.by_ref().take(20) {
                if insert {
                    hash.insert(number.to_string().as_bytes(), &b"x"[..]);
                } else {
                    hash.remove(number.to_string().as_bytes());
                    stays.remove(&number);
                }
            }
        }
        prop_assert!(stays.is_subset(&seen), "{:?}", stays.difference(&seen));
    }
}

#[test]
fn lengths_of_all_kinds_come_back() {
    let mut hash = Hash::default();
    let lengths = [0, 1, 126, 127, 128, 129, 255, 256, 3000, 9000, 70_000];
    for length in lengths {
        assert!(hash.insert(vec![b'f'; length], vec![b'v'; length]));
        assert!(!hash.insert(vec![b'f'; length], vec![b'w'; length]));
    }
    for length in lengths {
        assert_eq!(hash.get(&vec![b'f'; length]), Some(&vec![b'w'; length][..]));
    }
    assert_eq!(hash.heap(), recount(&hash));
}

#[test]
fn a_small_hash_takes_little_more_than_its_bytes() {
    let mut hash = Hash::default();
    for number in 0..10 {
        hash.insert(format!("field{number:05}").as_bytes(), &b"0123456789"[..]);
    }
    // 22 bytes to a field with its value, and the struct.
    assert_eq!(hash.heap(), 224 + 32);
}

#[test]
fn memory_comes_back() {
    let mut hash = Hash::default();
    let fill = |hash: &mut Hash| {
        (0..20_000u32).for_each(|number| _ = hash.insert(number.to_string().into_bytes(), &b"value"[..]))
    };
    fill(&mut hash);
    let full = hash.heap();
    for number in 100..20_000u32 {
        assert!(hash.remove(number.to_string().as_bytes()));
    }
    assert!(hash.heap() < full / 20, "{} of {full}", hash.heap());
    fill(&mut hash);
    assert!(hash.heap() < full * 11 / 10);
}
