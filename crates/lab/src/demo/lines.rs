//! The view without a terminal: plain lines, one for the traffic now and then, one for each event.

use std::time::Duration;

use crate::demo::events::Happened;
use crate::demo::load::LoadReading;
use crate::demo::meter::{EndpointReading, Reading};
use crate::demo::savings::Savings;
use crate::figures;

/// How it goes, in one line.
pub(crate) fn traffic(elapsed: Duration, reading: &Reading, load: Option<&LoadReading>) -> String {
    let (per_second, p50, p99, failed, all) = match load {
        Some(load) => (load.per_second, load.p50, load.p99, load.failed, load.ok + load.failed),
        None => {
            let traffic = &reading.traffic;
            (traffic.per_second, traffic.p50, traffic.p99, traffic.errors, traffic.requests)
        }
    };
    let mut line = format!(
        "{:>5}  {} requests/s, p50 {}, p99 {}, {} of {} failed, {} retried",
        figures::clock(elapsed),
        figures::rate(per_second),
        figures::duration(p50),
        figures::duration(p99),
        figures::count(failed),
        figures::count(all),
        figures::count(reading.traffic.retries),
    );
    for EndpointReading { name, state, traffic, note, .. } in &reading.endpoints {
        line.push_str(&format!(" | {name} {state}"));
        match note {
            Some(note) => line.push_str(&format!(" ({note})")),
            None => line.push_str(&format!(" {}/s", figures::rate(traffic.per_second))),
        }
    }
    line + " | " + &cache(&reading.cache)
}

/// How it goes with the cache.
fn cache(cache: &Savings) -> String {
    let note = cache.server.note.as_deref().unwrap_or_default();
    format!(
        "cache {}, {} hits: {} hit, {} missed, {} bypassed/s, saves {}/s ({note})",
        cache.state,
        figures::percent(cache.hit_ratio),
        figures::rate(cache.hits_per_second),
        figures::rate(cache.misses_per_second),
        figures::rate(cache.bypassed_per_second),
        figures::duration(Some(cache.saved_per_second)),
    )
}

/// An event, in one line.
pub(crate) fn event(elapsed: Duration, event: &Happened) -> String {
    format!("{:>5}  {}: {}", figures::clock(elapsed), event.level.as_str().to_lowercase(), event.text)
}

#[cfg(test)]
mod tests {
    use evenkeel_backend::{CacheFigures, CacheState};

    use super::*;
    use crate::demo::meter::Traffic;

    #[test]
    fn a_line_says_how_it_goes() {
        let endpoint = |name: &str, state, note: Option<&str>| EndpointReading {
            name: name.into(),
            state,
            note: note.map(str::to_owned),
            traffic: Traffic { per_second: 100.0, ..Traffic::default() },
            ..EndpointReading::default()
        };
        let traffic_of_all = Traffic { requests: 410, retries: 3, errors: 1, ..Traffic::default() };
        let saved = CacheFigures {
            hits: 150,
            misses: 48,
            bypassed: 2,
            database_reads: 50,
            database_time: Duration::from_millis(300),
        };
        let reading = Reading {
            traffic: traffic_of_all,
            cache: Savings::new(
                saved,
                &CacheFigures::default(),
                Duration::from_secs(2),
                &[CacheState::Used],
                endpoint("cache", "up", Some("3 connections, 48 keys, 0.0 MiB")),
            ),
            endpoints: vec![endpoint("toy-1", "up", None), endpoint("toy-2", "down", Some("refused"))],
        };
        let load = LoadReading { ok: 400, per_second: 200.0, ..LoadReading::default() };
        assert_eq!(
            traffic(Duration::from_secs(2), &reading, Some(&load)),
            " 0:02  200 requests/s, p50 -, p99 -, 0 of 400 failed, 3 retried | toy-1 up 100/s | toy-2 down (refused) \
             | cache used, 75 % hits: 75 hit, 24 missed, 1.0 bypassed/s, saves 450 ms/s \
             (3 connections, 48 keys, 0.0 MiB)"
        );
        assert!(traffic(Duration::ZERO, &reading, None).contains("1 of 410 failed"));
    }
}
