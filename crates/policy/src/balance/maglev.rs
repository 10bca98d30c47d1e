//! Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, §3.4): a table
//! whose entries the endpoints take in turn, each in an order of its own.
//!
//! Every endpoint has its share of the entries, to one entry; a key is found by one look. When the list changes, a few
//! keys of those that stay move as well: 0.6 % of all with 1000 endpoints, 0.2 % with 10 (experiment E11).
//!
//! A table costs 128 KiB, of more than 1024 endpoints 1.3 MiB, for each worker, and is made in a few milliseconds.

use super::hashing::{Hashing, Layout, Member};
use super::slots::Slots;
use crate::endpoint::EndpointId;
use crate::hash::{GOLDEN, mix};
use crate::rng::Rng;

/// By one look into a table, with the evenest shares.
pub type Maglev = Hashing<Table>;

/// An endpoint in each entry.
#[derive(Debug, Default)]
pub struct Table {
    entries: Slots,
}

/// How many entries there may be: primes, so that every step leads through all of them. The paper's.
const SIZES: [u32; 2] = [65_537, 655_373];
/// How many there are for each endpoint at least, as long as there is a larger table.
const EACH: usize = 64;

/// An entry that nobody has taken.
const FREE: u32 = u32::MAX;

/// An endpoint's way through all entries, in the order in which it likes them.
#[derive(Debug, Clone, Copy)]
struct Way {
    id: u32,
    /// The entry that it likes best of those it has not looked at, and how far it is to the next.
    next: u32,
    step: u32,
}

/// Who takes an entry, one after the other, so many times in all, as places in the list.
///
/// After n turns an endpoint's next one is due at (n + 1/2) / weight, which shares entries as Sainte-Laguë's method shares
/// seats. Of those due together the first goes first.
fn turns(members: &[Member], count: u32) -> impl Iterator<Item = usize> {
    /// Bits of a moment behind its point, and below it those of a place: 40 are left for the whole moment, which is
    /// at most two for each turn.
    const FRACTION: u32 = 22;
    const PLACE: u32 = 24;
    let total: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
    let mut due = Vec::with_capacity(count as usize + 2 * members.len());
    for (place, member) in (0_u64..).zip(members) {
        let weight = u64::from(member.weight);
        // No share is rounded up by more than one.
        let most = u64::from(count) * weight / total.max(1) + 2;
        due.extend((0..most).map(|taken| ((((2 * taken + 1) << FRACTION) / weight.max(1)) << PLACE) | place));
    }
    due.sort_unstable();
    due.into_iter().take(count as usize).map(|turn| (turn & ((1 << PLACE) - 1)) as usize)
}

impl Layout for Table {
    fn build(members: &[Member]) -> Self {
        let [small, large] = SIZES;
        let size = if members.len() * EACH <= small as usize { small } else { large };
        let way = |member: &Member| {
            let mut rng = Rng::new(member.identity);
            Way { id: member.id.0, next: rng.below(size), step: 1 + rng.below(size - 1) }
        };
        let mut ways: Vec<_> = members.iter().map(way).collect();
        let mut entries = vec![FREE; size as usize];
        for place in turns(members, size) {
            let Some(way) = ways.get_mut(place) else { continue };
            // A whole round, which there never is, would mean that none is free.
            for _ in 0..size {
                let entry = entries.get_mut(way.next as usize).filter(|entry| **entry == FREE);
                let next = way.next + way.step;
                way.next = if next < size { next } else { next - size };
                if let Some(entry) = entry {
                    *entry = way.id;
                    break;
                }
            }
        }
        match members {
            [] => Self::default(),
            _ => Self { entries: Slots::new(entries.iter().copied()) },
        }
    }

    /// As if each time the key were another one.
    fn places(&self, key: u64) -> impl Iterator<Item = EndpointId> {
        let size = self.entries.len() as u64;
        let others = (1..).map(move |attempt| mix(key.wrapping_add(GOLDEN.wrapping_mul(attempt))));
        let keys = std::iter::once(key).chain(others);
        keys.map_while(move |key| self.entries.get(key.checked_rem(size)? as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(weights: &[u16]) -> Table {
        let member = |(index, weight): (u32, &u16)| Member {
            id: EndpointId(index),
            identity: mix(u64::from(index)),
            weight: *weight,
        };
        let mut members: Vec<_> = (0..).zip(weights).map(member).collect();
        members.sort_by_key(|member| member.identity);
        Table::build(&members)
    }

    /// How many entries each has.
    fn entries(table: &Table, members: usize) -> Vec<u32> {
        let mut counts = vec![0; members];
        for key in 0..table.entries.len() as u64 {
            counts[table.places(key).next().unwrap().0 as usize] += 1;
        }
        counts
    }

    #[test]
    fn everybody_has_its_share_of_the_entries_to_one() {
        for weights in
            [vec![1; 3], vec![7; 1000], vec![5, 1, 1], (1..=100).collect(), vec![65_535, 65_535, 9]]
        {
            let counts = entries(&table(&weights), weights.len());
            let total: f64 = weights.iter().copied().map(f64::from).sum();
            for (count, weight) in counts.iter().zip(&weights) {
                let share = 65_537.0 * f64::from(*weight) / total;
                assert!((f64::from(*count) - share).abs() <= 1.0, "{count} for {share} of {weights:?}");
            }
        }
    }

    #[test]
    fn many_endpoints_have_a_larger_table() {
        assert_eq!(table(&[1; 1024]).entries.len(), 65_537);
        let large = table(&[1; 1025]);
        assert_eq!(large.entries.len(), 655_373);
        assert!(entries(&large, 1025).iter().all(|count| (639..=640).contains(count)));
        assert!(Table::build(&[]).places(7).next().is_none());
    }

    #[test]
    fn other_places_are_as_even_as_the_first() {
        let table = table(&[1; 10]);
        let mut counts = [0_u32; 10];
        for key in 0..10_000 {
            counts[table.places(key).nth(1).unwrap().0 as usize] += 1;
        }
        // Five standard deviations are 150.
        assert!(counts.iter().all(|count| count.abs_diff(1000) < 150), "{counts:?}");
    }
}
