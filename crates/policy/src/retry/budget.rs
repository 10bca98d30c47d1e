//! The retry budget: a token bucket fed by requests.

use std::time::{Duration, Instant};

/// Retries an upstream's worker may still make.
///
/// Every request puts in its percentage of one retry, every retry takes one out. What requests put in fades
/// over [`Budget::MEMORY`], so the budget follows the present rate: at `r` requests a second and `p` percent
/// it settles at `p/100 · r · 10` retries in stock, enough for the burst when an endpoint dies.
///
/// Small traffic could never retry that way, so there is an allowance beside it, refilled at
/// [`Budget::ALLOWANCE_PER_SECOND`] up to ten seconds' worth and full at the start (as in Finagle and Linkerd).
/// A budget of 0 % has no allowance: nothing that costs is retried.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Retries one request earns; `None` is unlimited.
    share: Option<f64>,
    earned: f64,
    allowance: f64,
    updated: Instant,
}

impl Budget {
    /// How long what requests put in is remembered.
    pub const MEMORY: Duration = Duration::from_secs(10);

    /// Retries a second that need no requests to earn them.
    pub const ALLOWANCE_PER_SECOND: u32 = 10;

    /// A budget of `percent` of requests, above 100 read as 100; `None` is unlimited.
    #[must_use]
    pub fn new(percent: Option<u8>, now: Instant) -> Self {
        let share = percent.map(|percent| f64::from(percent.min(100)) / 100.0);
        let allowance = if percent == Some(0) { 0.0 } else { full_allowance() };
        Self { share, earned: 0.0, allowance, updated: now }
    }

    /// Counts a request.
    pub fn deposit(&mut self, now: Instant) {
        if let Some(share) = self.share {
            self.catch_up(now);
            self.earned += share;
        }
    }

    /// Takes one retry out, if there is one.
    #[must_use]
    pub fn withdraw(&mut self, now: Instant) -> bool {
        if self.share.is_none() {
            return true;
        }
        self.catch_up(now);
        for stock in [&mut self.earned, &mut self.allowance] {
            if *stock >= 1.0 {
                *stock -= 1.0;
                return true;
            }
        }
        false
    }

    /// Retries in stock; `None` is unlimited.
    #[must_use]
    pub fn available(&mut self, now: Instant) -> Option<u32> {
        self.share?;
        self.catch_up(now);
        Some(self.earned as u32 + self.allowance as u32)
    }

    fn catch_up(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.updated).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        self.updated = now;
        self.earned *= (-passed / Self::MEMORY.as_secs_f64()).exp();
        if self.share != Some(0.0) {
            let refilled = self.allowance + passed * f64::from(Self::ALLOWANCE_PER_SECOND);
            self.allowance = refilled.min(full_allowance());
        }
    }
}

fn full_allowance() -> f64 {
    f64::from(Budget::ALLOWANCE_PER_SECOND) * Budget::MEMORY.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::epoch;

    /// Retries granted while `rate` requests a second all fail for `seconds`, and each asks once.
    fn storm(percent: u8, rate: u32, seconds: u32) -> u32 {
        let mut budget = Budget::new(Some(percent), epoch());
        let mut granted = 0;
        for request in 0..rate * seconds {
            let now = epoch() + Duration::from_secs(1) * request / rate;
            budget.deposit(now);
            granted += u32::from(budget.withdraw(now));
        }
        granted
    }

    #[test]
    fn a_storm_gets_its_share_and_the_allowance() {
        // 60 s at 1000/s: 20 % of 60,000, 10/s beside it, 100 at the start; fading costs a little.
        let granted = storm(20, 1000, 60);
        assert!((12_000..=12_700).contains(&granted), "{granted}");
    }

    #[test]
    fn small_traffic_can_retry() {
        assert_eq!(storm(20, 2, 30), 60);
    }

    #[test]
    fn nothing_is_nothing_and_unlimited_is_unlimited() {
        assert_eq!(storm(0, 100, 20), 0);
        let mut unlimited = Budget::new(None, epoch());
        assert!((0..10_000).all(|_| unlimited.withdraw(epoch())));
        assert_eq!(unlimited.available(epoch()), None);
    }

    #[test]
    fn stock_follows_the_rate_and_fades() {
        let mut budget = Budget::new(Some(20), epoch());
        let mut now = epoch();
        for _ in 0..60_000 {
            now += Duration::from_millis(1);
            budget.deposit(now);
        }
        let stock = budget.available(now).unwrap();
        assert!((2090..=2110).contains(&stock), "20 % of 10 s at 1000/s, and 100: {stock}");
        let later = now + Duration::from_secs(100);
        assert_eq!(budget.available(later), Some(100));
    }

    #[test]
    fn time_that_runs_backwards_changes_nothing() {
        let mut budget = Budget::new(Some(20), epoch() + Duration::from_secs(5));
        let before = budget.available(epoch() + Duration::from_secs(5));
        budget.deposit(epoch());
        assert_eq!(budget.available(epoch()), before);
    }
}
