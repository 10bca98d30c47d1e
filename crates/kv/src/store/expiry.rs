//! [`Deadlines`]: which entries expire when. A hierarchical timing wheel (Varghese and Lauck, SOSP'87).
//!
//! Seven levels of 64 lists, a quarter of a second each on the lowest and 64 times as much on each above. Setting, moving
//! and removing a deadline takes constant time and leaves nothing behind; what comes due is found in small steps.

use std::num::NonZeroU16;

use crate::store::Millis;
use crate::store::slab::{NONE, Slab};

/// Milliseconds to ticks.
const TICK_BITS: u32 = 8;
/// Slots of a level, as a power of two.
const LEVEL_BITS: u32 = 6;
const LEVELS: u32 = 7;
const SLOTS: usize = (LEVELS as usize) << LEVEL_BITS;
/// Ticks that the clock may go back without consequence.
const BACK: u64 = 4;
/// 35,000 years.
const LAST_TICK: u64 = (1 << (LEVEL_BITS * LEVELS)) - 1;

/// The deadlines of some entries.
#[derive(Debug)]
pub(super) struct Deadlines {
    all: Slab<Deadline>,
    /// First of each list.
    heads: Box<[u32]>,
    /// A bit for each list that has something, by level.
    occupied: [u64; LEVELS as usize],
    /// All ticks before this one are dealt with.
    elapsed: u64,
}

#[derive(Debug)]
struct Deadline {
    at: Millis,
    entry: u32,
    next: u32,
    previous: u32,
    /// One more than the list's number. Never 0, so that a free slot of the slab needs no byte more.
    list: NonZeroU16,
}

/// What [`Deadlines::step`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This entry is due.
    Due(u32),
    /// A deadline came closer.
    Closer,
}

impl Deadlines {
    /// What a deadline takes.
    pub(super) const BYTES: usize = Slab::<Deadline>::ITEM_BYTES;

    /// Bytes allocated for those that there are.
    pub(super) fn bytes(&self) -> usize {
        self.all.bytes() + size_of_val(&*self.heads)
    }

    /// Bytes allocated beyond that.
    pub(super) fn slack(&self) -> usize {
        self.all.slack()
    }

    /// When it is.
    #[inline]
    pub(super) fn at(&self, number: u32) -> Option<Millis> {
        self.all.get(number).map(|deadline| deadline.at)
    }

    /// The entry will expire; the deadline's number.
    pub(super) fn insert(&mut self, at: Millis, entry: u32, now: Millis) -> u32 {
        if self.all.len() == 0 {
            self.elapsed = (now >> TICK_BITS).min(LAST_TICK);
        }
        let number =
            self.all.insert(Deadline { at, entry, next: NONE, previous: NONE, list: NonZeroU16::MIN });
        self.link(number);
        number
    }

    /// The entry will expire at another time.
    pub(super) fn change(&mut self, number: u32, at: Millis) {
        self.unlink(number);
        if let Some(deadline) = self.all.get_mut(number) {
            deadline.at = at;
            self.link(number);
        }
    }

    /// The entry will not expire. When it would have.
    pub(super) fn remove(&mut self, number: u32) -> Option<Millis> {
        self.unlink(number);
        self.all.remove(number).map(|deadline| deadline.at)
    }

    /// The entry has another number now.
    pub(super) fn renumber(&mut self, number: u32, entry: u32) {
        if let Some(deadline) = self.all.get_mut(number) {
            deadline.entry = entry;
        }
    }

    /// Finds an entry that expired before the current tick (a quarter of a second), or does a little towards finding one.
    /// The entry's deadline stays until it is removed. `None` if nothing is due.
    pub(super) fn step(&mut self, now: Millis) -> Option<Step> {
        let now = (now >> TICK_BITS).min(LAST_TICK);
        if now + BACK < self.elapsed {
            self.restart(now);
        }
        let next = self.next_list();
        let Some((level, list, start)) =
            next.filter(|(level, _, start)| now > *start || (now == *start && *level > 0))
        else {
            self.elapsed = self.elapsed.max(next.map_or(now, |(_, _, start)| start.min(now)));
            return None;
        };
        self.elapsed = self.elapsed.max(start);
        let head = *self.heads.get(list)?;
        if level == 0 {
            return self.all.get(head).map(|deadline| Step::Due(deadline.entry));
        }
        self.unlink(head);
        self.link(head);
        Some(Step::Closer)
    }

    /// The entry that expires first, to within the wheel's resolution at that distance.
    pub(super) fn first(&self) -> Option<u32> {
        /// Of a list that covers a long time, so many are compared.
        const LOOKED_AT: usize = 32;
        let (_, list, _) = self.next_list()?;
        let mut at = *self.heads.get(list)?;
        let several = std::iter::from_fn(|| {
            let deadline = self.all.get(at)?;
            at = deadline.next;
            Some(deadline)
        });
        several.take(LOOKED_AT).min_by_key(|deadline| deadline.at).map(|deadline| deadline.entry)
    }

    /// One of the entries.
    pub(super) fn random(&self, rng: &mut fastrand::Rng) -> Option<u32> {
        self.all.get(self.all.random(rng)?).map(|deadline| deadline.entry)
    }

    /// Moves a deadline to where there is room, if much is free. Its entry, and its number now.
    pub(super) fn compact(&mut self) -> Option<(u32, u32)> {
        if !self.all.is_sparse() {
            return None;
        }
        let (old, new) = self.all.move_last()?;
        let &Deadline { entry, next, previous, list, .. } = self.all.get(new)?;
        if let Some(deadline) = self.all.get_mut(next) {
            deadline.previous = new;
        }
        match self.all.get_mut(previous) {
            Some(deadline) => deadline.next = new,
            None => {
                if let Some(head) = self.heads.get_mut(usize::from(list.get() - 1)) {
                    debug_assert_eq!(*head, old);
                    *head = new;
                }
            }
        }
        Some((entry, new))
    }

    /// Level, list and first tick of the list to look at next.
    fn next_list(&self) -> Option<(u32, usize, u64)> {
        let lists = (0..LEVELS).zip(self.occupied).filter_map(|(level, occupied)| {
            let shift = level * LEVEL_BITS;
            let current = (self.elapsed >> shift) & ((1 << LEVEL_BITS) - 1);
            // No list before the current one has anything: what is earlier is on a lower level, or was dealt with.
            let ahead = occupied >> current;
            let slot = current + u64::from(ahead.trailing_zeros());
            let start = ((self.elapsed >> (shift + LEVEL_BITS) << LEVEL_BITS) | slot) << shift;
            (ahead != 0).then_some((level, ((level as usize) << LEVEL_BITS) + slot as usize, start))
        });
        lists.min_by_key(|(.., start)| *start)
    }

    /// The clock was set back: all are put where they belong as seen from then, at once. Otherwise nothing that is set from
    /// now on would be found before the clock is again where it was.
    fn restart(&mut self, tick: u64) {
        self.elapsed = tick;
        self.occupied = Default::default();
        let heads = std::mem::replace(&mut self.heads, no_lists());
        for mut number in heads {
            while let Some(next) = self.all.get(number).map(|deadline| deadline.next) {
                self.link(number);
                number = next;
            }
        }
    }

    fn link(&mut self, number: u32) {
        let Some(deadline) = self.all.get_mut(number) else { return };
        let tick = (deadline.at >> TICK_BITS).clamp(self.elapsed, LAST_TICK);
        // The level of the highest bits that differ.
        let differing = u64::BITS - 1 - ((tick ^ self.elapsed) | 1).leading_zeros();
        let level = differing / LEVEL_BITS;
        let slot = (tick >> (level * LEVEL_BITS)) & ((1 << LEVEL_BITS) - 1);
        let list = ((level as usize) << LEVEL_BITS) + slot as usize;
        let (Some(head), Some(occupied)) = (self.heads.get_mut(list), self.occupied.get_mut(level as usize))
        else {
            return;
        };
        deadline.list = NonZeroU16::MIN.saturating_add(list as u16);
        deadline.previous = NONE;
        deadline.next = std::mem::replace(head, number);
        *occupied |= 1 << slot;
        let next = deadline.next;
        if let Some(next) = self.all.get_mut(next) {
            next.previous = number;
        }
    }

    fn unlink(&mut self, number: u32) {
        let Some(&Deadline { next, previous, list, .. }) = self.all.get(number) else { return };
        if let Some(next) = self.all.get_mut(next) {
            next.previous = previous;
        }
        if let Some(previous) = self.all.get_mut(previous) {
            previous.next = next;
            return;
        }
        let list = usize::from(list.get() - 1);
        if let Some(head) = self.heads.get_mut(list) {
            *head = next;
        }
        if next == NONE
            && let Some(occupied) = self.occupied.get_mut(list >> LEVEL_BITS)
        {
            *occupied &= !(1 << (list & ((1 << LEVEL_BITS) - 1)));
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { all: Slab::default(), heads: no_lists(), occupied: [0; LEVELS as usize], elapsed: 0 }
    }
}

fn no_lists() -> Box<[u32]> {
    vec![NONE; SLOTS].into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_deadline_is_small() {
        assert_eq!(Deadlines::BYTES, 24);
    }

    /// Everything due now; each removed.
    fn drain(deadlines: &mut Deadlines, numbers: &mut BTreeMap<u32, (u32, Millis)>, now: Millis) {
        while let Some(step) = deadlines.step(now) {
            if let Step::Due(entry) = step {
                let (number, at) = numbers.remove(&entry).unwrap();
                assert!(at < now, "{at} at {now}");
                assert_eq!(deadlines.remove(number), Some(at));
            }
        }
    }

    #[test]
    fn what_is_due_is_found_within_two_ticks_and_never_early() {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut now = 1_700_000_000_000;
        let (mut deadlines, mut numbers) = (Deadlines::default(), BTreeMap::new());
        for entry in 0..30_000 {
            // From long ago to years ahead.
            let distance = 1u64 << rng.u32(0..36);
            let at = (now + rng.u64(0..distance)).saturating_sub(200);
            match rng.u8(0..8) {
                0..5 => {
                    numbers.insert(entry, (deadlines.insert(at, entry, now), at));
                }
                5 => {
                    if let Some((_, (number, before))) = numbers.iter_mut().next() {
                        deadlines.change(*number, at);
                        *before = at;
                    }
                }
                6 => {
                    if let Some((_, (number, before))) = numbers.pop_first() {
                        assert_eq!(deadlines.remove(number), Some(before));
                    }
                }
                _ => {
                    let most = 1 << rng.u32(0..28);
                    now += rng.u64(0..most);
                    drain(&mut deadlines, &mut numbers, now);
                    assert!(numbers.values().all(|(_, at)| *at + 512 > now));
                }
            }
            assert_eq!(deadlines.all.len(), numbers.len());
        }
        drain(&mut deadlines, &mut numbers, u64::MAX);
        assert_eq!((deadlines.all.len(), deadlines.occupied), (0, [0; 7]));
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (late, early) = (1_700_003_600_000, 1_700_000_000_000);
        let (mut deadlines, mut numbers) = (Deadlines::default(), BTreeMap::new());
        let add = |deadlines: &mut Deadlines, numbers: &mut BTreeMap<_, _>, entry, at, now| {
            numbers.insert(entry, (deadlines.insert(at, entry, now), at));
        };
        for entry in 0..1000 {
            add(&mut deadlines, &mut numbers, entry, late + rng.u64(1000..10_000_000), late);
        }
        drain(&mut deadlines, &mut numbers, late + 2000);
        drain(&mut deadlines, &mut numbers, early);
        let kept = numbers.len();
        for entry in 1000..2000 {
            add(&mut deadlines, &mut numbers, entry, early + rng.u64(0..100_000), early);
        }
        drain(&mut deadlines, &mut numbers, early + 101_000);
        assert_eq!(numbers.len(), kept);
        drain(&mut deadlines, &mut numbers, late + 11_000_000);
        assert_eq!((deadlines.all.len(), deadlines.occupied), (0, [0; 7]));
    }

    #[test]
    fn the_first_is_the_first_to_within_its_list() {
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.first(), None);
        for entry in 1..1000 {
            deadlines.insert(1_000_000 + u64::from(entry) * 10_000, entry, 1_000_000);
        }
        let mut order = Vec::new();
        while let Some(entry) = deadlines.first() {
            let (number, _) = deadlines.all.iter().find(|(_, deadline)| deadline.entry == entry).unwrap();
            deadlines.remove(number);
            order.push(entry);
        }
        // One list of the second level covers 16 s, of the third 17 min.
        assert!(order.iter().zip(1..).all(|(entry, rank)| entry.abs_diff(rank) <= 110));
        assert_eq!(order[0], 1);
    }

    #[test]
    fn a_million_refreshed_times_leave_nothing() {
        let mut deadlines = Deadlines::default();
        let number = deadlines.insert(5000, 1, 0);
        let bytes = deadlines.bytes() + deadlines.slack();
        for at in 0..1_000_000 {
            deadlines.change(number, 5000 + at);
        }
        assert_eq!(deadlines.bytes() + deadlines.slack(), bytes);
        assert_eq!(deadlines.occupied.iter().map(|lists| lists.count_ones()).sum::<u32>(), 1);
    }

    #[test]
    fn compacting_keeps_the_lists() {
        let mut deadlines = Deadlines::default();
        let mut numbers: BTreeMap<u32, (u32, Millis)> = (0..60_000)
            .map(|entry| (entry, (deadlines.insert(u64::from(entry) * 7, entry, 0), u64::from(entry) * 7)))
            .collect();
        numbers.retain(|entry, (number, _)| entry % 9 == 0 || deadlines.remove(*number).is_none());
        let before = deadlines.slack();
        while let Some((entry, number)) = deadlines.compact() {
            numbers.get_mut(&entry).unwrap().0 = number;
        }
        assert!(deadlines.slack() < before / 2);
        drain(&mut deadlines, &mut numbers, 10_000_000);
        assert_eq!((numbers.len(), deadlines.all.len()), (0, 0));
    }
}
