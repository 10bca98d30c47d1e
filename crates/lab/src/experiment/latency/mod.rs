//! `evenkeel lab latency`: one question asked of a table without an index, with one, and behind a cache: what each
//! step buys.

mod tell;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::Request;

use super::{Progress, Setting};
use crate::load::{Answer, Arrivals, Load, Names, Plan, Record, Requests, Step, Summary};
use crate::report::{Circumstances, Report};
use crate::site::{Configuration, Part, Site};

/// The line that answers have to stay below.
const LINE: Duration = Duration::from_millis(200);
/// A client gives up after this long.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What a query takes beyond its work, as one to a database over a network does: median and sigma.
const NETWORK: &str = "lognormal:2ms,0.5";
/// Connections to the database; the toy backend's default.
const POOL: usize = 4;
/// The lower rate, as a share of what the scan can serve; and the higher one.
const LOADS: [f64; 2] = [0.5, 2.0];
/// No rate is higher, however fast the scan is.
const MOST: f64 = 2_000.0;

/// How large and how long it is.
#[derive(Debug, Clone, Copy)]
struct Size {
    rows: u32,
    /// How many names are asked for; four rows share one.
    names: u32,
    /// How long the scan is asked to find out what it can serve.
    trial: Duration,
    /// How long at each rate.
    times: [Duration; 2],
    /// Requests that fill the cache first, and their rate.
    warm: (f64, Duration),
}

/// How an answer is come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Scan,
    Index,
    Cache,
}

impl Way {
    const ALL: [Self; 3] = [Self::Scan, Self::Index, Self::Cache];

    fn name(self) -> &'static str {
        match self {
            Self::Scan => "full table scan",
            Self::Index => "indexed query",
            Self::Cache => "cache-aside",
        }
    }
}

/// What was seen of one way at one rate.
#[derive(Debug)]
struct Seen {
    summary: Summary,
    /// Of those answered well, in order of their length, in µs.
    latencies: Vec<u32>,
    /// Of those answered well: found in the cache.
    hits: u64,
    /// Time that the database was asked and waited for, by those answered well, in all.
    database: Duration,
    /// As [`Record::lag`].
    lag: Duration,
}

/// One way at all rates.
struct Measured {
    way: Way,
    at: Vec<Seen>,
}

/// All of it.
struct Outcome {
    size: Size,
    /// Requests a second that the scan can serve.
    capacity: f64,
    rates: [f64; 2],
    measured: Vec<Measured>,
}

pub(super) fn run(site: &Site, setting: &Setting, progress: &mut dyn Progress) -> io::Result<Report> {
    let quick = if setting.quick { " --quick" } else { "" };
    let begun =
        Circumstances::begin(format!("evenkeel lab latency{quick} --seed {}", setting.seed), setting.seed);
    let size = match setting.quick {
        true => Size {
            rows: 50_000,
            names: 250,
            trial: Duration::from_millis(500),
            times: [Duration::from_millis(1_200), Duration::from_millis(1_200)],
            warm: (300.0, Duration::from_secs(1)),
        },
        false => Size {
            rows: 1_000_000,
            names: 1_000,
            trial: Duration::from_secs(5),
            times: [Duration::from_secs(25), Duration::from_secs(10)],
            warm: (400.0, Duration::from_secs(5)),
        },
    };
    let mut outcome = Outcome { size, capacity: 0.0, rates: [0.0; 2], measured: Vec::new() };
    for way in Way::ALL {
        progress.say(&format!("{}: {} rows are made", way.name(), crate::figures::count(size.rows.into())));
        let chain = Chain::start(site, way, size, setting.seed)?;
        match way {
            Way::Scan => {
                outcome.capacity = capacity(chain.address(), size, setting.seed)?;
                outcome.rates = LOADS.map(|load| rounded(load * outcome.capacity).min(MOST));
            }
            Way::Index => {}
            Way::Cache => {
                progress.say("the cache is warmed");
                let (rate, time) = size.warm;
                let warm = Load::start(plan(chain.address(), size, rate, time, setting.seed ^ 1))?;
                let failed = warm.finish().all().failures();
                if failed > 0 {
                    let why =
                        format!("{failed} requests failed that warm the cache: the machine is too busy");
                    return Err(io::Error::other(why));
                }
            }
        }
        let mut at = Vec::new();
        for (rate, time) in outcome.rates.into_iter().zip(size.times) {
            progress.say(&format!("{}: {rate} requests a second for {time:.0?}", way.name()));
            at.push(measure(plan(chain.address(), size, rate, time, setting.seed))?);
        }
        outcome.measured.push(Measured { way, at });
    }
    Ok(tell::report(&outcome, begun.finish()))
}

/// A proxy, and what is behind it.
struct Chain {
    proxy: Part,
    _toy: Part,
    _kv: Option<Part>,
}

impl Chain {
    fn start(site: &Site, way: Way, size: Size, seed: u64) -> io::Result<Self> {
        let kv = match way {
            Way::Cache => Some(site.kv("kv", &[])?),
            Way::Scan | Way::Index => None,
        };
        let index = if way == Way::Scan { "off" } else { "on" };
        let (rows, pool, seed) = (size.rows.to_string(), POOL.to_string(), seed.to_string());
        let mut flags = vec!["--rows", &rows, "--name-index", index, "--database-latency", NETWORK];
        flags.extend(["--database-pool", &pool, "--seed", &seed]);
        let url = kv.as_ref().map(|kv| format!("redis://{}", kv.address()));
        if let Some(url) = &url {
            flags.extend(["--cache", url]);
        }
        let toy = site.toy("toy", &flags)?;
        let proxy =
            site.proxy("proxy", &Configuration { endpoints: &[toy.address()], ..Configuration::default() })?;
        Ok(Self { proxy, _toy: toy, _kv: kv })
    }

    fn address(&self) -> SocketAddr {
        self.proxy.address()
    }
}

fn plan(to: SocketAddr, size: Size, rate: f64, time: Duration, seed: u64) -> Plan {
    Plan {
        targets: vec![to],
        steps: vec![Step { rate, time }],
        arrivals: Arrivals::Poisson,
        requests: Arc::new(Names { names: size.names }),
        timeout: TIMEOUT,
        concurrency: 1024,
        seed,
    }
}

/// What the way serves a second when there is always a request for each connection to the database.
fn capacity(to: SocketAddr, size: Size, seed: u64) -> io::Result<f64> {
    let patience = Plan { timeout: Duration::from_secs(60), ..plan(to, size, MOST, size.trial, seed) };
    let load = Load::start(Plan { concurrency: POOL, ..patience })?;
    thread::sleep(size.trial);
    let totals = load.totals();
    match totals.ok {
        0 => Err(io::Error::other(format!(
            "nothing was answered within {:?}: the machine is too slow or too busy for {} rows",
            size.trial, size.rows
        ))),
        ok => Ok(ok as f64 / totals.seconds),
    }
}

/// To two digits, so that a rate can be quoted.
fn rounded(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.max(1.0).log10().floor() - 1.0);
    ((rate / unit).round() * unit).max(1.0)
}

fn measure(plan: Plan) -> io::Result<Seen> {
    let watch = Arc::new(Watch { requests: Arc::clone(&plan.requests), ..Watch::default() });
    let record = Load::start(Plan { requests: Arc::clone(&watch) as _, ..plan })?.finish();
    let database = *watch.database.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Seen {
        summary: record.all(),
        latencies: latencies(&record),
        hits: watch.hits.load(Ordering::Relaxed),
        database,
        lag: record.lag,
    })
}

fn latencies(record: &Record) -> Vec<u32> {
    let mut all: Vec<u32> = record.slices.iter().flat_map(|slice| slice.latencies.iter().copied()).collect();
    all.sort_unstable();
    all
}

/// Requests whose answers are asked where they came from.
struct Watch {
    requests: Arc<dyn Requests>,
    hits: AtomicU64,
    database: Mutex<Duration>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { requests: Arc::new(Names { names: 1 }), hits: AtomicU64::new(0), database: Mutex::default() }
    }
}

impl Requests for Watch {
    fn request(&self, number: u64, chance: f64) -> Request<Bytes> {
        self.requests.request(number, chance)
    }

    fn listens(&self) -> bool {
        true
    }

    fn answered(&self, answer: &Answer<'_>) {
        let Some(reply) = answer.reply else { return };
        let field = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok());
        if field("x-cache") == Some("hit") {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        let milliseconds = field("x-database-ms").and_then(|text| text.parse::<f64>().ok());
        let time = Duration::try_from_secs_f64(milliseconds.unwrap_or_default() / 1e3).unwrap_or_default();
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Reply;

    #[test]
    fn rates_can_be_quoted() {
        for (rate, quoted) in [(0.3, 1.0), (7.86, 7.9), (41.7, 42.0), (123.0, 120.0), (998.0, 1_000.0)] {
            assert!((rounded(rate) - quoted).abs() < 1e-9, "{rate}: {}", rounded(rate));
        }
    }

    #[test]
    fn answers_say_where_they_came_from() {
        let watch = Watch::default();
        let now = std::time::Instant::now();
        let tell = |fields: &[(&'static str, &str)]| {
            let headers = fields.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
            });
            let reply = Reply { headers: headers.collect(), body: Vec::new() };
            let request = watch.request(0, 0.5);
            watch.answered(&Answer {
                number: 0,
                request: &request,
                sent: now,
                ended: now,
                reply: Some(&reply),
            });
        };
        tell(&[("x-cache", "hit"), ("x-database-ms", "0.000")]);
        tell(&[("x-cache", "miss"), ("x-database-ms", "2.500")]);
        tell(&[("x-database-ms", "1.5")]);
        tell(&[("x-database-ms", "what")]);
        assert_eq!(watch.hits.load(Ordering::Relaxed), 1);
        assert_eq!(*watch.database.lock().unwrap(), Duration::from_millis(4));
    }
}
