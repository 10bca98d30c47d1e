//! Endpoints against each other: who fails far more often, or takes far longer, than the rest.
//!
//! An upstream that fails as a whole has no outliers: somebody is one only beside others that do better.

use super::monitor::Counts;
use super::{OutlierRules, Reason};

/// Attempts without which nothing is said of an endpoint, nor by comparison with the others.
const ENOUGH: u32 = 20;
/// So many times the others' share of errors is well above it.
const WELL_ABOVE: f64 = 2.0;
/// A difference of latency that is none: among endpoints that answer in a millisecond, three are no fault.
const NEGLIGIBLE_SECONDS: f64 = 0.01;

/// The outliers among endpoints of which so much was seen, by index: first those with errors, the worst first.
pub(super) fn outliers(rules: &OutlierRules, seen: &[Counts]) -> Vec<(usize, Reason)> {
    let all = seen.iter().fold(Counts::default(), |all, one| Counts {
        attempts: all.attempts.saturating_add(one.attempts),
        errors: all.errors.saturating_add(one.errors),
        seconds: all.seconds + one.seconds,
    });
    let mut found: Vec<_> = seen
        .iter()
        .enumerate()
        .filter_map(|(index, one)| {
            let others = Counts {
                attempts: all.attempts.saturating_sub(one.attempts),
                errors: all.errors.saturating_sub(one.errors),
                seconds: (all.seconds - one.seconds).max(0.0),
            };
            let (reason, by) = judge(rules, *one, others)?;
            Some((reason, by, index))
        })
        .collect();
    found.sort_by(|(a, by_a, _), (b, by_b, _)| (*a as u8).cmp(&(*b as u8)).then(by_b.total_cmp(by_a)));
    found.into_iter().map(|(reason, _, index)| (index, reason)).collect()
}

/// Whether one is an outlier, and by how much.
fn judge(rules: &OutlierRules, one: Counts, others: Counts) -> Option<(Reason, f64)> {
    if let Some(limit) = rules.error_ratio
        && one.attempts.min(others.attempts) >= ENOUGH
    {
        let (share, theirs) = (one.error_share(), others.error_share());
        if share > f64::from(limit) / 100.0 && share >= WELL_ABOVE * theirs {
            return Some((Reason::ErrorRatio, share - theirs));
        }
    }
    if let Some(factor) = rules.latency
        && one.good().min(others.good()) >= ENOUGH
    {
        let (mean, theirs) = (one.mean_seconds(), others.mean_seconds());
        if mean > f64::from(factor) * theirs && mean - theirs > NEGLIGIBLE_SECONDS {
            return Some((Reason::Latency, mean));
        }
    }
    None
}

impl Counts {
    fn good(self) -> u32 {
        self.attempts - self.errors.min(self.attempts)
    }

    fn error_share(self) -> f64 {
        f64::from(self.errors) / f64::from(self.attempts.max(1))
    }

    fn mean_seconds(self) -> f64 {
        self.seconds / f64::from(self.good().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(error_ratio: Option<u8>, latency: Option<u16>) -> OutlierRules {
        OutlierRules { error_ratio, latency, ..OutlierRules::default() }
    }

    fn failing(list: &[(u32, u32)]) -> Vec<Counts> {
        list.iter().map(|&(attempts, errors)| Counts { attempts, errors, seconds: 0.0 }).collect()
    }

    /// Each with 100 answers of this many milliseconds.
    fn taking(list: &[f64]) -> Vec<Counts> {
        list.iter().map(|ms| Counts { attempts: 100, errors: 0, seconds: ms / 10.0 }).collect()
    }

    fn who(rules: &OutlierRules, seen: &[Counts]) -> Vec<usize> {
        outliers(rules, seen).into_iter().map(|(index, _)| index).collect()
    }

    #[test]
    fn who_fails_far_more_often_than_the_others_is_one() {
        let rules = rules(Some(20), None);
        assert_eq!(who(&rules, &failing(&[(100, 0), (100, 21), (100, 1)])), [1]);
        assert_eq!(who(&rules, &failing(&[(100, 0), (100, 20), (100, 1)])), [], "not above it");
        assert_eq!(who(&rules, &failing(&[(100, 30), (100, 50), (100, 30)])), [], "all fail");
        assert_eq!(who(&rules, &failing(&[(100, 100), (100, 100)])), []);
        assert_eq!(who(&rules, &failing(&[(100, 60), (100, 90), (1000, 0)])), [1, 0], "the worst first");
    }

    #[test]
    fn little_is_not_judged_nor_judged_by() {
        let rules = rules(Some(20), Some(3));
        assert_eq!(who(&rules, &failing(&[(19, 19), (100, 0)])), []);
        assert_eq!(who(&rules, &failing(&[(20, 19), (100, 0)])), [0]);
        assert_eq!(who(&rules, &failing(&[(100, 100), (10, 0), (9, 0)])), []);
        assert_eq!(who(&rules, &failing(&[(100, 100)])), []);
        assert_eq!(who(&rules, &[]), []);
        let mut slow = taking(&[100.0, 10.0]);
        slow[0].errors = 81;
        assert_eq!(who(&OutlierRules { error_ratio: None, ..rules }, &slow), [], "only 19 good answers");
    }

    #[test]
    fn who_takes_far_longer_than_the_others_is_one() {
        let three = rules(None, Some(3));
        assert_eq!(who(&three, &taking(&[20.0, 61.0, 20.0])), [1]);
        assert_eq!(who(&three, &taking(&[20.0, 59.0, 20.0])), []);
        assert_eq!(who(&three, &taking(&[1.0, 9.0, 1.0])), [], "that is nothing");
        assert_eq!(who(&three, &taking(&[500.0, 500.0])), []);
        let both = rules(Some(20), Some(3));
        let mut seen = taking(&[500.0, 1.0, 1.0, 1.0]);
        seen[3].errors = 30;
        let found = outliers(&both, &seen);
        assert_eq!(found, [(3, Reason::ErrorRatio), (0, Reason::Latency)]);
    }
}
