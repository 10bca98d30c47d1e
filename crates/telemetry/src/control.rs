//! What the slow side reports: endpoint states, probes, reloads, the build. Written rarely, so behind a plain lock.

use crate::histogram::micros;
use crate::telemetry::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeResult {
    /// As expected.
    Success,
    /// The endpoint's name did not resolve.
    Unresolved,
    /// No connection could be made.
    ConnectFailed,
    /// It took longer than its timeout.
    Timeout,
    /// The connection died before the answer was whole.
    Reset,
    /// The answer was not in the protocol.
    Malformed,
    /// The status was not an expected one.
    BadStatus,
    /// The body did not match.
    BadBody,
    /// No verdict: we had no file descriptor, port or memory for the probe.
    LocalShortage,
}

impl ProbeResult {
    /// Every result, in label order of the page.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Unresolved,
        Self::ConnectFailed,
        Self::Timeout,
        Self::Reset,
        Self::Malformed,
        Self::BadStatus,
        Self::BadBody,
        Self::LocalShortage,
    ];

    /// The label value.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Unresolved => "unresolved",
            Self::ConnectFailed => "connect_failed",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Malformed => "malformed",
            Self::BadStatus => "bad_status",
            Self::BadBody => "bad_body",
            Self::LocalShortage => "local_shortage",
        }
    }
}

/// The state of an endpoint as the gauges show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointState {
    /// Probes find it good.
    pub up: bool,
    /// Taken out because of errors in live traffic.
    pub ejected: bool,
    /// Taken out by an operator.
    pub draining: bool,
    /// Its effective weight.
    pub weight: u32,
    /// How many attempts and sessions it may have at once.
    pub in_flight_limit: Option<u32>,
}

/// What there is to serve with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// Threads that serve.
    pub workers: usize,
    /// Listeners by name, and how many connections each may have at once.
    pub connections: Vec<(String, usize)>,
    /// How many all of them together may have.
    pub all_connections: usize,
}

/// Gauges and probe counts, written by the control thread; the process has one.
#[derive(Debug, Default)]
pub struct ControlSeries {
    state: Mutex<State>,
}

impl ControlSeries {
    /// Sets the gauges of an endpoint.
    pub fn set_endpoint(&self, upstream: &str, endpoint: &str, now: EndpointState) {
        lock(&self.state).endpoint(upstream, endpoint).state = Some(now);
    }

    /// Sets what there is to serve with: threads, and the connections that each listener may have.
    pub fn set_capacity(&self, capacity: Capacity) {
        lock(&self.state).capacity = Some(capacity);
    }

    /// Sets how many requests wait for which upstream, for those that have a queue.
    pub fn set_queues(&self, queues: Vec<(String, usize)>) {
        lock(&self.state).queues = queues;
    }

    /// Forgets an endpoint: gauges and probes.
    pub fn remove(&self, upstream: &str, endpoint: &str) {
        self.retain(|u, e| u != upstream || e != endpoint);
    }

    /// A probe is over.
    pub fn probe(&self, upstream: &str, endpoint: &str, result: ProbeResult, duration: Duration) {
        let mut state = lock(&self.state);
        let endpoint = state.endpoint(upstream, endpoint);
        if let Some(count) = endpoint.probes.get_mut(result as usize) {
            *count += 1;
        }
        endpoint.last_probe = Some(duration);
    }

    /// A configuration was applied, or refused.
    pub fn config_reload(&self, success: bool, at: SystemTime) {
        let mut state = lock(&self.state);
        state.reload_successful = Some(success);
        if success {
            state.reloaded_at = Some(at);
        }
    }

    /// Names the running build, once at start.
    pub fn build_info(&self, version: &str, revision: &str) {
        lock(&self.state).build = Some((version.into(), revision.into()));
    }

    /// Keeps the endpoints that `keep(upstream, endpoint)` wants.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&str, &str) -> bool) {
        lock(&self.state).endpoints.retain(|(upstream, endpoint), _| keep(upstream, endpoint));
    }

    pub(crate) fn totals(&self) -> ControlTotals {
        let state = lock(&self.state);
        ControlTotals {
            endpoints: state
                .endpoints
                .iter()
                .map(|((upstream, endpoint), seen)| EndpointReport {
                    upstream: Arc::clone(upstream),
                    endpoint: Arc::clone(endpoint),
                    state: seen.state,
                    probes: seen.probes,
                    last_probe: seen.last_probe,
                })
                .collect(),
            reload_successful: state.reload_successful,
            reloaded_at: state.reloaded_at,
            build: state.build.clone(),
            capacity: state.capacity.clone(),
            queues: state.queues.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    endpoints: BTreeMap<(Arc<str>, Arc<str>), Seen>,
    reload_successful: Option<bool>,
    reloaded_at: Option<SystemTime>,
    build: Option<(Arc<str>, Arc<str>)>,
    capacity: Option<Capacity>,
    queues: Vec<(String, usize)>,
}

impl State {
    fn endpoint(&mut self, upstream: &str, endpoint: &str) -> &mut Seen {
        self.endpoints.entry((upstream.into(), endpoint.into())).or_default()
    }
}

#[derive(Debug, Default)]
struct Seen {
    state: Option<EndpointState>,
    probes: [u64; ProbeResult::ALL.len()],
    last_probe: Option<Duration>,
}

/// What the slow side reported so far.
#[derive(Debug, Clone, Default)]
pub struct ControlTotals {
    /// Per endpoint, sorted by upstream and endpoint.
    pub endpoints: Vec<EndpointReport>,
    /// Whether the last configuration was applied; `None` before the first.
    pub reload_successful: Option<bool>,
    /// When a configuration was last applied.
    pub reloaded_at: Option<SystemTime>,
    /// Version and revision of the build.
    pub build: Option<(Arc<str>, Arc<str>)>,
    /// What there is to serve with, once known.
    pub capacity: Option<Capacity>,
    /// How many requests wait for which upstream, of those that have a queue.
    pub queues: Vec<(String, usize)>,
}

impl ControlTotals {
    /// The report about one endpoint.
    pub fn endpoint(&self, upstream: &str, endpoint: &str) -> Option<&EndpointReport> {
        let at = self
            .endpoints
            .binary_search_by(|e| (&*e.upstream, &*e.endpoint).cmp(&(upstream, endpoint)))
            .ok()?;
        self.endpoints.get(at)
    }

    /// [`reloaded_at`](Self::reloaded_at) in microseconds since 1970.
    pub(crate) fn reloaded_at_micros(&self) -> Option<u64> {
        Some(micros(self.reloaded_at?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()))
    }
}

/// What the slow side knows of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointReport {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// Its state, once known.
    pub state: Option<EndpointState>,
    /// Probes by result, in the order of [`ProbeResult::ALL`].
    pub probes: [u64; ProbeResult::ALL.len()],
    /// How long the latest probe took.
    pub last_probe: Option<Duration>,
}
