//! `evenkeel lab availability`: the same failures, at the same moments, without a proxy and behind one.

mod failure;
mod tell;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use self::failure::{BACKLOG, Failing, Failure};
use super::{Progress, Setting};
use crate::load::{Arrivals, Get, Load, Plan, Record, Step, Summary};
use crate::report::{Circumstances, Report};
use crate::site::{Configuration, Part, Site};

/// Requests per second to each of the two.
const RATE: f64 = 200.0;
/// A client gives up after this long.
const TIMEOUT: Duration = Duration::from_secs(1);
const PROBE_INTERVAL: Duration = Duration::from_millis(200);
const PROBE_FALL: u32 = 2;
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);
/// How often is looked whether the endpoint is known to be down.
const LOOK: Duration = Duration::from_millis(20);
/// A server that works again is counted as up within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before the first failure.
const CALM: Duration = Duration::from_secs(1);

/// What was seen of one failure.
struct Seen {
    failure: Failure,
    /// Since the loads began.
    at: Duration,
    /// From its beginning until the endpoint was known to be down.
    known: Option<Duration>,
    /// Attempts that were made again, by why the one before failed.
    retries: BTreeMap<String, f64>,
    alone: Summary,
    behind: Summary,
}

pub(super) fn run(site: &Site, setting: &Setting, progress: &mut dyn Progress) -> io::Result<Report> {
    let quick = if setting.quick { " --quick" } else { "" };
    let begun = Circumstances::begin(
        format!("evenkeel lab availability{quick} --seed {}", setting.seed),
        setting.seed,
    );
    let (lasts, rest) = match setting.quick {
        true => (Duration::from_millis(1500), Duration::from_millis(400)),
        false => (Duration::from_secs(15), Duration::from_secs(8)),
    };
    let backlog = BACKLOG.to_string();
    let toy = |name: &str| site.toy(name, &["--rows", "10", "--backlog", &backlog]);
    let (mut alone, mut first) = (toy("alone")?, toy("toy-1")?);
    let others = [toy("toy-2")?, toy("toy-3")?];
    let [second, third] = &others;
    let proxy = site.proxy(
        "proxy",
        &Configuration {
            endpoints: &[first.address(), second.address(), third.address()],
            rest: &format!(
                "[upstream.app.health]\npath = \"/healthz\"\ninterval = \"{}ms\"\ntimeout = \"{}ms\"\n\
                 fall = {PROBE_FALL}\n\n[upstream.app.retry]\non = [\"connect\", \"reset\", \"500\", \"504\"]\n\
                 budget = \"100%\"\n\n[upstream.app.timeouts]\nconnect = \"250ms\"\nattempt = \"250ms\"\n",
                PROBE_INTERVAL.as_millis(),
                PROBE_TIMEOUT.as_millis(),
            ),
            ..Configuration::default()
        },
    )?;
    let load = |to: &Part| {
        Load::start(Plan {
            targets: vec![to.address()],
            steps: vec![Step { rate: RATE, time: Duration::MAX }],
            arrivals: Arrivals::Poisson,
            requests: Arc::new(Get("/".to_owned())),
            timeout: TIMEOUT,
            concurrency: 1024,
            seed: setting.seed,
        })
    };
    let (without, with) = (load(&alone)?, load(&proxy)?);
    let began = with.began();
    thread::sleep(CALM);
    let mut times = Vec::new();
    for failure in Failure::ALL {
        progress.say(&format!("{} of one server, alone and of three", failure.name()));
        let before = retries(&proxy)?;
        let at = Instant::now();
        let failing = both(failure, &mut alone, &mut first)?;
        let known = until(&proxy, &first, false, at, lasts);
        thread::sleep((at + lasts).saturating_duration_since(Instant::now()));
        failing.0.end(&mut alone)?;
        failing.1.end(&mut first)?;
        // The next failure has to find it up.
        until(&proxy, &first, true, Instant::now(), PATIENCE).ok_or_else(|| {
            io::Error::other(format!("toy-1 is not counted as up again after: {}", failure.name()))
        })?;
        thread::sleep(rest);
        // Requests of the next failure are counted with it: spans are rounded.
        let end = began.elapsed().saturating_sub(Record::SLICE);
        let mut made = retries(&proxy)?;
        made.iter_mut().for_each(|(reason, made)| *made -= before.get(reason).copied().unwrap_or_default());
        made.retain(|_, made| *made > 0.0);
        times.push((failure, at.duration_since(began), end, known, made));
    }
    let (without, with) = (without.stop(), with.stop());
    let seen: Vec<Seen> = times
        .into_iter()
        .map(|(failure, at, end, known, retries)| Seen {
            failure,
            at,
            known,
            retries,
            alone: without.between(at..end),
            behind: with.between(at..end),
        })
        .collect();
    Ok(tell::report(&seen, &without, &with, begun.finish()))
}

/// Begins a failure of both at the same moment: a black hole takes its time.
fn both(failure: Failure, one: &mut Part, other: &mut Part) -> io::Result<(Failing, Failing)> {
    thread::scope(|scope| {
        let one = scope.spawn(|| failure.begin(one));
        let other = failure.begin(other)?;
        let one = one.join().map_err(|_| io::Error::other("the thread that begins a failure panicked"))?;
        Ok((one?, other))
    })
}

/// Attempts that were made again, by reason.
fn retries(proxy: &Part) -> io::Result<BTreeMap<String, f64>> {
    const NAME: &str = "evenkeel_upstream_retries_total";
    let metrics = proxy.metrics()?;
    let made = |reason: &str| metrics.sum(NAME, &[("reason", reason)]).unwrap_or_default();
    Ok(metrics.values(NAME, "reason").into_iter().map(|reason| (reason.to_owned(), made(reason))).collect())
}

/// How long after `since` the proxy counts the endpoint as up, or as down; `None` if it does not `within` that time.
fn until(proxy: &Part, endpoint: &Part, is_up: bool, since: Instant, within: Duration) -> Option<Duration> {
    let address = endpoint.address().to_string();
    while since.elapsed() < within {
        let up =
            proxy.metrics().ok().and_then(|it| it.sum("evenkeel_endpoint_up", &[("endpoint", &address)]));
        if up == Some(f64::from(u8::from(is_up))) {
            return Some(since.elapsed());
        }
        thread::sleep(LOOK);
    }
    None
}
