//! What tests of this crate start from: the same generated cases every time, and one instant.

use std::sync::OnceLock;
use std::time::Instant;

use proptest::test_runner::{Config, RngSeed};

/// `cases` cases from a fixed seed; nothing is written to disk.
pub(crate) fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x00e7_e14e_e100),
        ..Config::default()
    }
}

/// Some instant to count from, the same for the whole process.
pub(crate) fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "an instant cannot be made otherwise; only differences matter"
    )]
    *EPOCH.get_or_init(Instant::now)
}
