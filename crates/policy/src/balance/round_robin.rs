//! Smooth weighted round robin, as nginx describes it: weights 5, 1, 1 give `a a b a c a a`, not `a a a a a b c`.

use std::sync::Arc;

use super::{Balance, Eligible, Hint};
use crate::endpoint::{EndpointId, Endpoints, Status};
use crate::rng::Rng;

/// Each pick adds its weight to every eligible endpoint's credit, takes the one with the most and
/// subtracts the total from it.
///
/// Credits are kept while an endpoint is not eligible, so that one left out of a single pick (it had been
/// tried) does not come back with more than its share. They are bounded by a few rounds of the present
/// total, so that after a change of weights nobody pays old debts for long.
#[derive(Debug, Default)]
pub struct RoundRobin {
    credits: Vec<i64>,
    /// Whose credit it is, to find them again in a new list. Held, so that no other gets the same address.
    owners: Vec<Arc<Status>>,
}

/// Rounds of credit or debt an endpoint can hold; undisturbed, it holds less than half of that (a test says so).
const ROUNDS: i64 = 4;

impl Balance for RoundRobin {
    fn pick(&mut self, eligible: &Eligible<'_>, _: Hint, _: &mut Rng) -> EndpointId {
        if self.credits.len() != eligible.endpoints().len() {
            self.rebuild(eligible.endpoints());
        }
        let total = i64::from(eligible.total_weight());
        let bound = total * ROUNDS;
        let mut best = (eligible.first(), i64::MIN);
        for id in eligible.ids() {
            let Some(credit) = self.credits.get_mut(id.0 as usize) else { continue };
            *credit = (*credit).clamp(-bound, bound) + i64::from(eligible.weight(id));
            if *credit > best.1 {
                best = (id, *credit);
            }
        }
        if let Some(credit) = self.credits.get_mut(best.0.0 as usize) {
            *credit -= total;
        }
        best.0
    }

    fn rebuild(&mut self, endpoints: &Endpoints) {
        let mut known: Vec<_> =
            self.owners.iter().map(Arc::as_ptr).zip(self.credits.iter().copied()).collect();
        known.sort_unstable();
        let credit = |owner: &Arc<Status>| {
            let found = known.binary_search_by_key(&Arc::as_ptr(owner), |entry| entry.0).ok();
            found.and_then(|index| known.get(index)).map_or(0, |entry| entry.1)
        };
        let owners: Vec<_> = endpoints.iter().map(|(_, endpoint)| Arc::clone(&endpoint.status)).collect();
        self.credits = owners.iter().map(credit).collect();
        self.owners = owners;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{Endpoint, State};

    fn weighted(weights: &[u16]) -> Endpoints {
        let make = |weight: &u16| Endpoint::new(0, State { weight: *weight, ..State::default() });
        Endpoints::new(weights.iter().map(make).collect())
    }

    fn picks(algorithm: &mut RoundRobin, endpoints: &Endpoints, ids: &[u32], count: usize) -> Vec<u32> {
        let ids: Vec<_> = ids.iter().copied().map(EndpointId).collect();
        let eligible = Eligible::new(endpoints, &ids).unwrap();
        let mut rng = Rng::new(0);
        (0..count).map(|_| algorithm.pick(&eligible, Hint::default(), &mut rng).0).collect()
    }

    #[test]
    fn the_sequence_is_the_published_one() {
        let endpoints = weighted(&[5, 1, 1]);
        let mut algorithm = RoundRobin::default();
        assert_eq!(picks(&mut algorithm, &endpoints, &[0, 1, 2], 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(picks(&mut algorithm, &endpoints, &[0, 1, 2], 7), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn equal_weights_take_turns_also_around_one_that_is_out() {
        let endpoints = weighted(&[1, 1, 1]);
        let mut algorithm = RoundRobin::default();
        assert_eq!(picks(&mut algorithm, &endpoints, &[0, 1, 2], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(picks(&mut algorithm, &endpoints, &[0, 2], 4), [0, 2, 0, 2]);
        assert_eq!(picks(&mut algorithm, &endpoints, &[0, 1, 2], 6), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn being_left_out_of_one_pick_earns_no_extra_turn() {
        let endpoints = weighted(&[1, 1, 1]);
        let mut algorithm = RoundRobin::default();
        let mut zero = 0;
        for _ in 0..300 {
            if picks(&mut algorithm, &endpoints, &[0, 1, 2], 1) == [0] {
                zero += 1;
                picks(&mut algorithm, &endpoints, &[1, 2], 1);
            }
        }
        assert!((95..=105).contains(&zero), "{zero}");
    }

    #[test]
    fn a_rebuild_keeps_the_place_of_those_that_stay() {
        let endpoints = weighted(&[1, 1, 1]);
        let mut algorithm = RoundRobin::default();
        assert_eq!(picks(&mut algorithm, &endpoints, &[0, 1, 2], 2), [0, 1]);
        let mut list: Vec<_> = endpoints.iter().map(|(_, endpoint)| endpoint.clone()).collect();
        list.rotate_left(1);
        let rotated = Endpoints::new(list);
        algorithm.rebuild(&rotated);
        assert_eq!(picks(&mut algorithm, &rotated, &[0, 1, 2], 1), [1], "the third of old is next");
    }

    #[test]
    fn undisturbed_credits_stay_far_from_the_bound() {
        let mut rng = Rng::new(5);
        for count in [2, 3, 10, 100, 300] {
            for skew in [1, 10, 1000] {
                let mut weights: Vec<_> = (0..count).map(|_| 1 + rng.below(skew) as u16).collect();
                weights[0] = weights[0].saturating_mul(100);
                let total: i64 = weights.iter().copied().map(i64::from).sum();
                let (endpoints, mut algorithm) = (weighted(&weights), RoundRobin::default());
                let ids: Vec<_> = (0..count).collect();
                for _ in 0..200 {
                    picks(&mut algorithm, &endpoints, &ids, 10);
                    let most = algorithm.credits.iter().map(|credit| credit.abs()).max().unwrap();
                    assert!(2 * most < ROUNDS * total, "{count} endpoints, skew {skew}: {most} of {total}");
                }
            }
        }
    }

    #[test]
    fn a_changed_weight_counts_soon() {
        let endpoints = weighted(&[60_000, 1]);
        let mut algorithm = RoundRobin::default();
        picks(&mut algorithm, &endpoints, &[0, 1], 30_000);
        endpoints.get(EndpointId(0)).unwrap().status.set_weight(1);
        let after = picks(&mut algorithm, &endpoints, &[0, 1], 60);
        let zero = after.iter().filter(|id| **id == 0).count();
        assert!((20..=40).contains(&zero), "{zero} of 60");
    }
}
