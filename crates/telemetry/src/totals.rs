//! Everything counted, summed over the writers at one moment, as plain numbers: what the page is rendered from and
//! what the dashboard and the demo read.

use crate::control::ControlTotals;
use crate::histogram::HistogramSnapshot;
use crate::method::Method;
use crate::registry::Registry;
use crate::series::{EndpointSeries, RetryReason, SessionSeries};
use evenkeel_policy::outlier;
use evenkeel_policy::rejection::Rejection;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All counts, each list sorted by its labels.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Per listener.
    pub listeners: Vec<ListenerTotals>,
    /// Per listener, route and upstream.
    pub routes: Vec<RouteTotals>,
    /// Per TCP listener and its upstream.
    pub sessions: Vec<SessionTotals>,
    /// Per upstream.
    pub upstreams: Vec<UpstreamTotals>,
    /// Per endpoint.
    pub endpoints: Vec<EndpointTotals>,
    /// What the slow side reported: endpoint states, probes, reloads.
    pub control: ControlTotals,
    /// Access log lines lost, to a full queue or a failed write.
    pub access_log_dropped: u64,
    /// Failed writes of the access log.
    pub access_log_write_errors: u64,
}

impl Totals {
    /// Requests over all routes.
    pub fn requests(&self) -> u64 {
        self.routes.iter().map(RouteTotals::requests).sum()
    }

    /// Answers with 5xx over all routes.
    pub fn errors(&self) -> u64 {
        self.routes.iter().map(RouteTotals::errors).sum()
    }

    /// Durations of the requests of all routes.
    pub fn duration(&self) -> HistogramSnapshot {
        let mut sum = HistogramSnapshot::default();
        self.routes.iter().for_each(|route| sum.add(&route.duration));
        sum
    }

    /// The totals of one endpoint.
    pub fn endpoint(&self, upstream: &str, endpoint: &str) -> Option<&EndpointTotals> {
        let at = self
            .endpoints
            .binary_search_by(|e| (&*e.upstream, &*e.endpoint).cmp(&(upstream, endpoint)))
            .ok()?;
        self.endpoints.get(at)
    }

    /// Sums the series of the registry.
    pub(crate) fn sum(registry: &Registry) -> Self {
        let mut totals = Self::default();
        registry.listeners.each(|[listener], all| {
            let mut sum = ListenerTotals { listener: Arc::clone(listener), ..ListenerTotals::default() };
            let mut rejections = vec![0; Rejection::ALL.len()];
            let mut closed = 0;
            for series in all {
                closed += series.closed.value();
                sum.connections += series.opened.value();
                sum.refused += series.refused.value();
                sum.accept_errors += series.accept_errors.value();
                sum.accept_pauses += series.accept_pauses.value();
                for (count, rejection) in rejections.iter_mut().zip(Rejection::ALL) {
                    *count += series.rejections.value(rejection);
                }
            }
            sum.connections_open = sum.connections.saturating_sub(closed);
            sum.rejections = Rejection::ALL.into_iter().zip(rejections).collect();
            totals.listeners.push(sum);
        });
        registry.routes.each(|[listener, route, upstream], all| {
            let (listener, route, upstream) = (Arc::clone(listener), Arc::clone(route), Arc::clone(upstream));
            let mut sum = RouteTotals { listener, route, upstream, ..RouteTotals::default() };
            let mut codes = BTreeMap::new();
            for series in all {
                series.codes.each(|method, code, n| *codes.entry((method, code)).or_default() += n);
                series.duration.add_to(&mut sum.duration);
                sum.bytes_in += series.bytes_in.value();
                sum.bytes_out += series.bytes_out.value();
            }
            sum.answers =
                codes.into_iter().map(|((method, code), n)| CodeCount { method, code, n }).collect();
            totals.routes.push(sum);
        });
        registry.sessions.each(|[listener, upstream], all| {
            let (listener, upstream) = (Arc::clone(listener), Arc::clone(upstream));
            totals.sessions.push(SessionTotals::sum(listener, upstream, all));
        });
        registry.upstreams.each(|[upstream], all| {
            let mut retries = RetryReason::ALL.map(|reason| (reason, 0));
            let mut queue_wait = HistogramSnapshot::default();
            for series in all {
                series.queue_wait.add_to(&mut queue_wait);
                for ((_, sum), count) in retries.iter_mut().zip(&series.retries) {
                    *sum += count.value();
                }
            }
            totals.upstreams.push(UpstreamTotals { upstream: Arc::clone(upstream), retries, queue_wait });
        });
        registry.endpoints.each(|[upstream, endpoint], all| {
            totals.endpoints.push(EndpointTotals::sum(Arc::clone(upstream), Arc::clone(endpoint), all));
        });
        totals
    }
}

/// What a listener accepted and refused.
#[derive(Debug, Clone, Default)]
pub struct ListenerTotals {
    /// Its name.
    pub listener: Arc<str>,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Connections refused at the limit.
    pub refused: u64,
    /// Failed accepts.
    pub accept_errors: u64,
    /// Pauses of accepting for want of file descriptors.
    pub accept_pauses: u64,
    /// Every rejection and how often it was the end of an exchange.
    pub rejections: Vec<(Rejection, u64)>,
}

/// How many answers had a method and code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeCount {
    /// The request's method.
    pub method: Method,
    /// The status sent to the client; 0 when none was.
    pub code: u16,
    /// How many.
    pub n: u64,
}

/// The exchanges of a route.
#[derive(Debug, Clone, Default)]
pub struct RouteTotals {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The route's name.
    pub route: Arc<str>,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// Answers by method and code, those that occurred.
    pub answers: Vec<CodeCount>,
    /// How long exchanges took.
    pub duration: HistogramSnapshot,
    /// Bytes received from clients.
    pub bytes_in: u64,
    /// Bytes sent to clients.
    pub bytes_out: u64,
}

impl RouteTotals {
    /// All exchanges.
    pub fn requests(&self) -> u64 {
        self.answers.iter().map(|answer| answer.n).sum()
    }

    /// Answers with 5xx, whoever made them.
    pub fn errors(&self) -> u64 {
        self.answers.iter().filter(|answer| answer.code >= 500).map(|answer| answer.n).sum()
    }
}

/// The sessions of a TCP listener with its upstream.
#[derive(Debug, Clone, Default)]
pub struct SessionTotals {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// Sessions that both sides closed.
    pub completed: u64,
    /// Sessions that ended otherwise, by reason, those that occurred.
    pub endings: Vec<(Rejection, u64)>,
    /// How long sessions lasted. The buckets have bounds of their own, so that quantiles of this mean nothing.
    pub duration: HistogramSnapshot,
    /// Bytes received from clients, those of running sessions included.
    pub bytes_in: u64,
    /// Bytes sent to clients, those of running sessions included.
    pub bytes_out: u64,
}

impl SessionTotals {
    /// All sessions that ended.
    pub fn ended(&self) -> u64 {
        self.completed + self.endings.iter().map(|(_, n)| n).sum::<u64>()
    }

    fn sum(listener: Arc<str>, upstream: Arc<str>, all: &mut dyn Iterator<Item = &SessionSeries>) -> Self {
        let mut sum = Self { listener, upstream, ..Self::default() };
        let mut endings = BTreeMap::new();
        for series in all {
            sum.completed += series.completed.value();
            for rejection in Rejection::ALL {
                *endings.entry(rejection).or_default() += series.endings.value(rejection);
            }
            series.duration.add_to(&mut sum.duration);
            sum.bytes_in += series.bytes_in.value();
            sum.bytes_out += series.bytes_out.value();
        }
        sum.endings = endings.into_iter().filter(|(_, n)| *n > 0).collect();
        sum
    }
}

/// What happened at an upstream as a whole.
#[derive(Debug, Clone)]
pub struct UpstreamTotals {
    /// Its name.
    pub upstream: Arc<str>,
    /// Attempts that were followed by another, by reason.
    pub retries: [(RetryReason, u64); RetryReason::ALL.len()],
    /// How long requests waited for a free place, of those that waited and got one.
    pub queue_wait: HistogramSnapshot,
}

/// Attempts at an endpoint and connections to it.
#[derive(Debug, Clone, Default)]
pub struct EndpointTotals {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// Ended attempts by status, those that occurred; 0 where no response came.
    pub answers: Vec<(u16, u64)>,
    /// How long attempts took.
    pub duration: HistogramSnapshot,
    /// Attempts going on.
    pub in_flight: u64,
    /// Connections made.
    pub connections: u64,
    /// Connections open now, idle ones included.
    pub connections_open: u64,
    /// Connections that could not be made.
    pub connect_failures: u64,
    /// Ejections, in the order of [`outlier::Reason::ALL`].
    pub ejections: [u64; outlier::Reason::ALL.len()],
}

impl EndpointTotals {
    /// All ended attempts.
    pub fn requests(&self) -> u64 {
        self.answers.iter().map(|(_, n)| n).sum()
    }

    /// Attempts that ended with 5xx or without a response.
    pub fn errors(&self) -> u64 {
        self.answers.iter().filter(|(code, _)| *code == 0 || *code >= 500).map(|(_, n)| n).sum()
    }

    fn sum(upstream: Arc<str>, endpoint: Arc<str>, all: &mut dyn Iterator<Item = &EndpointSeries>) -> Self {
        let mut sum = Self { upstream, endpoint, ..Self::default() };
        let (mut begun, mut ended, mut closed) = (0, 0, 0);
        let mut codes = BTreeMap::new();
        for series in all {
            // What ended is read first, so that a request in between can only make the difference larger.
            ended += series.ended.value();
            begun += series.begun.value();
            closed += series.closed.value();
            sum.connections += series.opened.value();
            sum.connect_failures += series.connect_failures.value();
            for (sum, count) in sum.ejections.iter_mut().zip(&series.ejections) {
                *sum += count.value();
            }
            series.codes.each(|_, code, n| *codes.entry(code).or_default() += n);
            series.duration.add_to(&mut sum.duration);
        }
        sum.in_flight = u64::saturating_sub(begun, ended);
        sum.connections_open = sum.connections.saturating_sub(closed);
        sum.answers = codes.into_iter().collect();
        sum
    }
}
