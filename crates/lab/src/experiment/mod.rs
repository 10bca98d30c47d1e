//! The experiments of `evenkeel lab`: words of system design, measured on real parts.

mod availability;
mod consistency;
mod latency;
mod scalability;
mod throughput;

use std::io;

pub use throughput::Plant;

use crate::report::Report;
use crate::site::Site;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Experiment {
    /// What more backends and workers serve, and where that ends.
    Scalability,
    /// What clients see of failures, without a proxy and with one.
    Availability,
    /// What an index and a cache make of a slow answer.
    Latency,
    /// What a cache answers that is no longer so, and what it costs to prevent it.
    Consistency,
    /// What breaks first when the load grows.
    Throughput,
}

/// How an experiment is run.
#[derive(Debug, Clone)]
pub struct Setting {
    /// A minute at most instead of several.
    pub quick: bool,
    /// Of everything drawn by chance.
    pub seed: u64,
    /// A bottleneck that `throughput` has to find; the others know none.
    pub plant: Option<Plant>,
}

/// Where an experiment says what it is doing, a line each.
pub trait Progress {
    /// Says so.
    fn say(&mut self, line: &str);
}

impl Experiment {
    /// All of them, in the order in which they tell a story.
    pub const ALL: [Self; 5] =
        [Self::Scalability, Self::Availability, Self::Latency, Self::Consistency, Self::Throughput];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalability => "scalability",
            Self::Availability => "availability",
            Self::Latency => "latency",
            Self::Consistency => "consistency",
            Self::Throughput => "throughput",
        }
    }

    /// Runs it, on parts of `site`.
    ///
    /// # Errors
    /// It could not be carried out; a sentence with the reason. A broken promise is none: the report tells.
    pub fn run(self, site: &Site, setting: &Setting, progress: &mut dyn Progress) -> io::Result<Report> {
        match self {
            Self::Scalability => scalability::run(site, setting, progress),
            Self::Availability => availability::run(site, setting, progress),
            Self::Latency => latency::run(site, setting, progress),
            Self::Consistency => consistency::run(site, setting, progress),
            Self::Throughput => throughput::run(site, setting, progress),
        }
    }
}
