//! What the admin API says, as far as the commands show it. What a newer proxy says beyond that is passed over.

use evenkeel_telemetry::HistogramSnapshot;
use serde::Deserialize;
use std::time::Duration;

/// `/api/v1/status`
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) uptime_seconds: u64,
    pub(crate) ready: bool,
    pub(crate) draining: bool,
    pub(crate) workers: usize,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) upstreams: Vec<Upstream>,
    /// The last reload, if it was refused.
    #[serde(default)]
    pub(crate) refused_reload: Option<RefusedReload>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RefusedReload {
    pub(crate) ago_seconds: u64,
    /// Why, in one line or with a whole report behind it.
    pub(crate) words: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) address: String,
    /// `http` or `tcp`.
    #[serde(default)]
    pub(crate) protocol: String,
    pub(crate) connections: usize,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) balance: String,
    pub(crate) endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    #[serde(default)]
    pub(crate) refusal: Option<String>,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) ejection: Option<String>,
    #[serde(default)]
    pub(crate) since_seconds: Option<u64>,
    pub(crate) weight: u16,
    #[serde(default)]
    pub(crate) backup: bool,
    #[serde(default)]
    pub(crate) in_flight: u32,
}

/// `/api/v1/stats`
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Stats {
    pub(crate) uptime_seconds: f64,
    pub(crate) routes: Vec<Counted>,
    pub(crate) endpoints: Vec<Counted>,
}

/// Requests of a route, or attempts at an endpoint.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Counted {
    #[serde(default)]
    pub(crate) upstream: String,
    #[serde(default)]
    pub(crate) endpoint: String,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) duration: Durations,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Durations {
    pub(crate) counts: Vec<u64>,
    pub(crate) sum_seconds: f64,
}

impl Endpoint {
    /// What is known of it: why requests keep away from it, or what the last probe found.
    pub(crate) fn finding(&self) -> &str {
        match &self.ejection {
            Some(why) => why,
            None if self.reason.is_empty() => "not probed",
            None => &self.reason,
        }
    }

    /// Its state in a word or two.
    pub(crate) fn state(&self) -> &str {
        match self.refusal.as_deref() {
            None => "up",
            Some("draining") if self.in_flight == 0 => "drained",
            Some("at max_in_flight") => "full",
            Some(refusal) if refusal.starts_with("backup") => "standby",
            Some(refusal) => refusal,
        }
    }
}

impl Durations {
    /// As a histogram that can be subtracted and asked for quantiles.
    pub(crate) fn histogram(&self) -> HistogramSnapshot {
        let sum = Duration::try_from_secs_f64(self.sum_seconds).unwrap_or_default();
        HistogramSnapshot::of(self.counts.iter().copied(), sum)
    }
}
