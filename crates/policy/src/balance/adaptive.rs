//! Least connections that knows the slow. Hot-cold selection (Prequal: Wydrowski et al., "Load is not what you should
//! balance", NSDI 2024) over what one proxy knows exactly, requests in flight and latency of all endpoints, where Prequal
//! probes a few.

use super::peak_ewma::cheapest;
use super::{Balance, Eligible, Hint};
use crate::endpoint::{EndpointId, Endpoints};
use crate::latency::{Memory, Moment};
use crate::rng::Rng;

/// Sixteen answers are enough to tell a slow endpoint from an unlucky one, and few enough for one that has recovered to
/// be seen as such within seconds.
pub(super) const MEMORY: Memory = Memory { peak: false, keep: 15.0 / 16.0, seconds: 4.0 };

/// The one with the fewest requests in flight per weight, where one whose answers take over three times as long as the
/// median one's counts for as much more.
///
/// So load decides among equals, as in [`super::LeastConnections`], without chasing the noise in their answers' times;
/// and latency decides about the slow. Prequal's rule for the hot, those with more in flight than most, is in it: who
/// is not slow is taken only if nobody who is not slow has less in flight, and at least half of all are not slow.
#[derive(Debug, Clone, Default)]
pub struct Adaptive {
    /// Of the endpoints' latencies, in seconds; 0 while none is known.
    median: f32,
    /// For so many picks, and until then.
    picks: u32,
    until: Moment,
    /// Room to find it in.
    latencies: Vec<f32>,
}

/// An endpoint is slow if its answers take this many times as long as those of the median one. With exponential service
/// 2 takes the unlucky for slow, which costs 2 % of the mean time against least connections (experiment E3); 3 costs
/// nothing that can be seen, and what is slower by less is left to load.
const SLOW: f32 = 3.0;
/// For how long a median stands, where picks are few.
const STANDS: f32 = 0.1;

impl Adaptive {
    /// Looks for the median among those of whom something is known.
    fn look(&mut self, eligible: &Eligible<'_>, now: Moment) {
        let known =
            eligible.ids().map(|id| eligible.latency(id, MEMORY, now)).filter(|latency| *latency > 0.0);
        self.latencies.clear();
        self.latencies.extend(known);
        self.median = match self.latencies.len().checked_sub(1) {
            Some(last) => *self.latencies.select_nth_unstable_by(last / 2, f32::total_cmp).1,
            None => 0.0,
        };
        // Once for each endpoint, so that it costs a pick as much whatever their number.
        self.picks = eligible.len() as u32;
        self.until = now.plus(STANDS);
    }
}

impl Balance for Adaptive {
    fn pick(&mut self, eligible: &Eligible<'_>, hint: Hint, rng: &mut Rng) -> EndpointId {
        if self.picks == 0 || hint.now >= self.until {
            self.look(eligible, hint.now);
        }
        self.picks -= 1;
        let cost = |id| {
            let latency = eligible.latency_above(SLOW * self.median, id, MEMORY, hint.now);
            match latency {
                Some(latency) if self.median > 0.0 => eligible.scaled(id, latency / self.median, 1.0),
                _ => eligible.scaled(id, 1.0, 0.0),
            }
        };
        cheapest(eligible, eligible.ids(), cost, rng).unwrap_or(eligible.first())
    }

    fn rebuild(&mut self, _: &Endpoints) {
        self.picks = 0;
    }
}
