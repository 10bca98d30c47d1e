//! Which reads were stale, and by how much. Pure: it goes by what clients saw of writes and reads, and claims nothing
//! that does not follow from it.
//!
//! A read is stale if another value was known to stand in the database before it began: a write that came after the one
//! it returned had been acknowledged. Writes that overlapped may have happened in either order, and one that was not acknowledged
//! may have happened, may happen yet or never will; where it depends on that, nothing is said.

use std::collections::HashMap;
use std::time::Duration;

/// A write, as its client saw it. Times are since a common beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) item: u32,
    /// Another one for each write of an item.
    pub(super) version: u64,
    /// Before it was sent.
    pub(super) began: Duration,
    /// When the client knew what it knows of it.
    pub(super) ended: Duration,
    /// It was acknowledged.
    pub(super) done: bool,
}

/// A read that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) item: u32,
    /// What it returned.
    pub(super) version: u64,
    /// Before it was sent.
    pub(super) began: Duration,
}

/// What follows of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    /// The value had been replaced, and its replacement acknowledged, at least this long before the read began.
    Stale(Duration),
    /// It may have been, or not.
    Undecided,
}

/// All writes.
#[derive(Debug, Default)]
pub(super) struct History(HashMap<u32, Vec<Write>>);

impl History {
    pub(super) fn new(writes: impl IntoIterator<Item = Write>) -> Self {
        let mut items: HashMap<u32, Vec<Write>> = HashMap::new();
        for write in writes {
            items.entry(write.item).or_default().push(write);
        }
        Self(items)
    }

    /// A version that nobody wrote is what was there before all of them.
    pub(super) fn judge(&self, read: &Read) -> Freshness {
        let writes = self.0.get(&read.item).map(Vec::as_slice).unwrap_or_default();
        let returned = writes.iter().find(|write| write.version == read.version);
        // From when on the database cannot take the value it returned any more; never, if it was not acknowledged.
        let settled = match returned {
            None => Some(Duration::ZERO),
            Some(write) => write.done.then_some(write.ended),
        };
        let began = returned.map_or(Duration::ZERO, |write| write.began);
        // Acknowledged before the read, and not certainly before the one it returned.
        let others = writes.iter().filter(|write| {
            write.done && write.version != read.version && write.ended <= read.began && write.ended > began
        });
        let (mut replaced, mut is_open) = (None::<Duration>, false);
        for other in others {
            if settled.is_some_and(|settled| other.began >= settled) {
                replaced = Some(replaced.map_or(other.ended, |first| first.min(other.ended)));
            } else {
                is_open = true;
            }
        }
        match replaced {
            Some(since) => Freshness::Stale(read.began - since),
            None if is_open => Freshness::Undecided,
            None => Freshness::Fresh,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn write(version: u64, began: u64, ended: u64, done: bool) -> Write {
        Write { item: 1, version, began: ms(began), ended: ms(ended), done }
    }

    fn judge(writes: &[Write], version: u64, began: u64) -> Freshness {
        History::new(writes.iter().copied()).judge(&Read { item: 1, version, began: ms(began) })
    }

    #[test]
    fn a_read_is_stale_from_the_acknowledgement_of_what_replaced_its_value() {
        let writes = [write(1, 10, 12, true), write(2, 20, 25, true), write(3, 30, 35, true)];
        assert_eq!(judge(&writes, 3, 100), Freshness::Fresh);
        assert_eq!(judge(&writes, 2, 100), Freshness::Stale(ms(65)));
        assert_eq!(judge(&writes, 1, 100), Freshness::Stale(ms(75)), "of the first that replaced it");
        assert_eq!(judge(&writes, 0, 12), Freshness::Stale(ms(0)), "what was there before all writes");
        assert_eq!(judge(&writes, 0, 11), Freshness::Fresh, "not acknowledged yet");
        assert_eq!(judge(&writes, 1, 24), Freshness::Fresh, "a write that is under way may be seen or not");
        assert_eq!(judge(&writes, 2, 24), Freshness::Fresh);
    }

    #[test]
    fn other_items_do_not_matter() {
        let history = History::new([write(1, 10, 12, true)]);
        assert_eq!(history.judge(&Read { item: 2, version: 0, began: ms(100) }), Freshness::Fresh);
    }

    #[test]
    fn of_overlapping_writes_either_may_stand() {
        let writes = [write(1, 10, 30, true), write(2, 20, 40, true)];
        assert_eq!(judge(&writes, 1, 50), Freshness::Undecided, "1 may have come last");
        assert_eq!(judge(&writes, 2, 50), Freshness::Undecided);
        assert_eq!(judge(&writes, 2, 25), Freshness::Fresh);
        assert_eq!(judge(&writes, 0, 50), Freshness::Stale(ms(20)));
        let after = [writes[0], writes[1], write(3, 60, 70, true)];
        assert_eq!(judge(&after, 1, 100), Freshness::Stale(ms(30)), "3 came after both");
    }

    #[test]
    fn a_write_without_an_acknowledgement_replaces_nothing_for_certain_and_may_come_late() {
        let writes = [write(1, 10, 12, true), write(2, 20, 40, false)];
        assert_eq!(judge(&writes, 1, 100), Freshness::Fresh, "2 may not have happened");
        assert_eq!(judge(&writes, 2, 100), Freshness::Fresh, "or it may");
        let after = [writes[0], writes[1], write(3, 50, 55, true)];
        assert_eq!(judge(&after, 2, 100), Freshness::Undecided, "2 may have come after 3");
        assert_eq!(judge(&after, 1, 100), Freshness::Stale(ms(45)));
        assert_eq!(judge(&after, 2, 54), Freshness::Fresh);
    }
}
