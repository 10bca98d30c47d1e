//! [`SortedSet`]: members ordered by score.
//!
//! A small one is one piece of memory; a large one has its members under numbers and a tree of those in their order.
//! What is large stays so.

mod compact;
mod members;
mod order;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ops::Range;

use crate::store::memory::allocation;
use crate::store::sorted_set::compact::Compact;
use crate::store::sorted_set::members::Members;
use crate::store::sorted_set::order::{Entries, Entry, Order};

/// Distinct members, each with a score that is not NaN, ordered by score and among equal scores by their bytes. A rank
/// is a place in this order, 0 for the lowest.
#[derive(Clone, Debug, Default)]
pub struct SortedSet(Form);

#[derive(Clone, Debug)]
enum Form {
    Compact(Compact),
    Large(Box<Large>),
}

#[derive(Clone, Debug, Default)]
struct Large {
    members: Members,
    order: Order,
}

/// What [`SortedSet::insert`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The member is new.
    Added,
    /// It had another score.
    Moved,
    /// It had this score.
    Same,
}

impl SortedSet {
    /// How many members there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Compact(compact) => compact.len(),
            Form::Large(large) => large.order.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated, those of the boxed struct itself included.
    pub fn heap(&self) -> usize {
        allocation(size_of::<Self>())
            + match &self.0 {
                Form::Compact(compact) => compact.heap(),
                Form::Large(large) => {
                    allocation(size_of::<Large>()) + large.members.heap() + large.order.heap()
                }
            }
    }

    /// Whether there are at most so many members, each of at most so many bytes: what Redis keeps in a listpack.
    pub fn is_within(&self, (members, bytes): (usize, usize)) -> bool {
        self.len() <= members && self.iter().all(|(member, _)| member.len() <= bytes)
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Form::Compact(compact) => compact.find(member).map(|(_, record)| record.score),
            Form::Large(large) => large.find(member).map(|(_, score)| score),
        }
    }

    /// The rank of a member.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match &self.0 {
            Form::Compact(compact) => compact.find(member).map(|(rank, _)| rank),
            Form::Large(large) => large.find(member).map(|(_, score)| large.rank(score, member)),
        }
    }

    /// Gives a member a score, which must not be NaN; -0 becomes 0.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Placed {
        debug_assert!(!score.is_nan(), "a score has a place in the order");
        let score = score + 0.0;
        match &mut self.0 {
            Form::Compact(compact) => {
                let placed = match compact.find(member) {
                    Some((_, record)) if record.score == score => return Placed::Same,
                    Some(_) => Placed::Moved,
                    None => Placed::Added,
                };
                if placed == Placed::Moved {
                    compact.remove(member);
                } else if !compact.fits(member) {
                    let mut large = Large::from(&*compact);
                    let placed = large.insert(member, score);
                    self.0 = Form::Large(Box::new(large));
                    return placed;
                }
                compact.insert(member, score);
                placed
            }
            Form::Large(large) => large.insert(member, score),
        }
    }

    /// Takes a member out; its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Form::Compact(compact) => compact.remove(member),
            Form::Large(large) => {
                let (_, score) = large.find(member)?;
                large.remove(large.rank(score, member));
                Some(score)
            }
        }
    }

    /// Takes the members at `ranks` out; how many they were.
    pub fn remove_range(&mut self, ranks: Range<usize>) -> usize {
        let end = ranks.end.min(self.len());
        let ranks = ranks.start.min(end)..end;
        match &mut self.0 {
            Form::Compact(compact) => compact.remove_ranks(ranks.start, ranks.end),
            Form::Large(large) if ranks.len() > large.order.len() / 2 => {
                // It is less work to put together what stays.
                let mut rest = Large::default();
                for part in [0..ranks.start, ranks.end..large.order.len()] {
                    large.range(part).for_each(|(member, score)| {
                        rest.insert(member, score);
                    });
                }
                **large = rest;
            }
            Form::Large(large) => ranks.clone().for_each(|_| large.remove(ranks.start)),
        }
        ranks.len()
    }

    /// How many members have a lower score than this one, or the same if `inclusive`.
    pub fn below(&self, score: f64, inclusive: bool) -> usize {
        let before = |other: f64| other < score || (inclusive && other == score);
        match &self.0 {
            Form::Compact(compact) => compact.records().take_while(|record| before(record.score)).count(),
            Form::Large(large) => large.order.rank(|entry| before(entry.score)),
        }
    }

    /// How many members are lower than these bytes, or the same if `inclusive`. Only sensible if all have one score.
    pub fn below_member(&self, member: &[u8], inclusive: bool) -> usize {
        let before = |other: &[u8]| other < member || (inclusive && other == member);
        match &self.0 {
            Form::Compact(compact) => compact.records().take_while(|record| before(record.member)).count(),
            Form::Large(large) => {
                let prefix = prefix(member);
                large.order.rank(|entry| match entry.prefix.cmp(&prefix) {
                    Ordering::Less => true,
                    Ordering::Greater => false,
                    Ordering::Equal => large.members.get(entry.id).is_some_and(|other| before(other.bytes())),
                })
            }
        }
    }

    /// Members with their scores, in order; can be read from both ends.
    pub fn iter(&self) -> Ranked<'_> {
        self.range(0..self.len())
    }

    /// The members at `ranks`, those beyond the end left out.
    pub fn range(&self, ranks: Range<usize>) -> Ranked<'_> {
        match &self.0 {
            Form::Compact(compact) => {
                let records = compact.records().skip(ranks.start).take(ranks.len());
                let found: Vec<_> = records.map(|record| (record.member, record.score)).collect();
                Ranked(Source::Compact(found.into_iter()))
            }
            Form::Large(large) => large.range(ranks),
        }
    }

    /// The member with a number below [`SortedSet::len`]: in no particular order, but each has one. For chance.
    pub fn nth(&self, number: usize) -> Option<(&[u8], f64)> {
        match &self.0 {
            Form::Compact(compact) => {
                compact.records().nth(number).map(|record| (record.member, record.score))
            }
            Form::Large(large) => {
                let member = large.members.get(number.try_into().ok()?)?;
                Some((member.bytes(), member.score))
            }
        }
    }

    /// Visits `count` members (all of a small set) from `cursor` on, 0 at first, and returns the next cursor, 0 at the
    /// end. A member that is there from the first call to the last is visited at least once, whatever else changes.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        let Form::Large(large) = &self.0 else {
            self.iter().for_each(|(member, score)| visit(member, score));
            return 0;
        };
        // Downwards, since members never take higher numbers: those below the cursor are the ones not visited.
        let len = large.members.len();
        let end =
            if cursor == 0 { len } else { usize::try_from(cursor).map_or(len, |cursor| cursor.min(len)) };
        let start = end.saturating_sub(count.max(1));
        for member in (start..end).rev().filter_map(|id| large.members.get(id as u32)) {
            visit(member.bytes(), member.score);
        }
        start as u64
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::Compact(Compact::default())
    }
}

impl From<&Compact> for Large {
    fn from(compact: &Compact) -> Self {
        let mut large = Self::default();
        for record in compact.records() {
            large.insert(record.member, record.score);
        }
        large
    }
}

impl Large {
    /// The number and the score of a member.
    fn find(&self, member: &[u8]) -> Option<(u32, f64)> {
        let id = self.members.find(self.members.hash(member), member)?;
        Some((id, self.members.get(id)?.score))
    }

    /// The rank that a member with this score has or would have.
    fn rank(&self, score: f64, member: &[u8]) -> usize {
        self.order.rank(before(&self.members, score, member))
    }

    fn insert(&mut self, member: &[u8], score: f64) -> Placed {
        let hash = self.members.hash(member);
        let (id, placed) = match self.members.find(hash, member) {
            Some(id) => {
                let old = self.members.get(id).map_or(score, |member| member.score);
                if old == score {
                    return Placed::Same;
                }
                self.order.remove(self.rank(old, member));
                if let Some(member) = self.members.get_mut(id) {
                    member.score = score;
                }
                (id, Placed::Moved)
            }
            None => (self.members.push(hash, member, score), Placed::Added),
        };
        let entry = Entry { score, prefix: prefix(member), id };
        self.order.insert(entry, before(&self.members, score, member));
        placed
    }

    fn remove(&mut self, rank: usize) {
        let Some(entry) = self.order.remove(rank) else { return };
        if !self.members.remove(entry.id) {
            return;
        }
        if let Some(last) = self.members.get(entry.id) {
            // In the tree it still has its old number, under which there is nothing: it is not before itself.
            let rank = self.order.rank(before(&self.members, last.score, last.bytes()));
            self.order.relocate(rank, entry.id);
        }
    }

    fn range(&self, ranks: Range<usize>) -> Ranked<'_> {
        Ranked(Source::Large(&self.members, self.order.range(ranks)))
    }
}

/// Whether an entry comes before a member with this score.
fn before(members: &Members, score: f64, member: &[u8]) -> impl Fn(&Entry) -> bool {
    let prefix = prefix(member);
    move |entry| {
        let order = entry.score.partial_cmp(&score).unwrap_or(Ordering::Equal);
        match order.then(entry.prefix.cmp(&prefix)) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => members.get(entry.id).is_some_and(|other| other.bytes() < member),
        }
    }
}

/// The first four bytes as a number that is ordered as they are.
fn prefix(member: &[u8]) -> u32 {
    let mut first = [0; 4];
    first.iter_mut().zip(member).for_each(|(place, byte)| *place = *byte);
    u32::from_be_bytes(first)
}

/// Members with their scores, in order.
#[derive(Clone, Debug)]
pub struct Ranked<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Compact(std::vec::IntoIter<(&'a [u8], f64)>),
    Large(&'a Members, Entries<'a>),
}

impl<'a> Iterator for Ranked<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Compact(records) => records.next(),
            Source::Large(members, entries) => entries.next().map(|entry| told(members, entry)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Source::Compact(records) => records.size_hint(),
            Source::Large(_, entries) => entries.size_hint(),
        }
    }
}

impl DoubleEndedIterator for Ranked<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Compact(records) => records.next_back(),
            Source::Large(members, entries) => entries.next_back().map(|entry| told(members, entry)),
        }
    }
}

impl ExactSizeIterator for Ranked<'_> {}

/// Every entry has a member.
fn told<'a>(members: &'a Members, entry: &Entry) -> (&'a [u8], f64) {
    (members.get(entry.id).map_or(&[], |member| member.bytes()), entry.score)
}
