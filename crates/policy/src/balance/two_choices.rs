//! The power of two choices (Mitzenmacher, 2001): two endpoints by chance, of them the less busy.

use super::{Balance, Eligible, Hint};
use crate::endpoint::EndpointId;
use crate::rng::Rng;

/// Nearly as even as least connections, without everyone running to the one endpoint that looks idle.
///
/// Both are drawn by weight, the second among the others; equally busy, the first is taken, so an idle
/// upstream is shared by weight.
#[derive(Debug, Clone, Copy, Default)]
pub struct TwoChoices;

impl Balance for TwoChoices {
    fn pick(&mut self, eligible: &Eligible<'_>, _: Hint, rng: &mut Rng) -> EndpointId {
        let total = eligible.total_weight();
        let first = eligible.holder(rng.below(total), None);
        if eligible.len() == 1 {
            return first;
        }
        let others = total.saturating_sub(eligible.weight(first));
        let second = eligible.holder(rng.below(others), Some(first));
        if eligible.busyness(second) < eligible.busyness(first) { second } else { first }
    }
}
