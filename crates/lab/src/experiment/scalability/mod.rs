//! `evenkeel lab scalability`: what 1, 2, 4 and 8 backends serve behind the proxy, and one and two of its workers.
//!
//! Capacity is measured in a closed loop. An open loop above capacity measures its own queue: everything waits ever
//! longer until it times out, and what is counted depends on the timeout. An open loop below capacity shows latency, and is
//! used for that.

mod data;
mod law;
mod limit;
mod measure;
mod plots;
mod tell;

use std::io;
use std::time::Duration;

use self::law::Law;
use self::measure::{Calm, Kind, Times, Window, calm, proxy, saturated};
use super::{Progress, Setting};
use crate::report::{Circumstances, Report};
use crate::site::{Part, Site};

/// Of what is nominal: the load at which latency is measured.
const CALM: f64 = 0.7;
/// Requests under way for each place of a backend in a closed loop: one in service, and half a one to follow it.
const UNDER_WAY: f64 = 1.5;
/// Requests under way when workers are compared.
const CLIENTS: usize = 64;

/// Everything that was measured.
struct Measured {
    /// Backends that are slow enough for this machine to have many of.
    steady: Curve,
    /// Backends that are faster than this machine can use.
    fast: Curve,
    /// One backend without a proxy.
    direct: Point,
    workers: Vec<Workers>,
}

/// Throughput by backends of one kind.
struct Curve {
    kind: Kind,
    points: Vec<Point>,
    law: Option<Law>,
}

struct Point {
    backends: usize,
    window: Window,
    /// At 0.7 of nominal; not measured with fast backends.
    calm: Option<Calm>,
}

/// The same load on proxies with so many workers.
struct Workers {
    workers: usize,
    window: Window,
}

/// What is measured, and how long.
struct Scale {
    counts: &'static [usize],
    steady: Kind,
    fast: Kind,
    times: Times,
    /// How often one and two workers take turns.
    rounds: usize,
}

impl Scale {
    fn of(setting: &Setting) -> Self {
        let ms = Duration::from_millis;
        let (counts, places, times, rounds): (&[usize], _, _, _) = match setting.quick {
            true => (&[1, 2, 4, 8], 5, Times { warm: ms(200), window: ms(1200), calm: ms(1200) }, 1),
            false => {
                (&[1, 2, 3, 4, 6, 8], 10, Times { warm: ms(1000), window: ms(6000), calm: ms(12_000) }, 3)
            }
        };
        Self {
            counts,
            steady: Kind { name: "steady", places, service: ms(50) },
            fast: Kind { name: "fast", places: 80, service: ms(20) },
            times,
            rounds,
        }
    }

    fn most(&self) -> usize {
        self.counts.iter().copied().max().unwrap_or(1)
    }
}

impl Curve {
    /// What as many backends do as one does, times their number.
    fn ideal(&self, backends: usize) -> f64 {
        self.points.first().map_or(f64::NAN, |one| one.window.rate / one.backends as f64) * backends as f64
    }

    fn efficiency(&self, point: &Point) -> f64 {
        point.window.rate / self.ideal(point.backends)
    }

    fn at(&self, backends: usize) -> Option<&Point> {
        self.points.iter().find(|point| point.backends == backends)
    }
}

pub(super) fn run(site: &Site, setting: &Setting, progress: &mut dyn Progress) -> io::Result<Report> {
    let quick = if setting.quick { " --quick" } else { "" };
    let begun = Circumstances::begin(
        format!("evenkeel lab scalability{quick} --seed {}", setting.seed),
        setting.seed,
    );
    let scale = Scale::of(setting);
    let (steady, direct) = {
        let backends = scale.steady.start(site, scale.most())?;
        progress.say("one backend without a proxy");
        let direct =
            point(site, &scale, scale.steady, backends.get(..1).unwrap_or_default(), false, setting)?;
        (curve(site, &scale, scale.steady, &backends, setting, progress)?, direct)
    };
    let fast = {
        let backends = scale.fast.start(site, scale.most())?;
        curve(site, &scale, scale.fast, &backends, setting, progress)?
    };
    let workers = workers(site, &scale, setting, progress)?;
    Ok(tell::report(&Measured { steady, fast, direct, workers }, &scale, begun.finish()))
}

fn curve(
    site: &Site,
    scale: &Scale,
    kind: Kind,
    backends: &[Part],
    setting: &Setting,
    progress: &mut dyn Progress,
) -> io::Result<Curve> {
    let mut points = Vec::new();
    for &count in scale.counts {
        let plural = if count == 1 { "" } else { "s" };
        progress.say(&format!("{count} backend{plural} of {:.0} requests/s", kind.nominal()));
        points.push(point(site, scale, kind, backends.get(..count).unwrap_or_default(), true, setting)?);
    }
    let throughputs: Vec<_> = points.iter().map(|point| (point.backends as f64, point.window.rate)).collect();
    Ok(Curve { kind, points, law: Law::fit(&throughputs) })
}

/// Measures these backends, behind a proxy of their own or (the first of them) directly.
fn point(
    site: &Site,
    scale: &Scale,
    kind: Kind,
    backends: &[Part],
    is_proxied: bool,
    setting: &Setting,
) -> io::Result<Point> {
    let count = backends.len();
    let through = match is_proxied {
        true => Some(proxy(site, &format!("proxy-{}-{count}", kind.name), backends, None)?),
        false => None,
    };
    let to = through.as_ref().or(backends.first()).map(Part::address);
    let to = to.ok_or_else(|| io::Error::other("there is no backend to measure"))?;
    let all = f64::from(kind.places) * count as f64;
    let places = (UNDER_WAY * all).ceil() as usize;
    // With room first: nothing is left over from it.
    let calm = match kind.name == scale.steady.name {
        true => {
            let rate = CALM * kind.nominal() * count as f64;
            Some(calm(to, through.as_ref(), backends, rate, scale.times.calm, setting.seed)?)
        }
        false => None,
    };
    let window =
        saturated(to, through.as_ref(), backends, (places, kind.service), scale.times, setting.seed)?;
    Ok(Point { backends: count, window, calm })
}

/// One worker and two by turns, before backends that answer at once.
fn workers(
    site: &Site,
    scale: &Scale,
    setting: &Setting,
    progress: &mut dyn Progress,
) -> io::Result<Vec<Workers>> {
    let backends = [site.toy("instant-1", &["--rows", "10"])?, site.toy("instant-2", &["--rows", "10"])?];
    let ramp = Duration::from_millis(100);
    let start = |workers: usize| proxy(site, &format!("workers-{workers}"), &backends, Some(workers));
    let proxies = [(1, start(1)?), (2, start(2)?)];
    let mut measured = Vec::new();
    for _ in 0..scale.rounds {
        for (workers, proxy) in &proxies {
            progress.say(&format!("a proxy with {workers} worker{}", if *workers == 1 { "" } else { "s" }));
            let window = saturated(
                proxy.address(),
                Some(proxy),
                &backends,
                (CLIENTS, ramp),
                scale.times,
                setting.seed,
            )?;
            measured.push(Workers { workers: *workers, window });
        }
    }
    Ok(measured)
}
