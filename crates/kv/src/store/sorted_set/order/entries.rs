//! [`Entries`]: goes through an [`Order`].

use std::ops::Range;

use crate::store::sorted_set::order::{Entry, Order};

/// Entries one after the other, from both ends. Goes down the tree once in each leaf.
#[derive(Clone, Debug)]
pub(in crate::store::sorted_set) struct Entries<'a> {
    order: &'a Order,
    ranks: Range<usize>,
    /// The leaf being read, and the rank of its first entry.
    front: (&'a [Entry], usize),
    back: (&'a [Entry], usize),
}

impl<'a> Entries<'a> {
    /// The entries at `ranks`, which exist.
    pub(super) fn new(order: &'a Order, ranks: Range<usize>) -> Self {
        Self { order, ranks, front: (&[], 0), back: (&[], 0) }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        let rank = self.ranks.next()?;
        let within = |(leaf, start): (&'a [Entry], usize)| leaf.get(rank.checked_sub(start)?);
        within(self.front).or_else(|| {
            self.front = self.order.leaf(rank);
            within(self.front)
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next_back()?;
        let within = |(leaf, start)| <[Entry]>::get(leaf, rank.checked_sub(start)?);
        within(self.back).or_else(|| {
            self.back = self.order.leaf(rank);
            within(self.back)
        })
    }
}

impl ExactSizeIterator for Entries<'_> {}
