//! E1, one slow server (Buoyant, "Beyond Round Robin: Load Balancing for Latency", 2016).

use evenkeel_policy::balance::Algorithm;
use evenkeel_policy::rng::Rng;

use crate::chance::normal;
use crate::figure::{Bound, Figure};
use crate::world::{Arrivals, Discipline, Outcome, World};

pub(super) const ABOUT: &str = "11 endpoints that answer in 167 ± 5 ms, 1000 requests a second for a minute; one of them takes 2 s from the 15th second to the 45th";

/// Requests per second.
const RATE: f64 = 1000.0;
const ENDPOINTS: usize = 11;
/// When the first endpoint is slow, in seconds.
const SLOW: std::ops::Range<f64> = 15.0..45.0;

fn run(algorithm: Algorithm, seed: u64) -> Outcome {
    let service = |endpoint: usize, now: f64, rng: &mut Rng| match endpoint {
        0 if SLOW.contains(&now) => 2.0,
        _ => normal(rng, 0.167, 0.005).max(0.001),
    };
    World {
        endpoints: ENDPOINTS,
        discipline: Discipline::Unlimited,
        service: &service,
        algorithm,
        rate: RATE,
        arrivals: Arrivals::Even,
        time: 60.0,
        warm_up: 0.0,
        seed,
    }
    .run()
}

pub(super) fn figures(seed: u64) -> Vec<Figure> {
    let wanted = [
        (Algorithm::RoundRobin, Bound::Within(95.45, 0.1)),
        (Algorithm::LeastConnections, Bound::Within(99.5, 0.15)),
        (Algorithm::PeakEwma, Bound::AtLeast(99.9)),
        (Algorithm::Adaptive, Bound::AtLeast(99.94)),
    ];
    let mut figures: Vec<_> = wanted
        .into_iter()
        .map(|(algorithm, wanted)| {
            let within = run(algorithm, seed).times.share_within(1.0);
            Figure::new(format!("answered within a second, {algorithm}"), within * 100.0, wanted, "%")
        })
        .collect();
    let outcome = run(Algorithm::Adaptive, seed);
    // Requests that the slow one is given in the second from then on.
    let given = |from: f64| {
        let second = from..from + 1.0;
        outcome.picks.iter().filter(|(at, endpoint)| *endpoint == 0 && second.contains(at)).count() as f64
    };
    figures.push(Figure::new(
        "requests a second to the slow one, adaptive",
        given(SLOW.end - 5.0),
        Bound::AtMost(2.0),
        "",
    ));
    figures.push(Figure::new(
        "its share 10 s after it has recovered, adaptive",
        given(SLOW.end + 10.0) / (RATE / ENDPOINTS as f64) * 100.0,
        Bound::AtLeast(80.0),
        "%",
    ));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let picks = |seed| run(Algorithm::Adaptive, seed).picks;
        assert_eq!(picks(7), picks(7));
        assert_ne!(picks(7), picks(8));
    }
}
