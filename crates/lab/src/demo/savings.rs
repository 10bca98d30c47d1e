//! What the cache saves: the counters of all backends as shares and rates of the last seconds.

use std::time::{Duration, Instant};

use evenkeel_backend::{CacheFigures, CacheState};

use crate::demo::cache::CacheServer;
use crate::demo::life::PartState;
use crate::demo::meter::{EndpointReading, Light};
use crate::demo::toy::Toy;

/// A cache at one moment, as the backends see it.
#[derive(Debug, Clone)]
pub struct Savings {
    /// From the start, of all backends together.
    pub total: CacheFigures,
    /// The share of reads that the cache answered, lately; `None` without reads.
    pub hit_ratio: Option<f64>,
    /// Reads that it answered, per second, lately.
    pub hits_per_second: f64,
    /// Reads that it had no entry for.
    pub misses_per_second: f64,
    /// Reads that it was not asked for, or gave no answer to.
    pub bypassed_per_second: f64,
    /// What the hits of a second would have cost the database: as much each as the queries that were made.
    pub saved_per_second: Duration,
    /// What all hits would have cost it.
    pub saved: Duration,
    /// How the backends stand with it, in words.
    pub state: String,
    /// The same as a signal.
    pub light: Light,
    /// The server as the endpoint that the proxy sees.
    pub server: EndpointReading,
}

impl Savings {
    /// From the figures of all backends: now, and `elapsed` before.
    pub(crate) fn new(
        total: CacheFigures,
        before: &CacheFigures,
        elapsed: Duration,
        states: &[CacheState],
        server: EndpointReading,
    ) -> Self {
        let lately = total.since(before);
        let per_second = |count: u64| count as f64 / elapsed.as_secs_f64();
        // Where everything is a hit, nothing lately says what a query costs.
        let query = average(&lately).or_else(|| average(&total)).unwrap_or_default();
        let (state, light) = judge(states);
        Self {
            total,
            hit_ratio: (lately.reads() > 0).then(|| lately.hits as f64 / lately.reads() as f64),
            hits_per_second: per_second(lately.hits),
            misses_per_second: per_second(lately.misses),
            bypassed_per_second: per_second(lately.bypassed),
            saved_per_second: query.mul_f64(per_second(lately.hits)),
            saved: average(&total).unwrap_or_default().mul_f64(total.hits as f64),
            state,
            light,
            server,
        }
    }
}

/// The figures of all backends together.
pub(crate) fn figures(toys: &[Toy]) -> CacheFigures {
    toys.iter().map(Toy::cache_figures).sum()
}

/// Why a server gets no connections, or else what it holds.
pub(crate) fn note(server: &CacheServer, connections: u32, now: Instant) -> Option<String> {
    match server.state() {
        PartState::Dead { back_at } => Some(death(back_at, now)),
        PartState::Serving => {
            let (keys, bytes) = server.holds();
            let (keys, memory) = (crate::figures::count(keys), crate::figures::mebibytes(bytes));
            Some(format!("{connections} connections, {keys} keys, {memory}"))
        }
    }
}

/// That a part was killed, and until when.
pub(crate) fn death(back_at: Instant, now: Instant) -> String {
    let seconds = back_at.saturating_duration_since(now).as_secs_f64().ceil();
    format!("killed, back in {seconds:.0} s")
}

/// What a query takes.
fn average(figures: &CacheFigures) -> Option<Duration> {
    (figures.database_reads > 0).then(|| figures.database_time.div_f64(figures.database_reads as f64))
}

/// The worst of the states, and how many have it if not all do.
fn judge(states: &[CacheState]) -> (String, Light) {
    let badness = |state: &CacheState| match state {
        CacheState::Used => 0,
        CacheState::Connecting => 1,
        CacheState::NotStoring(_) => 2,
        CacheState::Away(_) => 3,
    };
    let Some(worst) = states.iter().max_by_key(|state| badness(state)) else {
        return ("unused".to_owned(), Light::Yellow);
    };
    let (words, light) = match worst {
        CacheState::Used => ("used".to_owned(), Light::Green),
        CacheState::Connecting => ("connecting".to_owned(), Light::Yellow),
        CacheState::NotStoring(reason) => (format!("read only: {reason}"), Light::Yellow),
        CacheState::Away(reason) => (format!("away: {reason}"), Light::Red),
    };
    let as_bad = states.iter().filter(|state| badness(state) == badness(worst)).count();
    let share =
        if as_bad == states.len() { String::new() } else { format!(" for {as_bad} of {}", states.len()) };
    (words + &share, light)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn savings(total: CacheFigures, before: &CacheFigures) -> Savings {
        Savings::new(total, before, Duration::from_secs(2), &[CacheState::Used], EndpointReading::default())
    }

    #[test]
    fn hits_save_what_queries_cost() {
        let before = CacheFigures {
            hits: 100,
            misses: 100,
            bypassed: 0,
            database_reads: 100,
            database_time: Duration::from_secs(1),
        };
        let lately = CacheFigures {
            hits: 60,
            misses: 20,
            bypassed: 20,
            database_reads: 40,
            database_time: Duration::from_millis(200),
        };
        let now = savings(before + lately, &before);
        assert_eq!(now.hit_ratio, Some(0.6));
        assert_eq!((now.hits_per_second, now.misses_per_second, now.bypassed_per_second), (30.0, 10.0, 10.0));
        assert_eq!(now.saved_per_second, Duration::from_millis(150), "30 times 5 ms");
        assert_eq!(now.total.reads(), 300);
        assert_eq!(now.saved.as_millis(), 1371, "160 times 1.2 s / 140");

        let all_hits = savings(CacheFigures { hits: 110, ..before }, &before);
        assert_eq!((all_hits.hit_ratio, all_hits.saved_per_second.as_millis()), (Some(1.0), 50));
        let nothing = savings(before, &before);
        assert_eq!((nothing.hit_ratio, nothing.saved_per_second), (None, Duration::ZERO));
    }

    #[test]
    fn the_worst_state_is_told() {
        use CacheState::{Away, Connecting, NotStoring, Used};
        for (states, words, light) in [
            (&[Used, Used][..], "used", Light::Green),
            (&[Used, Away("closed"), Away("refused")], "away: refused for 2 of 3", Light::Red),
            (&[Away("timeout")], "away: timeout", Light::Red),
            (&[Connecting, NotStoring("oom")], "read only: oom for 1 of 2", Light::Yellow),
            (&[], "unused", Light::Yellow),
        ] {
            assert_eq!(judge(states), (words.to_owned(), light));
        }
    }
}
