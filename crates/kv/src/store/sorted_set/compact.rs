//! [`Compact`]: a small sorted set in one piece of memory, read from the front.

use std::cmp::Ordering;

use crate::store::memory::allocation;

/// Members and bytes up to which reading from the front is quick.
const MOST_MEMBERS: usize = 128;
const MOST_BYTES: usize = 8192;
/// What stands before a member: its score (8 bytes) and its length (2 bytes).
const HEAD: usize = 10;

/// Members in their order, each as score, length, bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Compact {
    bytes: Vec<u8>,
    len: usize,
}

/// One member in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) member: &'a [u8],
    pub(super) score: f64,
    /// Where it begins.
    at: usize,
}

impl Compact {
    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated.
    pub(super) fn heap(&self) -> usize {
        allocation(self.bytes.capacity())
    }

    /// Whether another member would be too much.
    pub(super) fn fits(&self, member: &[u8]) -> bool {
        self.len < MOST_MEMBERS && self.bytes.len() + HEAD + member.len() <= MOST_BYTES
    }

    /// All members in their order.
    pub(super) fn records(&self) -> Records<'_> {
        Records { rest: &self.bytes, at: 0 }
    }

    /// The rank of a member, and its record.
    pub(super) fn find(&self, member: &[u8]) -> Option<(usize, Record<'_>)> {
        self.records().enumerate().find(|(_, record)| record.member == member)
    }

    /// A member that is not there and [fits](Compact::fits).
    pub(super) fn insert(&mut self, member: &[u8], score: f64) {
        let next = self.records().find(|record| {
            record
                .score
                .partial_cmp(&score)
                .unwrap_or(Ordering::Equal)
                .then_with(|| record.member.cmp(member))
                == Ordering::Greater
        });
        let (at, end) = (next.map_or(self.bytes.len(), |record| record.at), self.bytes.len());
        let size = HEAD + member.len();
        if self.bytes.capacity() - end < size {
            // What the allocator gives anyhow.
            self.bytes.reserve_exact(allocation(end + size) - end);
        }
        self.bytes.resize(end + size, 0);
        self.bytes.copy_within(at..end, at + size);
        let head = score.to_le_bytes().into_iter().chain((member.len() as u16).to_le_bytes());
        let place = self.bytes.iter_mut().skip(at);
        place.zip(head).for_each(|(place, byte)| *place = byte);
        if let Some(place) = self.bytes.get_mut(at + HEAD..at + size) {
            place.copy_from_slice(member);
        }
        self.len += 1;
    }

    /// Takes a member out; its score.
    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (rank, record) = self.find(member)?;
        let score = record.score;
        self.remove_ranks(rank, rank + 1);
        Some(score)
    }

    /// Takes those from one rank to before another out.
    pub(super) fn remove_ranks(&mut self, from: usize, to: usize) {
        let place = |rank: usize| self.records().nth(rank).map_or(self.bytes.len(), |record| record.at);
        let (start, end) = (place(from), place(to));
        self.bytes.drain(start..end);
        self.len -= to.min(self.len) - from.min(self.len);
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to(allocation(self.bytes.len()));
        }
    }
}

/// Goes through a compact set.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (score, rest) = self.rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (member, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let record = Record { member, score: f64::from_le_bytes(*score), at: self.at };
        (self.rest, self.at) = (rest, self.at + HEAD + member.len());
        Some(record)
    }
}
