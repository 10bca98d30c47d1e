//! What happened, collected from `tracing` for the view: the log lines of the proxy's slow side and our own.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How many are kept.
const KEPT: usize = 200;

/// The last events. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    log: Mutex<Log>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Log {
    kept: VecDeque<Happened>,
    /// How many there ever were.
    count: u64,
}

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    pub(crate) at: Instant,
    pub(crate) level: Level,
    pub(crate) text: String,
}

impl Events {
    /// Collects what this process logs from now on at level info and above.
    pub(crate) fn collect() -> Self {
        let events = Self::default();
        let layer = Collector(events.clone()).with_filter(LevelFilter::INFO);
        // Where somebody else listens already, they get the lines.
        let _ = tracing_subscriber::registry().with(layer).try_init();
        events
    }

    /// The last `most` events, oldest first.
    pub(crate) fn last(&self, most: usize) -> Vec<Happened> {
        let log = self.log();
        log.kept.iter().skip(log.kept.len().saturating_sub(most)).cloned().collect()
    }

    /// Those that came after the first `seen` of all, as far as they are kept; `seen` becomes how many there are.
    pub(crate) fn after(&self, seen: &mut u64) -> Vec<Happened> {
        let log = self.log();
        let new = usize::try_from(log.count.saturating_sub(*seen)).unwrap_or(usize::MAX);
        *seen = log.count;
        log.kept.iter().skip(log.kept.len().saturating_sub(new)).cloned().collect()
    }

    /// Waits for the next one.
    pub(crate) async fn arrived(&self) {
        self.0.arrived.notified().await;
    }

    fn add(&self, level: Level, text: String) {
        let mut log = self.log();
        if log.kept.len() == KEPT {
            log.kept.pop_front();
        }
        log.kept.push_back(Happened { at: Instant::now(), level, text });
        log.count += 1;
        drop(log);
        self.0.arrived.notify_one();
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Collector(Events);

impl<S: Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        self.0.add(*event.metadata().level(), words.message + &words.fields);
    }
}

/// The message, and behind it the fields: bare where they explain themselves.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // There is only one.
            "upstream" => Ok(()),
            "endpoint" | "reason" => write!(self.fields, " · {value:?}"),
            name => write!(self.fields, " · {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sentences_and_the_oldest_go() {
        let events = Events::default();
        let subscriber = tracing_subscriber::registry().with(Collector(events.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let (upstream, reason) = ("app", "refused");
            tracing::warn!(upstream, endpoint = %"127.0.0.1:9001", reason, "endpoint is down");
            tracing::info!(draining = true, "drain set");
        });
        let mut seen = 0;
        let texts: Vec<_> = events.after(&mut seen).into_iter().map(|event| event.text).collect();
        assert_eq!(texts, ["endpoint is down · 127.0.0.1:9001 · refused", "drain set · draining=true"]);
        assert!(events.after(&mut seen).is_empty());
        for number in 0..=KEPT {
            events.add(Level::INFO, number.to_string());
        }
        assert_eq!(events.after(&mut seen).len(), KEPT);
        assert_eq!(seen, 2 + KEPT as u64 + 1);
        assert_eq!(events.last(1)[0].text, KEPT.to_string());
    }
}
