//! What is said of it: accuracy and availability, in numbers, for each mode and failure.

use std::time::Duration;

use serde_json::json;

use super::tally::{Phased, Seen};
use super::{
    CACHE_TIMEOUT, FENCE, INVALIDATE, ITEMS, MODES, Mode, NETWORK, Outcome, Phase, REFUSE, SERVE_COPY,
    SERVE_STALE, STALE, TIMEOUT, TTL_ONLY, WRITE_THROUGH, WRITES,
};
use crate::figures::{count, duration};
use crate::report::{Axis, Block, Circumstances, Direction, Line, Mark, Plot, Promise, Report, Style, Table};

/// A replica looks once a second whether its primary is silent, and then has to act on it.
const SLACK: Duration = Duration::from_millis(1_100);

pub(super) fn report(outcome: &Outcome, circumstances: Circumstances) -> Report {
    let mut blocks = vec![
        Block::Plot(plot(outcome, "Stale reads over time", "of those answered, %", |it| {
            share(it.stale(), it.answered()) * 100.0
        })),
        Block::Plot(plot(outcome, "Failed reads over time", "of all, %", |it| {
            share(it.failed, it.reads) * 100.0
        })),
        Block::Plot(plot(outcome, "Age of the stalest value read", "seconds", |it| {
            it.oldest().as_secs_f64()
        })),
    ];
    for phase in Phase::ALL {
        blocks.push(Block::Table(table(outcome, phase)));
    }
    let lag = outcome.seen.iter().map(|(_, seen)| seen.lag).max();
    blocks.push(Block::Text {
        text: format!(
            "With the database down nothing is written, so a read is stale only by what was written before; and what is cached \
             stays right under write-through and invalidation, as long as it lives. Reads of which it cannot be said whether \
             they were stale (they returned what a write had brought that was never acknowledged) are not among the stale ones here; the JSON counts them. The load itself was \
             never late by more than {}; where that is much, failures tell of a busy machine.",
            duration(lag)
        ),
    });
    Report {
        name: "consistency".to_owned(),
        question: "What does a cache answer that is no longer so, and what does it cost to prevent it?"
            .to_owned(),
        method: method(outcome),
        verdict: verdict(outcome),
        promises: promises(outcome),
        blocks,
        circumstances,
        data: data(outcome),
    }
}

fn method(outcome: &Outcome) -> Vec<String> {
    let size = outcome.size;
    let ttl = duration(Some(size.ttl));
    vec![
        format!(
            "For each mode there are two toy backends over one SQLite file, behind Evenkeel (which retries nothing here), with one \
             cache for both. The second backend looks rows up in a replica of the cache, at the far end of a link that is cut as a \
             network is, without a word; what it stores and invalidates goes to the cache itself. {ITEMS} rows get {WRITES} writes a \
             second in turn, each with a higher number, and {} reads a second by popularity (Zipf), open loop; half of them meet the \
             replica. A client gives up after {}, before the row is written again. A row lives in the cache for {ttl}; a query \
             takes 2 ms as over a network ({NETWORK}). All modes run at the same time and meet the same failures.",
            size.reads,
            duration(Some(TIMEOUT)),
        ),
        "A read is stale if a write that came after the one it returned had been acknowledged before the read began; its \
         age is the time from that acknowledgement until then."
            .to_owned(),
        format!(
            "Invalidate: a write leaves a fence of {} in the cache. Replica refuses: the same, with replica-serve-stale-data \
             no, and the replica knows of the cut after a silence of {} (repl-timeout). Write-through: a write puts the new \
             row there. TTL only: writes tell the cache nothing. Stale on error: a copy of a row is kept for {} after its \
             time and answered if the database does not answer; with TTL only that of the row last read, else of the one last \
             written too.",
            duration(Some(FENCE)),
            duration(Some(size.silence)),
            duration(Some(STALE)),
        ),
    ]
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn of(part: u64, whole: u64) -> String {
    format!("{} of {}", count(part), count(whole))
}

fn table(outcome: &Outcome, phase: Phase) -> Table {
    let mut head =
        vec!["mode", "stale", "share", "age p50", "age p99", "oldest", "failed", "p99", "writes failed"];
    if phase == Phase::Down {
        head.push("said to be stale");
    }
    let row = |mode: Mode| {
        let it = outcome.of(mode, phase)?;
        let mut row = vec![
            mode.name.to_owned(),
            of(it.stale(), it.answered()),
            percent(share(it.stale(), it.answered())),
            duration(it.age(0.5)),
            duration(it.age(0.99)),
            duration(it.age(1.0)),
            of(it.failed, it.reads),
            duration(it.p99),
            of(it.writes_failed, it.writes),
        ];
        if phase == Phase::Down {
            row.push(count(it.marked));
        }
        Some(row)
    };
    let place = Phase::ALL.iter().position(|it| *it == phase).unwrap_or_default();
    let at = |place: usize| outcome.begins.get(place).copied().unwrap_or(outcome.end);
    Table {
        title: format!("{}: {}", phase.name(), duration(Some(at(place + 1).saturating_sub(at(place))))),
        head: head.into_iter().map(str::to_owned).collect(),
        rows: MODES.into_iter().filter_map(row).collect(),
    }
}

fn plot(outcome: &Outcome, title: &str, label: &str, value: impl Fn(&Phased) -> f64) -> Plot {
    let lines = outcome.seen.iter().map(|(mode, seen)| Line {
        name: mode.name.to_owned(),
        points: seen.spans.iter().map(|(middle, it)| (middle.as_secs_f64(), value(it))).collect(),
        style: Style::Solid,
    });
    // Before the first failure there is nothing to mark.
    let marks = Phase::ALL.into_iter().zip(&outcome.begins).skip(1).map(|(phase, begin)| Mark {
        on: Direction::X,
        at: begin.as_secs_f64(),
        label: phase.name().to_owned(),
    });
    Plot {
        title: title.to_owned(),
        x: Axis { label: "seconds".to_owned(), logarithmic: false },
        y: Axis { label: label.to_owned(), logarithmic: false },
        lines: lines.collect(),
        marks: marks.collect(),
    }
}

/// How old a value may be that is not served for lack of a better one: it was read from the database at most half a fence and the
/// cache's timeout before it was stored.
fn bound(outcome: &Outcome) -> Duration {
    outcome.size.ttl + FENCE / 2 + CACHE_TIMEOUT
}

fn promises(outcome: &Outcome) -> Vec<Promise> {
    let at_most = |what: String, bound: Duration, phases: Vec<&Phased>| {
        let (reads, oldest) = (
            phases.iter().map(|it| it.answered()).sum::<u64>(),
            phases.iter().map(|it| it.oldest()).max().unwrap_or_default(),
        );
        let stale = phases.iter().map(|it| it.stale()).sum();
        let oldest_said =
            if stale > 0 { format!(", by up to {}", duration(Some(oldest))) } else { String::new() };
        Promise {
            what,
            wanted: format!("at most {}", duration(Some(bound))),
            got: format!("{} stale{oldest_said}", of(stale, reads)),
            kept: reads > 0 && oldest <= bound,
        }
    };
    let phase = |mode: Mode, phase: Phase| outcome.of(mode, phase).into_iter().collect::<Vec<_>>();
    let mut promises = Vec::new();
    for mode in [INVALIDATE, WRITE_THROUGH] {
        let what = format!("age of what is read, all being well: {} (a fence)", mode.name);
        promises.push(at_most(what, FENCE, phase(mode, Phase::Calm)));
    }
    let what = "age of what is read, replica cut off: replica refuses (silence, and time to act)";
    promises.push(at_most(what.to_owned(), outcome.size.silence + SLACK, phase(REFUSE, Phase::Cut)));
    for (mode, seen) in &outcome.seen {
        let served_stale = |phase: Phase| mode.serves_stale && phase == Phase::Down;
        let phases = Phase::ALL.into_iter().zip(&seen.phases).filter(|(phase, _)| !served_stale(*phase));
        let except = if mode.serves_stale { ", the database answering" } else { "" };
        let what =
            format!("age of what is read, whatever fails: {}{except} (time to live, and storing)", mode.name);
        promises.push(at_most(what, bound(outcome), phases.map(|(_, it)| it).collect()));
    }
    for mode in [SERVE_STALE, SERVE_COPY] {
        let served = phase(mode, Phase::Down);
        let (failed, reads) =
            (served.iter().map(|it| it.failed).sum(), served.iter().map(|it| it.reads).sum());
        let what =
            format!("age of what is read, database down: {} (time to live, and as long after it)", mode.name);
        promises.push(at_most(what, bound(outcome) + STALE, served));
        promises.push(Promise {
            what: format!("reads that failed, database down: {}", mode.name),
            wanted: "0".to_owned(),
            got: of(failed, reads),
            kept: failed == 0 && reads > 0,
        });
    }
    let up = |seen: &Seen| {
        let phases = Phase::ALL.into_iter().zip(&seen.phases).filter(|(phase, _)| *phase != Phase::Down);
        phases.fold((0, 0), |(failed, reads), (_, it)| (failed + it.failed, reads + it.reads))
    };
    let (failed, reads) = outcome
        .seen
        .iter()
        .map(|(_, seen)| up(seen))
        .fold((0, 0), |sum: (u64, u64), it| (sum.0 + it.0, sum.1 + it.1));
    promises.push(Promise {
        what: "reads that failed while the database was up, in all modes, cache and replica failing"
            .to_owned(),
        wanted: "0".to_owned(),
        got: of(failed, reads),
        kept: failed == 0 && reads > 0,
    });
    promises
}

fn by_up_to(it: &Phased) -> String {
    match (it.answered(), it.stale()) {
        (0, _) => "so none was stale".to_owned(),
        (_, 0) => "none of them stale".to_owned(),
        (_, stale) => format!("{} of them stale by up to {}", count(stale), duration(it.age(1.0))),
    }
}

fn verdict(outcome: &Outcome) -> Vec<String> {
    let lasted = |phase: Phase| {
        let place = Phase::ALL.iter().position(|it| *it == phase).unwrap_or_default();
        let at = |place: usize| outcome.begins.get(place).copied().unwrap_or(outcome.end);
        duration(Some(at(place + 1).saturating_sub(at(place))))
    };
    let mut verdict = Vec::new();
    let down = |mode: Mode| outcome.of(mode, Phase::Down);
    if let (Some(stale), Some(copy), Some(refused)) = (down(SERVE_STALE), down(SERVE_COPY), down(INVALIDATE))
    {
        verdict.push(format!(
            "With the database down for {}, serving what was last read answered {} reads, {}; serving what was last written \
             {}, {}; refusing instead failed {} and answered {}, {}.",
            lasted(Phase::Down),
            of(stale.answered(), stale.reads),
            by_up_to(stale),
            of(copy.answered(), copy.reads),
            by_up_to(copy),
            of(refused.failed, refused.reads),
            count(refused.answered()),
            by_up_to(refused),
        ));
    }
    let cut = |mode: Mode| outcome.of(mode, Phase::Cut);
    if let (Some(serves), Some(refuses)) = (cut(INVALIDATE), cut(REFUSE)) {
        verdict.push(format!(
            "With the cache's replica cut off for {}, one that goes on answering gave {} reads, {}; one that refuses {}, {}, \
             and the database answered instead: p99 {} against {}.",
            lasted(Phase::Cut),
            count(serves.answered()),
            by_up_to(serves),
            count(refuses.answered()),
            by_up_to(refuses),
            duration(serves.p99),
            duration(refuses.p99),
        ));
    }
    let calm = |mode: Mode| outcome.of(mode, Phase::Calm);
    if let (Some(invalidate), Some(through), Some(ttl)) =
        (calm(INVALIDATE), calm(WRITE_THROUGH), calm(TTL_ONLY))
    {
        let stale = |it: &Phased| of(it.stale(), it.answered());
        verdict.push(format!(
            "With all being well {} reads were stale under invalidation, {} under write-through and {} (by up to {}) with \
             nothing but a time to live of {}.",
            stale(invalidate),
            stale(through),
            stale(ttl),
            duration(ttl.age(1.0)),
            duration(Some(outcome.size.ttl)),
        ));
    }
    verdict
}

fn data(outcome: &Outcome) -> serde_json::Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let figures = |phase: Phase, it: &Phased| {
        json!({
            "phase": phase.name(), "reads": it.reads, "failed": it.failed, "stale": it.stale(),
            "undecided": it.undecided, "said_to_be_stale": it.marked, "age_p50_seconds": seconds(it.age(0.5)),
            "age_p99_seconds": seconds(it.age(0.99)), "oldest_seconds": seconds(it.age(1.0)),
            "p99_seconds": seconds(it.p99), "writes": it.writes, "writes_failed": it.writes_failed,
        })
    };
    let modes = outcome.seen.iter().map(|(mode, seen)| {
        let phases = Phase::ALL.into_iter().zip(&seen.phases).map(|(phase, it)| figures(phase, it));
        json!({ "mode": mode.name, "phases": phases.collect::<Vec<_>>() })
    });
    let begins = Phase::ALL
        .into_iter()
        .zip(&outcome.begins)
        .map(|(phase, begin)| json!({ "phase": phase.name(), "begins_seconds": begin.as_secs_f64() }));
    json!({
        "ttl_seconds": outcome.size.ttl.as_secs_f64(), "phases": begins.collect::<Vec<_>>(),
        "modes": modes.collect::<Vec<_>>(),
    })
}
