//! The report: what the ramp met, step by step, and what speaks for what broke first.

use serde_json::json;

use super::diagnosis::{Cause, Finding};
use super::evidence::{Thing, Use};
use super::plant::{self, Plant};
use super::ramp::{self, Pace};
use super::{Outcome, Seen};
use crate::figures::{count, duration, percent, rate};
use crate::report::{Axis, Block, Circumstances, Direction, Line, Mark, Plot, Promise, Report, Style, Table};

pub(super) fn report(
    outcome: &Outcome,
    pace: Pace,
    plant: Option<Plant>,
    circumstances: Circumstances,
) -> Report {
    let last = outcome.steps.last();
    let mut blocks = vec![Block::Table(steps(&outcome.steps))];
    if let (Some(_), Some(broken)) = (&outcome.finding, last) {
        blocks.push(Block::Table(things(good(outcome), broken)));
    }
    blocks.push(Block::Plot(latencies(&outcome.steps)));
    blocks.push(Block::Plot(utilisation(outcome)));
    Report {
        name: "throughput".to_owned(),
        question: "What breaks first?".to_owned(),
        method: method(pace, plant),
        verdict: [Some(verdict(outcome)), strangers(outcome)].into_iter().flatten().collect(),
        promises: promises(outcome),
        blocks,
        circumstances,
        data: data(outcome, plant),
    }
}

fn method(pace: Pace, plant: Option<Plant>) -> Vec<String> {
    let planted = plant.map_or_else(
        || "Nothing was planted: what breaks is what there is least of.".to_owned(),
        |plant| format!("Planted ({}): {}. What finds the cause is not told.", plant.name(), plant.told()),
    );
    vec![
        format!(
            "{} toy backends behind Evenkeel (round robin), a cache server before their databases of {} rows; each query \
             takes {} ms, each backend serves {} requests at once. Reads of rows by Zipf's law, {:.0} % writes, in an open \
             loop (Poisson). Steps of {} from {} requests/s on, each {} times the one before, until the p99 of a step is \
             above {} or more than {:.0} % of its requests fail.",
            plant::BACKENDS,
            count(plant::ROWS.into()),
            plant::QUERY_MS,
            plant::PLACES,
            plant::WRITES * 100.0,
            duration(Some(pace.step)),
            rate(pace.from),
            pace.growth,
            duration(Some(ramp::P99)),
            ramp::FAILED * 100.0,
        ),
        format!(
            "{planted} Of everything that can be full, use and queues are looked at in each step (Gregg's USE method); a \
             request that waits keeps what it holds, so the innermost thing that is full is to blame. A break without a \
             cause in the system has to be seen twice."
        ),
    ]
}

fn verdict(outcome: &Outcome) -> String {
    let (Some(finding), Some(broken)) = (&outcome.finding, outcome.steps.last()) else {
        let most = outcome.steps.last().map_or(0.0, |step| step.taken.rate);
        return format!("Nothing broke up to {} requests/s.", rate(most));
    };
    let held = good(outcome).map_or_else(
        || "not even the first step held".to_owned(),
        |good| format!("{} held", rate(good.taken.rate)),
    );
    format!(
        "Broke at {} requests/s ({held}; p99 {}, {} failed): {}.",
        rate(broken.taken.rate),
        duration(broken.taken.summary.p99),
        percent(Some(broken.taken.failed())),
        sentence(finding),
    )
}

/// Said where the machine had other work: its rates are then not what it could do.
fn strangers(outcome: &Outcome) -> Option<String> {
    let evidence = &outcome.steps.last()?.evidence;
    let machine = evidence.uses.iter().find(|used| used.thing == Thing::Machine)?;
    let others = machine.used * machine.there_is - evidence.ours;
    // A core's quarter is more than the system's own housekeeping.
    (others >= 0.25).then(|| {
        format!(
            "Of the machine's {:.0} cores {others:.1} were used by something else: what broke first is as likely to have been \
             named, the rates are lower than they would be without.",
            machine.there_is
        )
    })
}

/// What broke, and why that is believed.
fn sentence(finding: &Finding) -> String {
    let mut text = finding.cause.told(&finding.parts);
    if let Some(used) = finding.used {
        text.push_str(&format!(", {} used", percent(Some(used.min(1.0)))));
    }
    if let Some(queue) = finding.queue {
        let before = finding.queue_before.unwrap_or(0.0);
        text.push_str(&format!(", queue grew from {} to {}", few(before), few(queue)));
    }
    if !finding.because.is_empty() {
        text.push_str(&format!(": {}", finding.because));
    }
    text
}

/// A queue's length: whole if it is long.
fn few(number: f64) -> String {
    if number.fract() == 0.0 || number >= 10.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

fn good(outcome: &Outcome) -> Option<&Seen> {
    let before = outcome.steps.len().checked_sub(2)?;
    outcome.steps.get(before)
}

fn promises(outcome: &Outcome) -> Vec<Promise> {
    let broken = outcome.finding.as_ref().and(outcome.steps.last());
    let cause = outcome.finding.as_ref().map(|finding| finding.cause);
    let promise = |what: &str, wanted: &str, got: String, kept| Promise {
        what: what.to_owned(),
        wanted: wanted.to_owned(),
        got,
        kept,
    };
    vec![
        promise(
            "the rate at which a promise breaks is found, above one that holds",
            "a rate",
            broken.map_or_else(
                || "nothing broke".to_owned(),
                |broken| {
                    let held = good(outcome).map_or_else(|| "none".to_owned(), |good| rate(good.taken.rate));
                    format!("{} requests/s; {held} held", rate(broken.taken.rate))
                },
            ),
            broken.is_some() && good(outcome).is_some(),
        ),
        promise(
            "what broke first is named, by its use and its queue",
            "a part",
            outcome
                .finding
                .as_ref()
                .map_or_else(|| "nothing".to_owned(), |finding| finding.cause.told(&finding.parts)),
            cause.is_some_and(is_of_the_system),
        ),
        promise(
            "the system broke before its load and its machine",
            "yes",
            match cause {
                None => "nothing broke",
                Some(cause) if is_of_the_system(cause) => "yes",
                Some(_) => "no",
            }
            .to_owned(),
            cause.is_some_and(is_of_the_system),
        ),
    ]
}

/// Whether that is a part of what was measured.
fn is_of_the_system(cause: Cause) -> bool {
    !matches!(cause, Cause::Unknown | Cause::LoadGenerator | Cause::MachineCpu)
}

fn steps(steps: &[Seen]) -> Table {
    let head =
        ["requests/s", "answered/s", "failed", "p50", "p99", "late by", "cache hits", "machine", "used most"];
    let rows = steps.iter().map(|step| {
        let (taken, summary) = (&step.taken, &step.taken.summary);
        let uses = || step.evidence.uses.iter();
        let machine = uses().find(|it| it.thing == Thing::Machine).map(|machine| machine.used);
        let most = uses()
            .filter(|it| it.thing != Thing::Machine)
            .max_by(|one, other| one.used.total_cmp(&other.used));
        vec![
            rate(taken.rate),
            rate(summary.rate()),
            count(summary.failures()),
            duration(summary.p50),
            duration(summary.p99),
            duration(Some(taken.lag)),
            percent(step.evidence.cache.hit_share()),
            percent(machine),
            most.map_or_else(
                || "-".to_owned(),
                |most| format!("{} {}", name(most), percent(Some(most.used))),
            ),
        ]
    });
    Table { title: "Step by step".to_owned(), head: head.map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// Each thing, in the last good step and in the one that broke.
fn things(good: Option<&Seen>, broken: &Seen) -> Table {
    let head = ["thing", "there is", "used before", "used", "waited before", "waited", "service time"];
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), few);
    let rows = broken.evidence.uses.iter().map(|it| {
        let before = good.and_then(|good| same(good, it));
        vec![
            name(it),
            few(it.there_is),
            percent(before.map(|before| before.used)),
            percent(Some(it.used)),
            number(before.and_then(|before| before.queue)),
            number(it.queue),
            duration(it.service.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())),
        ]
    });
    Table {
        title: "What was used and who waited, in the last step that held and in the one that broke (requests at most; \
                threads on average; of the proxy: requests outside the backends, by Little's law)"
            .to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

fn same<'a>(step: &'a Seen, it: &Use) -> Option<&'a Use> {
    step.evidence.uses.iter().find(|other| other.thing == it.thing && other.part == it.part)
}

fn name(it: &Use) -> String {
    match it.thing {
        Thing::Pool => format!("{} pool", it.part),
        Thing::Places => format!("{} places", it.part),
        Thing::CacheCpu | Thing::BackendCpu | Thing::ProxyCpu => format!("{} CPU", it.part),
        Thing::Generator => "load generator CPU".to_owned(),
        Thing::Machine => "machine CPU".to_owned(),
    }
}

fn latencies(steps: &[Seen]) -> Plot {
    let line = |name: &str, value: &dyn Fn(&Seen) -> Option<std::time::Duration>| Line {
        name: name.to_owned(),
        points: steps
            .iter()
            .map(|step| (step.taken.rate, value(step).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)))
            .collect(),
        style: Style::Solid,
    };
    Plot {
        title: "Latency over the rate".to_owned(),
        x: Axis { label: "requests per second".to_owned(), logarithmic: true },
        y: Axis { label: "latency, ms".to_owned(), logarithmic: true },
        lines: vec![line("p50", &|step| step.taken.summary.p50), line("p99", &|step| step.taken.summary.p99)],
        marks: vec![Mark {
            on: Direction::Y,
            at: ramp::P99.as_secs_f64() * 1e3,
            label: "promised".to_owned(),
        }],
    }
}

/// The things that were used most when it broke, and what broke.
fn utilisation(outcome: &Outcome) -> Plot {
    const LINES: usize = 6;
    let mut most: Vec<&Use> =
        outcome.steps.last().map(|step| step.evidence.uses.iter().collect()).unwrap_or_default();
    most.sort_by(|one, other| other.used.total_cmp(&one.used));
    let lines = most.into_iter().take(LINES).map(|it| Line {
        name: name(it),
        points: outcome
            .steps
            .iter()
            .map(|step| (step.taken.rate, same(step, it).map_or(f64::NAN, |it| it.used * 100.0)))
            .collect(),
        style: Style::Solid,
    });
    let broke = outcome.finding.as_ref().and(outcome.steps.last());
    Plot {
        title: "What was used most".to_owned(),
        x: Axis { label: "requests per second".to_owned(), logarithmic: true },
        y: Axis { label: "used, %".to_owned(), logarithmic: false },
        lines: lines.collect(),
        marks: broke
            .map(|broke| Mark { on: Direction::X, at: broke.taken.rate, label: "broke".to_owned() })
            .into_iter()
            .collect(),
    }
}

fn data(outcome: &Outcome, plant: Option<Plant>) -> serde_json::Value {
    let millis = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    let steps: Vec<_> = outcome
        .steps
        .iter()
        .map(|step| {
            let summary = &step.taken.summary;
            json!({
                "rate": step.taken.rate,
                "broken": step.taken.is_broken(),
                "offered": summary.offered,
                "ok": summary.ok,
                "failed": summary.failed,
                "p50_ms": millis(summary.p50),
                "p99_ms": millis(summary.p99),
                "lag_ms": millis(Some(step.taken.lag)),
                "under_way": step.taken.under_way,
                "evidence": step.evidence,
            })
        })
        .collect();
    json!({
        "plant": plant.map(Plant::name),
        "broke_at": outcome.finding.as_ref().and(outcome.steps.last()).map(|step| step.taken.rate),
        "held_at": outcome.finding.as_ref().and(good(outcome)).map(|step| step.taken.rate),
        "finding": outcome.finding,
        "steps": steps,
    })
}
