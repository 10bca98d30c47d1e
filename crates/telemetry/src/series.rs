//! The series one writer counts into: per listener, route, upstream and endpoint.
//!
//! A series has exactly one writing thread; any thread may read. Recording takes a few nanoseconds, never waits and
//! never allocates, but for the first answer with a new status code on a series, which may add a block of counts.

use crate::codes::Codes;
use crate::counter::Counter;
use crate::histogram::{Histogram, SESSION_BOUNDS};
use crate::method::Method;
use evenkeel_policy::outlier;
use evenkeel_policy::rejection::Rejection;
use std::time::Duration;

/// What a listener accepted and refused. Written by the worker that took it from its [`Writer`](crate::Writer).
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct ListenerSeries {
    pub(crate) opened: Counter,
    pub(crate) closed: Counter,
    pub(crate) refused: Counter,
    pub(crate) accept_errors: Counter,
    pub(crate) accept_pauses: Counter,
    pub(crate) rejections: Rejections,
}

impl ListenerSeries {
    /// A client connection was accepted.
    pub fn connection_opened(&self) {
        self.opened.add(1);
    }

    /// A client connection counted as opened is over.
    pub fn connection_closed(&self) {
        self.closed.add(1);
    }

    /// A client connection was closed unserved because the listener was at its limit.
    pub fn connection_refused(&self) {
        self.refused.add(1);
    }

    /// `accept` failed.
    pub fn accept_error(&self) {
        self.accept_errors.add(1);
    }

    /// Accepting was suspended because file descriptors ran out.
    pub fn accept_paused(&self) {
        self.accept_pauses.add(1);
    }

    /// An exchange ended by this rejection.
    #[inline]
    pub fn rejection(&self, rejection: Rejection) {
        self.rejections.add(rejection, 1);
    }
}

/// What the exchanges of a route that went to one upstream were like.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct RouteSeries {
    pub(crate) codes: Codes,
    pub(crate) duration: Histogram,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
}

impl RouteSeries {
    /// An exchange is over: `status` as sent to the client (0 when none was sent, otherwise brought into 100..=599),
    /// `duration` from the first byte of the request to the last of the answer, bytes on the client's side.
    #[inline]
    pub fn request(&self, method: Method, status: u16, duration: Duration, bytes_in: u64, bytes_out: u64) {
        self.codes.add(method, status, 1);
        self.duration.record(duration);
        self.bytes_in.add(bytes_in);
        self.bytes_out.add(bytes_out);
    }
}

/// What the sessions of a TCP listener with its upstream were like.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct SessionSeries {
    pub(crate) completed: Counter,
    pub(crate) endings: Rejections,
    pub(crate) duration: Histogram,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
}

impl SessionSeries {
    /// Bytes passed, received from the client and sent to it; counted as they pass, for a session may last for days.
    #[inline]
    pub fn passed(&self, bytes_in: u64, bytes_out: u64) {
        self.bytes_in.add(bytes_in);
        self.bytes_out.add(bytes_out);
    }

    /// A session is over after `duration` from its accept: closed by both sides, or ended for a reason.
    pub fn ended(&self, reason: Option<Rejection>, duration: Duration) {
        match reason {
            None => self.completed.add(1),
            Some(reason) => self.endings.add(reason, 1),
        }
        self.duration.record_by(&SESSION_BOUNDS, duration);
    }
}

/// Why an attempt was followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryReason {
    /// No connection could be made.
    Connect,
    /// The connection died before a byte of the response.
    Reset,
    /// Connecting or the attempt took too long.
    Timeout,
    /// The endpoint answered with a status that the upstream's rules retry.
    Status,
}

impl RetryReason {
    /// Every reason, in label order of the page.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Reset, Self::Timeout, Self::Status];

    /// The label value.
    pub fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Status => "status",
        }
    }
}

/// What happened at an upstream as a whole.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct UpstreamSeries {
    pub(crate) retries: [Counter; RetryReason::ALL.len()],
    pub(crate) queue_wait: Histogram,
}

impl UpstreamSeries {
    /// A request that waited for a free place has one.
    pub fn queued(&self, wait: Duration) {
        self.queue_wait.record(wait);
    }

    /// An attempt failed for `reason` and another one follows.
    pub fn retry(&self, reason: RetryReason) {
        if let Some(count) = self.retries.get(reason as usize) {
            count.add(1);
        }
    }
}

/// The attempts at one endpoint and the connections to it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct EndpointSeries {
    pub(crate) begun: Counter,
    pub(crate) ended: Counter,
    pub(crate) codes: Codes,
    pub(crate) duration: Histogram,
    pub(crate) opened: Counter,
    pub(crate) closed: Counter,
    pub(crate) connect_failures: Counter,
    pub(crate) ejections: [Counter; outlier::Reason::ALL.len()],
}

impl EndpointSeries {
    /// An attempt begins; exactly one [`end`](Self::end) must follow, on drop if need be.
    #[inline]
    pub fn begin(&self) {
        self.begun.add(1);
    }

    /// The attempt is over: the status of its response, or `None` when none came.
    #[inline]
    pub fn end(&self, status: Option<u16>, duration: Duration) {
        self.ended.add(1);
        self.codes.add(Method::Other, status.unwrap_or(0), 1);
        self.duration.record(duration);
    }

    /// What began is over and was no request: a session, or the attempt to open one.
    pub fn end_session(&self) {
        self.ended.add(1);
    }

    /// A connection to the endpoint was made.
    pub fn connection_opened(&self) {
        self.opened.add(1);
    }

    /// A connection counted as opened is over.
    pub fn connection_closed(&self) {
        self.closed.add(1);
    }

    /// A connection to the endpoint could not be made.
    pub fn connect_failed(&self) {
        self.connect_failures.add(1);
    }

    /// The endpoint was ejected, by what this thread met last.
    pub fn ejected(&self, reason: outlier::Reason) {
        if let Some(count) = self.ejections.get(reason as usize) {
            count.add(1);
        }
    }
}

/// Counts per [`Rejection`], found by its discriminant, which is its place in [`Rejection::ALL`].
#[derive(Debug)]
pub(crate) struct Rejections([Counter; Rejection::ALL.len()]);

impl Default for Rejections {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Rejections {
    #[inline]
    fn add(&self, rejection: Rejection, n: u64) {
        if let Some(count) = self.0.get(rejection as usize) {
            count.add(n);
        }
    }

    /// How often this rejection was counted.
    pub(crate) fn value(&self, rejection: Rejection) -> u64 {
        self.0.get(rejection as usize).map_or(0, Counter::value)
    }
}

/// A series that can take over the counts of one that nobody writes any more.
pub(crate) trait Absorb: Default {
    /// Adds the counts of `gone`. What `gone` has open is over, since nobody is left to close it.
    fn absorb(&self, gone: &Self);
}

impl Absorb for ListenerSeries {
    fn absorb(&self, gone: &Self) {
        self.opened.add(gone.opened.value());
        self.closed.add(gone.opened.value());
        self.refused.add(gone.refused.value());
        self.accept_errors.add(gone.accept_errors.value());
        self.accept_pauses.add(gone.accept_pauses.value());
        for (count, more) in self.rejections.0.iter().zip(&gone.rejections.0) {
            count.add(more.value());
        }
    }
}

impl Absorb for RouteSeries {
    fn absorb(&self, gone: &Self) {
        self.codes.absorb(&gone.codes);
        self.duration.absorb(&gone.duration);
        self.bytes_in.add(gone.bytes_in.value());
        self.bytes_out.add(gone.bytes_out.value());
    }
}

impl Absorb for SessionSeries {
    fn absorb(&self, gone: &Self) {
        self.completed.add(gone.completed.value());
        for (count, more) in self.endings.0.iter().zip(&gone.endings.0) {
            count.add(more.value());
        }
        self.duration.absorb(&gone.duration);
        self.bytes_in.add(gone.bytes_in.value());
        self.bytes_out.add(gone.bytes_out.value());
    }
}

impl Absorb for UpstreamSeries {
    fn absorb(&self, gone: &Self) {
        for (count, more) in self.retries.iter().zip(&gone.retries) {
            count.add(more.value());
        }
        self.queue_wait.absorb(&gone.queue_wait);
    }
}

impl Absorb for EndpointSeries {
    fn absorb(&self, gone: &Self) {
        self.begun.add(gone.begun.value());
        self.ended.add(gone.begun.value());
        self.codes.absorb(&gone.codes);
        self.duration.absorb(&gone.duration);
        self.opened.add(gone.opened.value());
        self.closed.add(gone.opened.value());
        self.connect_failures.add(gone.connect_failures.value());
        for (count, more) in self.ejections.iter().zip(&gone.ejections) {
            count.add(more.value());
        }
    }
}
