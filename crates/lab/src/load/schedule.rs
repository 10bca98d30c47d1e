//! [`Schedule`]: when each request of a load is due. Pure: it knows nothing of answers.

use std::time::Duration;

use crate::load::{Arrivals, Step};

/// When each request is due, from the beginning of the load: step after step. The same seed gives the same times.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    steps: std::vec::IntoIter<Step>,
    arrivals: Arrivals,
    chance: fastrand::Rng,
    current: Option<Running>,
    /// Where the next step begins, in seconds.
    next: f64,
}

/// A step under way. Times in seconds.
#[derive(Debug, Clone, Copy)]
struct Running {
    rate: f64,
    begin: f64,
    length: f64,
    /// Requests of this step so far.
    count: u64,
    /// Since the step's beginning, when the last one was due.
    last: f64,
}

impl Schedule {
    pub(super) fn new(steps: Vec<Step>, arrivals: Arrivals, seed: u64) -> Self {
        let steps = steps.into_iter();
        Self { steps, arrivals, chance: fastrand::Rng::with_seed(seed), current: None, next: 0.0 }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            if let Some(running) = &mut self.current {
                let since = match self.arrivals {
                    Arrivals::Even => running.count as f64 / running.rate,
                    // Exponential distances; 1 − u is never 0.
                    Arrivals::Poisson => running.last - (1.0 - self.chance.f64()).ln() / running.rate,
                };
                running.count += 1;
                running.last = since;
                if since < running.length {
                    return Duration::try_from_secs_f64(running.begin + since).ok();
                }
            }
            let Step { rate, time } = self.steps.next()?;
            let (begin, length) = (self.next, time.as_secs_f64());
            self.next += length;
            // A step without requests is a pause.
            let running = Running { rate, begin, length, count: 0, last: 0.0 };
            self.current = Some(running).filter(|running| running.rate > 0.0);
        }
    }
}

/// How long all steps take together.
pub(super) fn length(steps: &[Step]) -> Duration {
    steps.iter().fold(Duration::ZERO, |sum, step| sum.saturating_add(step.time))
}

/// The rate asked for that long after the beginning, in requests per second; 0 after the last step.
pub(super) fn rate_at(steps: &[Step], time: Duration) -> f64 {
    let mut end = Duration::ZERO;
    let current = steps.iter().find(|step| {
        end = end.saturating_add(step.time);
        time < end
    });
    current.map_or(0.0, |step| step.rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rate: f64, seconds: f64) -> Step {
        Step { rate, time: Duration::from_secs_f64(seconds) }
    }

    #[test]
    fn even_arrivals_have_equal_distances_and_steps_follow_one_another() {
        let steps = [step(10.0, 0.3), step(0.0, 0.7), step(4.0, 0.5)];
        let times: Vec<u128> = Schedule::new(steps.to_vec(), Arrivals::Even, 1)
            .map(|due| due.as_micros().div_ceil(1000))
            .collect();
        assert_eq!(times, [0, 100, 200, 1000, 1250]);
        assert_eq!(length(&steps), Duration::from_millis(1500));
        let rates = [0, 299, 300, 999, 1000, 1500].map(|ms| rate_at(&steps, Duration::from_millis(ms)));
        assert_eq!(rates, [10.0, 10.0, 0.0, 0.0, 4.0, 0.0]);
    }

    #[test]
    fn the_same_seed_gives_the_same_times_and_another_one_others() {
        let times = |seed| Schedule::new(vec![step(100.0, 5.0)], Arrivals::Poisson, seed).collect::<Vec<_>>();
        assert_eq!(times(7), times(7));
        assert_ne!(times(7), times(8));
        assert!(times(7).is_sorted());
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_exponential_distances() {
        let times: Vec<_> = Schedule::new(vec![step(1000.0, 100.0)], Arrivals::Poisson, 3).collect();
        // The standard deviation of the count is the root of 100,000.
        assert!(times.len().abs_diff(100_000) < 1_500, "{}", times.len());
        let longer = times.windows(2).filter(|two| (two[1] - two[0]).as_secs_f64() > 0.001).count();
        let share = longer as f64 / times.len() as f64;
        // A distance is longer than the mean with probability 1/e.
        assert!((share - (-1.0_f64).exp()).abs() < 0.01, "{share}");
    }

    #[test]
    fn a_load_without_an_end_has_no_last_request() {
        let steps = [Step { rate: 1.0, time: Duration::MAX }];
        assert_eq!(
            Schedule::new(steps.to_vec(), Arrivals::Even, 1).nth(1_000),
            Some(Duration::from_secs(1_000))
        );
        assert_eq!(length(&[steps[0], steps[0]]), Duration::MAX);
    }
}
