//! A seedable random source that threads share without a lock.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 (Steele, Lea, Flood 2014) over an atomic counter: one addition and a few multiplications a number.
/// With one thread the same seed gives the same sequence.
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    /// `None` takes a seed that differs from run to run.
    pub(crate) fn new(seed: Option<u64>) -> Random {
        Random(AtomicU64::new(seed.unwrap_or_else(|| RandomState::new().build_hasher().finish())))
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller's transform.
    pub(crate) fn normal(&self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_sequence_comes_out() {
        // The first numbers of SplitMix64 seeded with 1234567, as published with Vigna's C code.
        let random = Random::new(Some(1_234_567));
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn units_and_normals_have_their_moments() {
        let random = Random::new(Some(1));
        let units: Vec<f64> = (0..100_000).map(|_| random.unit()).collect();
        assert!(units.iter().all(|u| (0.0..1.0).contains(u)));
        assert!((units.iter().sum::<f64>() / 1e5 - 0.5).abs() < 0.01);
        let normals: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        assert!((normals.iter().sum::<f64>() / 1e5).abs() < 0.02);
        assert!((normals.iter().map(|n| n * n).sum::<f64>() / 1e5 - 1.0).abs() < 0.03);
    }
}
