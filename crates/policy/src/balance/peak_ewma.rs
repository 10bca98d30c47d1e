//! Peak EWMA (Finagle's): the endpoint that is expected to answer first, judged by its worst recent latency and by
//! what it has in flight.

use super::{Balance, Eligible, Hint};
use crate::endpoint::EndpointId;
use crate::latency::Memory;
use crate::rng::Rng;

/// As Finagle's.
pub(super) const MEMORY: Memory = Memory { peak: true, keep: 1.0, seconds: 10.0 };

/// Looks at all endpoints, not at two: of two slow ones drawn by chance the better is slow as well.
///
/// Equals are drawn by weight, as in [`super::LeastConnections`].
#[derive(Debug, Clone, Copy, Default)]
pub struct PeakEwma;

impl Balance for PeakEwma {
    fn pick(&mut self, eligible: &Eligible<'_>, hint: Hint, rng: &mut Rng) -> EndpointId {
        let cost = |id| eligible.latency(id, MEMORY, hint.now) * eligible.scaled(id, 1.0, 1.0);
        cheapest(eligible, eligible.ids(), cost, rng).unwrap_or(eligible.first())
    }
}

/// Of `ids` the one with the lowest `cost`, of several the least busy; equals are drawn by weight.
pub(super) fn cheapest(
    eligible: &Eligible<'_>,
    ids: impl Iterator<Item = EndpointId>,
    cost: impl Fn(EndpointId) -> f32,
    rng: &mut Rng,
) -> Option<EndpointId> {
    let mut best = None;
    let mut tied_weight = 0_u32;
    for id in ids {
        let key = (cost(id), eligible.busyness(id));
        match best {
            Some((_, least)) if key > least => {}
            Some((_, least)) if key == least => {
                // One pass over the ties: each replaces the winner so far with its share of the weight so far.
                let weight = eligible.weight(id);
                tied_weight = tied_weight.saturating_add(weight);
                if rng.below(tied_weight) < weight {
                    best = Some((id, least));
                }
            }
            _ => {
                best = Some((id, key));
                tied_weight = eligible.weight(id);
            }
        }
    }
    best.map(|(id, _)| id)
}
