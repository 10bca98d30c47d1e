//! Which entry goes when memory is short: a [`Policy`] for the operator, an [`Order`] behind it for the shard.
//!
//! A new one is a file with an `impl Order`, and a variant of [`Policy`] with its name and its line in `order`.

mod ghost;
mod lfu;
mod lru;
mod queue;
mod random;
mod s3fifo;
mod soonest;

use std::fmt::Debug;

use crate::store::Millis;
use crate::store::expiry::Deadlines;
use crate::store::shard::Entry;
use crate::store::slab::Slab;

/// Which keys may go when `maxmemory` is reached, and which of them first. The names are those of Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// None: commands that need memory fail.
    NoEviction,
    /// The one not used for longest.
    AllKeysLru,
    /// The one used least often lately.
    AllKeysLfu,
    /// Any.
    AllKeysRandom,
    /// S3-FIFO: one that was not used again soon after it came, or else not lately. The best for caches (SOSP'23).
    #[default]
    AllKeysS3Fifo,
    /// The least recently used that has a time to live.
    VolatileLru,
    /// The least frequently used that has a time to live.
    VolatileLfu,
    /// Any that has a time to live.
    VolatileRandom,
    /// S3-FIFO among those that have a time to live.
    VolatileS3Fifo,
    /// The one whose time to live ends first.
    VolatileTtl,
}

/// What each policy is called.
const NAMES: [(Policy, &str); 10] = [
    (Policy::NoEviction, "noeviction"),
    (Policy::AllKeysLru, "allkeys-lru"),
    (Policy::AllKeysLfu, "allkeys-lfu"),
    (Policy::AllKeysRandom, "allkeys-random"),
    (Policy::AllKeysS3Fifo, "allkeys-s3fifo"),
    (Policy::VolatileLru, "volatile-lru"),
    (Policy::VolatileLfu, "volatile-lfu"),
    (Policy::VolatileRandom, "volatile-random"),
    (Policy::VolatileS3Fifo, "volatile-s3fifo"),
    (Policy::VolatileTtl, "volatile-ttl"),
];

impl Policy {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(policy, _)| *policy)
    }

    /// The name in `maxmemory-policy`.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(policy, _)| *policy == self).map_or("", |(_, name)| name)
    }

    /// The policy of that name, in whatever case.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, other)| other.eq_ignore_ascii_case(name)).map(|(policy, _)| *policy)
    }

    /// Whether only keys with a time to live may go.
    pub fn is_volatile(self) -> bool {
        matches!(
            self,
            Self::VolatileLru
                | Self::VolatileLfu
                | Self::VolatileRandom
                | Self::VolatileS3Fifo
                | Self::VolatileTtl
        )
    }

    /// Whether `OBJECT FREQ` has an answer, and `OBJECT IDLETIME` none.
    pub fn counts_frequency(self) -> bool {
        matches!(self, Self::AllKeysLfu | Self::VolatileLfu)
    }

    pub(super) fn order(self) -> Box<dyn Order> {
        let volatile = self.is_volatile();
        match self {
            Self::NoEviction => Box::new(random::Nothing),
            Self::AllKeysLru | Self::VolatileLru => Box::<lru::Lru>::default(),
            Self::AllKeysLfu | Self::VolatileLfu => Box::new(lfu::Lfu::new(volatile)),
            Self::AllKeysRandom | Self::VolatileRandom => Box::new(random::Random { volatile }),
            Self::AllKeysS3Fifo | Self::VolatileS3Fifo => Box::<s3fifo::S3Fifo>::default(),
            Self::VolatileTtl => Box::new(soonest::Soonest),
        }
    }
}

/// Keeps entries in the order in which they are to go. It is told of those only that the policy allows to go.
pub(super) trait Order: Debug + Send {
    /// An entry is there.
    fn add(&mut self, entries: &mut Slab<Entry>, id: u32);

    /// It is about to go, or must not be evicted any more.
    fn remove(&mut self, entries: &mut Slab<Entry>, id: u32);

    /// It is being used. Its `used` still says when it was the time before.
    fn touch(&mut self, entries: &mut Slab<Entry>, id: u32, now: Millis);

    /// Its weight changed.
    fn resize(&mut self, _entry: &Entry, _before: usize, _after: usize) {}

    /// It stands in another place.
    fn moved(&mut self, _entries: &mut Slab<Entry>, _old: u32, _new: u32) {}

    /// The one to go next, which is then removed. `None` if none may.
    fn victim(
        &mut self,
        entries: &mut Slab<Entry>,
        deadlines: &Deadlines,
        rng: &mut fastrand::Rng,
        now: Millis,
    ) -> Option<u32>;

    /// How often it was used lately, from 0 to 255.
    fn frequency(&self, entry: &Entry, _now: Millis) -> u8 {
        entry.frequency
    }

    /// Bytes allocated.
    fn bytes(&self) -> usize {
        0
    }

    /// Compares what it keeps with the entries.
    #[cfg(test)]
    fn check(&self, entries: &Slab<Entry>) {
        assert!(entries.iter().all(|(_, entry)| entry.queue == 0));
    }
}

#[cfg(test)]
mod tests;
