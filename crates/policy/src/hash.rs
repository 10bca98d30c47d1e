//! Hashes that every process, machine and version agrees on. Nothing secret is in them: whoever wants a value that
//! hashes to what he likes can find one.

use xxhash_rust::xxh3::xxh3_64;

/// 2^64 divided by the golden ratio: multiples of it are far apart.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// XXH3 (Collet, 2019), 64 bits, without a seed: fixed since version 0.8.0 of xxHash.
#[must_use]
pub fn of(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Another number, every bit of which depends on every bit of this one; one to one. The finaliser of SplitMix64
/// (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_published_functions() {
        // As `xxhsum -H3` and the authors' C code have them. If they changed, every key would move.
        assert_eq!(of(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(of(b"a"), 0xe6c6_32b6_1e96_4e1f);
        assert_eq!(of(b"abc"), 0x78af_5f94_892f_3950);
        assert_eq!(mix(GOLDEN), 0xe220_a839_7b1d_cdaf);
    }
}
