//! The endpoints that exist, across reloads: identity is upstream and address.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_config::Plan;
use evenkeel_config::plan::Upstream;
use evenkeel_policy::endpoint::{State, Status};
use evenkeel_policy::health::Start;
use evenkeel_proxy::{Ejected, SharedEndpoint, SharedOutliers, SharedUpstream, endpoints};
use evenkeel_telemetry::ControlSeries;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::ejections::{announce, say_back};
use crate::journal::Journal;
use crate::resolve::known_target;
use crate::watch::{Subject, watch};

/// What is known of an endpoint besides its status word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    /// Whether anything was found out yet.
    pub(crate) is_known: bool,
    /// The last finding.
    pub(crate) words: String,
    /// Since when it is up or down.
    pub(crate) since: Option<Instant>,
}

/// One endpoint of the configuration in force.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) shared: Arc<SharedEndpoint>,
    pub(crate) verdict: watch::Receiver<Verdict>,
    subject: Subject,
    configured_weight: u32,
    watcher: Option<JoinHandle<()>>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
    }
}

/// Endpoints by upstream and address.
#[derive(Debug)]
pub(crate) struct Registry {
    /// Where what happens to them is remembered.
    pub(crate) journal: Arc<Journal>,
    entries: HashMap<(String, String), Entry>,
    upstreams: HashMap<String, SharedUpstream>,
    /// Hears of ejections.
    news: mpsc::Sender<Ejected>,
}

/// Endpoints of a plan that may come into force: those that stay, by name, and those that are new, watched already.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    new: HashMap<(String, String), Entry>,
    /// In the order of the plan.
    pub(crate) upstreams: Vec<SharedUpstream>,
}

fn key(upstream: &Upstream, label: &str) -> (String, String) {
    (upstream.name.clone(), label.to_owned())
}

impl Registry {
    /// Without endpoints. Must be called within a runtime, for what happens to them is told from a task.
    pub(crate) fn new() -> Self {
        let journal = Arc::<Journal>::default();
        let news = announce(&journal);
        Self { journal, entries: HashMap::new(), upstreams: HashMap::new(), news }
    }

    pub(crate) fn get(&self, upstream: &str, endpoint: &str) -> Option<&Entry> {
        self.entries.get(&(upstream.to_owned(), endpoint.to_owned()))
    }

    /// Makes what a plan needs and is not there yet. Nothing that is in force changes.
    pub(crate) fn prepare(&self, plan: &Plan, telemetry: &Arc<ControlSeries>) -> Prepared {
        let mut prepared = Prepared::default();
        for upstream in &plan.upstreams {
            let mut list = Vec::new();
            for endpoint in &upstream.endpoints {
                let label = endpoint.address.to_string();
                let subject = Subject {
                    upstream: upstream.name.clone(),
                    address: endpoint.address.clone(),
                    health: upstream.health.clone(),
                };
                let key = key(upstream, &label);
                let old = self.entries.get(&key);
                if let Some(old) = old.filter(|old| old.subject == subject) {
                    list.push(old.shared.clone());
                    continue;
                }
                // With other settings for its probes the endpoint is still the same one.
                let is_new = old.is_none();
                let shared = old.map_or_else(
                    || {
                        let starts_up = match &subject.health {
                            Some(health) => health.thresholds.start == Start::Up,
                            None => true,
                        };
                        let target = known_target(&endpoint.address);
                        let state = State {
                            up: starts_up && target.is_some(),
                            ejected: false,
                            draining: false,
                            weight: u16::try_from(endpoint.weight).unwrap_or(u16::MAX),
                        };
                        SharedEndpoint::new(&label, Status::new(state), target)
                    },
                    |old| old.shared.clone(),
                );
                list.push(shared.clone());
                let mut entry = Entry::new(subject, shared, endpoint.weight);
                if is_new {
                    entry.watch(telemetry, &self.journal, None);
                }
                prepared.new.insert(key, entry);
            }
            let old = self.upstreams.get(&upstream.name);
            let known = || old.and_then(|old| old.outliers.clone());
            let outliers = || known().unwrap_or_else(|| SharedOutliers::new(self.news.clone()));
            prepared.upstreams.push(SharedUpstream {
                endpoints: list,
                room: old.map(|old| old.room.clone()).unwrap_or_default(),
                outliers: upstream.outliers.as_ref().map(|_| outliers()),
            });
        }
        prepared
    }

    /// Brings prepared endpoints into force; those that the plan does not name are gone.
    pub(crate) fn commit(&mut self, plan: &Plan, prepared: Prepared, telemetry: &Arc<ControlSeries>) {
        self.commit_upstreams(plan, prepared.upstreams);
        let mut old = std::mem::take(&mut self.entries);
        let mut new = prepared.new;
        for upstream in &plan.upstreams {
            for endpoint in &upstream.endpoints {
                let key = key(upstream, &endpoint.address.to_string());
                let before = old.remove(&key);
                let configured = before.as_ref().map(|entry| entry.configured_weight);
                let entry = match (new.remove(&key), before) {
                    (Some(mut entry), Some(before)) => {
                        // Watched anew, by one watcher at a time, from the verdict it has.
                        let up = before.shared.status.is_up();
                        drop(before);
                        entry.watch(telemetry, &self.journal, Some(up));
                        Some(entry)
                    }
                    (new, before) => new.or(before),
                };
                let Some(mut entry) = entry else { continue };
                // A weight set at run time stays until the file changes its mind.
                if configured.is_some_and(|weight| weight != endpoint.weight) {
                    entry.shared.status.set_weight(u16::try_from(endpoint.weight).unwrap_or(u16::MAX));
                }
                if upstream.health.is_none() && entry.shared.target().is_some() {
                    // Without probes nothing would ever bring it up again.
                    entry.shared.status.set_up(true);
                }
                entry.configured_weight = endpoint.weight;
                self.entries.insert(key, entry);
            }
        }
    }

    /// Brings what workers share of upstreams into force. Where rules about outliers are gone, the ejected endpoints return.
    fn commit_upstreams(&mut self, plan: &Plan, prepared: Vec<SharedUpstream>) {
        let mut before = std::mem::take(&mut self.upstreams);
        for (upstream, shared) in plan.upstreams.iter().zip(prepared) {
            let old = before.remove(&upstream.name).and_then(|old| old.outliers);
            if let (None, Some(outliers)) = (&shared.outliers, old) {
                self.end_ejections(upstream, &shared.endpoints, &outliers);
            }
            self.upstreams.insert(upstream.name.clone(), shared);
        }
    }

    fn end_ejections(&self, upstream: &Upstream, shared: &[Arc<SharedEndpoint>], outliers: &SharedOutliers) {
        let ejected: Vec<_> = shared.iter().filter(|shared| shared.ejection().is_some()).collect();
        while !outliers.detector.close(&endpoints(upstream, shared)) {
            // A worker decides, which takes it less than a moment.
            std::thread::yield_now();
        }
        for endpoint in ejected {
            let reason = "the configuration ejects nobody there any more";
            say_back(&upstream.name, &endpoint.label, reason, &self.journal);
        }
    }
}

impl Prepared {
    /// Waits until something is known of every new endpoint, but no longer than `patience`.
    pub(crate) async fn settle(&self, patience: Duration) {
        let all = async {
            for entry in self.new.values().filter(|entry| entry.watcher.is_some()) {
                // Fails only when the watcher is gone, and then there is nothing to wait for.
                let _ = entry.verdict.clone().wait_for(|verdict| verdict.is_known).await;
            }
        };
        let _ = tokio::time::timeout(patience, all).await;
    }

    /// The same without end.
    pub(crate) fn all_known(&self) -> impl Future<Output = ()> + Send + 'static {
        let verdicts: Vec<_> = self
            .new
            .values()
            .filter(|entry| entry.watcher.is_some())
            .map(|entry| entry.verdict.clone())
            .collect();
        async move {
            for mut verdict in verdicts {
                let _ = verdict.wait_for(|verdict| verdict.is_known).await;
            }
        }
    }
}

impl Entry {
    /// An endpoint that nobody watches yet.
    fn new(subject: Subject, shared: Arc<SharedEndpoint>, weight: u32) -> Self {
        let (_, verdict) = watch::channel(Verdict::default());
        Self { shared, verdict, subject, configured_weight: weight, watcher: None }
    }

    /// Begins to watch it if there is anything to find out; `resumes` is the verdict to go on from.
    fn watch(&mut self, telemetry: &Arc<ControlSeries>, journal: &Arc<Journal>, resumes: Option<bool>) {
        if !self.subject.needs_watching() {
            return;
        }
        let (sender, verdict) = watch::channel(Verdict::default());
        self.verdict = verdict;
        let (telemetry, journal) = (telemetry.clone(), journal.clone());
        let watching = watch(self.subject.clone(), self.shared.clone(), sender, telemetry, journal, resumes);
        self.watcher = Some(tokio::spawn(watching));
    }
}
