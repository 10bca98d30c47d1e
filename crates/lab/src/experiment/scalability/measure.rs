//! Measuring: what is served when every place is taken, and how long answers take when there is room.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::limit::Evidence;
use crate::load::{Arrivals, Get, Load, Plan, Step, Summary};
use crate::site::{Configuration, Part, Processors, Site};

/// The thread of the load that sends.
const SENDER: &str = "load";
/// As many requests are made due at once as could be answered at this rate, so that none is missing.
const MORE_THAN_ANYBODY: f64 = 60_000.0;
/// In a closed loop nobody gives up before it ends.
const PATIENCE: Duration = Duration::from_secs(600);

/// Backends of one kind, each of which does so much by construction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Of the backends, in names of processes and tables.
    pub(super) name: &'static str,
    /// Requests it serves at once; the others wait.
    pub(super) places: u32,
    /// How long it takes for each, asleep.
    pub(super) service: Duration,
}

impl Kind {
    /// Requests per second of one.
    pub(super) fn nominal(&self) -> f64 {
        f64::from(self.places) / self.service.as_secs_f64()
    }

    /// Starts that many.
    pub(super) fn start(&self, site: &Site, count: usize) -> io::Result<Vec<Part>> {
        let places = self.places.to_string();
        let latency = format!("fixed:{}us", self.service.as_micros());
        let flags = ["--rows", "10", "--capacity", &places, "--latency", &latency];
        (1..=count).map(|number| site.toy(&format!("{}-{number}", self.name), &flags)).collect()
    }
}

/// How long is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Before a window.
    pub(super) warm: Duration,
    /// In which is counted what was served.
    pub(super) window: Duration,
    /// At 0.7 of what is nominal.
    pub(super) calm: Duration,
}

/// What came out of a window in which every place was taken.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// Answered well, per second.
    pub(super) rate: f64,
    /// Failed within it.
    pub(super) failed: u64,
    pub(super) used: Usage,
}

/// What came out at 0.7 of what is nominal.
#[derive(Debug, Clone)]
pub(super) struct Calm {
    pub(super) answers: Summary,
    pub(super) used: Usage,
}

/// Processor time used meanwhile.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    /// The machine's cores, a share.
    pub(super) machine: f64,
    /// Of the thread that sends the load, in cores.
    pub(super) load: f64,
    /// The same of the proxy; none without one.
    pub(super) proxy: Option<f64>,
    /// The same of all backends.
    pub(super) backends: f64,
    /// The same of everything else on the machine, the kernel's work for all of them included.
    pub(super) others: f64,
}

impl Usage {
    pub(super) fn evidence(&self, efficiency: f64, workers: usize) -> Evidence {
        let proxy = self.proxy.unwrap_or_default() / workers as f64;
        Evidence { efficiency, machine: self.machine, load: self.load, proxy }
    }
}

impl Window {
    pub(super) fn evidence(&self, ideal: f64, workers: usize) -> Evidence {
        self.used.evidence(self.rate / ideal, workers)
    }

    /// The proxy's processor time for each request.
    pub(super) fn proxy_per_request(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.used.proxy? / self.rate).ok()
    }
}

/// Who uses processor time while a load runs.
struct Watch<'a> {
    through: Option<&'a Part>,
    backends: &'a [Part],
    before: (Processors, Duration, Duration),
}

impl<'a> Watch<'a> {
    fn begin(through: Option<&'a Part>, backends: &'a [Part]) -> io::Result<Self> {
        Ok(Self { through, backends, before: Self::used(through, backends)? })
    }

    /// So far: by all, by the proxy, by the backends.
    fn used(through: Option<&Part>, backends: &[Part]) -> io::Result<(Processors, Duration, Duration)> {
        let sum = |sum: Duration, part: &Part| part.cpu().map(|cpu| sum + cpu);
        let proxy = through.map_or(Ok(Duration::ZERO), Part::cpu)?;
        Ok((Processors::now(SENDER)?, proxy, backends.iter().try_fold(Duration::ZERO, sum)?))
    }

    /// Since it began. The load must not be over.
    fn end(self) -> io::Result<Usage> {
        let (processors, proxy, backends) = Self::used(self.through, self.backends)?;
        let usage = processors.since(&self.before.0);
        let cores = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / usage.seconds;
        let proxy = self.through.map(|_| cores(proxy, self.before.1));
        let backends = cores(backends, self.before.2);
        let known = usage.thread + proxy.unwrap_or_default() + backends;
        let others = (usage.machine * usage.cores as f64 - known).max(0.0);
        Ok(Usage { machine: usage.machine, load: usage.thread, proxy, backends, others })
    }
}

/// A proxy before these backends, with as many workers, or with one per core.
pub(super) fn proxy(site: &Site, name: &str, backends: &[Part], workers: Option<usize>) -> io::Result<Part> {
    let endpoints: Vec<SocketAddr> = backends.iter().map(Part::address).collect();
    site.proxy(
        name,
        &Configuration {
            workers,
            endpoints: &endpoints,
            upstream: "balance = \"least-connections\"",
            rest: "[upstream.app.health]\npath = \"/healthz\"\n",
            ..Configuration::default()
        },
    )
}

/// A closed loop: so many requests are due that `places` of them are always under way. They begin one after the other
/// over a `ramp`, so that those of one backend do not all end at once.
pub(super) fn saturated(
    to: SocketAddr,
    through: Option<&Part>,
    backends: &[Part],
    (places, ramp): (usize, Duration),
    times: Times,
    seed: u64,
) -> io::Result<Window> {
    let burst = Duration::from_millis(1);
    let all = MORE_THAN_ANYBODY * (times.warm + times.window).as_secs_f64();
    let steps = vec![
        Step { rate: places as f64 / ramp.as_secs_f64(), time: ramp },
        Step { rate: all / burst.as_secs_f64(), time: burst },
    ];
    let load = start(to, steps, Arrivals::Even, places, PATIENCE, seed)?;
    thread::sleep(ramp + times.warm);
    // A load counts its own time only until its last request was due, which was at once.
    let look = || (Instant::now(), load.totals());
    let watch = Watch::begin(through, backends)?;
    let (since, before) = look();
    thread::sleep(times.window);
    let ((until, after), used) = (look(), watch.end()?);
    let within = after.since(&before);
    Ok(Window {
        rate: within.ok as f64 / until.saturating_duration_since(since).as_secs_f64(),
        failed: within.failed.values().sum(),
        used,
    })
}

/// An open loop at that rate.
pub(super) fn calm(
    to: SocketAddr,
    through: Option<&Part>,
    backends: &[Part],
    rate: f64,
    time: Duration,
    seed: u64,
) -> io::Result<Calm> {
    let steps = vec![Step { rate, time }];
    let load = start(to, steps, Arrivals::Poisson, 4_096, Duration::from_secs(5), seed)?;
    let watch = Watch::begin(through, backends)?;
    // Short of its end, or the sending thread is gone with its figures.
    thread::sleep(time.mul_f64(0.9));
    let used = watch.end()?;
    Ok(Calm { answers: load.finish().all(), used })
}

fn start(
    to: SocketAddr,
    steps: Vec<Step>,
    arrivals: Arrivals,
    concurrency: usize,
    timeout: Duration,
    seed: u64,
) -> io::Result<Load> {
    let requests = Arc::new(Get("/".to_owned()));
    Load::start(Plan { targets: vec![to], steps, arrivals, requests, timeout, concurrency, seed })
}
