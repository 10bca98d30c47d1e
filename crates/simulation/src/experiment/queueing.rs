//! E3, queueing. Its answers are known from theory (Mitzenmacher, "The Power of Two Choices in Randomized Load
//! Balancing", 2001), so it calibrates the simulator.

use evenkeel_policy::balance::Algorithm;
use evenkeel_policy::rng::Rng;

use crate::chance::exponential;
use crate::figure::{Bound, Figure};
use crate::world::{Arrivals, Discipline, Outcome, World};

pub(super) const ABOUT: &str = "endpoints that work on one request after the other, exponential service of mean 1, Poisson arrivals; times in services";

/// How exactly a mean is compared with theory.
const TOLERANCE: f64 = 0.02;

fn run(algorithm: Algorithm, endpoints: usize, load: f64, requests: u32, seed: u64) -> Outcome {
    let service = |_: usize, _: f64, rng: &mut Rng| exponential(rng, 1.0);
    let rate = endpoints as f64 * load;
    let time = f64::from(requests) / rate;
    World {
        endpoints,
        discipline: Discipline::Queue,
        service: &service,
        algorithm,
        rate,
        arrivals: Arrivals::Poisson,
        time,
        warm_up: time * 0.1,
        seed,
    }
    .run()
}

/// The mean time of endpoints that get requests in turn: each is E_n/M/1, whose time is exponential with rate 1 - s where s
/// solves s = (n load / (n load + 1 - s))^n.
fn in_turn(endpoints: i32, load: f64) -> f64 {
    let phases = f64::from(endpoints) * load;
    let next = |s: f64| (phases / (phases + 1.0 - s)).powi(endpoints);
    1.0 / (1.0 - (0..10_000).fold(0.0, |s, _| next(s)))
}

/// `known`, give or take a share of it.
fn near(what: String, got: f64, known: f64, tolerance: f64) -> Figure {
    Figure::new(what, got, Bound::Within(known, known * tolerance), "")
}

pub(super) fn figures(seed: u64) -> Vec<Figure> {
    let mut figures = Vec::new();
    // Where most places are taken, one request's wait is the next one's as well: each tells less of the mean.
    for (algorithm, endpoints, load, requests, known) in [
        // One endpoint is M/M/1, whatever picks, and so is each of several that chance picks from: 1 / (1 - load).
        (Algorithm::Random, 1, 0.5, 1_000_000, 2.0),
        (Algorithm::Random, 10, 0.7, 1_000_000, 1.0 / 0.3),
        (Algorithm::RoundRobin, 100, 0.9, 4_000_000, in_turn(100, 0.9)),
        (Algorithm::TwoChoices, 100, 0.7, 1_000_000, 1.62),
        (Algorithm::TwoChoices, 100, 0.9, 1_000_000, 2.63),
    ] {
        let mean = run(algorithm, endpoints, load, requests, seed).times.mean();
        figures.push(near(
            format!("mean time, {algorithm}, {endpoints} endpoints at {load}"),
            mean,
            known,
            TOLERANCE,
        ));
    }
    let turns = in_turn(10, 0.9);
    for (algorithm, mean, p99) in
        [(Algorithm::RoundRobin, turns, turns * 100_f64.ln()), (Algorithm::LeastConnections, 1.90, 7.7)]
    {
        let mut times = run(algorithm, 10, 0.9, 4_000_000, seed).times;
        let what = |figure: &str| format!("{figure}, {algorithm}, 10 endpoints at 0.9");
        figures.push(near(what("mean time"), times.mean(), mean, TOLERANCE));
        figures.push(near(what("p99"), times.quantile(0.99), p99, 0.05));
    }
    for (endpoints, load) in [(10, 0.7), (10, 0.9), (100, 0.9)] {
        let mean = |algorithm| run(algorithm, endpoints, load, 400_000, seed).times.mean();
        figures.push(Figure::new(
            format!("mean time, adaptive, of that with least-connections, {endpoints} endpoints at {load}"),
            mean(Algorithm::Adaptive) / mean(Algorithm::LeastConnections),
            Bound::AtMost(1.0 + TOLERANCE),
            "",
        ));
    }
    figures
}
