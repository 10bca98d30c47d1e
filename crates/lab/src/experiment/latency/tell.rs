//! What is said of latencies: tables, the share of requests by how soon they were answered, promises.

use std::time::Duration;

use serde_json::json;

use super::{LINE, LOADS, Measured, NETWORK, Outcome, POOL, Seen, TIMEOUT, Way};
use crate::figures::{count, duration};
use crate::report::{Axis, Block, Circumstances, Direction, Line, Mark, Plot, Promise, Report, Style, Table};

/// Points of a curve.
const POINTS: usize = 200;

impl Seen {
    fn requests(&self) -> u64 {
        self.summary.ok + self.summary.failures()
    }

    /// Answered well within the line, of all.
    fn share_in_time(&self) -> f64 {
        let line = u32::try_from(LINE.as_micros()).unwrap_or(u32::MAX);
        let in_time = self.latencies.partition_point(|micros| *micros <= line);
        in_time as f64 / self.requests().max(1) as f64
    }

    /// The time within which that share of all requests was answered, those that failed being the slowest; `None` if
    /// fewer were answered.
    fn within(&self, share: f64) -> Option<Duration> {
        let rank = ((share * self.requests() as f64).ceil() as usize).max(1);
        self.latencies.get(rank - 1).map(|micros| Duration::from_micros((*micros).into()))
    }

    /// Of the database, for each request that was answered well.
    fn database(&self) -> Duration {
        self.database.div_f64(self.summary.ok.max(1) as f64)
    }

    fn hit_share(&self) -> f64 {
        self.hits as f64 / self.summary.ok.max(1) as f64
    }
}

impl Outcome {
    fn seen(&self, way: Way, rate: usize) -> Option<&Seen> {
        self.measured.iter().find(|measured| measured.way == way).and_then(|it| it.at.get(rate))
    }
}

/// A time, or that more requests failed than it leaves out.
fn time(time: Option<Duration>) -> String {
    time.map_or_else(|| "failed".to_owned(), |time| duration(Some(time)))
}

/// The same in a sentence.
fn time_said(time: Option<Duration>) -> String {
    time.map_or_else(
        || format!("more than the {} that clients wait", duration(Some(TIMEOUT))),
        |time| duration(Some(time)),
    )
}

fn percent(share: f64) -> String {
    if share >= 1.0 { "100 %".to_owned() } else { format!("{:.1} %", (share * 1e3).floor() / 10.0) }
}

/// How many times shorter `now` is than `before`; at least so many times if that was longer than clients wait.
fn gain(before: Option<Duration>, now: Option<Duration>) -> String {
    let Some(now) = now else { return "-".to_owned() };
    let times = before.unwrap_or(TIMEOUT).as_secs_f64() / now.as_secs_f64().max(1e-6);
    let sign = if before.is_none() { "> " } else { "" };
    if times < 9.95 { format!("{sign}{times:.1} ×") } else { format!("{sign}{times:.0} ×") }
}

fn is_below(time: Option<Duration>) -> bool {
    time.is_some_and(|time| time < LINE)
}

pub(super) fn report(outcome: &Outcome, circumstances: Circumstances) -> Report {
    let mut blocks = Vec::new();
    for (index, rate) in outcome.rates.iter().enumerate() {
        let share = rate / outcome.capacity.max(f64::MIN_POSITIVE) * 100.0;
        let text = format!("{rate} requests a second: {share:.0} % of what the scan can serve");
        blocks.push(Block::Heading { text });
        blocks.push(Block::Table(latencies(outcome, index)));
        blocks.push(Block::Table(gains(outcome, index)));
        blocks.push(Block::Plot(plot(outcome, index)));
    }
    blocks.push(Block::Text { text: notes(outcome) });
    Report {
        name: "latency".to_owned(),
        question: "What does each step toward a faster answer buy?".to_owned(),
        method: method(outcome),
        verdict: verdict(outcome),
        promises: promises(outcome),
        blocks,
        circumstances,
        data: data(outcome),
    }
}

fn method(outcome: &Outcome) -> Vec<String> {
    let size = outcome.size;
    let (warm, time) = size.warm;
    vec![
        format!(
            "GET /items?name=…, behind Evenkeel, of one toy backend with {} rows, four of each name, and {POOL} connections \
             to its database; {} names are asked for, by Zipf's law. First without an index on the name, then with one, \
             then with a cache in Redis' protocol before it as well. A database in the same process answers an indexed \
             query in microseconds, which no cache over a network can improve on; so each query takes the time of a network as well \
             ({NETWORK}: median and sigma), in all steps. The cache is warm: it has seen {:.0} requests before.",
            count(size.rows.into()),
            count(size.names.into()),
            warm * time.as_secs_f64(),
        ),
        format!(
            "Requests arrive in an open loop (Poisson) and latencies count from when a request was due; a client gives up \
             after {}. The scan was found to serve {:.1} requests a second with all its connections busy; the rates are {:.0} % \
             and {:.0} % of that, at most {:.0} a second. A percentile is over all requests, one that failed being slower than \
             any that was answered.",
            duration(Some(TIMEOUT)),
            outcome.capacity,
            LOADS[0] * 100.0,
            LOADS[1] * 100.0,
            super::MOST,
        ),
    ]
}

fn notes(outcome: &Outcome) -> String {
    let lag = outcome.measured.iter().flat_map(|measured| &measured.at).map(|seen| seen.lag).max();
    format!(
        "A cache answers the requests it has the answer to, so it improves the median first: the slowest requests are those \
         that it sends on. The step after this one, answers cached in the proxy itself, joins when Evenkeel has an HTTP \
         cache. The load itself was never late by more than {}.",
        duration(lag)
    )
}

fn latencies(outcome: &Outcome, rate: usize) -> Table {
    let row = |way: Way| {
        let seen = outcome.seen(way, rate)?;
        Some(vec![
            way.name().to_owned(),
            time(seen.within(0.5)),
            time(seen.within(0.95)),
            time(seen.within(0.99)),
            duration(seen.summary.longest),
            percent(seen.share_in_time()),
            format!("{} of {}", count(seen.summary.failures()), count(seen.requests())),
        ])
    };
    Table {
        title: "From when a request was due to its answer".to_owned(),
        head: ["step", "p50", "p95", "p99", "longest", "within 200 ms", "failed"].map(str::to_owned).to_vec(),
        rows: Way::ALL.into_iter().filter_map(row).collect(),
    }
}

fn gains(outcome: &Outcome, rate: usize) -> Table {
    let mut before: Option<&Seen> = None;
    let mut rows = Vec::new();
    for way in Way::ALL {
        let Some(seen) = outcome.seen(way, rate) else { continue };
        let gained = |share: f64| {
            before.map_or_else(|| "-".to_owned(), |it| gain(it.within(share), seen.within(share)))
        };
        rows.push(vec![
            way.name().to_owned(),
            gained(0.5),
            gained(0.99),
            duration(Some(seen.database())),
            if way == Way::Cache { percent(seen.hit_share()) } else { "-".to_owned() },
        ]);
        before = Some(seen);
    }
    Table {
        title: "How many times faster than the step before, and what is left to the database".to_owned(),
        head: ["step", "p50", "p99", "database, each request", "cache hits"].map(str::to_owned).to_vec(),
        rows,
    }
}

/// How many requests were answered within a time; a curve that ends below 100 % lost the rest.
fn plot(outcome: &Outcome, rate: usize) -> Plot {
    let curve = |measured: &Measured| {
        let seen = measured.at.get(rate)?;
        let all = seen.requests().max(1) as f64;
        let step = seen.latencies.len().div_ceil(POINTS).max(1);
        // The slowest of each few, so that the last point is the longest.
        let points = seen.latencies.chunks(step).scan(0, |answered, few| {
            *answered += few.len();
            few.last().map(|micros| (f64::from(*micros) / 1e3, *answered as f64 / all * 100.0))
        });
        Some(Line { name: measured.way.name().to_owned(), points: points.collect(), style: Style::Solid })
    };
    Plot {
        title: "Requests answered within a time".to_owned(),
        x: Axis { label: "latency, ms".to_owned(), logarithmic: true },
        y: Axis { label: "requests answered, %".to_owned(), logarithmic: false },
        lines: outcome.measured.iter().filter_map(curve).collect(),
        marks: vec![Mark { on: Direction::X, at: LINE.as_secs_f64() * 1e3, label: "200 ms".to_owned() }],
    }
}

fn promises(outcome: &Outcome) -> Vec<Promise> {
    let mut promises = Vec::new();
    for (index, rate) in outcome.rates.iter().enumerate() {
        for way in [Way::Index, Way::Cache] {
            let p99 = outcome.seen(way, index).and_then(|seen| seen.within(0.99));
            promises.push(Promise {
                what: format!("p99 at {rate} requests a second: {}", way.name()),
                wanted: format!("less than {}", duration(Some(LINE))),
                got: time(p99),
                kept: is_below(p99),
            });
        }
        let p50 = |way: Way| outcome.seen(way, index).and_then(|seen| seen.within(0.5));
        let (index_p50, cache_p50) = (p50(Way::Index), p50(Way::Cache));
        promises.push(Promise {
            what: format!("p50 at {rate} requests a second: cache-aside"),
            wanted: format!("at most that of the indexed query, {}", time(index_p50)),
            got: time(cache_p50),
            kept: cache_p50.zip(index_p50).is_some_and(|(cache, index)| cache <= index),
        });
    }
    promises
}

fn verdict(outcome: &Outcome) -> Vec<String> {
    let [Some(scan), Some(index), Some(cache)] = Way::ALL.map(|way| outcome.seen(way, 0)) else {
        return Vec::new();
    };
    let mut verdict = vec![format!(
        "At {} requests a second the p99 of a full table scan was {}, of an indexed query {} ({}), with a cache {}; the \
         medians were {}, {} and {}.",
        outcome.rates[0],
        time_said(scan.within(0.99)),
        time_said(index.within(0.99)),
        gain(scan.within(0.99), index.within(0.99)),
        time_said(cache.within(0.99)),
        time_said(scan.within(0.5)),
        time_said(index.within(0.5)),
        time_said(cache.within(0.5)),
    )];
    if let [Some(scan), Some(index), Some(cache)] = Way::ALL.map(|way| outcome.seen(way, 1)) {
        verdict.push(format!(
            "At {} a second the scan answered {} of its requests within 200 ms, the index {} and the cache {}; the cache \
             left {} of the requests to the database.",
            outcome.rates[1],
            percent(scan.share_in_time()),
            percent(index.share_in_time()),
            percent(cache.share_in_time()),
            percent(1.0 - cache.hit_share()),
        ));
    }
    verdict
}

fn data(outcome: &Outcome) -> serde_json::Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let seen = |rate: f64, seen: &Seen| {
        json!({
            "rate": rate, "ok": seen.summary.ok, "failed": seen.summary.failed,
            "p50_seconds": seconds(seen.within(0.5)), "p95_seconds": seconds(seen.within(0.95)),
            "p99_seconds": seconds(seen.within(0.99)), "longest_seconds": seconds(seen.summary.longest),
            "share_within_200_ms": seen.share_in_time(), "cache_hits": seen.hits,
            "database_seconds_each": seen.database().as_secs_f64(), "lag_seconds": seen.lag.as_secs_f64(),
        })
    };
    let steps = outcome.measured.iter().map(|measured| {
        let rates = outcome.rates.iter().zip(&measured.at).map(|(rate, it)| seen(*rate, it));
        json!({ "step": measured.way.name(), "rates": rates.collect::<Vec<_>>() })
    });
    json!({
        "rows": outcome.size.rows, "names": outcome.size.names, "scan_capacity": outcome.capacity,
        "steps": steps.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Summary;

    #[test]
    fn those_that_failed_are_the_slowest() {
        let failed = [("timeout".to_owned(), 10)].into();
        let seen = Seen {
            summary: Summary { ok: 90, failed, ..Summary::default() },
            latencies: (1..=90).map(|n| n * 4_000).collect(),
            hits: 45,
            database: Duration::from_millis(180),
            lag: Duration::ZERO,
        };
        assert_eq!(seen.within(0.5), Some(Duration::from_millis(200)));
        assert_eq!((seen.within(0.9), seen.within(0.99)), (Some(Duration::from_millis(360)), None));
        assert_eq!(
            (percent(seen.share_in_time()), percent(seen.hit_share())),
            ("50.0 %".into(), "50.0 %".into())
        );
        assert_eq!((time(None), seen.database()), ("failed".to_owned(), Duration::from_millis(2)));
        assert_eq!(gain(seen.within(0.9), seen.within(0.1)), "9.0 ×");
        assert_eq!(gain(None, seen.within(0.1)), "> 125 ×", "longer than clients wait");
        assert_eq!((gain(None, None), percent(0.9999)), ("-".to_owned(), "99.9 %".to_owned()));
        assert!(!is_below(seen.within(0.5)) && is_below(seen.within(0.49)) && !is_below(None));
    }
}
