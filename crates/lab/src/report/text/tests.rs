//! Tests of the report on a terminal.

use super::super::sample;
use super::*;

#[test]
fn a_whole_report() {
    let text = sample::report().to_string();
    let expected = include_str!("golden.txt");
    assert_eq!(text, expected, "\n{text}");
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
}

#[test]
fn tables_that_are_too_wide_are_folded() {
    let mut report = sample::report();
    let long = "word ".repeat(60);
    report.blocks = vec![Block::Table(Table {
        title: "Wide".to_owned(),
        head: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
        rows: vec![vec![long.clone(), "12".to_owned(), long], vec!["Ω".repeat(150)]],
    })];
    let text = report.to_string();
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    assert_eq!(text.matches("word").count(), 120);
    assert_eq!(text.matches('Ω').count(), 150);
}

#[test]
fn outcomes_in_words() {
    let mut report = sample::report();
    assert_eq!(report.outcome(), "1 OF 2 PROMISES WAS BROKEN");
    report.promises.iter_mut().for_each(|promise| promise.kept = true);
    assert_eq!(report.outcome(), "all 2 promises were kept");
    report.promises.clear();
    assert_eq!(report.outcome(), "nothing was promised");
}

#[test]
fn lines_are_broken_at_spaces() {
    assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
    assert_eq!(wrapped("abcdefgh", 3), ["abc", "def", "gh"]);
    assert_eq!(wrapped("", 3), [""]);
}
