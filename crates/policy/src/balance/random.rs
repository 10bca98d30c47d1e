//! Weighted random choice: no memory, nothing to get out of step.

use super::{Balance, Eligible, Hint};
use crate::endpoint::EndpointId;
use crate::rng::Rng;

/// Each endpoint with the chance of its share of the weight.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Balance for Random {
    fn pick(&mut self, eligible: &Eligible<'_>, _: Hint, rng: &mut Rng) -> EndpointId {
        eligible.holder(rng.below(eligible.total_weight()), None)
    }
}
