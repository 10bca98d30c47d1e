//! The ramp: steps of a rate that grows until a promise breaks, each an open loop of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, header};

use super::evidence::Span;
use super::plant::{ROWS, WRITES};
use crate::load::{Arrivals, Items, Load, Mix, Plan, Record, Requests, Step, Summary};
use crate::site::{Processors, Usage};

/// What is promised of each step.
pub(super) const P99: Duration = Duration::from_millis(200);
/// Of its requests no larger share may fail.
pub(super) const FAILED: f64 = 0.01;
/// A client gives up after this long.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);
/// Requests that may be under way at once.
const CONCURRENCY: usize = 2_048;
/// The thread of the load that sends.
const SENDER: &str = "load";
/// At its beginning a step makes its connections, and the queues fill or do not.
const BEGINNING: f64 = 0.15;

/// How the rate grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) from: f64,
    pub(super) growth: f64,
    pub(super) step: Duration,
    /// No further.
    pub(super) most: f64,
}

/// One step, as its clients saw it.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    /// Requests per second that were due.
    pub(super) rate: f64,
    pub(super) summary: Summary,
    /// The longest that the load was behind.
    pub(super) lag: Duration,
    /// The part of it that was looked at, since the epoch.
    pub(super) span: Span,
    pub(super) usage: Usage,
    /// Requests under way, on average over that part (Little's law: their time, per second).
    pub(super) under_way: f64,
}

impl Taken {
    /// Whether what was promised was not kept.
    pub(super) fn is_broken(&self) -> bool {
        self.summary.ok == 0 || self.summary.p99.is_none_or(|p99| p99 > P99) || self.failed() > FAILED
    }

    /// The share that failed.
    pub(super) fn failed(&self) -> f64 {
        1.0 - self.summary.availability()
    }

    /// Late enough to break the promise alone.
    pub(super) fn is_late(&self) -> bool {
        self.lag > P99 / 2
    }
}

pub(super) fn take(
    to: SocketAddr,
    rate: f64,
    time: Duration,
    seed: u64,
    epoch: Instant,
) -> io::Result<Taken> {
    let requests = Mix(vec![
        (1.0 - WRITES, Arc::new(Items { rows: ROWS }) as Arc<dyn Requests>),
        (WRITES, Arc::new(Writes { rows: ROWS })),
    ]);
    let load = Load::start(Plan {
        targets: vec![to],
        steps: vec![Step { rate, time }],
        arrivals: Arrivals::Poisson,
        requests: Arc::new(requests),
        timeout: TIMEOUT,
        concurrency: CONCURRENCY,
        seed,
    })?;
    let until = |share: f64| {
        thread::sleep((load.began() + time.mul_f64(share)).saturating_duration_since(Instant::now()));
    };
    until(BEGINNING);
    let (from, used, before) = (epoch.elapsed(), Processors::now(SENDER)?, load.totals());
    until(1.0);
    let (to, usage, after) = (epoch.elapsed(), Processors::now(SENDER)?.since(&used), load.totals());
    let within = after.since(&before);
    let gave_up = within.failed.get("timeout").copied().unwrap_or(0) as f64 * TIMEOUT.as_secs_f64();
    let under_way = (within.latency_sum + gave_up) / within.seconds.max(f64::MIN_POSITIVE);
    let record: Record = load.finish();
    Ok(Taken { rate, summary: record.all(), lag: record.lag, span: (from, to), usage, under_way })
}

/// Has each row asked for once, so that it is in the cache.
pub(super) fn stock(by: SocketAddr, rate: f64) -> io::Result<Summary> {
    let time = Duration::from_secs_f64(f64::from(ROWS) / rate);
    let record = Load::start(Plan {
        targets: vec![by],
        steps: vec![Step { rate, time }],
        arrivals: Arrivals::Even,
        requests: Arc::new(Each { rows: ROWS }),
        timeout: Duration::from_secs(10),
        concurrency: 64,
        seed: 0,
    })?
    .finish();
    Ok(record.all())
}

/// `PUT` of a row, any with the same chance.
#[derive(Debug)]
struct Writes {
    rows: u32,
}

impl Requests for Writes {
    fn request(&self, number: u64, chance: f64) -> Request<Bytes> {
        let id = ((chance * f64::from(self.rows)) as u32).min(self.rows.saturating_sub(1)) + 1;
        let mut request = of(Method::PUT, id);
        let json = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        *request.body_mut() = format!("{{\"stock\": {}}}", number % 1_000).into();
        request
    }
}

/// `GET` of one row after the other.
#[derive(Debug)]
struct Each {
    rows: u32,
}

impl Requests for Each {
    fn request(&self, number: u64, _chance: f64) -> Request<Bytes> {
        let row = number % u64::from(self.rows.max(1));
        of(Method::GET, u32::try_from(row).unwrap_or_default() + 1)
    }
}

fn of(method: Method, id: u32) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method;
    // It always is a path.
    if let Ok(uri) = format!("/items/{id}").parse() {
        *request.uri_mut() = uri;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_asked_for_and_any_is_written() {
        let each: Vec<String> =
            (0..4).map(|n| Each { rows: 3 }.request(n, 0.5).uri().path().to_owned()).collect();
        assert_eq!(each, ["/items/1", "/items/2", "/items/3", "/items/1"]);
        for (chance, path) in
            [(0.0, "/items/1"), (0.5, "/items/6"), (0.9999, "/items/10"), (1.0, "/items/10")]
        {
            let request = Writes { rows: 10 }.request(7, chance);
            assert_eq!((request.method(), request.uri().path()), (&Method::PUT, path));
            assert_eq!(request.body(), "{\"stock\": 7}");
        }
    }

    #[test]
    fn a_step_breaks_by_its_p99_by_failures_and_by_silence() {
        let kept = Taken {
            rate: 100.0,
            summary: Summary { ok: 99, p99: Some(P99), ..Summary::default() },
            lag: Duration::ZERO,
            span: (Duration::ZERO, Duration::ZERO),
            usage: Usage::default(),
            under_way: 0.0,
        };
        assert!(!kept.is_broken());
        let with = |change: &dyn Fn(&mut Summary)| {
            let mut taken = kept.clone();
            change(&mut taken.summary);
            taken.is_broken()
        };
        assert!(!with(&|summary| summary.failed.extend([("reset".to_owned(), 1)])), "one of a hundred");
        assert!(with(&|summary| summary.failed.extend([("reset".to_owned(), 2)])));
        assert!(with(&|summary| summary.p99 = Some(P99 + Duration::from_millis(1))));
        assert!(with(&|summary| summary.ok = 0));
    }
}
