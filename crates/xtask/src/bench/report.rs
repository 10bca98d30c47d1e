//! The results: medians, ratios and verdicts as Markdown, every sample as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::{env, fs};

use serde_json::{Value, json};

use super::figure::{Figure, Target};
use super::program::{Kind, Program};

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// By figure and by the program's place in the list.
    samples: BTreeMap<(Figure, usize), Vec<f64>>,
    /// Runs that failed, each with its reason.
    pub(super) failures: Vec<String>,
}

/// How it was measured, in sentences.
pub(super) struct Method {
    pub(super) rounds: u32,
    pub(super) seconds: u32,
    pub(super) client: &'static str,
    /// How many processes wanted to run in the minute before.
    pub(super) load_before: String,
    /// Requests per second of the open loop, if there was one.
    pub(super) rate: Option<f64>,
    /// Whether a proxy with two workers has its cores for itself.
    pub(super) cores_to_spare: bool,
}

impl Results {
    /// Takes in a figure of the program at this place in the list.
    pub(super) fn add(&mut self, figure: Figure, program: usize, value: f64) {
        self.samples.entry((figure, program)).or_default().push(value);
    }

    /// The table with all around it.
    pub(super) fn markdown(&self, programs: &[Program], method: &Method) -> String {
        let mut text = self.preamble(programs, method);
        let names: String = programs.iter().map(|program| format!(" {program} |")).collect();
        let _ = writeln!(text, "| figure |{names} ratio | target | |");
        let _ = writeln!(text, "|---|{}---:|---|---|", "---:|".repeat(programs.len()));
        for figure in Figure::ALL {
            let cells: Vec<_> = (0..programs.len()).map(|program| self.spread(figure, program)).collect();
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let cells: String =
                cells.into_iter().map(|cell| format!(" {} |", cell.unwrap_or_default())).collect();
            let ratio = self.ratio(figure, programs).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            let verdict = match self.verdict(figure, programs) {
                Some(true) => "PASS",
                Some(false) => "miss",
                None => "",
            };
            let _ =
                writeln!(text, "| {} |{cells} {ratio} | {} | {verdict} |", figure.name(), figure.target());
        }
        for failure in &self.failures {
            let _ = write!(text, "\nFailed: {failure}\n");
        }
        text
    }

    /// Every sample.
    pub(super) fn json(&self, programs: &[Program], method: &Method) -> Value {
        let samples: Vec<Value> = self
            .samples
            .iter()
            .map(|((figure, program), values)| {
                let program = programs.get(*program).map(Program::to_string);
                json!({ "figure": figure.name(), "program": program, "median": median(values), "samples": values })
            })
            .collect();
        json!({
            "machine": machine(), "command": command(), "rounds": method.rounds, "seconds": method.seconds,
            "client": method.client, "load_before": method.load_before, "open_loop_rate": method.rate, "results": samples, "failures": self.failures,
        })
    }

    fn preamble(&self, programs: &[Program], method: &Method) -> String {
        let mut text = format!(
            "Machine: {}; load average {} before.\nCommand: `{}`.\n\n",
            machine(),
            method.load_before,
            command()
        );
        let names: Vec<String> = programs.iter().map(Program::to_string).collect();
        let _ = write!(
            text,
            "{} in turn, {} rounds, the program started anew for each; a cell is the median (least – most). One worker on one core; \
             client ({}) and three `toy-backend` origins on the others. CPU is user and system time of the program with all its \
             processes; a closed loop is measured for {} s after 1 s of warming up. Keep-alive on both sides, forwarded headers and \
             request ids on in all, health checks where the program has them. Memory per idle connection: 8000 connections, one \
             request each, 10 s later. The ratio is Evenkeel's median to the better peer's.",
            names.join(", "),
            method.rounds,
            method.client,
            method.seconds,
        );
        if let Some(rate) = method.rate {
            let _ = write!(
                text,
                " The open loop sends {rate:.0} requests/s over 64 connections through to the built-in origin, which is cheaper: half of the rate up to which the slowest program answers with a p99 within 20 ms. A p99 is the median of runs of 1 s each, and what is added is its difference to an origin asked directly."
            );
        }
        if !method.cores_to_spare {
            text.push_str(" With two workers, client and origins share their cores, for want of more: that figure includes what they disturb.");
        }
        text.push_str("\n\n");
        text
    }

    fn median(&self, figure: Figure, program: usize) -> Option<f64> {
        self.samples.get(&(figure, program)).and_then(|values| median(values))
    }

    fn spread(&self, figure: Figure, program: usize) -> Option<String> {
        let values = self.samples.get(&(figure, program))?;
        let (least, most) =
            (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        let median = short(median(values)?);
        Some(if values.len() == 1 {
            median
        } else {
            format!("{median} ({} – {})", short(least), short(most))
        })
    }

    /// What Evenkeel's figure is held against: the better peer's, or that of the peer the target names.
    fn reference(&self, figure: Figure, programs: &[Program]) -> Option<f64> {
        let peers = programs.iter().enumerate().filter(|(_, program)| match figure.target() {
            Target::Peer(kind, _) => program.kind() == kind,
            _ => program.kind() != Kind::Evenkeel,
        });
        peers.filter_map(|(place, _)| self.median(figure, place)).reduce(f64::min)
    }

    fn own(&self, figure: Figure, programs: &[Program]) -> Option<f64> {
        let place = programs.iter().position(|program| program.kind() == Kind::Evenkeel)?;
        self.median(figure, place)
    }

    fn ratio(&self, figure: Figure, programs: &[Program]) -> Option<f64> {
        let (own, reference) = (self.own(figure, programs)?, self.reference(figure, programs)?);
        // Growth and added latency may be nothing, or less: then there is no ratio.
        (own > 0.0 && reference > 0.0).then_some(own / reference)
    }

    fn verdict(&self, figure: Figure, programs: &[Program]) -> Option<bool> {
        let own = self.own(figure, programs)?;
        match figure.target() {
            Target::Better(share) | Target::Peer(_, share) => {
                let reference = self.reference(figure, programs)?;
                Some(own <= if reference > 0.0 { share * reference } else { reference })
            }
            Target::Most(most) => Some(own <= most),
            Target::None => None,
        }
    }
}

pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = sorted.get(half).copied()?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((upper + sorted.get(half.checked_sub(1)?)?) / 2.0) }
}

/// Three digits that say something.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

pub(super) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let mut models = information
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let model = models.next().unwrap_or("unknown processor").trim();
    let cores = 1 + models.count();
    format!("{model}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

pub(super) fn command() -> String {
    let arguments: Vec<String> = env::args().skip(1).collect();
    format!("cargo xtask {}", arguments.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(kind: Kind) -> Program {
        Program::stub(kind)
    }

    #[test]
    fn medians_and_short_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(
            [short(607.4), short(13.26), short(0.831), short(-12.34)],
            ["607", "13.3", "0.83", "-12.3"]
        );
    }

    #[test]
    fn verdicts_follow_targets_and_bad_results_are_shown() {
        let programs = [Kind::Evenkeel, Kind::Nginx, Kind::Haproxy].map(program);
        let mut results = Results::default();
        for (figure, values) in [
            (Figure::CpuSmall, [12.0, 14.0, 15.0]),
            (Figure::Cpu1m, [400.0, 600.0, 450.0]),
            (Figure::Busy, [30.0, 20.0, 33.0]),
            (Figure::IdleConnection, [0.95, 0.5, 1.1]),
            (Figure::AddedP99, [5.0, -3.0, 9.0]),
            (Figure::SecondWorker, [-1.0, 3.0, 3.0]),
            (Figure::Cpu1000, [40.0, 30.0, 30.0]),
        ] {
            for (place, value) in values.into_iter().enumerate() {
                [value, value + 1.0, value - 1.0]
                    .into_iter()
                    .for_each(|value| results.add(figure, place, value));
            }
        }
        let verdict = |figure| results.verdict(figure, &programs);
        assert_eq!(verdict(Figure::CpuSmall), Some(true));
        assert_eq!(verdict(Figure::Cpu1m), Some(false));
        assert_eq!(verdict(Figure::Busy), Some(true), "held against HAProxy alone");
        assert_eq!(verdict(Figure::IdleConnection), Some(false));
        assert_eq!(verdict(Figure::AddedP99), Some(false));
        assert_eq!(verdict(Figure::SecondWorker), Some(true));
        assert_eq!(verdict(Figure::Cpu1000), None);
        assert_eq!(verdict(Figure::Start), None);
        results.failures.push("nginx: fell over".into());
        let method = Method {
            rounds: 5,
            seconds: 4,
            client: "wrk",
            load_before: "0.10".into(),
            rate: None,
            cores_to_spare: true,
        };
        let text = results.markdown(&programs, &method);
        assert!(text.contains("| 12.0 (11.0 – 13.0) | 14.0 (13.0 – 15.0) | 15.0 (14.0 – 16.0) | 0.86 | ≤ 0.90 × the better | PASS |"), "{text}");
        assert!(
            text.contains("| 0.89 | ≤ 0.75 × the better | miss |") && text.contains("Failed: nginx"),
            "{text}"
        );
        assert!(!text.contains(Figure::Start.name()), "{text}");
    }
}
