//! [`Handle`]: what a running proxy can be asked and told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use evenkeel_policy::eligibility::{self, Refusal};
use evenkeel_policy::endpoint::EndpointId;
use evenkeel_proxy::{endpoints, moment};
use evenkeel_telemetry::Totals;
use serde::Serialize;

use crate::control::Shared;
use crate::ejections::words;
use crate::errors::ReloadError;
use crate::explain::{Explanation, Question, explain};
use crate::journal::{Change, ChangeKind};
use crate::stats::Stats;

/// A running proxy, as others see it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle(pub(crate) Arc<Shared>);

/// How a proxy is doing.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The version that runs.
    pub version: &'static str,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Whether its listeners are open and the first probes are done.
    pub ready: bool,
    /// Whether it is stopping.
    pub draining: bool,
    /// Worker threads.
    pub workers: usize,
    /// In the configuration's order.
    pub listeners: Vec<ListenerStatus>,
    /// In the configuration's order.
    pub upstreams: Vec<UpstreamStatus>,
    /// The last reload, if it was refused: then the configuration before it is in force.
    pub refused_reload: Option<Change>,
    /// What changed lately, the latest first.
    pub changes: Vec<Change>,
}

/// One listener.
#[derive(Debug, Clone, Serialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// Where it really listens.
    pub address: String,
    /// What it speaks: `http` or `tcp`.
    pub protocol: &'static str,
    /// Connections open now.
    pub connections: usize,
}

/// One upstream.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: String,
    /// How an endpoint is picked.
    pub balance: &'static str,
    /// In the configuration's order.
    pub endpoints: Vec<EndpointStatus>,
}

/// One endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointStatus {
    /// Its address as configured.
    pub address: String,
    /// Whether it would be offered a request now.
    pub eligible: bool,
    /// If not, why.
    pub refusal: Option<String>,
    /// What the last probe found.
    pub up: bool,
    /// The same in words; empty where nothing is probed.
    pub reason: String,
    /// Seconds since it came up or went down.
    pub since_seconds: Option<u64>,
    /// Whether it is being drained.
    pub draining: bool,
    /// Whether live traffic has it put aside.
    pub ejected: bool,
    /// If so, why and for how much longer.
    pub ejection: Option<String>,
    /// Its share.
    pub weight: u16,
    /// Whether it serves only when no other can.
    pub backup: bool,
    /// Requests in flight, and sessions of TCP listeners.
    pub in_flight: u32,
    /// How many it may have at once.
    pub max_in_flight: Option<u32>,
}

/// There is no such endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// The upstream asked for.
    pub upstream: String,
    /// The endpoint asked for.
    pub endpoint: String,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no endpoint {} in an upstream {}", self.endpoint, self.upstream)
    }
}

impl std::error::Error for NotFound {}

impl Handle {
    /// The Prometheus page.
    pub fn metrics(&self) -> String {
        self.0.metrics()
    }

    /// The same as numbers.
    pub fn totals(&self) -> Totals {
        self.0.telemetry.totals()
    }

    /// Whether it serves and means to go on.
    pub fn is_ready(&self) -> bool {
        self.0.is_ready.load(Relaxed) && !self.0.is_draining.load(Relaxed)
    }

    /// Whether it is stopping.
    pub fn is_draining(&self) -> bool {
        self.0.is_draining.load(Relaxed)
    }

    /// Waits until [`Handle::is_ready`], for at most `patience`.
    pub async fn ready(&self, patience: Duration) -> bool {
        let ready = async {
            while !self.is_ready() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(patience, ready).await.is_ok()
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        let state = self.0.state();
        let deployment = &state.deployment;
        let now = moment(Instant::now());
        let listeners = deployment.plan.listeners.iter().zip(&deployment.listeners);
        let upstreams = deployment.plan.upstreams.iter().zip(&deployment.upstreams);
        Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.0.started.elapsed().as_secs(),
            ready: self.is_ready(),
            draining: self.0.is_draining.load(Relaxed),
            workers: self.0.worker_count(),
            listeners: listeners
                .map(|(settings, shared)| ListenerStatus {
                    name: settings.name.clone(),
                    address: shared.listener.address().to_string(),
                    protocol: settings.protocol.name(),
                    connections: shared.open.load(Relaxed),
                })
                .collect(),
            upstreams: upstreams
                .map(|(settings, shared)| {
                    let endpoints = endpoints(settings, &shared.endpoints);
                    let judged = eligibility::explain(&endpoints, &[], now);
                    UpstreamStatus {
                        name: settings.name.clone(),
                        balance: settings.balance.name(),
                        endpoints: shared
                            .endpoints
                            .iter()
                            .zip(endpoints.iter())
                            .zip(judged)
                            .map(
                                |((shared, (_, endpoint)), (_, verdict)): (
                                    _,
                                    (EndpointId, Result<(), Refusal>),
                                )| {
                                    let may = endpoint.status.state(now);
                                    let known = state.registry.get(&settings.name, &shared.label);
                                    let known =
                                        known.map(|entry| entry.verdict.borrow().clone()).unwrap_or_default();
                                    EndpointStatus {
                                        address: shared.label.to_string(),
                                        eligible: verdict.is_ok(),
                                        refusal: verdict.err().map(|refusal| refusal.to_string()),
                                        up: may.up,
                                        reason: known.words,
                                        since_seconds: known.since.map(|since| since.elapsed().as_secs()),
                                        draining: may.draining,
                                        ejected: may.ejected,
                                        ejection: shared.ejection().as_ref().map(words),
                                        weight: may.weight,
                                        backup: endpoint.backup,
                                        in_flight: endpoint.load.in_flight(),
                                        max_in_flight: endpoint.max_in_flight,
                                    }
                                },
                            )
                            .collect(),
                    }
                })
                .collect(),
            refused_reload: state.registry.journal.refused_reload(),
            changes: state.registry.journal.latest(),
        }
    }

    /// What it has counted since it started.
    pub fn stats(&self) -> Stats {
        Stats::new(&self.totals(), self.0.started.elapsed())
    }

    /// Gives an endpoint no new requests, or gives it some again.
    ///
    /// # Errors
    /// There is no such endpoint.
    pub fn drain(&self, upstream: &str, endpoint: &str, draining: bool) -> Result<(), NotFound> {
        self.with(upstream, endpoint, |status| {
            let changed = status.set_draining(draining);
            if changed {
                tracing::info!(upstream, endpoint, draining, "drain set through the admin API");
            }
            changed.then(|| match draining {
                true => (ChangeKind::Drained, "it gets no new requests".into()),
                false => (ChangeKind::Undrained, "it gets requests again".into()),
            })
        })
    }

    /// Sets an endpoint's weight until the file says otherwise.
    ///
    /// # Errors
    /// There is no such endpoint.
    pub fn set_weight(&self, upstream: &str, endpoint: &str, weight: u16) -> Result<(), NotFound> {
        self.with(upstream, endpoint, |status| {
            let changed = status.set_weight(weight);
            if changed {
                tracing::info!(upstream, endpoint, weight, "weight set through the admin API");
            }
            changed.then(|| (ChangeKind::Weighted, format!("its weight is {weight}")))
        })
    }

    fn with(
        &self,
        upstream: &str,
        endpoint: &str,
        change: impl FnOnce(&evenkeel_policy::endpoint::Status) -> Option<(ChangeKind, String)>,
    ) -> Result<(), NotFound> {
        let registry = &self.0.state().registry;
        match registry.get(upstream, endpoint) {
            Some(entry) => {
                if let Some((kind, words)) = change(&entry.shared.status) {
                    registry.journal.endpoint(kind, upstream, endpoint, &words);
                }
                Ok(())
            }
            None => Err(NotFound { upstream: upstream.into(), endpoint: endpoint.into() }),
        }
    }

    /// Reads the configuration again.
    ///
    /// # Errors
    /// The configuration before it stays in force, whole.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        self.0.reload().await
    }

    /// The configuration in force, as it was understood.
    pub fn config(&self) -> String {
        format!("{:#?}\n", self.0.state().deployment.plan)
    }

    /// What would become of a request now.
    pub fn explain(&self, question: &Question) -> Explanation {
        let status = self.status();
        let plan = self.0.state().deployment.plan.clone();
        explain(&plan, question, Some(&status))
    }
}
