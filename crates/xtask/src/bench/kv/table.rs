//! The two tables: caches, and balancers.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::figure::Figure;
use super::{CLIENTS, Plan};
use crate::bench::report::{command, machine, median, short};

/// Everything that was measured; place 0 is ours, place 1 the peer.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) caches: Vec<String>,
    pub(super) balancers: Vec<String>,
    pub(super) failures: Vec<String>,
    samples: BTreeMap<(Figure, usize), Vec<f64>>,
}

impl Table {
    /// Takes in a sample.
    pub(super) fn add(&mut self, figure: Figure, place: usize, value: f64) {
        self.samples.entry((figure, place)).or_default().push(value);
    }

    /// Both tables with all around them.
    pub(super) fn markdown(&self, plan: Plan, load_before: &str) -> String {
        let mut text = format!(
            "Machine: {}; load average {load_before} before.\nCommand: `{}`.\n\n\
             `redis-benchmark` with {CLIENTS} clients, {} rounds, the programs in turn and started anew for each run, with one \
             thread pinned to a core of its own; a cell is the median (least – most). CPU is user and system time of the measured \
             program. Memory is the growth of its resident set over a million keys.\n",
            machine(),
            command(),
            plan.rounds,
        );
        for (balanced, programs) in [(false, &self.caches), (true, &self.balancers)] {
            if !programs.is_empty() {
                self.part(&mut text, balanced, programs);
            }
        }
        for failure in &self.failures {
            let _ = write!(text, "\nFailed: {failure}\n");
        }
        text
    }

    fn part(&self, text: &mut String, balanced: bool, programs: &[String]) {
        let _ = writeln!(text, "\n| figure | {} | ratio | target | |", programs.join(" | "));
        let _ = writeln!(text, "|---|{}---:|---|---|", "---:|".repeat(programs.len()));
        let mut figures: Vec<Figure> = self.samples.keys().map(|(figure, _)| *figure).collect();
        figures.dedup();
        for figure in figures.into_iter().filter(|figure| figure.is_balanced() == balanced) {
            let cells: String =
                (0..programs.len()).map(|place| format!(" {} |", self.cell(figure, place))).collect();
            let (ratio, verdict) = match (self.median(figure, 0), self.median(figure, 1)) {
                (Some(own), Some(peer)) if peer > 0.0 => {
                    let ratio = own / peer;
                    let passes = if figure.is_rate() { ratio >= 1.0 } else { ratio <= 1.0 };
                    (format!("{ratio:.2}"), if passes { "PASS" } else { "miss" })
                }
                _ => (String::new(), ""),
            };
            let target = if figure.is_rate() { "≥ 1.00" } else { "≤ 1.00" };
            let (target, verdict) = if figure.is_circumstance() { ("", "") } else { (target, verdict) };
            let _ = writeln!(text, "| {} |{cells} {ratio} | {target} | {verdict} |", figure.name());
        }
    }

    fn median(&self, figure: Figure, place: usize) -> Option<f64> {
        median(self.samples.get(&(figure, place))?)
    }

    fn cell(&self, figure: Figure, place: usize) -> String {
        let Some(samples) = self.samples.get(&(figure, place)) else { return String::new() };
        let shown = |value: f64| if figure.is_rate() { format!("{:.0}k", value / 1e3) } else { short(value) };
        let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let middle = median(samples).unwrap_or_default();
        format!("{} ({} – {})", shown(middle), shown(least), shown(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_better_for_rates_and_less_for_costs() {
        let mut table = Table {
            caches: vec!["ours".into(), "theirs".into()],
            balancers: vec!["ours".into(), "theirs".into()],
            ..Table::default()
        };
        for (figure, own, peer) in [
            (Figure::Rate("get", 1), 110_000.0, 100_000.0),
            (Figure::Cpu("get", 1), 11.0, 10.0),
            (Figure::BalancedSmall, 5.0, 10.0),
        ] {
            table.add(figure, 0, own);
            table.add(figure, 1, peer);
        }
        let text = table.markdown(Plan { rounds: 1, quick: true, caches: true }, "0.1");
        assert!(text.contains("| GET requests/s, pipeline 1 | 110k (110k – 110k) | 100k (100k – 100k) | 1.10 | ≥ 1.00 | PASS |"), "{text}");
        assert!(text.contains("| 1.10 | ≤ 1.00 | miss |"), "{text}");
        assert!(text.contains("| 0.50 | ≤ 1.00 | PASS |"), "{text}");
    }
}
