//! `evenkeel lab throughput`: a load that grows until a promise breaks, and what broke first.

mod diagnosis;
mod evidence;
mod plant;
mod ramp;
mod tell;

use std::io;
use std::thread;
use std::time::{Duration, Instant};

pub use self::plant::Plant;

use self::diagnosis::{Case, Finding};
use self::evidence::{Around, Evidence};
use self::plant::Shop;
use self::ramp::{Pace, Taken};
use super::{Progress, Setting};
use crate::figures::{count, duration, rate};
use crate::report::{Circumstances, Report};
use crate::site::{Site, Throttle, Watch};

/// A step, and what was seen in it.
struct Seen {
    taken: Taken,
    evidence: Evidence,
}

/// What came out of the ramp.
struct Outcome {
    /// In order; the last one is the one that broke, if one did.
    steps: Vec<Seen>,
    /// What broke first; none if nothing did.
    finding: Option<Finding>,
}

pub(super) fn run(site: &Site, setting: &Setting, progress: &mut dyn Progress) -> io::Result<Report> {
    let quick = if setting.quick { " --quick" } else { "" };
    let planted = setting.plant.map(|plant| format!(" --plant {}", plant.name())).unwrap_or_default();
    let command = format!("evenkeel lab throughput{quick}{planted} --seed {}", setting.seed);
    let begun = Circumstances::begin(command, setting.seed);
    let (pace, every) = match setting.quick {
        true => (
            Pace { from: 120.0, growth: 1.6, step: Duration::from_millis(1_200), most: 20_000.0 },
            Duration::from_millis(100),
        ),
        false => (
            Pace { from: 100.0, growth: 1.25, step: Duration::from_secs(6), most: 20_000.0 },
            Duration::from_millis(250),
        ),
    };
    let shop = Shop::open(site, setting.plant)?;
    fill_cache(site, &shop, progress)?;
    let outcome = climb(&shop, pace, every, setting.seed, progress)?;
    Ok(tell::report(&outcome, pace, setting.plant, begun.finish()))
}

fn fill_cache(site: &Site, shop: &Shop, progress: &mut dyn Progress) -> io::Result<()> {
    progress.say("filling the cache");
    let stocker = plant::stocker(site, &shop.cache)?;
    let filled = ramp::stock(stocker.address(), 1_000.0)?;
    if filled.failures() > 0 {
        let why =
            format!("{} of {} rows could not be read to fill the cache", filled.failures(), filled.offered);
        return Err(io::Error::other(why));
    }
    stocker.stop()
}

/// Step after step, until one breaks.
fn climb(
    shop: &Shop,
    pace: Pace,
    every: Duration,
    seed: u64,
    progress: &mut dyn Progress,
) -> io::Result<Outcome> {
    let throttle = shop.quota.map(|cores| Throttle::start(&shop.proxy, cores)).transpose()?;
    let epoch = Instant::now();
    let mut outcome = Outcome { steps: Vec::new(), finding: None };
    let mut rate = pace.from;
    // A promise may also break because somebody else had the machine for a moment: what does not show a cause in the
    // system has to be seen twice.
    let mut is_second = false;
    while rate <= pace.most {
        let seen = step(shop, rate, pace.step, every, (seed, epoch))?;
        say(progress, &seen.taken);
        let is_broken = seen.taken.is_broken();
        let finding = is_broken.then(|| {
            let good = outcome.steps.last().map(|good: &Seen| &good.evidence);
            Case { good, broken: &seen.evidence, is_late: seen.taken.is_late() }.find()
        });
        if finding.as_ref().is_some_and(Finding::is_doubtful) && !is_second {
            progress.say("that may have been a moment's disturbance: once more");
            is_second = true;
            continue;
        }
        is_second = false;
        outcome.steps.push(seen);
        if finding.is_some() {
            outcome.finding = finding;
            break;
        }
        rate *= pace.growth;
    }
    drop(throttle);
    Ok(outcome)
}

fn say(progress: &mut dyn Progress, taken: &Taken) {
    progress.say(&format!(
        "{} requests/s: p99 {}, {} of {} failed",
        rate(taken.rate),
        duration(taken.summary.p99),
        count(taken.summary.failures()),
        count(taken.summary.offered),
    ));
}

fn step(
    shop: &Shop,
    rate: f64,
    time: Duration,
    every: Duration,
    (seed, epoch): (u64, Instant),
) -> io::Result<Seen> {
    let mut parts = vec![(&shop.proxy, [].as_slice()), (&shop.cache, evidence::OF_CACHE)];
    parts.extend(shop.backends.iter().map(|backend| (backend, evidence::OF_BACKENDS)));
    let watch = Watch::start(&parts, every, epoch)?;
    let taken = ramp::take(shop.proxy.address(), rate, time, seed, epoch)?;
    let series = watch.finish();
    let [proxy, cache, backends @ ..] = series.as_slice() else {
        return Err(io::Error::other("the parts were not watched"));
    };
    let evidence = evidence::gather(proxy, backends, cache, around(shop, &taken), taken.span);
    Ok(Seen { taken, evidence })
}

fn around(shop: &Shop, taken: &Taken) -> Around {
    let cores = thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    Around {
        // Without a quota it has a worker per core.
        proxy_cores: shop.quota.unwrap_or(cores),
        cores,
        generator: taken.usage.thread,
        machine: taken.usage.machine,
        under_way: taken.under_way,
    }
}
