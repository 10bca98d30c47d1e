//! `evenkeel load`: requests at a rate, open loop, and what became of them.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use evenkeel_lab::load::{Arrivals, Get, Items, Load, Plan, Requests, Step, Summary, Totals};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output::{self, Reader};
use crate::ready::split;

/// How much, for how long, where to.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to; http:// only. Several are asked in turn, all for the path of the first
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
    /// Requests per second
    #[arg(long, value_name = "N", default_value_t = 100.0, value_parser = rate)]
    rate: f64,
    /// End after this many seconds; else with Ctrl-C
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    duration: Option<u32>,
    /// Requests that may be under way at once; later ones wait, and their waiting counts
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Seconds after which a request has failed, from when it was due
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// How requests spread over time
    #[arg(long, value_enum, value_name = "HOW", default_value = "poisson")]
    arrivals: Spread,
    /// Seed of everything drawn by chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Ask for /items/ID instead, ids from 1 to this, low ones more often (Zipf)
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    items: Option<u32>,
    /// Requests that may fail before the exit status is 1
    #[arg(long, value_name = "N", default_value_t = 0)]
    tolerate: u64,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Spread {
    /// At equal distances
    Even,
    /// As many independent clients send
    Poisson,
}

/// How watching a load ended.
enum Watched {
    /// With its last step.
    Over,
    /// Earlier: nobody wants to wait.
    Stopped,
}

/// How long the last answers are waited for when it was stopped.
const LAST: Duration = Duration::from_secs(1);

/// Sends, says what became of it, and fails if too much of it failed.
pub(crate) fn load(arguments: &Arguments) -> Result<ExitCode, String> {
    let mut names = Vec::new();
    let mut path = None;
    for url in &arguments.urls {
        let (authority, its) = split(url)?;
        names.push(authority);
        path.get_or_insert(its);
    }
    let requests: Arc<dyn Requests> = match arguments.items {
        Some(rows) => Arc::new(Items { rows }),
        None => Arc::new(Get(path.unwrap_or("/").to_owned())),
    };
    let time = arguments.duration.map_or(Duration::MAX, |seconds| Duration::from_secs(seconds.into()));
    let plan = Plan {
        targets: Vec::new(),
        steps: vec![Step { rate: arguments.rate, time }],
        arrivals: match arguments.arrivals {
            Spread::Even => Arrivals::Even,
            Spread::Poisson => Arrivals::Poisson,
        },
        requests,
        timeout: Duration::from_secs(arguments.timeout.into()),
        concurrency: arguments.connections as usize,
        seed: arguments.seed,
    };
    let cannot = |error: io::Error| format!("cannot start: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let stop = {
        let _inside = runtime.enter();
        Stop::listen().map_err(|error| format!("cannot listen for signals: {error}"))?
    };
    let mut load = Load::start_named(plan, &names).map_err(cannot)?;
    match runtime.block_on(watch(&load, stop, arguments.json))? {
        Watched::Over => load.end(),
        Watched::Stopped => load.end_within(LAST),
    }
    let totals = load.totals();
    output::say(&line("all", &totals, arguments.json))?;
    if !arguments.json {
        for failure in load.record().failures.iter().take(5) {
            output::say(&format!(
                "  at {:.1} s {}: {}\n",
                failure.due.as_secs_f64(),
                failure.request,
                failure.why
            ))?;
        }
    }
    let is_good = totals.summary().failures() <= arguments.tolerate;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What asks to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Says how it goes, until it is over, stopped by a signal, or nobody listens.
async fn watch(load: &Load, mut stop: Stop, is_json: bool) -> Result<Watched, String> {
    let every = if io::stdout().is_terminal() { 10 } else { 50 };
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut before = load.totals();
    for tick in 0_u64.. {
        tokio::select! {
            () = stop.asked() => return Ok(Watched::Stopped),
            _ = ticks.tick() => {}
        }
        if load.is_over() {
            break;
        }
        if tick > 0 && tick % every == 0 {
            let now = load.totals();
            if output::say(&line("interval", &now.since(&before), is_json))? == Reader::Gone {
                return Ok(Watched::Stopped);
            }
            load.forget_before(load.began().elapsed());
            before = now;
        }
    }
    Ok(Watched::Over)
}

fn line(span: &str, totals: &Totals, is_json: bool) -> String {
    let summary = totals.summary();
    let Summary { seconds, offered, ok, ref failed, moved, .. } = summary;
    let millis = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1000.0);
    let [p50, p99, longest] = [summary.p50, summary.p99, summary.longest].map(millis);
    if is_json {
        let lag = totals.lag.as_secs_f64() * 1000.0;
        return json!({
            "span": span, "seconds": seconds, "offered": offered, "ok": ok, "failed": failed, "moved": moved,
            "p50_ms": p50, "p99_ms": p99, "longest_ms": longest, "lag_ms": lag,
        })
        .to_string()
            + "\n";
    }
    let shown = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1} ms"));
    let reasons: Vec<String> = failed.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    format!(
        "{span:<8} {seconds:>6.1} s  {:>8.1}/s  p50 {}  p99 {}  ok {ok}  failed {}{reasons}  moved {moved}\n",
        summary.rate(),
        shown(p50),
        shown(p99),
        summary.failures(),
    )
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected requests per second from 0.1 to 100000".to_owned()),
    }
}
