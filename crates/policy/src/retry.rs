//! Whether a failed attempt is repeated at another endpoint.
//!
//! Two rules protect the endpoints. A request that may have been acted on is repeated only if its method
//! is idempotent. And repeating is paid for from a [`Budget`], so that retries cannot multiply the load
//! of an upstream that is failing.

mod budget;

use std::fmt;
use std::time::Instant;

pub use budget::Budget;

/// What is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRules {
    /// Attempts in total, the first included; 0 counts as 1.
    pub attempts: u32,
    /// Which failures.
    pub on: RetryOn,
    /// Retries as a percentage of requests, 0 to 100; `None` is unlimited. See [`Budget`].
    pub budget: Option<u8>,
}

impl Default for RetryRules {
    /// Three attempts, on failed connects and resets, within a budget of 20 %.
    fn default() -> Self {
        Self { attempts: 3, on: RetryOn::default(), budget: Some(20) }
    }
}

/// Failures that are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOn {
    /// The connection could not be opened.
    pub connect: bool,
    /// The connection died, or the attempt's time ran out, before a byte of the answer.
    pub reset: bool,
    /// The endpoint answered with one of these; 504 stands for an attempt's timeout too.
    pub statuses: Vec<u16>,
}

impl Default for RetryOn {
    /// Connect and reset, no status.
    fn default() -> Self {
        Self { connect: true, reset: true, statuses: Vec::new() }
    }
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection: refused, unreachable, name not resolved.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The connection died before a byte of the answer.
    Reset,
    /// The answer did not begin within the attempt's time.
    AttemptTimeout,
    /// The endpoint answered with this status.
    Status(u16),
}

impl Failure {
    /// Whether nothing of the request can have reached an endpoint.
    #[must_use]
    pub fn is_connect(self) -> bool {
        matches!(self, Self::Connect | Self::ConnectTimeout)
    }

    fn is_listed(self, on: &RetryOn) -> bool {
        match self {
            Self::Connect | Self::ConnectTimeout => on.connect,
            Self::Reset => on.reset,
            Self::AttemptTimeout => on.reset || on.statuses.contains(&504),
            Self::Status(status) => on.statuses.contains(&status),
        }
    }
}

/// What has happened to a request so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempted {
    /// Its method is [`idempotent`], or no byte of it was sent to an endpoint.
    pub repeatable: bool,
    /// Its body is still there from the first byte on; true when it has none.
    pub body_replayable: bool,
    /// A byte of an answer went to the client.
    pub response_started: bool,
    /// Attempts made, the failed one included.
    pub attempts: u32,
}

/// Whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// At another endpoint.
    Retry,
    /// The failure is the answer.
    GiveUp(GiveUp),
}

/// Why a request is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GiveUp {
    /// The client has begun to receive an answer.
    ResponseStarted,
    /// The rules do not list this failure.
    NotListed,
    /// It has had its attempts.
    AttemptsSpent,
    /// It may have been acted on and its method is not idempotent.
    NotRepeatable,
    /// Its body is gone.
    BodySent,
    /// The upstream's retry budget is spent.
    BudgetSpent,
}

impl GiveUp {
    /// One word for logs, in snake case.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ResponseStarted => "response_started",
            Self::NotListed => "not_listed",
            Self::AttemptsSpent => "attempts_spent",
            Self::NotRepeatable => "not_repeatable",
            Self::BodySent => "body_sent",
            Self::BudgetSpent => "budget_spent",
        }
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Decides about the request whose attempt ended in `failure`, and pays from `budget` when it is tried again.
///
/// A failed connect costs nothing and needs no idempotent method: no endpoint has seen the request, so the
/// next attempt is the first that loads anybody. Hence a dead endpoint cannot exhaust the budget.
pub fn decide(
    rules: &RetryRules,
    failure: Failure,
    attempted: &Attempted,
    budget: &mut Budget,
    now: Instant,
) -> Decision {
    let unseen = failure.is_connect();
    let give_up = if attempted.response_started {
        GiveUp::ResponseStarted
    } else if !failure.is_listed(&rules.on) {
        GiveUp::NotListed
    } else if attempted.attempts >= rules.attempts {
        GiveUp::AttemptsSpent
    } else if !unseen && !attempted.repeatable {
        GiveUp::NotRepeatable
    } else if !attempted.body_replayable {
        GiveUp::BodySent
    } else if !unseen && !budget.withdraw(now) {
        GiveUp::BudgetSpent
    } else {
        return Decision::Retry;
    };
    Decision::GiveUp(give_up)
}

/// Whether doing it twice is like doing it once: the idempotent methods of RFC 9110 §9.2.2, and QUERY,
/// registered since.
#[must_use]
pub fn idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE" | b"QUERY")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::epoch;

    const FRESH: Attempted =
        Attempted { repeatable: true, body_replayable: true, response_started: false, attempts: 1 };

    fn verdict(rules: &RetryRules, failure: Failure, attempted: Attempted) -> Decision {
        decide(rules, failure, &attempted, &mut Budget::new(rules.budget, epoch()), epoch())
    }

    #[test]
    fn by_default_connects_and_resets_are_tried_again() {
        let rules = RetryRules::default();
        for failure in [Failure::Connect, Failure::ConnectTimeout, Failure::Reset, Failure::AttemptTimeout] {
            assert_eq!(verdict(&rules, failure, FRESH), Decision::Retry);
        }
        assert_eq!(verdict(&rules, Failure::Status(503), FRESH), Decision::GiveUp(GiveUp::NotListed));
    }

    #[test]
    fn only_listed_failures_are_tried_again() {
        let on = RetryOn { connect: false, reset: false, statuses: vec![502, 504] };
        let rules = RetryRules { on, ..RetryRules::default() };
        for failure in [Failure::Status(502), Failure::Status(504), Failure::AttemptTimeout] {
            assert_eq!(verdict(&rules, failure, FRESH), Decision::Retry);
        }
        for failure in [Failure::Connect, Failure::ConnectTimeout, Failure::Reset, Failure::Status(503)] {
            assert_eq!(verdict(&rules, failure, FRESH), Decision::GiveUp(GiveUp::NotListed));
        }
    }

    #[test]
    fn attempts_count_the_first() {
        let rules = RetryRules::default();
        let after = |attempts| verdict(&rules, Failure::Reset, Attempted { attempts, ..FRESH });
        assert_eq!(after(2), Decision::Retry);
        assert_eq!(after(3), Decision::GiveUp(GiveUp::AttemptsSpent));
        let once = RetryRules { attempts: 0, ..rules };
        assert_eq!(verdict(&once, Failure::Connect, FRESH), Decision::GiveUp(GiveUp::AttemptsSpent));
    }

    #[test]
    fn what_may_have_been_acted_on_is_not_repeated_but_an_unseen_request_is() {
        let rules = RetryRules::default();
        let post = Attempted { repeatable: false, ..FRESH };
        assert_eq!(verdict(&rules, Failure::Reset, post), Decision::GiveUp(GiveUp::NotRepeatable));
        assert_eq!(verdict(&rules, Failure::Connect, post), Decision::Retry);
        let consumed = Attempted { body_replayable: false, ..FRESH };
        assert_eq!(verdict(&rules, Failure::Reset, consumed), Decision::GiveUp(GiveUp::BodySent));
        let started = Attempted { response_started: true, ..FRESH };
        assert_eq!(verdict(&rules, Failure::Reset, started), Decision::GiveUp(GiveUp::ResponseStarted));
    }

    #[test]
    fn a_spent_budget_stops_retries_but_not_unseen_requests() {
        let rules = RetryRules { budget: Some(0), ..RetryRules::default() };
        assert_eq!(verdict(&rules, Failure::Reset, FRESH), Decision::GiveUp(GiveUp::BudgetSpent));
        assert_eq!(verdict(&rules, Failure::Connect, FRESH), Decision::Retry);
        let unlimited = RetryRules { budget: None, ..rules };
        assert_eq!(verdict(&unlimited, Failure::Reset, FRESH), Decision::Retry);
    }

    #[test]
    fn refusals_that_cost_nothing_come_before_the_budget() {
        let rules = RetryRules { budget: Some(100), ..RetryRules::default() };
        let mut budget = Budget::new(rules.budget, epoch());
        let before = budget.available(epoch());
        let spent = Attempted { attempts: 3, ..FRESH };
        decide(&rules, Failure::Reset, &spent, &mut budget, epoch());
        decide(&rules, Failure::Connect, &FRESH, &mut budget, epoch());
        assert_eq!(budget.available(epoch()), before);
        decide(&rules, Failure::Reset, &FRESH, &mut budget, epoch());
        assert_eq!(budget.available(epoch()), before.map(|retries| retries - 1));
    }

    #[test]
    fn idempotent_methods() {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"] {
            assert!(idempotent(method.as_bytes()), "{method}");
        }
        for method in ["POST", "PATCH", "CONNECT", "get", "", "LOCK"] {
            assert!(!idempotent(method.as_bytes()), "{method}");
        }
    }
}
