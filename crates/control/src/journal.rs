//! What changed lately: a short memory for whoever asks in the middle of the night. The log has it all.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

/// Changes remembered; the oldest is forgotten first.
const MOST: usize = 100;
/// Longer words are cut: a report of five hundred errors belongs into the log.
const LONGEST: usize = 2000;

/// One change.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// When, in seconds since 1970.
    pub unix_seconds: u64,
    /// How long ago that was when it was asked for.
    pub ago_seconds: u64,
    /// What changed.
    pub kind: ChangeKind,
    /// The upstream it happened in; `None` when it was the process as a whole.
    pub upstream: Option<String>,
    /// The endpoint it happened to.
    pub endpoint: Option<String>,
    /// Why, or how.
    pub words: String,
}

/// What kind of change it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// An endpoint came up.
    Up,
    /// An endpoint went down.
    Down,
    /// Requests failed at an endpoint so often that it is put aside.
    Ejected,
    /// That is over.
    Returned,
    /// An operator drained an endpoint.
    Drained,
    /// An operator gave it requests again.
    Undrained,
    /// An operator set its weight.
    Weighted,
    /// Another configuration came into force.
    Reloaded,
    /// Another configuration was refused.
    ReloadRefused,
}

/// The latest changes.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Mutex<VecDeque<(SystemTime, Change)>>,
    /// The last reload, if it was refused: not forgotten before another one succeeds.
    refused: Mutex<Option<(SystemTime, Change)>>,
}

impl Journal {
    /// Something happened to an endpoint.
    pub(crate) fn endpoint(&self, kind: ChangeKind, upstream: &str, endpoint: &str, words: &str) {
        self.add(kind, Some((upstream, endpoint)), words);
    }

    /// Something happened to the process.
    pub(crate) fn process(&self, kind: ChangeKind, words: &str) {
        self.add(kind, None, words);
    }

    /// All that is remembered, the latest first.
    pub(crate) fn latest(&self) -> Vec<Change> {
        let now = SystemTime::now();
        let entries = self.lock();
        entries.iter().map(|entry| aged(entry, now)).collect()
    }

    /// The last reload, if it was refused.
    pub(crate) fn refused_reload(&self) -> Option<Change> {
        self.refused().as_ref().map(|entry| aged(entry, SystemTime::now()))
    }

    fn add(&self, kind: ChangeKind, of: Option<(&str, &str)>, words: &str) {
        let now = SystemTime::now();
        let change = Change {
            unix_seconds: now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs(),
            ago_seconds: 0,
            kind,
            upstream: of.map(|(upstream, _)| upstream.to_owned()),
            endpoint: of.map(|(_, endpoint)| endpoint.to_owned()),
            words: cut(words),
        };
        match kind {
            ChangeKind::Reloaded => *self.refused() = None,
            ChangeKind::ReloadRefused => *self.refused() = Some((now, change.clone())),
            _ => {}
        }
        let mut entries = self.lock();
        entries.truncate(MOST - 1);
        entries.push_front((now, change));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(SystemTime, Change)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, Option<(SystemTime, Change)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn aged((at, change): &(SystemTime, Change), now: SystemTime) -> Change {
    Change { ago_seconds: now.duration_since(*at).unwrap_or_default().as_secs(), ..change.clone() }
}

fn cut(words: &str) -> String {
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_come_first_and_the_oldest_are_forgotten() {
        let journal = Journal::default();
        for number in 0..MOST + 7 {
            journal.endpoint(ChangeKind::Down, "app", &number.to_string(), "connection refused");
        }
        let latest = journal.latest();
        assert_eq!(latest.len(), MOST);
        assert_eq!(latest[0].endpoint.as_deref(), Some("106"));
        assert_eq!(latest[MOST - 1].endpoint.as_deref(), Some("7"));
    }

    #[test]
    fn a_refused_reload_is_remembered_until_one_succeeds() {
        let journal = Journal::default();
        assert!(journal.refused_reload().is_none());
        journal.process(ChangeKind::ReloadRefused, "it is wrong");
        for _ in 0..MOST + 1 {
            journal.endpoint(ChangeKind::Down, "app", "a:1", "connection refused");
        }
        assert_eq!(journal.refused_reload().map(|change| change.words), Some("it is wrong".to_owned()));
        journal.process(ChangeKind::Reloaded, "the configuration was reloaded");
        assert!(journal.refused_reload().is_none());
    }

    #[test]
    fn words_are_bounded_at_a_letter() {
        let journal = Journal::default();
        journal.process(ChangeKind::ReloadRefused, &"ä".repeat(3 * LONGEST));
        let words = &journal.latest()[0].words;
        assert_eq!(words.chars().count(), LONGEST + 1);
        assert!(words.ends_with('…'));
    }
}
