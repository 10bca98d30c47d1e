//! The experiments of `evenkeel lab`: words of system design, measured on real parts.

mod availability;
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
    pub const ALL: [Self; 3] = [Self::Scalability, Self::Availability, Self::Throughput];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalability => "scalability",
            Self::Availability => "availability",
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
            Self::Throughput => throughput::run(site, setting, progress),
        }
    }
}
