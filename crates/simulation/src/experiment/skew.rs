//! E2, skew: endpoints that are slow for good, after Prequal's evaluation (NSDI 2024).

use evenkeel_policy::balance::Algorithm;
use evenkeel_policy::rng::Rng;

use crate::figure::{Bound, Figure};
use crate::world::{Arrivals, Discipline, Outcome, World};

pub(super) const ABOUT: &str =
    "16 endpoints that answer in 50 ms, two of them 16 times slower, 500 requests a second for two minutes";

fn run(algorithm: Algorithm, seed: u64) -> Outcome {
    let service = |endpoint: usize, _: f64, _: &mut Rng| if endpoint < 2 { 0.8 } else { 0.05 };
    World {
        endpoints: 16,
        discipline: Discipline::Unlimited,
        service: &service,
        algorithm,
        rate: 500.0,
        arrivals: Arrivals::Poisson,
        time: 120.0,
        warm_up: 10.0,
        seed,
    }
    .run()
}

pub(super) fn figures(seed: u64) -> Vec<Figure> {
    let rows = [
        (Algorithm::RoundRobin, 0.99, Bound::Within(800.0, 0.1)),
        (Algorithm::LeastConnections, 0.99, Bound::Within(800.0, 0.1)),
        (Algorithm::PeakEwma, 0.99, Bound::AtMost(50.0)),
        // Both are slow once in 120 draws: s(s-1)/(n(n-1)).
        (Algorithm::TwoChoices, 0.999, Bound::Within(800.0, 0.1)),
        (Algorithm::Adaptive, 0.999, Bound::AtMost(60.0)),
    ];
    let figure = |(algorithm, share, wanted)| {
        let time = run(algorithm, seed).times.quantile(share) * 1e3;
        Figure::new(format!("p{}, {algorithm}", share * 100.0), time, wanted, "ms")
    };
    rows.into_iter().map(figure).collect()
}
