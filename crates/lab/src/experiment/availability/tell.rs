//! What came out, in words, tables and plots.

use std::time::Duration;

use serde_json::json;

use super::{Failure, LOOK, PROBE_FALL, PROBE_INTERVAL, PROBE_TIMEOUT, RATE, Seen, TIMEOUT};
use crate::figures::{count, duration};
use crate::load::{Record, Summary};
use crate::report::{Axis, Block, Circumstances, Direction, Line, Mark, Plot, Promise, Report, Style, Table};

/// The longest it may take until probes know: a whole round of them, the last one waited for. A tenth and one look
/// are allowed for.
fn detection() -> Duration {
    (PROBE_INTERVAL * PROBE_FALL + PROBE_TIMEOUT).mul_f64(1.1) + LOOK
}

/// Downtime a year at that availability.
fn downtime(availability: f64) -> String {
    let seconds = (1.0 - availability) * 365.25 * 86_400.0;
    match seconds {
        ..60.0 => format!("{seconds:.0} s"),
        ..3_600.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

/// An availability as a number of nines: 99.9 % has three. Of `all` requests more than this many cannot be told.
fn nines(availability: f64, all: u64) -> String {
    if availability >= 1.0 {
        // Rounded down: no more than was seen.
        return format!("> {:.1}", ((all.max(1) as f64).log10() * 10.0).floor() / 10.0);
    }
    format!("{:.1}", -(1.0 - availability).log10())
}

fn percent(share: f64) -> String {
    if share >= 1.0 { "100 %".to_owned() } else { format!("{:.2} %", share * 100.0) }
}

fn of(summary: &Summary) -> String {
    format!("{} of {}", count(summary.failures()), count(summary.ok + summary.failures()))
}

pub(super) fn report(seen: &[Seen], without: &Record, with: &Record, circumstances: Circumstances) -> Report {
    let (alone, behind) = (without.all(), with.all());
    let mut promises = vec![Promise {
        what: "requests that failed behind Evenkeel, over all failures".to_owned(),
        wanted: "0".to_owned(),
        got: of(&behind),
        kept: behind.failures() == 0 && behind.ok > 0,
    }];
    promises.extend(seen.iter().filter(|seen| seen.failure.is_seen_by_probes()).map(|seen| Promise {
        what: format!("time until the endpoint was known to be down: {}", seen.failure.name()),
        wanted: format!("at most {}", duration(Some(detection()))),
        got: seen.known.map_or_else(|| "never".to_owned(), |known| duration(Some(known))),
        kept: seen.known.is_some_and(|known| known <= detection()),
    }));
    let verdict = format!(
        "With one of three backends killed, frozen, unreachable, resetting, failing and hanging in turn, {} requests failed behind Evenkeel; of \
         one server without a proxy {} did: {} against {}.",
        of(&behind),
        of(&alone),
        percent(alone.availability()),
        percent(behind.availability()),
    );
    Report {
        name: "availability".to_owned(),
        question: "What do clients see of a server that dies, vanishes, fails or hangs?".to_owned(),
        method: vec![format!(
            "One toy backend alone, and three behind Evenkeel, each get GET requests in an open loop ({RATE} a second, \
             Poisson; a client gives up after {}). The same failures happen at the same moments to the one and to the first \
             of the three. Evenkeel probes every {} with a timeout of {}, takes an endpoint down after {PROBE_FALL} bad \
             probes, and retries what could not be connected, was reset, was answered with 500 or took over 250 ms (retry.budget 100 %; \
             timeouts.connect and timeouts.attempt 250 ms): tighter than its defaults.",
            duration(Some(TIMEOUT)),
            duration(Some(PROBE_INTERVAL)),
            duration(Some(PROBE_TIMEOUT)),
        ),
        format!("The failures: {}.", Failure::ALL.map(|it| format!("{} ({})", it.name(), it.description())).join("; "))],
        verdict: vec![verdict],
        promises,
        blocks: vec![
            Block::Table(totals(&alone, &behind)),
            Block::Table(by_failure(seen)),
            Block::Table(by_kind(seen)),
            Block::Text {
                text: "Outlier detection is off here, so nothing takes out an endpoint that answers with 500 while its probes are well: retries \
                       hide it from clients, at the price of one failed attempt for each request it was chosen for. \
                       Failed attempts are therefore counted and not promised."
                    .to_owned(),
            },
            Block::Plot(plot("Failed requests per second", "failed a second", seen, without, with, |it| {
                it.failures() as f64 / it.seconds.max(f64::MIN_POSITIVE)
            })),
            Block::Plot(plot("Latency of what was answered", "p99, ms", seen, without, with, |it| {
                it.p99.map_or(f64::NAN, |p99| p99.as_secs_f64() * 1e3)
            })),
            Block::Table(errors(without, with)),
            Block::Text { text: late(without.lag.max(with.lag)) },
        ],
        circumstances,
        data: data(seen, (without, &alone), (with, &behind)),
    }
}

fn totals(alone: &Summary, behind: &Summary) -> Table {
    let row = |name: &str, it: &Summary| {
        let availability = it.availability();
        vec![
            name.to_owned(),
            of(it),
            percent(availability),
            nines(availability, it.ok + it.failures()),
            downtime(availability),
            duration(it.p99),
            duration(it.longest),
        ]
    };
    Table {
        title: "Availability, and what it would be a year if it went on like this".to_owned(),
        head: ["", "failed", "availability", "nines", "downtime a year", "p99", "longest"]
            .map(str::to_owned)
            .to_vec(),
        rows: vec![row("one server, no proxy", alone), row("three behind Evenkeel", behind)],
    }
}

fn by_failure(seen: &[Seen]) -> Table {
    let head = [
        "failure",
        "failed alone",
        "failed behind",
        "p99 behind",
        "longest behind",
        "known after",
        "retries, by reason",
    ];
    let rows = seen.iter().map(|seen| {
        vec![
            seen.failure.name().to_owned(),
            of(&seen.alone),
            of(&seen.behind),
            duration(seen.behind.p99),
            duration(seen.behind.longest),
            duration(seen.known),
            kinds(seen.retries.iter().map(|(reason, made)| (reason.as_str(), *made as u64))),
        ]
    });
    Table {
        title: "By failure, from its beginning until the server was well again".to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

/// What clients saw of each failure.
fn by_kind(seen: &[Seen]) -> Table {
    let of = |it: &Summary| kinds(it.failed.iter().map(|(reason, failed)| (reason.as_str(), *failed)));
    let rows = seen.iter().map(|it| vec![it.failure.name().to_owned(), of(&it.alone), of(&it.behind)]);
    Table {
        title: "Errors that clients saw, by kind".to_owned(),
        head: ["failure", "one server, no proxy", "three behind Evenkeel"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

/// Kinds with how often each was seen: `reset 12, timeout 3`.
fn kinds<'a>(of: impl Iterator<Item = (&'a str, u64)>) -> String {
    let kinds: Vec<String> = of.map(|(kind, times)| format!("{kind} {}", count(times))).collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
}

/// Whether the load itself kept its pace: where it did not, what is seen is this machine's doing.
fn late(lag: Duration) -> String {
    let judgement = match lag {
        lag if lag < TIMEOUT / 10 => "which is nothing that clients would notice",
        lag if lag < TIMEOUT => "which is in the latencies and is this machine's doing",
        _ => "longer than a client waits: some of the failures may be this machine's doing",
    };
    format!("The load itself was late by {} at most, {judgement}.", duration(Some(lag)))
}

/// The first few failures of each, in full.
fn errors(without: &Record, with: &Record) -> Table {
    let rows = |name: &'static str, record: &Record, most: usize| -> Vec<Vec<String>> {
        let shown = record.failures.iter().take(most);
        shown
            .map(|it| {
                vec![
                    name.to_owned(),
                    format!("{:.2}", it.due.as_secs_f64()),
                    it.request.clone(),
                    it.why.clone(),
                ]
            })
            .collect()
    };
    let mut all = rows("behind Evenkeel", with, 20);
    all.extend(rows("no proxy", without, 5));
    Table {
        title: "The first errors that clients saw".to_owned(),
        head: ["where", "at, s", "request", "why"].map(str::to_owned).to_vec(),
        rows: all,
    }
}

fn plot(
    title: &str,
    label: &str,
    seen: &[Seen],
    without: &Record,
    with: &Record,
    value: impl Fn(&Summary) -> f64,
) -> Plot {
    let line = |name: &str, record: &Record| Line {
        name: name.to_owned(),
        points: record
            .every(Duration::from_millis(500))
            .iter()
            .map(|(at, it)| (at.as_secs_f64(), value(it)))
            .collect(),
        style: Style::Solid,
    };
    let marks = seen.iter().map(|seen| Mark {
        on: Direction::X,
        at: seen.at.as_secs_f64(),
        label: seen.failure.name().to_owned(),
    });
    Plot {
        title: title.to_owned(),
        x: Axis { label: "seconds".to_owned(), logarithmic: false },
        y: Axis { label: label.to_owned(), logarithmic: false },
        lines: vec![line("one server, no proxy", without), line("three behind Evenkeel", with)],
        marks: marks.collect(),
    }
}

fn data(seen: &[Seen], alone: (&Record, &Summary), behind: (&Record, &Summary)) -> serde_json::Value {
    let figures = |it: &Summary| {
        json!({
            "ok": it.ok, "failed": it.failed, "availability": it.availability(),
            "p99_seconds": it.p99.map(|it| it.as_secs_f64()), "longest_seconds": it.longest.map(|it| it.as_secs_f64()),
        })
    };
    let failures = seen.iter().map(|seen| {
        json!({
            "failure": seen.failure.name(), "at_seconds": seen.at.as_secs_f64(),
            "known_after_seconds": seen.known.map(|it| it.as_secs_f64()), "retries": seen.retries,
            "alone": figures(&seen.alone), "behind": figures(&seen.behind),
        })
    });
    json!({
        "alone": figures(alone.1), "behind": figures(behind.1), "failures": failures.collect::<Vec<_>>(),
        "lag_seconds": alone.0.lag.max(behind.0.lag).as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn availability_in_nines_and_downtime() {
        assert_eq!((nines(0.999, 10), downtime(0.999)), ("3.0".to_owned(), "8.8 h".to_owned()));
        assert_eq!((nines(0.9999, 10), downtime(0.9999)), ("4.0".to_owned(), "53 min".to_owned()));
        assert_eq!((nines(1.0, 2_827), downtime(1.0)), ("> 3.4".to_owned(), "0 s".to_owned()));
        assert_eq!(downtime(0.5), "182.6 days");
    }

    #[test]
    fn kinds_are_listed_with_their_counts() {
        assert_eq!(kinds([("reset", 12), ("timeout", 3_456)].into_iter()), "reset 12, timeout 3,456");
        assert_eq!(kinds(std::iter::empty()), "none");
    }
}
