//! A report with everything in it, for tests.

use super::*;

pub(super) fn axis(label: &str, logarithmic: bool) -> Axis {
    Axis { label: label.to_owned(), logarithmic }
}

pub(super) fn line(name: &str, style: Style, points: Vec<(f64, f64)>) -> Line {
    Line { name: name.to_owned(), points, style }
}

fn mark(on: Direction, at: f64, label: &str) -> Mark {
    Mark { on, at, label: label.to_owned() }
}

pub(super) fn report() -> Report {
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let wave = |i: i32, size: f64| {
        (f64::from(i) / 200.0, 5.0 + size * (f64::from(i) / 90.0).sin() + f64::from(i * 37 % 11) / 9.0)
    };
    let proxied: Vec<_> = (0..6_000)
        .map(|i| if (2_000..2_160).contains(&i) { (f64::from(i) / 200.0, f64::NAN) } else { wave(i, 2.0) })
        .collect();
    let dots: Vec<_> = (0..10_000)
        .map(|i| {
            (
                f64::from(i) * 0.003,
                1.0 + f64::from(i * 7919 % 1000) / 100.0 + if i % 997 == 0 { 900.0 } else { 0.0 },
            )
        })
        .collect();
    let events = Plot {
        title: "Latency of each request, with failures injected".to_owned(),
        x: axis("seconds since the start", false),
        y: axis("latency, ms", true),
        lines: vec![line("request", Style::Dots, dots), line("p50", Style::Solid, proxied)],
        marks: vec![
            mark(Direction::X, 5.0, "kill -9 of toy-2"),
            mark(Direction::X, 6.0, "toy-2 is out of rotation"),
            mark(Direction::X, 10.0, "SIGSTOP of toy-3 <frozen>"),
            mark(Direction::X, 29.5, "healed"),
            mark(Direction::Y, 200.0, "200 ms line"),
        ],
    };
    let scaling = Plot {
        title: "Throughput by backends".to_owned(),
        x: axis("backends", true),
        y: axis("requests per second", false),
        lines: vec![
            line("measured", Style::Solid, vec![(1.0, 198.4), (2.0, 391.0), (4.0, 741.5), (8.0, 1_180.0)]),
            line(
                "as the law fits it",
                Style::Dashed,
                (0..40)
                    .map(|i| {
                        let n = 1.0 + f64::from(i) * 0.18;
                        (n, 200.0 * n / (1.0 + 0.03 * (n - 1.0) + 0.003 * n * (n - 1.0)))
                    })
                    .collect(),
            ),
            line("two workers", Style::Solid, vec![(1.0, 150.0), (2.0, 301.0), (4.0, 590.0), (8.0, 900.0)]),
            line("ideal", Style::Dashed, vec![(1.0, 200.0), (8.0, 1_600.0)]),
        ],
        marks: vec![mark(Direction::Y, 1_200.0, "capacity of the proxy"), mark(Direction::X, 6.4, "bends")],
    };
    Report {
        name: "availability".to_owned(),
        question: "What do clients see of a server that dies?".to_owned(),
        method: strings(&["Four backends behind one proxy & one <alone>; 800 requests a second, open loop, whatever the answers."]),
        verdict: strings(&[
            "With one backend killed, 0 of 48,211 requests failed; without the proxy 9,840 did: 79.6 % against 100 %.",
            "That is \"five nines\" against <one>.",
        ]),
        promises: vec![
            Promise { what: "requests that failed with one backend killed".to_owned(), wanted: "0".to_owned(), got: "0 of 48,211".to_owned(), kept: true },
            Promise { what: "time until the dead backend is out of rotation, from its last answer to the first request that avoids it".to_owned(), wanted: "at most 2.0 s".to_owned(), got: "2.4 s".to_owned(), kept: false },
        ],
        blocks: vec![
            Block::Heading { text: "Failures".to_owned() },
            Block::Text { text: "Each failure lasts five seconds.".to_owned() },
            Block::Table(Table {
                title: "What clients saw".to_owned(),
                head: strings(&["failure", "requests", "failed", "p99, ms", "availability", "a year"]),
                rows: vec![
                    strings(&["kill -9", "48,211", "0", "12.3", "100 %", "0 min"]),
                    strings(&["SIGSTOP <frozen>", "48,190", "3", "212", "99.994 %", "33 min"]),
                    strings(&["without a proxy", "48,200", "9,840", "-", "79.6 %", "75 days"]),
                ],
            }),
            Block::Plot(events),
            Block::Heading { text: "Scaling".to_owned() },
            Block::Plot(scaling),
        ],
        circumstances: Circumstances {
            command: "evenkeel lab availability --quick --seed 1".to_owned(),
            machine: "AMD EPYC, 2 cores, Linux 6.1".to_owned(),
            version: "0.1.0".to_owned(),
            seed: 1,
            started: "2026-01-02T03:04:05Z".to_owned(),
            seconds: 58.24,
        },
        data: serde_json::json!({ "requests": [1, 2, 3] }),
    }
}
