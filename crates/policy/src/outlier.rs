//! Endpoints that requests fail at are put aside for a while: outlier detection, also known as passive health checks.
//!
//! What is met at an endpoint is one [`Monitor`], shared by all workers: five errors in a row are five, whoever met them.
//! Four rules find an outlier: errors in a row, failed connects in a row, and a share of errors or a latency far above
//! those of the upstream's other endpoints. An **ejection** ends by itself, leaves the endpoint **on trial** (its next
//! error ejects it again, a few good answers end the trial), and lasts longer each time in a row.
//!
//! Two bounds keep an upstream available: [`OutlierRules::most_ejected`] at once, and never the last endpoint that would
//! be given requests. Where probes or an operator take the others out later, the ejected ones are used after all
//! ([`crate::eligibility`]).
//!
//! An error is whatever the endpoint did that made an attempt fail: no connection, one that died, no answer in time, a
//! status of [`is_error`]. What a client did says nothing.

mod comparison;
mod monitor;
#[cfg(test)]
mod tests;

use std::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::time::Duration;

use crate::endpoint::{EndpointId, Endpoints};
use crate::latency::Moment;
use crate::retry::Failure;

pub use monitor::Monitor;
use monitor::{Cause, Run};

/// Good answers that end a trial where no number of errors in a row says otherwise.
const TRIAL: u16 = 5;

/// When an endpoint is ejected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierRules {
    /// Errors in a row that eject, at least 1; `None` is no number of them.
    pub consecutive_errors: Option<u16>,
    /// Failed connects in a row that eject, at least 1; `None` is no number of them.
    pub consecutive_connect_failures: Option<u16>,
    /// Errors as a percentage of attempts above which an endpoint is ejected, if the others are well below it.
    pub error_ratio: Option<u8>,
    /// How many times the others' mean time to an answer ejects, at least 2.
    pub latency: Option<u16>,
    /// How long attempts are counted before endpoints are compared.
    pub interval: Duration,
    /// How long the first ejection lasts.
    pub ejection: Duration,
    /// How long one lasts at most.
    pub longest_ejection: Duration,
    /// The percentage of endpoints that may be ejected at once.
    pub max_ejected: u8,
}

impl Default for OutlierRules {
    /// After 5 errors or 3 failed connects in a row, for 30 s, up to 5 min, at most half of the endpoints; no comparison.
    fn default() -> Self {
        Self {
            consecutive_errors: Some(5),
            consecutive_connect_failures: Some(3),
            error_ratio: None,
            latency: None,
            interval: Duration::from_secs(10),
            ejection: Duration::from_secs(30),
            longest_ejection: Duration::from_secs(300),
            max_ejected: 50,
        }
    }
}

impl OutlierRules {
    /// Whether endpoints are compared, so that every answer is counted.
    #[must_use]
    pub fn compare(&self) -> bool {
        self.error_ratio.is_some() || self.latency.is_some()
    }

    /// How many of so many endpoints may be ejected at once: one of two whatever the percentage, never all.
    #[must_use]
    pub fn most_ejected(&self, endpoints: usize) -> usize {
        let most = endpoints.saturating_mul(self.max_ejected.into()) / 100;
        most.max(1).min(endpoints.saturating_sub(1))
    }

    /// How long the ejection lasts that is the `times`th in a row.
    fn lasts(&self, times: u16) -> Duration {
        self.ejection.saturating_mul(times.into()).min(self.longest_ejection)
    }

    /// Which in a row an ejection is: an earlier one is forgotten for each [`OutlierRules::ejection`] spent without a new
    /// one. Counted no further than it makes a difference.
    fn times(&self, before: u16, rested: Duration) -> u16 {
        let forgotten = rested.as_micros() / self.ejection.as_micros().max(1);
        let left = before.saturating_sub(u16::try_from(forgotten).unwrap_or(u16::MAX));
        if self.lasts(left) < self.longest_ejection || left == 0 { left.saturating_add(1) } else { left }
    }

    /// What these counts of an error eject for.
    fn verdict(&self, run: Run, is_connect: bool) -> Option<Cause> {
        let reached = |count: u16, limit: Option<u16>| limit.is_some_and(|limit| count >= limit);
        let is_on_trial = run.trial > 0;
        let for_connects = is_connect && self.consecutive_connect_failures.is_some();
        let reason =
            if for_connects && (is_on_trial || reached(run.connects, self.consecutive_connect_failures)) {
                Reason::ConnectFailures
            } else if reached(run.errors, self.consecutive_errors)
                || (is_on_trial && self.consecutive_errors.is_some())
            {
                Reason::ConsecutiveErrors
            } else if is_on_trial && self.error_ratio.is_some() {
                Reason::ErrorRatio
            } else {
                return None;
            };
        Some(Cause { reason, is_on_trial })
    }

    fn trial(&self) -> u16 {
        self.consecutive_errors.unwrap_or(TRIAL).max(1)
    }
}

/// Whether an answer with this status is an error of the endpoint's: 500 and above, but for 501, which says that nobody
/// can do it.
#[must_use]
pub fn is_error(status: u16) -> bool {
    status >= 500 && status != 501
}

/// What an endpoint is ejected for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Errors in a row.
    ConsecutiveErrors,
    /// Failed connects in a row.
    ConnectFailures,
    /// A far larger share of errors than the others.
    ErrorRatio,
    /// Answers that take far longer than the others'.
    Latency,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 4] =
        [Self::ConsecutiveErrors, Self::ConnectFailures, Self::ErrorRatio, Self::Latency];

    /// One word for metrics, in snake case.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConsecutiveErrors => "consecutive_errors",
            Self::ConnectFailures => "connect_failures",
            Self::ErrorRatio => "error_ratio",
            Self::Latency => "latency",
        }
    }
}

/// An endpoint was put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// What for.
    pub reason: Reason,
    /// Whether it was on trial after an earlier one.
    pub is_on_trial: bool,
    /// Which one in a row it is, from 1.
    pub times: u16,
    /// When it ends.
    pub until: Moment,
}

impl Ejection {
    /// What it is for, in words that follow "ejected: ".
    #[must_use]
    pub const fn why(&self) -> &'static str {
        match (self.reason, self.is_on_trial) {
            (Reason::Latency, _) => "far slower than the others",
            (Reason::ConnectFailures, true) => "a failed connect while on trial",
            (_, true) => "an error while on trial",
            (Reason::ConnectFailures, false) => "too many failed connects in a row",
            (Reason::ConsecutiveErrors, false) => "too many errors in a row",
            (Reason::ErrorRatio, false) => "far more errors than the others",
        }
    }
}

/// An attempt that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Where.
    pub endpoint: EndpointId,
    /// Since when. One that began before an ejection was over says nothing of the endpoint that returned.
    pub began: Moment,
    /// Until when.
    pub ended: Moment,
}

/// What all workers share of an upstream where outliers are detected: who decides, so that no two ejections are decided
/// at once and the bounds hold, and when endpoints are compared next.
///
/// Nobody waits for a decision. Who finds another one deciding leaves it, and the next error asks again.
#[derive(Debug, Default)]
pub struct Detector {
    turn: AtomicU8,
    /// In microseconds after the epoch of moments; 0 before the first comparison.
    due: AtomicU64,
}

/// Somebody decides.
const TAKEN: u8 = 1;
/// The rules are gone.
const CLOSED: u8 = 2;

/// A decision is being made, until this is dropped.
struct Turn<'a>(&'a Detector);

impl Detector {
    fn take_turn(&self) -> Option<Turn<'_>> {
        self.turn.compare_exchange(0, TAKEN, Acquire, Relaxed).ok().map(|_| Turn(self))
    }

    /// The upstream has no rules any more: ends every ejection and allows no new ones, also not to attempts that began by
    /// the rules. False while a decision is under way; then it is to be called again.
    #[must_use]
    pub fn close(&self, endpoints: &Endpoints) -> bool {
        if self.turn.fetch_or(CLOSED, AcqRel) & TAKEN != 0 {
            return false;
        }
        for (_, endpoint) in endpoints.iter() {
            endpoint.status.call_off();
            endpoint.load.monitor.forget();
        }
        true
    }

    fn is_closed(&self) -> bool {
        self.turn.load(Relaxed) & CLOSED != 0
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.turn.fetch_and(!TAKEN, AcqRel);
    }
}

/// An upstream's endpoints, the rules they are judged by, and what workers share to judge them.
///
/// Of each attempt that is over, and that says something of its endpoint, one method is to be called. `tell` is called
/// for each endpoint that is ejected then.
#[derive(Debug, Clone, Copy)]
pub struct Outliers<'a> {
    /// When an endpoint is ejected.
    pub rules: &'a OutlierRules,
    /// What workers share.
    pub detector: &'a Detector,
    /// The upstream's endpoints.
    pub endpoints: &'a Endpoints,
}

impl Outliers<'_> {
    /// Whether a good answer of this endpoint is to be told at all: where all is well it changes nothing, unless
    /// endpoints are compared.
    #[must_use]
    pub fn heeds_answers(&self, endpoint: EndpointId) -> bool {
        self.rules.compare()
            || self.endpoints.get(endpoint).is_some_and(|endpoint| endpoint.load.monitor.is_marked())
    }

    /// An attempt was answered well.
    pub fn answered(&self, attempt: Attempt, tell: &mut dyn FnMut(EndpointId, Ejection)) {
        let Some(endpoint) = self.endpoints.get(attempt.endpoint) else { return };
        if attempt.began < endpoint.status.ejected_until() {
            return;
        }
        let monitor = &endpoint.load.monitor;
        if monitor.is_marked() {
            monitor.good();
        }
        if self.rules.compare() {
            monitor.count(Some(attempt.ended.since(attempt.began)));
            self.compare(attempt.ended, tell);
        }
    }

    /// An attempt failed, by the endpoint's doing.
    pub fn failed(&self, attempt: Attempt, failure: Failure, tell: &mut dyn FnMut(EndpointId, Ejection)) {
        let Some(endpoint) = self.endpoints.get(attempt.endpoint) else { return };
        if attempt.began < endpoint.status.ejected_until() || self.detector.is_closed() {
            return;
        }
        let monitor = &endpoint.load.monitor;
        let run = monitor.bad(failure.is_connect());
        if let Some(cause) = self.rules.verdict(run, failure.is_connect())
            && let Some(_turn) = self.detector.take_turn()
        {
            self.eject(attempt.endpoint, cause, attempt.ended, tell);
        }
        if self.rules.compare() {
            monitor.count(None);
            self.compare(attempt.ended, tell);
        }
    }

    /// Ejects if the bounds allow it. The caller has the turn.
    fn eject(&self, id: EndpointId, cause: Cause, now: Moment, tell: &mut dyn FnMut(EndpointId, Ejection)) {
        let Some(endpoint) = self.endpoints.get(id) else { return };
        let ejected = self.endpoints.iter().filter(|(_, other)| other.status.is_ejected(now)).count();
        let mut others = self.endpoints.iter().filter(|(other, _)| *other != id);
        if endpoint.status.is_ejected(now)
            || ejected >= self.rules.most_ejected(self.endpoints.len())
            || !others.any(|(_, other)| other.status.accepts_new(now))
        {
            return;
        }
        let monitor = &endpoint.load.monitor;
        let before = monitor.ejection(&endpoint.status).map_or(0, |ejection| ejection.times);
        let times = self.rules.times(before, now.since(endpoint.status.ejected_until()));
        let until = now.later(self.rules.lasts(times));
        monitor.begin_trial(self.rules.trial(), cause, times);
        endpoint.status.eject(until);
        let Cause { reason, is_on_trial } = cause;
        tell(id, Ejection { reason, is_on_trial, times, until });
    }

    /// Compares the endpoints if it is time to.
    fn compare(&self, now: Moment, tell: &mut dyn FnMut(EndpointId, Ejection)) {
        if now.micros() < self.detector.due.load(Relaxed) {
            return;
        }
        let Some(_turn) = self.detector.take_turn() else { return };
        let due = Moment::from_micros(self.detector.due.load(Relaxed));
        if now < due {
            return;
        }
        self.detector.due.store(now.later(self.rules.interval).micros(), Relaxed);
        let seen: Vec<_> =
            self.endpoints.iter().map(|(_, endpoint)| endpoint.load.monitor.take_counts()).collect();
        // What was counted long ago, before nobody asked for anything, says little of now.
        if now > due.later(self.rules.interval) {
            return;
        }
        for (index, reason) in comparison::outliers(self.rules, &seen) {
            let cause = Cause { reason, is_on_trial: false };
            self.eject(EndpointId(index as u32), cause, now, tell);
        }
    }
}
