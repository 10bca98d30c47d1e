//! Ring hashing (Karger et al., "Consistent Hashing and Random Trees", STOC 1997), as ketama made it known: every endpoint
//! has many points on a circle, and a key belongs to the first point from where it falls itself.
//!
//! When the list changes, no key moves but to an endpoint that comes or from one that goes. That is paid for with shares
//! that are less even than [`super::Maglev`]'s: with 160 points a standard deviation of 8 %.
//!
//! A point costs 6 bytes, for each worker: 1 KiB for an endpoint, 1.5 MiB at most.

use super::hashing::{Hashing, Layout, Member};
use super::slots::Slots;
use crate::endpoint::EndpointId;
use crate::rng::Rng;

/// By the next point on a circle, where a list that changes moves the fewest keys.
pub type RingHash = Hashing<Ring>;

/// The points in their order, and whose they are.
#[derive(Debug, Default)]
pub struct Ring {
    points: Box<[u32]>,
    owners: Slots,
}

/// Points of the endpoint with the least weight; ketama's.
const POINTS: u64 = 160;
/// Points in all; with more, everybody has half as many, as often as need be, and one at least.
const MOST: u64 = 1 << 18;

/// The part of a number that says whose point it is; the rest says where.
const RANK: u64 = 0xffff_ffff;

/// How many points a weight has, by the least weight and by how often they were halved.
///
/// By nothing else: were it by the total, everybody's points would change, and with them keys between endpoints that
/// stay, whenever one goes.
fn points(weight: u16, least: u16, halved: u32) -> u64 {
    ((POINTS * u64::from(weight) / u64::from(least.max(1))) >> halved).max(1)
}

impl Layout for Ring {
    fn build(members: &[Member]) -> Self {
        let least = members.iter().map(|member| member.weight).min().unwrap_or(1);
        let total =
            |halved: u32| members.iter().map(|member| points(member.weight, least, halved)).sum::<u64>();
        let halved = (0..u64::BITS).find(|halved| total(*halved) <= MOST).unwrap_or(u64::BITS - 1);
        // The place above, whose it is below: so sorting needs one number. Equals go by identity.
        let mut circle = Vec::with_capacity(total(halved) as usize);
        for (rank, member) in (0_u64..).zip(members) {
            let mut rng = Rng::new(member.identity);
            let points = points(member.weight, least, halved);
            circle.extend((0..points).map(|_| (rng.next_u64() & !RANK) | rank));
        }
        circle.sort_unstable();
        let owner = |point: &u64| members.get((point & RANK) as usize).map_or(0, |member| member.id.0);
        Self {
            points: circle.iter().map(|point| (point >> 32) as u32).collect(),
            owners: Slots::new(circle.iter().map(owner)),
        }
    }

    /// Once around.
    fn places(&self, key: u64) -> impl Iterator<Item = EndpointId> {
        let place = (key >> 32) as u32;
        let (all, start) = (self.points.len(), self.points.partition_point(|point| *point < place));
        (start..start + all)
            .map_while(move |point| self.owners.get(if point < all { point } else { point - all }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::mix;

    fn ring(weights: &[u16]) -> Ring {
        let member = |(index, weight): (u32, &u16)| Member {
            id: EndpointId(index),
            identity: mix(u64::from(index)),
            weight: *weight,
        };
        Ring::build(&(0..).zip(weights).map(member).collect::<Vec<_>>())
    }

    fn counts(ring: &Ring, members: usize) -> Vec<usize> {
        let mut counts = vec![0; members];
        (0..ring.owners.len()).for_each(|point| counts[ring.owners.get(point).unwrap().0 as usize] += 1);
        counts
    }

    #[test]
    fn points_go_by_weight_and_are_bounded() {
        assert_eq!(counts(&ring(&[1, 1, 3]), 3), [160, 160, 480]);
        assert_eq!(counts(&ring(&[10, 10, 25]), 3), [160, 160, 400], "the least weight is the unit");
        assert_eq!(counts(&ring(&[1; 1000]), 1000), vec![160; 1000]);
        assert_eq!(counts(&ring(&[1; 2000]), 2000), vec![80; 2000]);
        let counts = counts(&ring(&[1, 65_535, 65_535]), 3);
        assert_eq!(counts[0], 1);
        assert!(
            counts[1] > 65_536 && counts[1] == counts[2] && counts.iter().sum::<usize>() <= MOST as usize
        );
    }

    #[test]
    fn a_key_goes_around_once_from_its_own_place() {
        let ring = ring(&[1, 1]);
        for key in [0, 1 << 63, u64::MAX] {
            assert_eq!(ring.places(key).count(), 320);
        }
        let place = u64::from(ring.points[7]) << 32;
        assert_eq!(ring.places(place).next(), ring.owners.get(7));
        assert_eq!(ring.places(place + (1 << 32)).next(), ring.owners.get(8));
        assert_eq!(ring.places(u64::MAX).next(), ring.owners.get(0), "behind the last is the first");
        assert!(Ring::build(&[]).places(7).next().is_none());
    }
}
