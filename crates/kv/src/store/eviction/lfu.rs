//! [`Lfu`]: of a sample, the least frequently used goes. Counters as in Redis: logarithmic, and less by one for each minute
//! without use.

use super::Order;
use super::random::Random;
use crate::store::Millis;
use crate::store::expiry::Deadlines;
use crate::store::shard::Entry;
use crate::store::slab::Slab;

/// What a new entry starts with, so that it has a chance.
const INITIAL: u8 = 5;
/// How much harder each step up is (`lfu-log-factor`).
const LOG_FACTOR: f64 = 10.0;
/// Seconds without use that cost one (`lfu-decay-time`).
const DECAY: u32 = 60;
/// Entries compared, each a cache miss or two. Redis takes 5 by default.
const SAMPLE: usize = 10;

/// Counts how often entries are used.
#[derive(Debug)]
pub(super) struct Lfu {
    among: Random,
    /// Whether a use counts; the same for the same history.
    chance: fastrand::Rng,
}

impl Lfu {
    pub(super) fn new(volatile: bool) -> Self {
        Self { among: Random { volatile }, chance: fastrand::Rng::with_seed(0) }
    }
}

fn decayed(entry: &Entry, now: Millis) -> u8 {
    let minutes = ((now / 1000) as u32).saturating_sub(entry.used) / DECAY;
    entry.frequency.saturating_sub(u8::try_from(minutes).unwrap_or(u8::MAX))
}

impl Order for Lfu {
    fn add(&mut self, entries: &mut Slab<Entry>, id: u32) {
        if let Some(entry) = entries.get_mut(id) {
            entry.frequency = INITIAL;
        }
    }

    fn remove(&mut self, _: &mut Slab<Entry>, _: u32) {}

    fn touch(&mut self, entries: &mut Slab<Entry>, id: u32, now: Millis) {
        let Some(entry) = entries.get_mut(id) else { return };
        entry.frequency = decayed(entry, now);
        let above = f64::from(entry.frequency.saturating_sub(INITIAL));
        if self.chance.f64() * (above * LOG_FACTOR + 1.0) < 1.0 {
            entry.frequency = entry.frequency.saturating_add(1);
        }
    }

    fn victim(
        &mut self,
        entries: &mut Slab<Entry>,
        deadlines: &Deadlines,
        rng: &mut fastrand::Rng,
        now: Millis,
    ) -> Option<u32> {
        let sample = (0..SAMPLE).filter_map(|_| self.among.pick(entries, deadlines, rng));
        sample.min_by_key(|&id| entries.get(id).map(|entry| (decayed(entry, now), entry.used)))
    }

    fn frequency(&self, entry: &Entry, now: Millis) -> u8 {
        decayed(entry, now)
    }
}
