//! Weighted least connections: the endpoint with the fewest requests in flight per weight.

use super::{Balance, Eligible, Hint};
use crate::endpoint::EndpointId;
use crate::rng::Rng;

/// Reads the process-wide counts, so it is exact across workers.
///
/// Equals are drawn by weight. Drawing rather than rotating keeps workers from choosing in step: at low
/// load everything is a tie, and rotating workers would all start at the same endpoint.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastConnections;

impl Balance for LeastConnections {
    fn pick(&mut self, eligible: &Eligible<'_>, _: Hint, rng: &mut Rng) -> EndpointId {
        let mut best = eligible.first();
        let mut least = eligible.busyness(best);
        let mut tied_weight = eligible.weight(best);
        for id in eligible.ids().skip(1) {
            let busyness = eligible.busyness(id);
            if busyness < least {
                (best, least, tied_weight) = (id, busyness, eligible.weight(id));
            } else if busyness == least {
                // One pass over the ties: each replaces the winner so far with its share of the weight so far.
                let weight = eligible.weight(id);
                tied_weight = tied_weight.saturating_add(weight);
                if rng.below(tied_weight) < weight {
                    best = id;
                }
            }
        }
        best
    }
}
