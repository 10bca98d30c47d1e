//! Load, open loop: requests start when they are due, answered or not, and a latency counts from the moment its
//! request was due. So a stall is seen with all the requests it held up, and none is missing because its client
//! still waited (Tene's coordinated omission).
//!
//! A [`Plan`] says what is sent when; a [`Load`] sends it, on threads of its own; its [`Record`] can be asked for any
//! span of time, by when requests were due. A [`Meter`] reads it while it runs, and an [`Exporter`] shows that to
//! Prometheus.

mod client;
mod exporter;
mod exposition;
mod meter;
mod record;
mod requests;
mod run;
mod schedule;
mod tally;
mod target;

pub use exporter::{Exporter, Exporting};
pub use meter::Meter;
pub use record::{Failure, Record, Slice, Summary};
pub use requests::{Below, Get, Items, Mix, Requests};
pub use run::Load;
pub use tally::Totals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What is sent, where to, and when.
#[derive(Clone)]
pub struct Plan {
    /// Requests go to these in turn. One whose connection cannot be made, or breaks before its answer has begun, is
    /// tried at the others if its method is safe, as a client does whose name has several addresses; that counts
    /// as `moved`, and as failed only when all of them failed.
    pub targets: Vec<SocketAddr>,
    /// One after the other.
    pub steps: Vec<Step>,
    /// How requests spread over a step.
    pub arrivals: Arrivals,
    /// What the requests are.
    pub requests: Arc<dyn Requests>,
    /// A request without a whole answer this long after it was due has failed.
    pub timeout: Duration,
    /// Requests that may be under way at once; later ones wait, and their waiting counts. Bounds connections, too.
    pub concurrency: usize,
    /// Of everything drawn by chance: the same seed draws the same.
    pub seed: u64,
}

/// A rate for a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Requests per second; none at 0.
    pub rate: f64,
    /// How long; [`Duration::MAX`] until it is stopped.
    pub time: Duration,
}

/// How requests spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// One after the other at equal distances.
    Even,
    /// As many independent clients send: exponential distances.
    Poisson,
}

#[cfg(test)]
mod tests;
