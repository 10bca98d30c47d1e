//! Published experiments, repeated on our policies.
//!
//! To add one: a module with a function that gives its [`Figure`]s, and a variant here; `cargo xtask sim` and the test
//! below then know it.

mod hashing;
mod queueing;
mod retry_storm;
mod shed;
mod skew;
mod slow_server;

use std::fmt;
use std::str::FromStr;

use crate::figure::Figure;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Experiment {
    /// One slow server.
    SlowServer,
    /// Endpoints that are slow for good.
    Skew,
    /// Queues, as theory has them.
    Queueing,
    /// An outage that does not end by itself.
    RetryStorm,
    /// More than can be done.
    Shed,
    /// Keys and their endpoints.
    Hashing,
}

impl Experiment {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::SlowServer, Self::Skew, Self::Queueing, Self::RetryStorm, Self::Shed, Self::Hashing];

    /// Its number and its name.
    #[must_use]
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::SlowServer => ("E1", "slow-server"),
            Self::Skew => ("E2", "skew"),
            Self::Queueing => ("E3", "queueing"),
            Self::RetryStorm => ("E4", "retry-storm"),
            Self::Shed => ("E9", "shed"),
            Self::Hashing => ("E11", "hashing"),
        }
    }

    /// What is simulated.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::SlowServer => slow_server::ABOUT,
            Self::Skew => skew::ABOUT,
            Self::Queueing => queueing::ABOUT,
            Self::RetryStorm => retry_storm::ABOUT,
            Self::Shed => shed::ABOUT,
            Self::Hashing => hashing::ABOUT,
        }
    }

    /// Runs it. The same seed gives the same figures.
    #[must_use]
    pub fn figures(self, seed: u64) -> Vec<Figure> {
        match self {
            Self::SlowServer => slow_server::figures(seed),
            Self::Skew => skew::figures(seed),
            Self::Queueing => queueing::figures(seed),
            Self::RetryStorm => retry_storm::figures(seed),
            Self::Shed => shed::figures(seed),
            Self::Hashing => hashing::figures(seed),
        }
    }
}

impl fmt::Display for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, name) = self.names();
        write!(f, "{number} {name}")
    }
}

impl FromStr for Experiment {
    type Err = String;

    /// By number or by name.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_meant = |experiment: &Self| {
            let (number, name) = experiment.names();
            text.eq_ignore_ascii_case(number) || text == name
        };
        Self::ALL.into_iter().find(is_meant).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(Self::to_string).collect();
            format!("no such experiment; there are {}", all.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_number_and_by_name() {
        for experiment in Experiment::ALL {
            let (number, name) = experiment.names();
            assert_eq!(number.parse(), Ok(experiment));
            assert_eq!(number.to_lowercase().parse(), Ok(experiment));
            assert_eq!(name.parse(), Ok(experiment));
        }
        assert!("E0".parse::<Experiment>().unwrap_err().contains("E1 slow-server, E2 skew"));
    }

    /// Every figure of an experiment, with every one of these seeds.
    fn keeps(experiment: Experiment, seeds: std::ops::RangeInclusive<u64>) {
        for seed in seeds {
            let missed: Vec<_> =
                experiment.figures(seed).into_iter().filter(|figure| !figure.is_kept()).collect();
            assert!(missed.is_empty(), "cargo xtask sim {experiment} --seed {seed}: {missed:#?}");
        }
    }

    #[test]
    fn slow_server() {
        keeps(Experiment::SlowServer, 1..=3);
    }

    #[test]
    fn skew() {
        keeps(Experiment::Skew, 1..=3);
    }

    #[test]
    fn queueing() {
        keeps(Experiment::Queueing, 1..=1);
    }

    #[test]
    fn retry_storm() {
        keeps(Experiment::RetryStorm, 1..=5);
    }

    #[test]
    fn shed() {
        keeps(Experiment::Shed, 1..=5);
    }

    #[test]
    fn hashing() {
        keeps(Experiment::Hashing, 1..=3);
    }
}
