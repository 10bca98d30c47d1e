//! The committed figures, `crates/xtask/instructions.toml`: reading, comparing, replacing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use super::sequence;
use crate::workspace::{read, root};

/// How far a decision may be from its figure, in percent.
const TOLERANCE: f64 = 3.0;
/// The same for the proxied sequence, which passes through timers and system calls.
const SEQUENCE_TOLERANCE: f64 = 5.0;

const HEADER: &str = "\
# Instructions per decision and per proxied request (x86-64, release profile), counted under callgrind.
# `cargo xtask instructions` compares with them; `cargo xtask instructions --bless` writes them anew.
";

/// Instructions by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Figures(BTreeMap<String, u64>);

impl Figures {
    /// What is committed; nothing when there is no file yet.
    pub(super) fn load() -> Result<Self, String> {
        if path().is_file() { Self::parse(&read(&path())?) } else { Ok(Self::default()) }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: String| format!("crates/xtask/instructions.toml: {what}");
        let table: toml::Table = text.parse().map_err(|error| wrong(format!("{error}")))?;
        let number = |(name, value): (String, toml::Value)| {
            let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
            number.map(|number| (name.clone(), number)).ok_or_else(|| wrong(format!("`{name}` is no number")))
        };
        table.into_iter().map(number).collect::<Result<_, _>>().map(Self)
    }

    /// Differences beyond the tolerance; when `all` was counted, also figures of what no longer is.
    pub(super) fn compare(&self, counted: &BTreeMap<String, u64>, all: bool) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, &now) in counted {
            let Some(&before) = self.0.get(name) else {
                differences.push(format!("{name}: {now} instructions, no figure committed"));
                continue;
            };
            let (change, tolerance) = (percent(before, now), tolerance(name));
            // One instruction is no change, however short the decision.
            if change.abs() > tolerance && now.abs_diff(before) > 1 {
                let word = if change > 0.0 { "rose" } else { "fell" };
                differences.push(format!("{name}: {word} from {before} to {now} instructions ({change:+.1} %, tolerance {tolerance} %)"));
            }
        }
        for name in self.0.keys().filter(|name| all && !counted.contains_key(*name)) {
            differences.push(format!("{name}: has a figure, but is not counted any more"));
        }
        differences
    }

    /// Takes over what was counted; when that is `all` there is, nothing else stays.
    pub(super) fn bless(&mut self, counted: &BTreeMap<String, u64>, all: bool) {
        if all {
            self.0.clear();
        }
        self.0.extend(counted.iter().map(|(name, count)| (name.clone(), *count)));
    }

    /// Writes the file.
    pub(super) fn save(&self) -> Result<(), String> {
        fs::write(path(), self.text()).map_err(|error| format!("{}: {error}", path().display()))
    }

    fn text(&self) -> String {
        let mut text = HEADER.to_owned();
        for (name, count) in &self.0 {
            let _ = writeln!(text, "{name} = {count}");
        }
        text
    }

    /// Counted beside committed, as Markdown.
    pub(super) fn table(&self, counted: &BTreeMap<String, u64>) -> String {
        let mut text = "| decision | instructions | committed | change |\n|---|---:|---:|---:|\n".to_owned();
        for (name, &now) in counted {
            let _ = match self.0.get(name) {
                Some(&before) => {
                    writeln!(text, "| {name} | {now} | {before} | {:+.1} % |", percent(before, now))
                }
                None => writeln!(text, "| {name} | {now} | | |"),
            };
        }
        text
    }
}

fn path() -> PathBuf {
    root().join("crates/xtask/instructions.toml")
}

fn tolerance(name: &str) -> f64 {
    if name == sequence::NAME { SEQUENCE_TOLERANCE } else { TOLERANCE }
}

fn percent(before: u64, now: u64) -> f64 {
    (now as f64 - before as f64) / before.max(1) as f64 * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(list: &[(&str, u64)]) -> BTreeMap<String, u64> {
        list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let figures = Figures(counted(&[("a-10", 7), ("b", 1000)]));
        assert_eq!(Figures::parse(&figures.text()), Ok(figures));
        Figures::parse("a = \"x\"").unwrap_err();
    }

    #[test]
    fn differences_beyond_the_tolerance_are_told() {
        let mut figures =
            Figures(counted(&[("a", 1000), ("b", 1000), ("c", 10), ("gone", 1), (sequence::NAME, 1000)]));
        let now = counted(&[("a", 1030), ("b", 969), ("c", 11), ("new", 5), (sequence::NAME, 1049)]);
        let differences = figures.compare(&now, true).join("\n");
        for told in ["b: fell from 1000 to 969", "new: 5 instructions, no figure", "gone: has a figure"] {
            assert!(differences.contains(told), "{differences}");
        }
        assert_eq!(differences.lines().count(), 3, "{differences}");
        assert_eq!(figures.compare(&counted(&[("a", 1000)]), false), [""; 0]);
        figures.bless(&now, true);
        assert_eq!(figures.compare(&now, true), [""; 0]);
        assert!(figures.table(&now).contains("| b | 969 | 969 | +0.0 % |"));
    }
}
