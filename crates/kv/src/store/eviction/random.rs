//! [`Random`]: any entry goes; and [`Nothing`]: none does.

use super::Order;
use crate::store::Millis;
use crate::store::expiry::Deadlines;
use crate::store::shard::Entry;
use crate::store::slab::Slab;

/// No order.
#[derive(Debug)]
pub(super) struct Random {
    /// Only those that expire.
    pub(super) volatile: bool,
}

/// Nothing may go.
#[derive(Debug)]
pub(super) struct Nothing;

impl Random {
    pub(super) fn pick(
        &self,
        entries: &Slab<Entry>,
        deadlines: &Deadlines,
        rng: &mut fastrand::Rng,
    ) -> Option<u32> {
        if self.volatile { deadlines.random(rng) } else { entries.random(rng) }
    }
}

impl Order for Random {
    fn add(&mut self, _: &mut Slab<Entry>, _: u32) {}

    fn remove(&mut self, _: &mut Slab<Entry>, _: u32) {}

    fn touch(&mut self, _: &mut Slab<Entry>, _: u32, _: Millis) {}

    fn victim(
        &mut self,
        entries: &mut Slab<Entry>,
        deadlines: &Deadlines,
        rng: &mut fastrand::Rng,
        _: Millis,
    ) -> Option<u32> {
        self.pick(entries, deadlines, rng)
    }
}

impl Order for Nothing {
    fn add(&mut self, _: &mut Slab<Entry>, _: u32) {}

    fn remove(&mut self, _: &mut Slab<Entry>, _: u32) {}

    fn touch(&mut self, _: &mut Slab<Entry>, _: u32, _: Millis) {}

    fn victim(
        &mut self,
        _: &mut Slab<Entry>,
        _: &Deadlines,
        _: &mut fastrand::Rng,
        _: Millis,
    ) -> Option<u32> {
        None
    }
}
