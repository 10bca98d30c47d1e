//! The demo's own clients: a light load whose errors count, and what they saw lately.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::warn;

use crate::load::{self, Arrivals, Get, Items, Mix, Plan, Requests, Step};

/// What latencies and the rate are taken from.
const WINDOW: Duration = Duration::from_secs(5);
/// A request without an answer by then has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long running requests may take when the load stops.
const LAST: Duration = Duration::from_millis(500);
/// Requests that may be under way at once; later ones wait, and their waiting counts.
const CONCURRENT: usize = 256;

/// What is sent: `GET /` and `GET /items/{id}` as often, the items by popularity.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Where to.
    pub target: SocketAddr,
    /// Requests per second.
    pub rate: f64,
    /// Ids go from 1 to this.
    pub rows: u32,
}

/// A load that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Load {
    load: load::Load,
    /// Failures that were logged.
    told: AtomicU64,
}

/// What the clients saw. A request is `ok` when it was answered whole with a status from 200 to 299, else failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadReading {
    /// Answered well, from the start.
    pub ok: u64,
    /// Answered otherwise or not at all.
    pub failed: u64,
    /// Why the last one failed.
    pub last_failure: Option<String>,
    /// Answered well per second, of those that were due in the last five.
    pub per_second: f64,
    /// Half of those were answered within.
    pub p50: Option<Duration>,
    /// 99 of 100 of them.
    pub p99: Option<Duration>,
    /// The slowest of all from the start.
    pub slowest: Duration,
}

impl Load {
    /// Starts it, on two threads of its own.
    ///
    /// # Errors
    /// Threads or file descriptors are missing.
    pub fn start(options: LoadOptions) -> io::Result<Self> {
        let LoadOptions { target, rate, rows } = options;
        let all: [(f64, Arc<dyn Requests>); 2] =
            [(1.0, Arc::new(Get("/".to_owned()))), (1.0, Arc::new(Items { rows }))];
        let load = load::Load::start(Plan {
            targets: vec![target],
            steps: vec![Step { rate, time: Duration::MAX }],
            arrivals: Arrivals::Even,
            requests: Arc::new(Mix(all.to_vec())),
            timeout: PATIENCE,
            concurrency: CONCURRENT,
            seed: 1,
        })?;
        Ok(Self { load, told: AtomicU64::new(0) })
    }

    /// What the clients have seen until now. Logs that requests failed since the last reading, if some did.
    pub fn reading(&self) -> LoadReading {
        let now = self.load.began().elapsed();
        self.load.forget_before(now.saturating_sub(2 * WINDOW));
        let lately = self.load.record().between(now.saturating_sub(WINDOW)..now);
        let totals = self.load.totals();
        let all = totals.summary();
        let last_failure = totals.last_failure.map(|failure| format!("{}: {}", failure.request, failure.why));
        let failed = all.failures();
        if let Some(why) = &last_failure
            && self.told.swap(failed, Ordering::Relaxed) != failed
        {
            warn!("a request of the load failed: {why}");
        }
        LoadReading {
            ok: all.ok,
            failed,
            last_failure,
            per_second: lately.rate(),
            p50: lately.p50,
            p99: lately.p99,
            slowest: all.longest.unwrap_or_default(),
        }
    }

    /// Sends no more, waits a moment for what is under way, and gives the last reading.
    pub fn stop(mut self) -> LoadReading {
        self.load.end_within(LAST);
        self.reading()
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_testkit::{Origin, eventually};

    use super::*;

    #[test]
    fn both_kinds_are_asked_and_counted() {
        let origin = Origin::named("here");
        let load = Load::start(LoadOptions { target: origin.address(), rate: 500.0, rows: 10 }).unwrap();
        eventually("a reading", || match load.reading() {
            LoadReading { ok: 100.., p50: Some(_), per_second, .. } if per_second > 0.0 => Ok(()),
            reading => Err(format!("{reading:?}")),
        });
        let last = load.stop();
        assert_eq!((last.failed, last.last_failure), (0, None));
        let (items, others): (Vec<_>, Vec<_>) =
            origin.requests().into_iter().partition(|request| request.target.starts_with("/items/"));
        assert!(items.len() > 20 && others.len() > 20, "{} and {}", items.len(), others.len());
    }

    #[test]
    fn nobody_there_is_a_failure_and_stopping_is_quick() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = holder.local_addr().unwrap();
        drop(holder);
        let load = Load::start(LoadOptions { target, rate: 500.0, rows: 10 }).unwrap();
        eventually("failures", || match load.reading().failed {
            failed @ 0..10 => Err(format!("{failed}")),
            _ => Ok(()),
        });
        let last = load.stop();
        assert_eq!(last.ok, 0);
        assert!(last.last_failure.unwrap().contains("connect: "));
    }

    #[test]
    fn what_is_never_answered_is_not_waited_for() {
        let origin = Origin::script(|conversation| {
            conversation.request();
            conversation.await_end();
        });
        let load = Load::start(LoadOptions { target: origin.address(), rate: 100.0, rows: 10 }).unwrap();
        origin.wait_for(1);
        let last = load.stop();
        assert_eq!((last.ok, last.failed), (0, 0), "neither answered nor failed yet");
    }
}
