//! What was read in each phase, and over time: fresh, stale and by how much, not at all.

use std::time::Duration;

use super::Phase;
use super::clients::Answered;
use super::staleness::{Freshness, History, Write};
use crate::load::Record;

/// What the clients of one mode saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// One for each.
    pub(super) phases: Vec<Phased>,
    /// Over time, in [`SPANS`] equal spans, each with its middle.
    pub(super) spans: Vec<(Duration, Phased)>,
    /// As [`Record::lag`], of reads.
    pub(super) lag: Duration,
}

/// What was seen in a span of time, of reads that began in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Phased {
    pub(super) reads: u64,
    pub(super) failed: u64,
    /// How old stale values were, in order of that.
    pub(super) ages: Vec<Duration>,
    /// Which may have been stale or not.
    pub(super) undecided: u64,
    /// Answers that said of themselves that they are stale.
    pub(super) marked: u64,
    /// Writes that began then, and those not acknowledged.
    pub(super) writes: u64,
    pub(super) writes_failed: u64,
    /// Of reads that were answered.
    pub(super) p99: Option<Duration>,
}

/// How many spans all of it is cut into.
const SPANS: u32 = 60;

impl Phased {
    pub(super) fn stale(&self) -> u64 {
        self.ages.len() as u64
    }

    pub(super) fn answered(&self) -> u64 {
        self.reads - self.failed
    }

    /// Of stale values, the age that this share of them was not above.
    pub(super) fn age(&self, share: f64) -> Option<Duration> {
        let rank = ((share * self.ages.len() as f64).ceil() as usize).max(1);
        self.ages.get(rank - 1).copied()
    }

    /// The oldest.
    pub(super) fn oldest(&self) -> Duration {
        self.ages.last().copied().unwrap_or_default()
    }

    fn add_read(&mut self, answered: &Answered, history: &History) {
        self.reads += 1;
        self.marked += u64::from(answered.is_marked);
        match answered.read.map(|read| history.judge(&read)) {
            None => self.failed += 1,
            Some(Freshness::Fresh) => {}
            Some(Freshness::Stale(age)) => self.ages.push(age),
            Some(Freshness::Undecided) => self.undecided += 1,
        }
    }
}

/// Sorts reads and writes by phase and over time. The load of reads began at `began`; phases at `begins`.
pub(super) fn count(
    reads: &[Answered],
    writes: &[Write],
    record: &Record,
    began: Duration,
    begins: &[Duration],
    end: Duration,
) -> Seen {
    let history = History::new(writes.iter().copied());
    let width = (end / SPANS).max(Record::SLICE);
    let starts: Vec<Duration> =
        (0..SPANS).map(|span| width * span).take_while(|start| *start < end).collect();
    let sort = |starts: &[Duration], breaks: &dyn Fn(usize) -> bool| {
        let mut all = vec![Phased::default(); starts.len()];
        let place = |at: Duration| starts.partition_point(|start| *start <= at).checked_sub(1);
        for read in reads.iter().filter(|read| read.began < end) {
            let (first, last) = (place(read.began), place(read.ended));
            // One that was under way when something broke, and failed, did so for that reason.
            let is_broken = read.read.is_none() && last.is_some_and(breaks);
            let place = if is_broken { last } else { first };
            if let Some(phased) = place.and_then(|place| all.get_mut(place)) {
                phased.add_read(read, &history);
            }
        }
        for write in writes.iter().filter(|write| write.began < end) {
            if let Some(phased) = place(write.began).and_then(|place| all.get_mut(place)) {
                phased.writes += 1;
                phased.writes_failed += u64::from(!write.done);
            }
        }
        for (place, phased) in all.iter_mut().enumerate() {
            phased.ages.sort_unstable();
            let start = starts.get(place).copied().unwrap_or_default();
            let next = starts.get(place + 1).copied().unwrap_or(end);
            phased.p99 = record.between(start.saturating_sub(began)..next.saturating_sub(began)).p99;
        }
        all
    };
    let middles = starts.iter().map(|start| *start + width / 2);
    let breaks = |place: usize| Phase::ALL.get(place).is_some_and(|phase| phase.breaks());
    let spans = middles.zip(sort(&starts, &|_| false)).collect();
    Seen { phases: sort(begins, &breaks), spans, lag: record.lag }
}

#[cfg(test)]
mod tests {
    use super::super::staleness::Read;
    use super::*;

    #[test]
    fn reads_and_writes_fall_into_the_phase_they_began_in() {
        let ms = Duration::from_millis;
        let read = |at: u64, version: Option<u64>| Answered {
            began: ms(at),
            ended: ms(at + 20),
            read: version.map(|version| Read { item: 1, version, began: ms(at) }),
            is_marked: version == Some(0),
        };
        let reads = [
            read(50, Some(0)),
            read(150, Some(0)),
            read(900, Some(0)),
            read(990, None),
            read(1_200, None),
            read(2_500, Some(1)),
        ];
        let write = |version: u64, at: u64, done: bool| Write {
            item: 1,
            version,
            began: ms(at),
            ended: ms(at + 10),
            done,
        };
        let writes = [write(1, 90, true), write(2, 1_100, false)];
        let seen = count(&reads, &writes, &Record::default(), ms(0), &[ms(0), ms(1_000)], ms(2_000));
        let [first, second] = seen.phases.as_slice() else { panic!("{seen:?}") };
        assert_eq!((first.reads, first.failed, first.stale(), first.writes), (3, 0, 2, 1));
        assert_eq!((first.age(0.5), first.oldest(), first.marked), (Some(ms(50)), ms(800), 3));
        assert_eq!((second.reads, second.failed, second.answered(), second.age(0.5)), (2, 2, 0, None));
        assert_eq!((second.writes, second.writes_failed), (1, 1));
        let over_time: u64 = seen.spans.iter().map(|(_, span)| span.reads).sum();
        assert_eq!((over_time, seen.spans.len()), (5, 20), "a tenth of a second at least");
    }
}
