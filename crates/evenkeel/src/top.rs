//! `evenkeel top`: a running proxy, every second anew.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rustix::termios::tcgetwinsize;

use crate::admin::{Admin, Which};
use crate::output::{Reader, say};
use crate::status::{head, named};
use crate::table::{Side, span, table};
use crate::view::{Counted, Stats, Status};

/// Between two views.
const EVERY: Duration = Duration::from_secs(1);
/// Cursor to the upper left corner.
const HOME: &str = "\x1b[H";
/// Clears what is right of the cursor, and what is below.
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

/// Which proxy, and how often.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Stop after this many views; without it, go on until Ctrl-C
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
}

pub(crate) fn top(arguments: &Arguments) -> Result<ExitCode, String> {
    let admin = arguments.which.admin()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = watch(&admin, arguments.count) => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    });
    // A question that is still under way may be left behind.
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn watch(admin: &Admin, count: Option<u64>) -> Result<(), String> {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before: Option<Stats> = None;
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        ticks.tick().await;
        let asked = admin.clone();
        let look = move || -> Result<(Status, Stats), String> {
            Ok((asked.read("/api/v1/status")?, asked.read("/api/v1/stats")?))
        };
        let (status, stats) =
            tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())??;
        let lines = view(&status, &stats, before.as_ref());
        if say(&frame(&lines, shown == 0))? == Reader::Gone {
            return Ok(());
        }
        before = Some(stats);
        shown += 1;
    }
    Ok(())
}

/// What is written for one view: over the one before on a terminal, below it elsewhere.
fn frame(lines: &[String], is_first: bool) -> String {
    if !io::stdout().is_terminal() {
        return lines.join("\n") + "\n\n";
    }
    let (columns, rows) = match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 1 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => (80, 24),
    };
    let mut text = String::from(if is_first { "\x1b[2J\x1b[H" } else { HOME });
    // The last row stays free, for the shell's prompt.
    for line in lines.iter().take(rows - 1) {
        text.extend(line.chars().take(columns));
        text.push_str(REST_OF_LINE);
        text.push_str("\r\n");
    }
    text.push_str(REST_OF_SCREEN);
    text
}

fn view(status: &Status, stats: &Stats, before: Option<&Stats>) -> Vec<String> {
    // A proxy that was restarted counts from zero.
    let before = before.filter(|before| before.uptime_seconds < stats.uptime_seconds);
    let seconds = before.map_or(0.0, |before| stats.uptime_seconds - before.uptime_seconds);
    let mut lines = head(status);
    let all = lately(&stats.routes, before.map(|before| before.routes.as_slice()));
    let total = all.values().fold(Counted::default(), |mut sum, one| {
        sum.requests += one.requests;
        sum.errors += one.errors;
        let mut histogram = sum.duration.histogram();
        histogram.add(&one.duration.histogram());
        sum.duration.counts = histogram.buckets().map(|(_, n)| n).collect();
        sum
    });
    lines.push(match before {
        None => "counting…".into(),
        Some(_) => format!(
            "{} requests/s, {} answered with 5xx, p50 {}, p99 {}",
            rate(total.requests, seconds),
            total.errors,
            quantile(&total, 0.5),
            quantile(&total, 0.99)
        ),
    });
    lines.push(String::new());
    let counted = lately(&stats.endpoints, before.map(|before| before.endpoints.as_slice()));
    let columns = [
        ("UPSTREAM", Side::Left),
        ("ENDPOINT", Side::Left),
        ("STATE", Side::Left),
        ("FOR", Side::Right),
        ("WEIGHT", Side::Right),
        ("IN FLIGHT", Side::Right),
        ("REQ/S", Side::Right),
        ("P50", Side::Right),
        ("P99", Side::Right),
        ("FAILED", Side::Right),
        ("LAST FINDING", Side::Left),
    ];
    let rows = status.upstreams.iter().flat_map(|upstream| {
        let counted = &counted;
        upstream.endpoints.iter().map(move |endpoint| {
            let key = (upstream.name.clone(), endpoint.address.clone());
            let one = counted.get(&key).cloned().unwrap_or_default();
            vec![
                upstream.name.clone(),
                named(endpoint),
                endpoint.state().to_owned(),
                endpoint.since_seconds.map(span).unwrap_or_else(|| "-".into()),
                endpoint.weight.to_string(),
                endpoint.in_flight.to_string(),
                rate(one.requests, seconds),
                quantile(&one, 0.5),
                quantile(&one, 0.99),
                one.errors.to_string(),
                endpoint.reason.clone(),
            ]
        })
    });
    lines.extend(table(&columns, &rows.collect::<Vec<_>>()));
    lines
}

/// What was counted since the view before, by upstream and endpoint; nothing in the first view.
fn lately(now: &[Counted], before: Option<&[Counted]>) -> HashMap<(String, String), Counted> {
    let mut counted: HashMap<(String, String), Counted> = HashMap::new();
    let Some(before) = before else { return counted };
    // Routes of one upstream are added up; their endpoint is empty.
    for (list, sign) in [(now, 1), (before, -1)] {
        for one in list {
            let sum = counted.entry((one.upstream.clone(), one.endpoint.clone())).or_default();
            let add = |sum: &mut u64, n: u64| *sum = if sign > 0 { *sum + n } else { sum.saturating_sub(n) };
            add(&mut sum.requests, one.requests);
            add(&mut sum.errors, one.errors);
            let longest = sum.duration.counts.len().max(one.duration.counts.len());
            sum.duration.counts.resize(longest, 0);
            for (sum, n) in sum.duration.counts.iter_mut().zip(&one.duration.counts) {
                add(sum, *n);
            }
        }
    }
    counted
}

fn rate(requests: u64, seconds: f64) -> String {
    if seconds > 0.0 { format!("{:.0}", requests as f64 / seconds) } else { "-".into() }
}

fn quantile(counted: &Counted, p: f64) -> String {
    match counted.duration.histogram().quantile(p) {
        None => "-".into(),
        Some(at) if at < Duration::from_millis(10) => format!("{:.2} ms", at.as_secs_f64() * 1e3),
        Some(at) if at < Duration::from_secs(1) => format!("{} ms", at.as_millis()),
        Some(at) => format!("{:.2} s", at.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Durations;

    fn counted(requests: u64, errors: u64, counts: &[u64]) -> Counted {
        let duration = Durations { counts: counts.to_vec(), sum_seconds: 0.0 };
        Counted { upstream: "app".into(), endpoint: "a:1".into(), requests, errors, duration }
    }

    #[test]
    fn a_view_shows_what_came_since_the_one_before() {
        let before = [counted(100, 1, &[100, 0])];
        let now = [counted(150, 3, &[120, 30])];
        let lately = lately(&now, Some(&before));
        let one = &lately[&("app".to_owned(), "a:1".to_owned())];
        assert_eq!((one.requests, one.errors, one.duration.counts.as_slice()), (50, 2, &[20, 30][..]));
        assert_eq!(rate(one.requests, 0.5), "100");
        assert_eq!(quantile(one, 0.99), "0.99 ms");
        assert_eq!(quantile(&Counted::default(), 0.5), "-");
    }
}
