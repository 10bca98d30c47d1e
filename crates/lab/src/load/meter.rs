//! [`Meter`]: reads a load while it runs, from any thread.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::load::schedule::rate_at;
use crate::load::tally::Tally;
use crate::load::{Plan, Step, Totals};

/// Reads a load: what it has seen, and what it is asked to do now.
#[derive(Debug, Clone)]
pub struct Meter {
    tally: Arc<Tally>,
    steps: Arc<[Step]>,
    concurrency: usize,
}

impl Meter {
    pub(super) fn new(tally: Arc<Tally>, plan: &Plan) -> Self {
        Self { tally, steps: plan.steps.as_slice().into(), concurrency: plan.concurrency }
    }

    /// What it saw until now.
    pub fn totals(&self) -> Totals {
        self.tally.totals()
    }

    /// Requests per second that it is asked to send now; 0 when it is over.
    pub fn rate(&self) -> f64 {
        if self.tally.is_over() { 0.0 } else { rate_at(&self.steps, self.tally.began().elapsed()) }
    }

    /// Requests that may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// When it began.
    pub fn began(&self) -> SystemTime {
        let since = Instant::now().saturating_duration_since(self.tally.began());
        SystemTime::now().checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}
