//! [`Table`]: where the entry with a hash is. Extendible hashing (Fagin et al. 1979) over segments sorted by hash.
//!
//! A directory of the hash's first bits names a segment; in it stand up to 256 pairs of the next 16 bits and a number,
//! sorted, and found by interpolation: hashes are spread evenly, so the place follows from the bits to within a few.
//! Against a hash table per segment that is less memory (6 bytes and a little slack for a pair, where a table of powers of
//! two takes 6 to 14), and order: `SCAN` walks through the hashes, exactly as many keys at a time as it wants, and whether
//! segments split or merge meanwhile does not concern it.

mod segment;

use crate::store::memory::allocation;
use crate::store::slab::Slab;
use segment::Segment;

/// Most bits the directory looks at; segments grow beyond 256 only then (at some 2³² entries).
const DEEPEST: u8 = 24;
/// Segments that split have so many pairs.
const FULL: usize = 256;
/// Two segments merge that have so many pairs together.
const SPARSE: usize = 96;
/// One past the last hash.
const END: u64 = 1 << 32;

/// Numbers by hash, 32 bits of it. Hashes may be the same.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Numbers of segments, 2^depth of them; empty if there is nothing.
    directory: Vec<u32>,
    depth: u8,
    segments: Slab<Segment>,
    /// How many segments there are of each depth.
    at_depth: [u32; DEEPEST as usize + 1],
    len: usize,
    /// Allocated for pairs.
    pairs: usize,
}

impl Table {
    /// How many numbers there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        self.pairs + self.segments.bytes() + allocation(self.directory.capacity() * size_of::<u32>())
    }

    /// The number with this hash for which `is` holds.
    #[inline]
    pub(super) fn find(&self, hash: u32, is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.segment(hash)?.find(hash, is)
    }

    /// Adds a number. `hash_of` tells the hashes of those that are there.
    pub(super) fn insert(&mut self, hash: u32, number: u32, hash_of: impl Fn(u32) -> u32) {
        if self.directory.is_empty() {
            let first = self.segments.insert(Segment::default());
            self.directory.push(first);
            self.at_depth = [0; DEEPEST as usize + 1];
            self.count(0, 1);
        }
        while self.segment(hash).is_some_and(|segment| segment.len() >= FULL && segment.depth() < DEEPEST) {
            self.split(hash, &hash_of);
        }
        if let Some(at) = self.number(hash)
            && let Some(segment) = self.segments.get_mut(at)
        {
            self.pairs -= segment.bytes();
            segment.insert(hash, number);
            self.pairs += segment.bytes();
            self.len += 1;
        }
    }

    /// Takes a number out; whether it was there.
    pub(super) fn remove(&mut self, hash: u32, number: u32) -> bool {
        let Some(segment) = self.number(hash).and_then(|at| self.segments.get_mut(at)) else { return false };
        let before = segment.bytes();
        if !segment.remove(hash, number) {
            return false;
        }
        self.pairs = self.pairs - before + segment.bytes();
        self.len -= 1;
        // Now and then is enough.
        if segment.len() <= SPARSE && segment.len().is_multiple_of(16) {
            self.merge(hash);
        }
        true
    }

    /// Another number in the place of `old`.
    pub(super) fn renumber(&mut self, hash: u32, old: u32, new: u32) {
        if let Some(segment) = self.number(hash).and_then(|at| self.segments.get_mut(at)) {
            segment.renumber(hash, old, new);
        }
    }

    /// Visits the numbers in the order of their hashes from `position` (0 to 2³²) on, as long as `visit` says to go on
    /// and while hashes cannot be told apart. The position to continue at; `None` at the end.
    pub(super) fn walk(&self, position: u64, mut visit: impl FnMut(u32) -> bool) -> Option<u64> {
        let mut position = position;
        let mut goes_on = true;
        while position < END {
            let segment = self.segment(position as u32)?;
            if let Some(stop) = segment.walk(position as u32, &mut goes_on, &mut visit) {
                return Some(stop);
            }
            position = segment.end(position as u32);
        }
        None
    }

    /// One of the numbers, all about equally likely.
    pub(super) fn random(&self, rng: &mut fastrand::Rng) -> Option<u32> {
        const TRIES: usize = 32;
        for _ in 0..TRIES {
            if let Some(number) = self.segment(rng.u32(..))?.random(rng) {
                return Some(number);
            }
        }
        let mut found = None;
        self.walk(0, |number| {
            found = Some(number);
            false
        });
        found
    }

    fn number(&self, hash: u32) -> Option<u32> {
        self.directory.get(prefix(hash, self.depth)).copied()
    }

    #[inline]
    fn segment(&self, hash: u32) -> Option<&Segment> {
        self.segments.get(*self.directory.get(prefix(hash, self.depth))?)
    }

    fn count(&mut self, depth: u8, by: i32) {
        if let Some(count) = self.at_depth.get_mut(usize::from(depth)) {
            *count = count.wrapping_add_signed(by);
        }
    }

    /// The directory's places for the segment of this depth that has the hash.
    fn places(&mut self, hash: u32, depth: u8) -> &mut [u32] {
        let wide = self.depth - depth;
        let first = prefix(hash, depth) << wide;
        self.directory.get_mut(first..first + (1 << wide)).unwrap_or_default()
    }

    fn split(&mut self, hash: u32, hash_of: impl Fn(u32) -> u32) {
        let Some(segment) = self.number(hash).and_then(|at| self.segments.get_mut(at)) else { return };
        let depth = segment.depth();
        let before = segment.bytes();
        let upper = segment.split(hash_of);
        self.pairs = self.pairs - before + segment.bytes() + upper.bytes();
        if depth == self.depth {
            let doubled = self.directory.iter().flat_map(|&at| [at, at]);
            let mut directory = Vec::with_capacity(self.directory.len() * 2);
            directory.extend(doubled);
            self.directory = directory;
            self.depth += 1;
        }
        let upper = self.segments.insert(upper);
        let places = self.places(hash, depth);
        let half = places.len() / 2;
        places.iter_mut().skip(half).for_each(|place| *place = upper);
        self.count(depth, -1);
        self.count(depth + 1, 2);
    }

    /// Merges the segment of this hash with its other half, as often as both have little; drops what is empty.
    fn merge(&mut self, hash: u32) {
        loop {
            let Some(segment) = self.segment(hash) else { return };
            let (depth, len) = (segment.depth(), segment.len());
            if depth == 0 {
                if len == 0 {
                    *self = Self::default();
                }
                return;
            }
            let bit = 1 << (32 - u32::from(depth));
            let (low, high) = (hash & !bit, hash | bit);
            let (Some(lower), Some(upper)) = (self.number(low), self.number(high)) else { return };
            let fits = |a: &Segment, b: &Segment| a.depth() == b.depth() && a.len() + b.len() <= SPARSE;
            match (self.segments.get(lower), self.segments.get(upper)) {
                (Some(a), Some(b)) if fits(a, b) => {}
                _ => return,
            }
            let Some(taken) = self.segments.remove(upper) else { return };
            let Some(segment) = self.segments.get_mut(lower) else { return };
            self.pairs -= segment.bytes() + taken.bytes();
            segment.merge(taken);
            self.pairs += segment.bytes();
            self.places(low, depth - 1).fill(lower);
            self.count(depth, -2);
            self.count(depth - 1, 1);
            while self.depth > 0 && self.at_depth.get(usize::from(self.depth)) == Some(&0) {
                self.directory = self.directory.iter().step_by(2).copied().collect();
                self.depth -= 1;
            }
        }
    }
}

/// The first `depth` bits.
#[inline]
fn prefix(hash: u32, depth: u8) -> usize {
    (u64::from(hash) >> (32 - depth)) as usize
}

#[cfg(test)]
mod tests;
