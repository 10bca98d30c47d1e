//! Laws of [`List`], against a plain double-ended queue.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Push(End, Vec<u8>),
    Discard(End, usize),
    Keep(usize, usize),
    Set(usize, Vec<u8>),
    InsertBeside(Vec<u8>, bool, Vec<u8>),
    RemoveEqual(Vec<u8>, usize, End),
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Front), Just(End::Back)]
}

/// Many are equal, some need a chunk of their own.
fn elements() -> impl Strategy<Value = Vec<u8>> {
    let lengths = prop_oneof![8 => 0..4usize, 4 => 100..200usize, 2 => 900..1500usize, 1 => 3000..9000usize];
    (lengths, 0..3u8).prop_map(|(length, byte)| vec![byte; length])
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (ends(), elements()).prop_map(|(end, element)| Step::Push(end, element)),
        2 => (ends(), 0..6usize).prop_map(|(end, count)| Step::Discard(end, count)),
        1 => (0..4usize, 20..200usize).prop_map(|(start, end)| Step::Keep(start, end)),
        3 => (0..300usize, elements()).prop_map(|(index, element)| Step::Set(index, element)),
        3 => (elements(), any::<bool>(), elements()).prop_map(|(pivot, behind, element)| Step::InsertBeside(pivot, behind, element)),
        1 => (elements(), 1..10usize, ends()).prop_map(|(element, most, end)| Step::RemoveEqual(element, most, end)),
    ]
}

type Model = VecDeque<Vec<u8>>;

/// Does a step to both; what it answers has to be the same.
fn apply(list: &mut List, model: &mut Model, step: &Step) {
    match step {
        Step::Push(end, element) => {
            list.push(*end, element);
            match end {
                End::Front => model.push_front(element.clone()),
                End::Back => model.push_back(element.clone()),
            }
        }
        Step::Discard(end, count) => {
            list.discard(*end, *count);
            for _ in 0..*count {
                match end {
                    End::Front => model.pop_front(),
                    End::Back => model.pop_back(),
                };
            }
        }
        Step::Keep(start, end) => {
            list.keep(*start..*end);
            model.truncate(*end);
            model.drain(..*start.min(&model.len()));
        }
        Step::Set(index, element) => {
            assert_eq!(list.set(*index, element), *index < model.len());
            if let Some(place) = model.get_mut(*index) {
                place.clone_from(element);
            }
        }
        Step::InsertBeside(pivot, behind, element) => {
            let found = model.iter().position(|other| other == pivot);
            assert_eq!(list.insert_beside(pivot, *behind, element), found.is_some());
            if let Some(found) = found {
                model.insert(found + usize::from(*behind), element.clone());
            }
        }
        Step::RemoveEqual(element, most, from) => {
            let mut found: Vec<usize> = (0..model.len()).filter(|index| model[*index] == *element).collect();
            if *from == End::Front {
                found.truncate(*most);
                found.reverse();
            } else {
                found.reverse();
                found.truncate(*most);
            }
            for index in &found {
                model.remove(*index);
            }
            assert_eq!(list.remove_equal(element, *most, *from), found.len());
        }
    }
}

/// What has to hold of any list.
fn check(list: &List, model: &Model) {
    assert_eq!(list.len(), model.len());
    assert!(list.iter().eq(model.iter()));
    assert!(list.iter().rev().eq(model.iter().rev()));
    assert_eq!(list.at_end(End::Front), model.front().map(Vec::as_slice));
    assert_eq!(list.at_end(End::Back), model.back().map(Vec::as_slice));
    for index in 0..model.len() + 1 {
        assert_eq!(list.get(index), model.get(index).map(Vec::as_slice), "{index}");
    }
    for index in [0, 1, model.len() / 2, model.len(), model.len() + 5] {
        assert!(list.iter_from(index).eq(model.iter().skip(index)), "{index}");
    }
    for chunk in &list.chunks {
        assert!(!chunk.is_empty());
        assert!(chunk.len() == 1 || chunk.used() <= Packed::MOST, "{} in {}", chunk.used(), chunk.len());
        assert_eq!(chunk.iter().count(), chunk.len());
    }
    assert_eq!(list.used(), model.iter().map(|element| Packed::size(element.len())).sum::<usize>());
    assert_eq!(list.buffers, list.chunks.iter().map(Packed::heap).sum::<usize>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn it_does_what_a_queue_does(steps in prop::collection::vec(steps(), 1..120)) {
        let (mut list, mut model) = (List::default(), Model::new());
        for step in &steps {
            apply(&mut list, &mut model, step);
            check(&list, &model);
        }
        check(&list.clone(), &model);
    }
}

#[test]
fn short_elements_take_a_few_bytes_each() {
    let mut list = List::default();
    for _ in 0..100_000 {
        list.push(End::Front, b"abc");
    }
    assert!(list.heap() <= 520_000, "{}", list.heap());
    let mut small = List::default();
    small.push_back("abc");
    assert!(small.heap() <= 112, "{}", small.heap());
}

#[test]
fn what_is_taken_away_gives_its_memory_back() {
    for from in [End::Front, End::Back] {
        let mut list = List::default();
        for number in 0..50_000u32 {
            list.push_back((number % 10).to_string());
        }
        for digit in 1..10 {
            assert_eq!(list.remove_equal(digit.to_string().as_bytes(), usize::MAX, from), 5000);
        }
        assert!(list.iter().all(|element| element == b"0"));
        assert!(list.heap() <= 5000 * 3 * 2, "{}", list.heap());
        list.keep(10..20);
        assert_eq!(list.len(), 10);
        assert!(list.heap() <= 512, "{}", list.heap());
    }
}

#[test]
fn inserting_at_one_place_again_and_again_keeps_the_chunks_filled() {
    let mut list = List::default();
    list.push_back("first");
    list.push_back("last");
    for _ in 0..20_000 {
        assert!(list.insert_beside(b"first", true, b"abc"));
    }
    assert_eq!(list.len(), 20_002);
    assert!(list.heap() <= 20_000 * 5 * 2, "{}", list.heap());
}

#[test]
fn a_row_made_for_a_long_element_holds_no_more_than_others() {
    let (mut list, mut model) = (List::default(), Model::new());
    apply(&mut list, &mut model, &Step::Push(End::Back, vec![0; 6000]));
    apply(&mut list, &mut model, &Step::Set(0, vec![1; 3]));
    for _ in 0..8 {
        apply(&mut list, &mut model, &Step::Push(End::Back, vec![2; 1000]));
        check(&list, &model);
    }
}
