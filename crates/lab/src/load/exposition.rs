//! The page of a load for Prometheus, text format 0.0.4. Every series is there from the start and there are no others,
//! so that a first failure is a rise and whoever answers cannot make series.

use std::fmt::{Display, Write};
use std::time::SystemTime;

use crate::load::{Meter, Totals};
use crate::site::ticks;

/// What the page is.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What can become of a request.
const OUTCOMES: [&str; 11] = [
    "ok",
    "status_3xx",
    "status_4xx",
    "status_5xx",
    "timeout",
    "connect",
    "resolve",
    "reset",
    "closed",
    "malformed",
    "other",
];

/// Upper bounds of the buckets in microseconds: those of the proxy, so that both can be laid over one another.
const BOUNDS: [(&str, u64); 15] = [
    ("0.0005", 500),
    ("0.001", 1_000),
    ("0.0025", 2_500),
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.05", 50_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("1", 1_000_000),
    ("2.5", 2_500_000),
    ("5", 5_000_000),
    ("10", 10_000_000),
    ("30", 30_000_000),
];

struct Page(String);

// Writing into a string cannot fail.
impl Page {
    fn family(&mut self, kind: &str, name: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, rest: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{rest} {value}");
    }

    fn single(&mut self, kind: &str, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help);
        self.sample(name, "", value);
    }
}

/// The page as it is now.
pub(super) fn render(meter: &Meter) -> String {
    let totals = meter.totals();
    let mut page = Page(String::with_capacity(6 * 1024));
    page.family("gauge", "evenkeel_load_build_info", "The version; always 1.");
    page.sample("evenkeel_load_build_info", concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1);
    let help = "Requests per second asked for now; 0 when the load is over.";
    page.single("gauge", "evenkeel_load_offered_rate", help, meter.rate());
    page.single("counter", "evenkeel_load_offered_total", "Requests that were due.", totals.offered);
    requests(&mut page, &totals);
    let help = "Requests answered or failed only after another address was tried.";
    page.single("counter", "evenkeel_load_moved_total", help, totals.moved);
    let help = "Requests due and not yet answered or failed, under way or waiting for a connection.";
    let ended = totals.ok + totals.failed.values().sum::<u64>();
    page.single("gauge", "evenkeel_load_in_flight", help, totals.offered.saturating_sub(ended));
    let help = "Requests that may be under way at once; later ones wait.";
    page.single("gauge", "evenkeel_load_connections_limit", help, meter.concurrency());
    duration(&mut page, &totals);
    let help = "The longest that a request started late because the load itself was behind.";
    page.single("gauge", "evenkeel_load_lag_seconds", help, totals.lag.as_secs_f64());
    process(&mut page, meter);
    page.0
}

fn requests(page: &mut Page, totals: &Totals) {
    let name = "evenkeel_load_requests_total";
    page.family("counter", name, "Requests answered or failed, by what became of them; ok is 200 to 299.");
    for word in OUTCOMES {
        let failed: u64 =
            totals.failed.iter().filter(|(reason, _)| outcome(reason) == word).map(|(_, count)| count).sum();
        let count = if word == "ok" { totals.ok } else { failed };
        page.sample(name, &format!("{{outcome=\"{word}\"}}"), count);
    }
}

/// The label value of a reason for which a request failed.
fn outcome(reason: &str) -> &'static str {
    match reason.strip_prefix("status ").and_then(|code| code.bytes().next()) {
        Some(b'3') => return "status_3xx",
        Some(b'4') => return "status_4xx",
        Some(b'5') => return "status_5xx",
        _ => {}
    }
    // No reason is "ok".
    OUTCOMES.iter().skip(1).find(|word| **word == reason).copied().unwrap_or("other")
}

fn duration(page: &mut Page, totals: &Totals) {
    let name = "evenkeel_load_request_duration_seconds";
    let help = "Time from when a request was due to the end of its answer, of those answered well.";
    page.family("histogram", name, help);
    for (le, micros) in BOUNDS {
        let count = totals.latency.count_between(0, micros);
        page.sample(name, &format!("_bucket{{le=\"{le}\"}}"), count);
    }
    page.sample(name, "_bucket{le=\"+Inf\"}", totals.latency.len());
    page.sample(name, "_sum", totals.latency_sum);
    page.sample(name, "_count", totals.latency.len());
}

fn process(page: &mut Page, meter: &Meter) {
    let began = meter.began().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let help = "When the load began, in seconds since 1970.";
    page.single("gauge", "process_start_time_seconds", help, format_args!("{:.1}", began.as_secs_f64()));
    // Absent where there is no /proc.
    if let Some(cpu) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(ticks) {
        let help = "CPU time used, user and system.";
        page.single("counter", "process_cpu_seconds_total", help, cpu.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::load::tally::Tally;
    use crate::load::{Arrivals, Get, Plan, Step};

    #[test]
    fn the_page_has_what_was_seen_and_what_never_happened() {
        let ms = Duration::from_millis;
        let began = Instant::now() - ms(100);
        let tally = Arc::new(Tally::new(began).unwrap());
        let plan = Plan {
            targets: Vec::new(),
            steps: vec![Step { rate: 12.5, time: Duration::MAX }],
            arrivals: Arrivals::Even,
            requests: Arc::new(Get("/".to_owned())),
            timeout: ms(1),
            concurrency: 7,
            seed: 1,
        };
        for _ in 0..6 {
            tally.offered(ms(0));
        }
        tally.answered(ms(0), true);
        for reason in ["status 503", "status 500", "status 199", "reset"] {
            tally.failed(ms(0), false, "GET /", reason, "");
        }
        let meter = Meter::new(Arc::clone(&tally), &plan);
        let page = render(&meter);
        for expected in [
            "evenkeel_load_offered_rate 12.5",
            "evenkeel_load_offered_total 6",
            "evenkeel_load_requests_total{outcome=\"ok\"} 1",
            "evenkeel_load_requests_total{outcome=\"status_5xx\"} 2",
            "evenkeel_load_requests_total{outcome=\"other\"} 1",
            "evenkeel_load_requests_total{outcome=\"reset\"} 1",
            "evenkeel_load_requests_total{outcome=\"timeout\"} 0",
            "evenkeel_load_moved_total 1",
            "evenkeel_load_in_flight 1",
            "evenkeel_load_connections_limit 7",
            "evenkeel_load_request_duration_seconds_bucket{le=\"0.05\"} 0",
            "evenkeel_load_request_duration_seconds_bucket{le=\"30\"} 1",
            "evenkeel_load_request_duration_seconds_bucket{le=\"+Inf\"} 1",
            "evenkeel_load_request_duration_seconds_count 1",
        ] {
            assert!(page.lines().any(|line| line == expected), "{expected} in\n{page}");
        }
        tally.over(ms(200));
        assert!(render(&meter).contains("\nevenkeel_load_offered_rate 0\n"));
    }
}
