//! The one source of chance: a small seeded generator, handed in by whoever asks for a decision.

use crate::hash::{GOLDEN, mix};

/// xoshiro256++ 1.0 (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021),
/// seeded through SplitMix64 as its authors advise.
///
/// Fast and well spread; not for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator whose whole output follows from `seed`. Every seed is good, zero included.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: [1, 2, 3, 4].map(|step| mix(seed.wrapping_add(GOLDEN.wrapping_mul(step)))) }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = self.state;
        let result = s0.wrapping_add(s3).rotate_left(23).wrapping_add(s0);
        let (s2, s3) = (s2 ^ s0, s3 ^ s1);
        let (s1, s0) = (s1 ^ s2, s0 ^ s3);
        let [_, old, _, _] = self.state;
        self.state = [s0, s1, s2 ^ (old << 17), s3.rotate_left(45)];
        result
    }

    /// A number in `0..n`, each equally likely; 0 when `n` is 0.
    ///
    /// Lemire, "Fast Random Integer Generation in an Interval" (2019): a division only in the rare
    /// case that a draw has to be checked for bias.
    pub fn below(&mut self, n: u32) -> u32 {
        let mut product = self.draw(n);
        if low(product) < n {
            let threshold = n.wrapping_neg() % n;
            while low(product) < threshold {
                product = self.draw(n);
            }
        }
        (product >> 32) as u32
    }

    fn draw(&mut self, n: u32) -> u64 {
        (self.next_u64() >> 32) * u64::from(n)
    }
}

/// The low half, which decides whether a draw is biased.
fn low(product: u64) -> u32 {
    product as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_published_algorithm() {
        // The authors' C code, started from the state 1, 2, 3, 4.
        let mut rng = Rng { state: [1, 2, 3, 4] };
        assert_eq!(
            [rng.next_u64(), rng.next_u64(), rng.next_u64(), rng.next_u64()],
            [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]
        );
    }

    #[test]
    fn same_seed_same_numbers_other_seed_others() {
        let numbers = |seed| {
            let mut rng = Rng::new(seed);
            (0..100).map(|_| rng.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        assert_ne!(numbers(0), vec![0; 100]);
    }

    #[test]
    fn below_stays_below_and_is_even() {
        let mut rng = Rng::new(1);
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        for n in [3_u32, 10, 1000, u32::MAX] {
            assert!((0..1000).all(|_| rng.below(n) < n));
        }
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[rng.below(10) as usize] += 1;
        }
        // Standard deviation is 95: five of them either side.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 475), "{counts:?}");
    }
}
