//! What came out, in words, tables and plots.

use std::thread;
use std::time::Duration;

use super::limit::Limit;
use super::measure::{Calm, Window};
use super::{CALM, CLIENTS, Curve, Measured, Point, Scale, UNDER_WAY, Workers};
use super::{data, plots};
use crate::figures::{count, duration};
use crate::report::{Block, Circumstances, Promise, Report, Table};

/// How long the slowest hundredth may take at 0.7 of capacity, in service times.
const P99: u32 = 3;
/// Promised, with as many backends.
const PROMISED: [(usize, f64); 2] = [(4, 0.95), (8, 0.9)];

pub(super) fn report(measured: &Measured, scale: &Scale, circumstances: Circumstances) -> Report {
    let Measured { steady, fast, direct, workers } = measured;
    let (promises, unjudged) = promises(steady, direct);
    let mut blocks = vec![
        Block::Plot(plots::throughput("Throughput, backends of a fixed capacity", steady)),
        Block::Table(efficiency("The same in numbers: every place taken", steady)),
        Block::Text { text: fit(steady) },
        Block::Table(latency(steady, direct)),
        Block::Text { text: cost(steady, direct) },
        Block::Heading { text: "Where it bends".to_owned() },
        Block::Plot(plots::throughput("Throughput, backends faster than this machine", fast)),
        Block::Table(efficiency("The same in numbers, and what was used up", fast)),
        Block::Plot(plots::used(fast)),
        Block::Text { text: fit(fast) },
        Block::Text { text: bend(fast) },
        Block::Heading { text: "Workers of the proxy".to_owned() },
        Block::Table(by_workers(workers)),
        Block::Text { text: shared(workers) },
    ];
    if !unjudged.is_empty() {
        blocks.insert(2, Block::Text { text: unjudged });
    }
    Report {
        name: "scalability".to_owned(),
        question: "Do more backends serve more, how much more, and where does it end?".to_owned(),
        method: method(scale),
        verdict: vec![verdict(steady), bend(fast)],
        promises,
        blocks,
        circumstances,
        data: data::data(measured),
    }
}

fn method(scale: &Scale) -> Vec<String> {
    let kind = |it: &super::Kind| {
        format!(
            "{} requests at once, {} asleep for each: {:.0} a second at most",
            it.places,
            duration(Some(it.service)),
            it.nominal()
        )
    };
    vec![
        format!(
            "Toy backends of a capacity that is theirs by construction ({}; fast ones {}), behind Evenkeel with least \
             connections and one worker per core. Capacity is what a closed loop gets: {UNDER_WAY} requests for each \
             place are always under way, and those answered within {} are counted. An open loop above capacity would measure \
             its own queue. Efficiency is throughput against that of one backend times their number: timers round up, so one \
             does a little less than its nominal rate.",
            kind(&scale.steady),
            kind(&scale.fast),
            duration(Some(scale.times.window)),
        ),
        format!(
            "Latency is measured in an open loop (Poisson, from when each request was due) at {CALM} of the nominal rate for {}. \
             Processor time is that of /proc: the machine's with everything on it, the load's sending thread, the proxy, the \
             backends. The universal scalability law (Gunther), C(N) = λN / (1 + σ(N−1) + κN(N−1)), is fitted by least squares \
             of relative errors, σ and κ not negative.",
            duration(Some(scale.times.calm)),
        ),
        format!(
            "Workers: {CLIENTS} requests always under way through a proxy with one worker, then two, before two backends that \
             answer at once; {} time{} by turns.",
            scale.rounds,
            if scale.rounds == 1 { "" } else { "s" },
        ),
    ]
}

/// What is left of one backend's throughput behind the proxy.
const BEHIND: f64 = 0.95;

/// What is promised where the machine left room, and a sentence on what could not be judged.
fn promises(steady: &Curve, direct: &Point) -> (Vec<Promise>, String) {
    let is_free = |point: &Point| point.window.evidence(steady.ideal(point.backends), cores()).is_free();
    // All are compared with the first.
    let is_comparable = |point: &Point| is_free(point) && steady.points.first().is_some_and(is_free);
    let mut promises = Vec::new();
    let mut unjudged = Vec::new();
    // Efficiency is against one backend behind the proxy: this says what the proxy took from that one.
    let kept = steady.points.first().map_or(0.0, |one| one.window.rate / direct.window.rate);
    promises.push(Promise {
        what: "one backend behind the proxy, of what it serves without".to_owned(),
        wanted: format!("at least {}", share(BEHIND)),
        got: share(kept),
        kept: kept >= BEHIND,
    });
    for (backends, least) in PROMISED {
        let Some(point) = steady.at(backends) else { continue };
        // What comes out well in spite of a full machine is well.
        if !is_comparable(point) && steady.efficiency(point) < least {
            unjudged.push(format!("efficiency with {backends} ({} busy)", share(point.window.used.machine)));
            continue;
        }
        promises.push(Promise {
            what: format!("efficiency with {backends} backends"),
            wanted: format!("at least {}", share(least)),
            got: share(steady.efficiency(point)),
            kept: steady.efficiency(point) >= least,
        });
    }
    let calm: Vec<(&Point, &Calm)> =
        steady.points.iter().filter_map(|point| Some((point, point.calm.as_ref()?))).collect();
    let failed: u64 = calm.iter().map(|(_, calm)| calm.answers.failures()).sum();
    let all: u64 = calm.iter().map(|(_, calm)| calm.answers.ok).sum::<u64>() + failed;
    promises.push(Promise {
        what: format!("requests that failed at {CALM} of capacity"),
        wanted: "0".to_owned(),
        got: format!("{} of {}", count(failed), count(all)),
        kept: failed == 0 && all > 0,
    });
    let failed: u64 = steady.points.iter().map(|point| point.window.failed).sum();
    promises.push(Promise {
        what: "requests that failed with every place taken".to_owned(),
        wanted: "0".to_owned(),
        got: count(failed),
        kept: failed == 0,
    });
    let bound = steady.kind.service * P99;
    let mut slowest = None;
    for (point, calm) in calm {
        let Some(p99) = calm.answers.p99 else { continue };
        if p99 <= bound || calm.used.evidence(CALM, cores()).is_free() {
            slowest = slowest.max(Some(p99));
        } else {
            unjudged.push(format!("p99 with {} ({} busy)", point.backends, share(calm.used.machine)));
        }
    }
    promises.extend(slowest.map(|slowest| Promise {
        what: format!("the highest p99 at {CALM} of capacity"),
        wanted: format!("at most {P99} service times, {}", duration(Some(bound))),
        got: duration(Some(slowest)),
        kept: slowest <= bound,
    }));
    let unjudged = match unjudged.as_slice() {
        [] => String::new(),
        points => format!(
            "Missed and not judged, as the machine or the load had nothing left: {}. Such figures tell of the machine.",
            points.join(", ")
        ),
    };
    (promises, unjudged)
}

fn efficiency(title: &str, curve: &Curve) -> Table {
    let head = [
        "backends",
        "requests/s",
        "efficiency",
        "machine busy",
        "load, cores",
        "proxy, cores",
        "backends, cores",
        "others, cores",
        "limit",
    ];
    let rows = curve.points.iter().map(|point| {
        let window = &point.window;
        vec![
            point.backends.to_string(),
            count(window.rate.round() as u64),
            share(curve.efficiency(point)),
            share(window.used.machine),
            format!("{:.2}", window.used.load),
            window.used.proxy.map_or_else(|| "-".to_owned(), |cores| format!("{cores:.2}")),
            format!("{:.2}", window.used.backends),
            format!("{:.2}", window.used.others),
            limit(curve, point).name().to_owned(),
        ]
    });
    Table { title: title.to_owned(), head: head.map(str::to_owned).to_vec(), rows: rows.collect() }
}

fn latency(steady: &Curve, direct: &Point) -> Table {
    let row = |name: String, calm: &Calm| {
        let it = &calm.answers;
        let sent = it.ok + it.failures();
        vec![
            name,
            count(it.rate().round() as u64),
            format!("{} of {}", count(it.failures()), count(sent)),
            duration(it.p50),
            duration(it.p95),
            duration(it.p99),
            duration(it.longest),
            share(calm.used.machine),
        ]
    };
    let direct = direct.calm.as_ref().map(|calm| row("1, without a proxy".to_owned(), calm));
    let behind = steady.points.iter().filter_map(|it| Some(row(it.backends.to_string(), it.calm.as_ref()?)));
    Table {
        title: format!(
            "Latency at {CALM} of capacity; one service takes {}",
            duration(Some(steady.kind.service))
        ),
        head: ["backends", "requests/s", "failed", "p50", "p95", "p99", "longest", "machine busy"]
            .map(str::to_owned)
            .to_vec(),
        rows: direct.into_iter().chain(behind).collect(),
    }
}

/// What the proxy costs.
fn cost(steady: &Curve, direct: &Point) -> String {
    let Some(behind) = steady.at(1) else { return String::new() };
    let median = |point: &Point| point.calm.as_ref().and_then(|calm| calm.answers.p50);
    format!(
        "Without the proxy the one backend served {:.1} requests/s with every place taken, behind it {:.1}; the median at {CALM} \
         of capacity was {} without and {} behind.",
        direct.window.rate,
        behind.window.rate,
        duration(median(direct)),
        duration(median(behind)),
    )
}

fn fit(curve: &Curve) -> String {
    let Some(law) = curve.law else {
        return "The scalability law has no fit: it takes throughputs of at least four numbers of backends."
            .to_owned();
    };
    let most = curve.points.iter().map(|point| point.backends).max().unwrap_or(1) as f64;
    let explained = law.r2.map_or_else(String::new, |r2| format!(", R² = {r2:.4}"));
    let peak = law.peak(most).map_or_else(
        || format!("No peak within twice the {most} that were measured."),
        |peak| format!("It has its peak at {peak:.1} backends, {:.0} requests/s.", law.at(peak)),
    );
    format!(
        "Universal scalability law: λ = {:.1} requests/s, contention σ = {:.4}, coherence κ = {:.5}{explained}. {peak}",
        law.lambda, law.sigma, law.kappa
    )
}

pub(super) fn limit(curve: &Curve, point: &Point) -> Limit {
    point.window.evidence(curve.ideal(point.backends), cores()).limit()
}

fn verdict(steady: &Curve) -> String {
    let list = |values: Vec<String>| match values.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => values.concat(),
    };
    let last = steady.points.last();
    let calm = last.and_then(|it| it.calm.as_ref());
    format!(
        "{} backends of the same capacity served {} requests/s behind Evenkeel: {} of proportional with the most of them{}; at {CALM} \
         of that load p99 was {} for a service of {}.",
        list(steady.points.iter().map(|it| it.backends.to_string()).collect()),
        list(steady.points.iter().map(|it| count(it.window.rate.round() as u64)).collect()),
        last.map_or_else(|| "-".to_owned(), |it| share(steady.efficiency(it))),
        match last.map(|it| limit(steady, it)) {
            None | Some(Limit::Backends) => String::new(),
            Some(Limit::Unknown) => ", and no part was seen full".to_owned(),
            Some(other) => format!(", held back by the {}", other.name()),
        },
        duration(calm.and_then(|it| it.answers.p99)),
        duration(Some(steady.kind.service)),
    )
}

/// Where the curve leaves the straight line, and by what was full there.
fn bend(curve: &Curve) -> String {
    let nominal = curve.kind.nominal();
    let Some(bent) = curve.points.iter().find(|point| limit(curve, point) != Limit::Backends) else {
        return format!(
            "Backends of {nominal:.0} requests/s did not bend it: up to {} of them were the limit.",
            curve.points.last().map_or(0, |it| it.backends)
        );
    };
    let window = &bent.window;
    let cores = cores();
    // A core's quarter is more than this machine's own housekeeping.
    let others = match window.used.others {
        cores if cores >= 0.25 => format!(", {cores:.2} of them with other work"),
        _ => String::new(),
    };
    let because = match limit(curve, bent) {
        Limit::Machine => format!(
            "the machine's {cores} core{} were {} busy{others}",
            if cores == 1 { "" } else { "s" },
            share(window.used.machine)
        ),
        Limit::Load => format!("the load's sending thread used {} of its core", share(window.used.load)),
        Limit::Proxy => format!(
            "the proxy's workers used {} of their cores",
            share(window.used.proxy.unwrap_or_default() / cores as f64)
        ),
        Limit::Backends | Limit::Unknown => {
            "no part was seen full: the window is short, or something else ran".to_owned()
        }
    };
    let each = |cores: f64| duration(Duration::try_from_secs_f64(cores / window.rate).ok());
    format!(
        "With backends of {nominal:.0} requests/s it bends at {} of them, {} requests/s ({} of proportional): {because}. A request \
         cost the load {}, the proxy {} and its backend {} of processor time.",
        bent.backends,
        count(window.rate.round() as u64),
        share(curve.efficiency(bent)),
        each(window.used.load),
        each(window.used.proxy.unwrap_or_default()),
        each(window.used.backends),
    )
}

fn by_workers(workers: &[Workers]) -> Table {
    let head = [
        "workers",
        "requests/s",
        "proxy's time per request",
        "proxy, cores",
        "load, cores",
        "backends, cores",
        "machine busy",
    ];
    let rows = workers.iter().map(|it| {
        let window = &it.window;
        vec![
            it.workers.to_string(),
            count(window.rate.round() as u64),
            window.proxy_per_request().map_or_else(|| "-".to_owned(), micros),
            format!("{:.2}", window.used.proxy.unwrap_or_default()),
            format!("{:.2}", window.used.load),
            format!("{:.2}", window.used.backends),
            share(window.used.machine),
        ]
    });
    Table {
        title: format!("One worker and two, {CLIENTS} requests always under way"),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

/// What can be said of workers on a machine that they share with load and backends.
fn shared(workers: &[Workers]) -> String {
    let mean = |count: usize, value: &dyn Fn(&Window) -> f64| {
        let values: Vec<f64> =
            workers.iter().filter(|it| it.workers == count).map(|it| value(&it.window)).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let rate = |count| mean(count, &|window| window.rate);
    let per_request = |window: &Window| window.used.proxy.unwrap_or_default() / window.rate;
    let machine = |count| mean(count, &|window| window.used.machine);
    let full = if machine(1) >= 0.9 && machine(2) >= 0.9 {
        "with one worker the machine was as full as with two, so there was no core for the second to use: nothing is promised here"
    } else {
        "nothing is promised here, as load and backends use the same cores"
    };
    format!(
        "Two workers served {:.2} times what one did, for {:.2} times the proxy's processor time per request. The load, the backends and the proxy share {} core{}, {} busy with one worker and {} \
         with two: {full}.",
        rate(2) / rate(1),
        mean(2, &per_request) / mean(1, &per_request),
        cores(),
        if cores() == 1 { "" } else { "s" },
        share(machine(1)),
        share(machine(2)),
    )
}

/// That this process may use, as the proxy may.
fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
