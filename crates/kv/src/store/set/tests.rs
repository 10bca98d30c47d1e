//! Laws of [`Set`], against an ordered set.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>),
    Remove(Vec<u8>),
    TakeAt(usize),
}

/// Few enough to be met again; numbers of both widths, texts that look like numbers, short and long ones.
fn members() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => (0..700i64).prop_map(|number| number.to_string().into_bytes()),
        2 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        1 => (0..700u32).prop_map(|number| format!("0{number}").into_bytes()),
        1 => (0..700usize).prop_map(|number| format!("{number:0>width$}", width = number / 5).into_bytes()),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => members().prop_map(Step::Insert),
        2 => members().prop_map(Step::Remove),
        1 => (0..500usize).prop_map(Step::TakeAt),
    ]
}

fn check(set: &Set, model: &BTreeSet<Vec<u8>>) {
    assert_eq!(set.len(), model.len());
    let members: Vec<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
    assert!(members.iter().cloned().collect::<BTreeSet<_>>() == *model && members.len() == model.len());
    for index in [0, 1, model.len() / 2, model.len().saturating_sub(1), model.len(), model.len() + 1] {
        assert_eq!(set.get(index).as_deref(), members.get(index).map(Vec::as_slice), "{index}");
    }
    match &set.0 {
        Form::Table(table) => assert!(table.is_consistent()),
        Form::Packed(packed) => assert!(packed.len() <= MOST_PACKED && packed.used() <= MOST_PACKED_BYTES),
        Form::Integers(integers) => assert!(integers.len() <= MOST_INTEGERS && integers.iter().is_sorted()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_does_what_a_set_does(first in prop::collection::vec(members(), 0..600), steps in prop::collection::vec(steps(), 1..400)) {
        let mut model: BTreeSet<Vec<u8>> = first.iter().cloned().collect();
        let mut set: Set = first.iter().collect();
        for step in &steps {
            match step {
                Step::Insert(member) => assert_eq!(set.insert(member), model.insert(member.clone())),
                Step::Remove(member) => {
                    assert_eq!(set.contains(member), model.contains(member));
                    assert_eq!(set.remove(member), model.remove(member));
                }
                Step::TakeAt(index) => {
                    let expected = set.get(*index).map(|member| member.to_vec());
                    let taken = set.take_at(*index).map(|member| member.as_bytes().to_vec());
                    assert_eq!(taken, expected);
                    assert!(taken.is_none_or(|member| model.remove(&member)));
                }
            }
            assert_eq!(set.len(), model.len());
        }
        check(&set, &model);
        check(&set.clone(), &model);
    }

    #[test]
    fn a_scan_sees_everybody_who_stays(
        size in 600..2000u32,
        count in 1..200usize,
        changes in prop::collection::vec((0..4000u32, any::<bool>()), 0..3000),
    ) {
        // Even numbers stay, odd ones come and go.
        let mut set: Set = (0..size).map(|number| format!("m{}", number * 2)).collect();
        for number in 0..size {
            set.insert(format!("m{}", number * 2 + 1));
        }
        let (mut seen, mut cursor, mut changes) = (BTreeSet::new(), 0, changes.iter());
        loop {
            cursor = set.scan(cursor, count, |member| _ = seen.insert(member.to_vec()));
            for (number, comes) in changes.by_ref().take(100) {
                let member = format!("m{}", number * 2 + 1);
                if *comes { set.insert(member) } else { set.remove(member.as_bytes()) };
            }
            if cursor == 0 {
                break;
            }
        }
        for number in 0..size {
            assert!(seen.contains(format!("m{}", number * 2).as_bytes()), "{number}");
        }
    }
}

#[test]
fn it_grows_and_shrinks_through_all_forms() {
    let (mut set, mut model) = (Set::default(), BTreeSet::new());
    let name = |number: u32| format!("member number {number} of many").into_bytes();
    for number in 0..20_000 {
        assert!(set.insert(name(number)));
        model.insert(name(number));
        if [1, 127, 128, 512, 4097, 20_000].contains(&model.len()) {
            check(&set, &model);
        }
    }
    assert!(!set.insert(name(77)));
    let full = set.heap();
    for number in 0..19_990 {
        assert!(set.remove(&name(number)));
        model.remove(&name(number));
        if [10_000, 512, 100, 11].contains(&model.len()) {
            check(&set, &model);
        }
    }
    assert!(set.heap() < full / 100, "{} of {full}", set.heap());
}

#[test]
fn the_form_is_told_as_redis_tells_it() {
    let mut set: Set = (0..512).map(|number: i32| number.to_string()).collect();
    assert_eq!(set.encoding(512), "intset");
    assert_eq!(set.encoding(511), "hashtable");
    assert!(set.iter().map(|member| parse_integer(&member).unwrap()).eq(0..512));
    assert!(!set.insert("511"));
    assert!(set.insert("512"));
    assert_eq!(set.encoding(512), "hashtable");
    let mut set: Set = ["1", "-5"].into_iter().collect();
    assert_eq!(set.encoding(512), "intset");
    set.insert("01");
    assert_eq!(set.encoding(512), "hashtable");
    assert!(set.contains(b"1") && set.contains(b"-5") && set.contains(b"01") && !set.contains(b"-05"));
}

#[test]
fn it_takes_little_memory() {
    let numbers: Set = (0..500).map(|number: i32| (number * 1000).to_string()).collect();
    assert!(numbers.heap() <= 2048 + 64, "{}", numbers.heap());
    let words: Set = (0..100).map(|number: i32| format!("word {number}")).collect();
    assert!(words.heap() <= 1024 + 64, "{}", words.heap());
    let many: Set = (0..100_000).map(|number: i32| format!("member {number}")).collect();
    assert!(many.heap() <= 100_000 * 42, "{}", many.heap());
}
