//! What becomes of requests: how many are under way, how each was answered and how long it took. No lock; a request
//! costs two looks at the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::count::{Counter, Histogram, Page, count};

/// The lowest status that is counted.
const LOWEST: usize = 100;
/// How many there are: 100 to 599.
const CODES: usize = 500;

/// The requests of one backend, except those that only look after it: `/healthz`, `/metrics`, `/chaos`.
#[derive(Debug)]
pub(crate) struct Traffic {
    begun: Counter,
    /// By status, from 100 on.
    answered: Box<[Counter]>,
    unanswered: Counter,
    durations: Histogram,
}

/// A request under way. It ends when this is dropped: with its answer's body, or unanswered.
#[derive(Debug)]
pub(crate) struct Exchange {
    traffic: Arc<Traffic>,
    began: Instant,
    status: Option<StatusCode>,
}

impl Traffic {
    pub(crate) fn new() -> Traffic {
        Traffic {
            begun: Counter::default(),
            answered: std::iter::repeat_with(Counter::default).take(CODES).collect(),
            unanswered: Counter::default(),
            durations: Histogram::default(),
        }
    }

    /// A request begins.
    pub(crate) fn begin(self: &Arc<Traffic>) -> Exchange {
        self.begun.add_one();
        Exchange { traffic: Arc::clone(self), began: Instant::now(), status: None }
    }

    /// Requests begun since the start.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.value()
    }

    fn end(&self, status: Option<StatusCode>, took: Duration) {
        match status {
            Some(status) => count(&self.answered, usize::from(status.as_u16()).saturating_sub(LOWEST)),
            None => self.unanswered.add_one(),
        }
        self.durations.add(took);
    }

    pub(crate) fn write(&self, page: &mut Page) {
        // In this order: one that begins and ends in between is not counted as under way.
        let ended = self.durations.count();
        let under_way = self.begun().saturating_sub(ended);
        page.figure(
            "toy_backend_in_flight",
            "gauge",
            "Requests begun and not ended, those waiting among them.",
            under_way,
        );
        let name = "toy_backend_answers_total";
        let help =
            "Requests ended, by status; 000 is one without an answer: its client left, or the backend hung.";
        page.family(name, "counter", help);
        page.line(name, "code=\"000\"", self.unanswered.value());
        for (place, counter) in self.answered.iter().enumerate() {
            let (code, value) = (place + LOWEST, counter.value());
            // Of five hundred only those that occur, and the usual one to have something from the start.
            if value > 0 || code == 200 {
                page.line(name, &format!("code=\"{code}\""), value);
            }
        }
        let name = "toy_backend_request_duration_seconds";
        let help = "Time from a request's head to the end of its answer, with all waiting.";
        page.family(name, "histogram", help);
        page.histogram(name, "", &self.durations);
    }
}

impl Exchange {
    /// It has an answer now; what is left is to send it.
    pub(crate) fn answered(mut self, status: StatusCode) -> Exchange {
        self.status = Some(status);
        self
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.traffic.end(self.status, self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_under_way_until_it_is_dropped() {
        let traffic = Arc::new(Traffic::new());
        let page = || {
            let mut page = Page::new();
            traffic.write(&mut page);
            page.into_text()
        };
        let has = |line: &str| {
            let text = page();
            assert!(text.lines().any(|l| l == format!("toy_backend_{line}")), "{line} in\n{text}");
        };
        let (one, other) = (traffic.begin(), traffic.begin());
        has("in_flight 2");
        has("answers_total{code=\"200\"} 0");
        let one = one.answered(StatusCode::SERVICE_UNAVAILABLE);
        has("in_flight 2");
        drop(one);
        has("answers_total{code=\"503\"} 1");
        drop(other);
        has("answers_total{code=\"000\"} 1");
        has("in_flight 0");
        has("request_duration_seconds_count 2");
        assert!(!page().contains("code=\"404\""));
        // The last one there is room for, and one that nobody should send.
        drop(traffic.begin().answered(StatusCode::from_u16(599).unwrap()));
        drop(traffic.begin().answered(StatusCode::from_u16(999).unwrap()));
        has("answers_total{code=\"599\"} 1");
        has("request_duration_seconds_count 4");
    }
}
