//! `evenkeel lab consistency`: rows are written and read behind a cache that is told of writes in different ways, and
//! parts fail; what was read that was no longer so is counted, and what was not answered.
//!
//! All modes run at the same time and meet the same failures, one mode after the other within moments.

mod clients;
mod cluster;
mod staleness;
mod tally;
mod tell;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use self::clients::{Each, Reader, Writer};
use self::cluster::Cluster;
use self::tally::{Phased, Seen};
use super::{Progress, Setting};
use crate::load::{Arrivals, Load, Plan, Requests, Step};
use crate::report::{Circumstances, Report};
use crate::site::Site;

/// Rows that are written and read.
const ITEMS: u32 = 20;
/// Writes per second: each item is written every 1.25 s, which no time to live is a multiple of.
const WRITES: f64 = 16.0;
/// A client gives up after this long; shorter than it takes until an item is written again.
const TIMEOUT: Duration = Duration::from_millis(1_200);
/// What a query takes beyond its work, as one to a database over a network does.
const NETWORK: &str = "fixed:2ms";
/// How long nothing is cached under a key that was just written; the toy backend's default.
const FENCE: Duration = Duration::from_millis(500);
/// How long the cache is waited for; the toy backend's default.
const CACHE_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a value may be served after its time, if the database does not answer.
const STALE: Duration = Duration::from_secs(60);

/// How the cache is told of writes, and what is done when something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mode {
    name: &'static str,
    /// `--cache-policy`
    policy: &'static str,
    /// The replica answers when its primary is away.
    replica_serves: bool,
    /// Old values are served when the database does not answer.
    serves_stale: bool,
}

const INVALIDATE: Mode =
    Mode { name: "invalidate", policy: "invalidate", replica_serves: true, serves_stale: false };
const REFUSE: Mode = Mode { name: "replica refuses", replica_serves: false, ..INVALIDATE };
const WRITE_THROUGH: Mode = Mode { name: "write-through", policy: "write-through", ..INVALIDATE };
const TTL_ONLY: Mode = Mode { name: "TTL only", policy: "ttl-only", ..INVALIDATE };
const SERVE_STALE: Mode = Mode { name: "TTL, stale on error", serves_stale: true, ..TTL_ONLY };
const SERVE_COPY: Mode = Mode { name: "invalidate, stale on error", serves_stale: true, ..INVALIDATE };

const MODES: [Mode; 6] = [INVALIDATE, REFUSE, WRITE_THROUGH, TTL_ONLY, SERVE_STALE, SERVE_COPY];

/// What happens, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Calm,
    Cut,
    Healed,
    Dead,
    Back,
    Down,
    After,
}

impl Phase {
    const ALL: [Self; 7] =
        [Self::Calm, Self::Cut, Self::Healed, Self::Dead, Self::Back, Self::Down, Self::After];

    fn name(self) -> &'static str {
        match self {
            Self::Calm => "all is well",
            Self::Cut => "replica cut off",
            Self::Healed => "replica healed",
            Self::Dead => "cache dead",
            Self::Back => "cache back, empty",
            Self::Down => "database down",
            Self::After => "database back",
        }
    }

    /// Whether something fails from now on.
    fn breaks(self) -> bool {
        matches!(self, Self::Cut | Self::Dead | Self::Down)
    }

    /// Whether what failed before works again.
    fn mends(self) -> bool {
        matches!(self, Self::Healed | Self::Back | Self::After)
    }
}

/// How much and how long it is.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Reads per second, of each mode.
    reads: f64,
    /// How long a row stays in the cache.
    ttl: Duration,
    /// The silence after which the replica knows that its primary is away.
    silence: Duration,
    /// Of each phase.
    times: [Duration; 7],
}

/// All of it.
struct Outcome {
    size: Size,
    /// When each phase began, since the beginning; and when the last one ended.
    begins: Vec<Duration>,
    end: Duration,
    seen: Vec<(Mode, Seen)>,
}

impl Outcome {
    fn of(&self, mode: Mode, phase: Phase) -> Option<&Phased> {
        let (_, seen) = self.seen.iter().find(|(it, _)| *it == mode)?;
        Phase::ALL.iter().position(|it| *it == phase).and_then(|place| seen.phases.get(place))
    }
}

pub(super) fn run(site: &Site, setting: &Setting, progress: &mut dyn Progress) -> io::Result<Report> {
    let quick = if setting.quick { " --quick" } else { "" };
    let command = format!("evenkeel lab consistency{quick} --seed {}", setting.seed);
    let begun = Circumstances::begin(command, setting.seed);
    let size = match setting.quick {
        true => Size {
            reads: 40.0,
            ttl: Duration::from_millis(2_400),
            silence: Duration::from_secs(1),
            times: [1_500, 3_200, 1_800, 800, 2_200, 3_500, 500].map(Duration::from_millis),
        },
        false => Size {
            reads: 200.0,
            ttl: Duration::from_millis(4_800),
            silence: Duration::from_secs(2),
            times: [10, 12, 8, 8, 10, 12, 5].map(Duration::from_secs),
        },
    };
    let mut clusters = Vec::new();
    for (place, mode) in MODES.into_iter().enumerate() {
        progress.say(&format!("{}: two backends, a cache and its replica start", mode.name));
        clusters.push(Cluster::start(site, place, mode, size)?);
    }
    fill(&clusters, setting.seed)?;
    let zero = Instant::now();
    let mut running = Vec::new();
    for cluster in &clusters {
        running.push(Running::start(cluster, size, zero, setting.seed)?);
    }
    let mut begins = Vec::new();
    for (phase, time) in Phase::ALL.into_iter().zip(size.times) {
        progress.say(&format!("{}, for {time:.1?}", phase.name()));
        let began = zero.elapsed();
        for cluster in &mut clusters {
            cluster.begin(phase)?;
        }
        let now = zero.elapsed();
        // A failure goes from just before it happens until it is mended.
        begins.push(if phase.mends() { now } else { began });
        thread::sleep((began + time).saturating_sub(now));
        if phase == Phase::Back {
            // So that what is missing later was lost for another reason than that nobody had asked for it.
            clusters.iter().try_for_each(Cluster::until_cached)?;
            fill(&clusters, setting.seed)?;
        }
    }
    let end = zero.elapsed();
    let seen = running.into_iter().map(|running| running.stop(&begins, end));
    let seen = MODES.into_iter().zip(seen).collect();
    Ok(tell::report(&Outcome { size, begins, end, seen }, begun.finish()))
}

/// Asks each cluster for each row once.
fn fill(clusters: &[Cluster], seed: u64) -> io::Result<()> {
    const RATE: f64 = 200.0;
    let time = Duration::from_secs_f64(f64::from(ITEMS) / RATE);
    let loads: Vec<Load> = clusters
        .iter()
        .map(|cluster| {
            let step = Step { rate: RATE, time };
            let plan = plan(cluster, step, Arc::new(Each(ITEMS)), seed);
            Load::start(Plan { arrivals: Arrivals::Even, ..plan })
        })
        .collect::<io::Result<_>>()?;
    let failed: u64 = loads.into_iter().map(|load| load.finish().all().failures()).sum();
    match failed {
        0 => Ok(()),
        _ => Err(io::Error::other(format!(
            "{failed} rows could not be read to fill the caches: the machine is too busy"
        ))),
    }
}

fn plan(cluster: &Cluster, step: Step, requests: Arc<dyn Requests>, seed: u64) -> Plan {
    Plan {
        targets: vec![cluster.address()],
        steps: vec![step],
        arrivals: Arrivals::Poisson,
        requests,
        timeout: TIMEOUT,
        concurrency: 1024,
        seed,
    }
}

/// The clients of one cluster.
struct Running {
    writer: Arc<Writer>,
    reader: Arc<Reader>,
    writes: Load,
    reads: Load,
    zero: Instant,
}

impl Running {
    fn start(cluster: &Cluster, size: Size, zero: Instant, seed: u64) -> io::Result<Self> {
        let (writer, reader) = (Arc::new(Writer::new(ITEMS, zero)), Arc::new(Reader::new(ITEMS, zero)));
        let step = |rate: f64| Step { rate, time: Duration::MAX };
        let writes = plan(cluster, step(WRITES), Arc::clone(&writer) as _, seed);
        // At equal distances, so that an item is never written while its last write is under way.
        let writes = Load::start(Plan { arrivals: Arrivals::Even, ..writes })?;
        let reads = Load::start(plan(cluster, step(size.reads), Arc::clone(&reader) as _, seed))?;
        Ok(Self { writer, reader, writes, reads, zero })
    }

    fn stop(self, begins: &[Duration], end: Duration) -> Seen {
        let began = self.reads.began().saturating_duration_since(self.zero);
        let record = self.reads.stop();
        // Writes stop last, or the last reads would find nothing new.
        self.writes.stop();
        tally::count(&self.reader.seen(), &self.writer.seen(), &record, began, begins, end)
    }
}
