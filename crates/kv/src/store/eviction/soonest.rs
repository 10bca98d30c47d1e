//! [`Soonest`]: what would expire first goes first.

use super::Order;
use crate::store::Millis;
use crate::store::expiry::Deadlines;
use crate::store::shard::Entry;
use crate::store::slab::Slab;

/// The order of the deadlines, which keep themselves.
#[derive(Debug)]
pub(super) struct Soonest;

impl Order for Soonest {
    fn add(&mut self, _: &mut Slab<Entry>, _: u32) {}

    fn remove(&mut self, _: &mut Slab<Entry>, _: u32) {}

    fn touch(&mut self, _: &mut Slab<Entry>, _: u32, _: Millis) {}

    fn victim(
        &mut self,
        _: &mut Slab<Entry>,
        deadlines: &Deadlines,
        _: &mut fastrand::Rng,
        _: Millis,
    ) -> Option<u32> {
        deadlines.first()
    }
}
