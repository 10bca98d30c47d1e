//! [`Segment`]: the numbers of hashes that begin with the same bits, sorted by the 16 bits that follow.

use crate::store::memory::allocation;

/// Some numbers, with the bits of the hash that tell them apart.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pairs: Vec<Pair>,
    /// How many bits all hashes have in common.
    depth: u8,
}

/// Six bytes; a `u32` would make it eight.
#[derive(Clone, Copy, Debug)]
struct Pair {
    fragment: u16,
    low: u16,
    high: u16,
}

impl Pair {
    fn new(fragment: u16, number: u32) -> Self {
        Self { fragment, low: number as u16, high: (number >> 16) as u16 }
    }

    fn number(self) -> u32 {
        u32::from(self.low) | (u32::from(self.high) << 16)
    }
}

impl Segment {
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    pub(super) fn depth(&self) -> u8 {
        self.depth
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        allocation(self.pairs.capacity() * size_of::<Pair>())
    }

    /// The number with this hash for which `is` holds.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let fragment = fragment(hash, self.depth);
        let same = self.pairs.get(self.position(fragment)..)?;
        same.iter()
            .take_while(|pair| pair.fragment == fragment)
            .map(|pair| pair.number())
            .find(|&number| is(number))
    }

    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        let fragment = fragment(hash, self.depth);
        if self.pairs.len() == self.pairs.capacity() {
            // As much as the allocator gives anyway.
            let room = allocation((self.pairs.len() + 1) * size_of::<Pair>()) / size_of::<Pair>();
            self.pairs.reserve_exact(room - self.pairs.len());
        }
        self.pairs.insert(self.position(fragment), Pair::new(fragment, number));
    }

    /// Takes a number out; whether it was there.
    pub(super) fn remove(&mut self, hash: u32, number: u32) -> bool {
        let Some(place) = self.place(hash, number) else { return false };
        self.pairs.remove(place);
        if self.pairs.len() * 2 < self.pairs.capacity() {
            self.pairs.shrink_to(self.pairs.len() + self.pairs.len() / 4);
        }
        true
    }

    pub(super) fn renumber(&mut self, hash: u32, old: u32, new: u32) {
        if let Some(place) = self.place(hash, old)
            && let Some(pair) = self.pairs.get_mut(place)
        {
            *pair = Pair::new(pair.fragment, new);
        }
    }

    /// Visits what comes at or after `from` as long as `goes_on`, and what has the same bits as the last one. The first
    /// hash that may not have been visited, unless that is beyond this segment.
    pub(super) fn walk(
        &self,
        from: u32,
        goes_on: &mut bool,
        visit: &mut impl FnMut(u32) -> bool,
    ) -> Option<u64> {
        let first = self.position(fragment(from, self.depth));
        let mut last = None;
        for pair in self.pairs.get(first..)? {
            if !*goes_on && last != Some(pair.fragment) {
                return Some(self.hash(from, pair.fragment));
            }
            *goes_on &= visit(pair.number());
            last = Some(pair.fragment);
        }
        None
    }

    /// The hash after the last that belongs here.
    pub(super) fn end(&self, hash: u32) -> u64 {
        (super::prefix(hash, self.depth) as u64 + 1) << (32 - self.depth)
    }

    pub(super) fn random(&self, rng: &mut fastrand::Rng) -> Option<u32> {
        self.pairs.get(rng.usize(0..self.pairs.len().max(1))).map(|pair| pair.number())
    }

    /// Keeps the hashes whose next bit is 0, and returns a segment of the others.
    pub(super) fn split(&mut self, hash_of: impl Fn(u32) -> u32) -> Self {
        let cut = self.pairs.partition_point(|pair| pair.fragment < 1 << 15);
        let depth = self.depth + 1;
        let deeper = |pairs: &[Pair]| {
            let mut room = Vec::with_capacity(allocation(size_of_val(pairs)) / size_of::<Pair>());
            room.extend(
                pairs.iter().map(|pair| Pair::new(fragment(hash_of(pair.number()), depth), pair.number())),
            );
            // Only those that were alike may have to change places.
            room.sort_by_key(|pair| pair.fragment);
            Self { pairs: room, depth }
        };
        let (lower, upper) = self.pairs.split_at_checked(cut).unwrap_or_default();
        let (lower, upper) = (deeper(lower), deeper(upper));
        *self = lower;
        upper
    }

    /// The reverse.
    pub(super) fn merge(&mut self, upper: Self) {
        let mut pairs = Vec::with_capacity(self.len() + upper.len());
        let moved = |pair: &Pair, bit: u16| Pair { fragment: (bit << 15) | (pair.fragment >> 1), ..*pair };
        pairs.extend(self.pairs.iter().map(|pair| moved(pair, 0)));
        pairs.extend(upper.pairs.iter().map(|pair| moved(pair, 1)));
        *self = Self { pairs, depth: self.depth - 1 };
    }

    /// Index of the first pair whose bits are `fragment` or more.
    #[inline]
    fn position(&self, fragment: u16) -> usize {
        let mut at = (usize::from(fragment) * self.pairs.len()) >> 16;
        while at > 0 && self.pairs.get(at - 1).is_some_and(|pair| pair.fragment >= fragment) {
            at -= 1;
        }
        while self.pairs.get(at).is_some_and(|pair| pair.fragment < fragment) {
            at += 1;
        }
        at
    }

    fn place(&self, hash: u32, number: u32) -> Option<usize> {
        let fragment = fragment(hash, self.depth);
        let first = self.position(fragment);
        let same = self.pairs.get(first..)?.iter().take_while(|pair| pair.fragment == fragment);
        same.map(|pair| pair.number()).position(|other| other == number).map(|at| first + at)
    }

    /// The first hash with these bits, in the segment that also has `near`.
    fn hash(&self, near: u32, fragment: u16) -> u64 {
        let bits = ((super::prefix(near, self.depth) as u64) << 16) | u64::from(fragment);
        if self.depth <= 16 { bits << (16 - self.depth) } else { bits >> (self.depth - 16) }
    }
}

/// The 16 bits after the first `depth`.
#[inline]
fn fragment(hash: u32, depth: u8) -> u16 {
    ((hash << depth) >> 16) as u16
}
