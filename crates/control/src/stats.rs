//! [`Stats`]: what was counted since the start, in the admin API's form. Rates and quantiles of the last seconds
//! are differences of two of them, made by whoever asks twice.

use std::time::{Duration, SystemTime};

use evenkeel_policy::rejection::Rejection;
use evenkeel_telemetry::{HistogramSnapshot, Totals};
use serde::Serialize;

/// All counts at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Stats {
    /// Seconds since the start: the time between two stats is the difference of these.
    pub uptime_seconds: f64,
    /// Upper bounds of all buckets but the last, which has none.
    pub bounds_seconds: Vec<f64>,
    /// Per listener, route and upstream. Route and upstream are empty where a request met none.
    pub routes: Vec<RouteStats>,
    /// Per TCP listener and its upstream.
    pub sessions: Vec<SessionStats>,
    /// Per upstream and endpoint.
    pub endpoints: Vec<EndpointStats>,
    /// Answers and endings of our own that occurred, by listener.
    pub rejections: Vec<RejectionStats>,
    /// The last reload.
    pub reload: ReloadStats,
    /// Lines the access log lost.
    pub access_log_dropped: u64,
}

/// The requests of one route.
#[derive(Debug, Clone, Serialize)]
pub struct RouteStats {
    /// The listener's name.
    pub listener: String,
    /// The route's name.
    pub route: String,
    /// The upstream's name.
    pub upstream: String,
    /// Requests that ended.
    pub requests: u64,
    /// Those answered with 5xx, whoever made the answer.
    pub errors: u64,
    /// How long they took.
    pub duration: Durations,
    /// Bytes received from clients.
    pub bytes_in: u64,
    /// Bytes sent to clients.
    pub bytes_out: u64,
}

/// The sessions of one TCP listener.
#[derive(Debug, Clone, Serialize)]
pub struct SessionStats {
    /// The listener's name.
    pub listener: String,
    /// The upstream's name.
    pub upstream: String,
    /// Sessions that ended.
    pub sessions: u64,
    /// Those that were not closed by both sides.
    pub errors: u64,
    /// All together, the time they lasted.
    pub sum_seconds: f64,
    /// Bytes received from clients, those of running sessions included.
    pub bytes_in: u64,
    /// Bytes sent to clients, those of running sessions included.
    pub bytes_out: u64,
}

/// The attempts at one endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointStats {
    /// The upstream's name.
    pub upstream: String,
    /// Its address as configured.
    pub endpoint: String,
    /// Attempts that ended.
    pub requests: u64,
    /// Those that ended with 5xx or without a response.
    pub errors: u64,
    /// Connections that could not be made.
    pub connect_failures: u64,
    /// Connections open now, idle ones included.
    pub connections: u64,
    /// How long attempts took.
    pub duration: Durations,
}

/// One kind of rejection at one listener.
#[derive(Debug, Clone, Serialize)]
pub struct RejectionStats {
    /// The listener's name.
    pub listener: String,
    /// The word in log and metrics.
    pub reason: &'static str,
    /// The status answered.
    pub status: u16,
    /// What happened and what to do.
    pub sentence: &'static str,
    /// How often.
    pub count: u64,
}

/// How the last reload went, the start included.
#[derive(Debug, Clone, Serialize)]
pub struct ReloadStats {
    /// Whether it came into force.
    pub successful: bool,
    /// When a configuration last came into force, in seconds since 1970.
    pub unix_seconds: Option<u64>,
}

/// A histogram.
#[derive(Debug, Clone, Serialize)]
pub struct Durations {
    /// How many fell into each bucket of [`Stats::bounds_seconds`], not cumulative; one more for what is above.
    pub counts: Vec<u64>,
    /// All together.
    pub sum_seconds: f64,
}

impl Stats {
    pub(crate) fn new(totals: &Totals, uptime: Duration) -> Self {
        let bounds = HistogramSnapshot::default();
        let seconds =
            |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Self {
            uptime_seconds: uptime.as_secs_f64(),
            bounds_seconds: bounds.buckets().filter_map(|(bound, _)| Some(bound?.as_secs_f64())).collect(),
            routes: totals
                .routes
                .iter()
                .map(|route| RouteStats {
                    listener: route.listener.to_string(),
                    route: route.route.to_string(),
                    upstream: route.upstream.to_string(),
                    requests: route.requests(),
                    errors: route.errors(),
                    duration: Durations::from(&route.duration),
                    bytes_in: route.bytes_in,
                    bytes_out: route.bytes_out,
                })
                .collect(),
            sessions: totals
                .sessions
                .iter()
                .map(|sessions| SessionStats {
                    listener: sessions.listener.to_string(),
                    upstream: sessions.upstream.to_string(),
                    sessions: sessions.ended(),
                    errors: sessions.ended() - sessions.completed,
                    sum_seconds: sessions.duration.sum().as_secs_f64(),
                    bytes_in: sessions.bytes_in,
                    bytes_out: sessions.bytes_out,
                })
                .collect(),
            endpoints: totals
                .endpoints
                .iter()
                .map(|endpoint| EndpointStats {
                    upstream: endpoint.upstream.to_string(),
                    endpoint: endpoint.endpoint.to_string(),
                    requests: endpoint.requests(),
                    errors: endpoint.errors(),
                    connect_failures: endpoint.connect_failures,
                    connections: endpoint.connections_open,
                    duration: Durations::from(&endpoint.duration),
                })
                .collect(),
            rejections: totals
                .listeners
                .iter()
                .flat_map(|listener| {
                    let counts = listener.rejections.iter().filter(|(_, count)| *count > 0);
                    counts.map(|(rejection, count)| rejected(&listener.listener, *rejection, *count))
                })
                .collect(),
            reload: ReloadStats {
                successful: totals.control.reload_successful.unwrap_or(true),
                unix_seconds: totals.control.reloaded_at.map(seconds),
            },
            access_log_dropped: totals.access_log_dropped,
        }
    }
}

fn rejected(listener: &str, rejection: Rejection, count: u64) -> RejectionStats {
    RejectionStats {
        listener: listener.to_owned(),
        reason: rejection.word(),
        status: rejection.status(),
        sentence: rejection.sentence(),
        count,
    }
}

impl From<&HistogramSnapshot> for Durations {
    fn from(snapshot: &HistogramSnapshot) -> Self {
        Self {
            counts: snapshot.buckets().map(|(_, count)| count).collect(),
            sum_seconds: snapshot.sum().as_secs_f64(),
        }
    }
}
