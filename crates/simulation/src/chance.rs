//! Numbers drawn by chance, from the policy core's own generator.

use evenkeel_policy::rng::Rng;

/// Uniform between 0 and 1, without either end.
pub(crate) fn uniform(rng: &mut Rng) -> f64 {
    // 53 bits are what a double holds.
    ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Exponential with that mean.
pub(crate) fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -uniform(rng).ln() * mean
}

/// Normal, by Box and Muller's transform.
pub(crate) fn normal(rng: &mut Rng, mean: f64, deviation: f64) -> f64 {
    let radius = (-2.0 * uniform(rng).ln()).sqrt();
    mean + deviation * radius * (std::f64::consts::TAU * uniform(rng)).cos()
}
