//! `evenkeel load`: requests at a rate, open loop, and what became of them.

use std::io::{self, IsTerminal, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use evenkeel_lab::load::{
    Arrivals, Below, Exporter, Failure, Get, Items, Load, Plan, Requests, Step, Summary, Totals,
};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::limits;
use crate::output::{self, Reader};
use crate::ready::split;
use crate::time::time;

/// How much, for how long, where to.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to; http:// only. Several are asked in turn, all for the path of the first
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
    /// Requests per second
    #[arg(long, value_name = "N", default_value_t = 100.0, value_parser = rate)]
    rate: f64,
    /// End after this time, such as 30s, 5m or 1h; else with Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = time)]
    duration: Option<Duration>,
    /// One rate after the other, each for its time, such as 100:30s,0:5s,400:1m; the last may go without a time and then
    /// does not end
    #[arg(
        long,
        value_name = "RATE:TIME,...",
        value_delimiter = ',',
        value_parser = step,
        conflicts_with_all = ["rate", "duration"]
    )]
    steps: Vec<Step>,
    /// Requests that may be under way at once; later ones wait, and their waiting counts
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Time after which a request has failed, from when it was due
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    timeout: Duration,
    /// How requests spread over time
    #[arg(long, value_enum, value_name = "HOW", default_value = "poisson")]
    arrivals: Spread,
    /// Seed of everything drawn by chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Ask for items/ID below the URL's path instead, ids from 1 to this, low ones more often (Zipf)
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    items: Option<u32>,
    /// Requests that may fail before the exit status is 1
    #[arg(long, value_name = "N", default_value_t = 0)]
    tolerate: u64,
    /// Address for Prometheus while the load runs: /metrics, /livez; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = address)]
    metrics: Option<SocketAddr>,
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
    limits::raise_open_files();
    let mut names = Vec::new();
    let mut path = None;
    for url in &arguments.urls {
        let (authority, its) = split(url)?;
        names.push(authority);
        path.get_or_insert(its);
    }
    let requests = requests(path.unwrap_or("/"), arguments.items)?;
    let plan = Plan {
        targets: Vec::new(),
        steps: arguments.steps()?,
        arrivals: match arguments.arrivals {
            Spread::Even => Arrivals::Even,
            Spread::Poisson => Arrivals::Poisson,
        },
        requests,
        timeout: arguments.timeout,
        concurrency: arguments.connections as usize,
        seed: arguments.seed,
    };
    let cannot = |error: io::Error| format!("cannot start: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let stop = {
        let _inside = runtime.enter();
        Stop::listen().map_err(|error| format!("cannot listen for signals: {error}"))?
    };
    let exporter = arguments.metrics.map(listen).transpose()?;
    let mut load = Load::start_named(plan, &names).map_err(cannot)?;
    // Serves until this function ends.
    let _exporting = exporter.map(|exporter| exporter.serve(load.meter())).transpose().map_err(cannot)?;
    match runtime.block_on(watch(&load, stop, arguments.json))? {
        Watched::Over => load.end(),
        Watched::Stopped => load.end_within(LAST),
    }
    let totals = load.totals();
    output::say(&line("all", &totals, arguments.json))?;
    if !arguments.json {
        for (failure, others) in distinct(&load.record().failures) {
            let others =
                if others > 0 { format!(" (and {others} of the first like it)") } else { String::new() };
            let at = failure.due.as_secs_f64();
            output::say(&format!("  at {at:.1} s {}: {}{others}\n", failure.request, failure.why))?;
        }
    }
    let is_good = totals.summary().failures() <= arguments.tolerate;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The first failures of different kinds, at most five, each with how many others there were of its kind.
fn distinct(failures: &[Failure]) -> Vec<(&Failure, usize)> {
    let mut kinds: Vec<(&Failure, usize)> = Vec::new();
    for failure in failures {
        match kinds.iter_mut().find(|(first, _)| first.why == failure.why) {
            Some((_, others)) => *others += 1,
            None => kinds.push((failure, 0)),
        }
    }
    kinds.truncate(5);
    kinds
}

impl Arguments {
    fn steps(&self) -> Result<Vec<Step>, String> {
        match self.steps.split_last() {
            None => Ok(vec![Step { rate: self.rate, time: self.duration.unwrap_or(Duration::MAX) }]),
            Some((_, earlier)) if earlier.iter().any(|step| step.time == Duration::MAX) => {
                Err("--steps: only the last step may go without a time; write RATE:TIME for the others"
                    .to_owned())
            }
            Some(_) => Ok(self.steps.clone()),
        }
    }
}

/// What is asked for: the path, or items below it.
fn requests(path: &str, items: Option<u32>) -> Result<Arc<dyn Requests>, String> {
    let Some(rows) = items else { return Ok(Arc::new(Get(path.to_owned()))) };
    if path.contains('?') {
        return Err(format!("--items: {path} has a query; name the path alone that has items/ID below it"));
    }
    let path = path.trim_end_matches('/').to_owned();
    Ok(Arc::new(Below { path, requests: Arc::new(Items { rows }) }))
}

/// Listens for Prometheus, and says where: on standard error, as standard output has the results alone.
fn listen(address: SocketAddr) -> Result<Exporter, String> {
    let exporter = Exporter::bind(address).map_err(|error| {
        format!(
            "cannot listen on {address} (--metrics): {error}; name another address, port 0 takes a free one"
        )
    })?;
    // A closed standard error is no reason not to send.
    let _ = writeln!(io::stderr(), "evenkeel load metrics on http://{}/metrics", exporter.address());
    Ok(exporter)
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

/// `RATE:TIME`, or `RATE` for a step without an end. A rate of 0 is a pause.
fn step(text: &str) -> Result<Step, String> {
    let (its_rate, its_time) = match text.split_once(':') {
        Some((rate, time)) => (rate, Some(time)),
        None => (text, None),
    };
    let wrong =
        |why: String| format!("{why}; a step is RATE:TIME, such as 100:30s, and a comma stands between two");
    let rate = if its_rate == "0" { 0.0 } else { rate(its_rate).map_err(wrong)? };
    let time = its_time.map_or(Ok(Duration::MAX), time).map_err(wrong)?;
    Ok(Step { rate, time })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:9902 or [::1]:0".to_owned())
}
