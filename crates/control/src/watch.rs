//! Watching one endpoint: resolve its name, probe it, tell everybody what came out.
//!
//! Whether it is up is decided by `policy::health`; here is only the waiting and the asking.

use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_config::plan::{EndpointAddress, Health};
use evenkeel_net::Target;
use evenkeel_policy::health;
use evenkeel_policy::rng::Rng;
use evenkeel_proxy::SharedEndpoint;
use evenkeel_telemetry::{ControlSeries, ProbeResult};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::journal::{ChangeKind, Journal};
use crate::probe::{self, Finding};
use crate::registry::Verdict;
use crate::resolve::resolve;

/// How often a name is asked for again while its endpoint works.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);
/// And while it does not resolve, where no probe sets the pace.
const RESOLVE_AGAIN: Duration = Duration::from_secs(1);
/// How often it is said that there is no verdict.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// How long a name server may take while an older answer is at hand.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(1);
/// The least time between two probes.
const LEAST_PAUSE: Duration = Duration::from_millis(20);

/// What is watched, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subject {
    pub(crate) upstream: String,
    pub(crate) address: EndpointAddress,
    pub(crate) health: Option<Health>,
}

impl Subject {
    /// Whether there is anything to find out about it.
    pub(crate) fn needs_watching(&self) -> bool {
        self.health.is_some() || matches!(self.address, EndpointAddress::Name { .. })
    }
}

/// Watches until aborted.
pub(crate) async fn watch(
    subject: Subject,
    endpoint: Arc<SharedEndpoint>,
    verdict: watch::Sender<Verdict>,
    telemetry: Arc<ControlSeries>,
    journal: Arc<Journal>,
    resumes: Option<bool>,
) {
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), &*endpoint.label);
    let mut rng = Rng::new(seed);
    let thresholds = subject.health.as_ref().map(|health| health.thresholds.clone()).unwrap_or_default();
    let mut health = match resumes {
        Some(up) => health::Health::resumed(&thresholds, up),
        None => health::Health::new(&thresholds),
    };
    let mut resolved: Option<Instant> = None;
    let mut shortage_said = None;
    loop {
        let began = Instant::now();
        let finding = look(&subject, &endpoint, &mut resolved).await;
        let ended = Instant::now();
        let (next, suspected) = match &subject.health {
            Some(settings) => {
                telemetry.probe(&subject.upstream, &endpoint.label, finding.result, ended - began);
                if finding.result == ProbeResult::LocalShortage {
                    // It says something about us, nothing about the endpoint.
                    if shortage_said.is_none_or(|said: Instant| said.elapsed() > SAY_EVERY) {
                        shortage_said = Some(ended);
                        let (upstream, endpoint) = (&subject.upstream, &endpoint.label);
                        warn!(upstream, %endpoint, reason = finding.words, "no verdict");
                    }
                } else {
                    health.observe(finding.is_good());
                }
                say(&subject, &endpoint, &verdict, &journal, health.is_up(), finding);
                let suspected = health.suspected_probe(ended, settings.interval);
                // Unprobed endpoints are due at once; not if that was just tried in vain.
                let next = health.next_probe(ended, settings.interval, &mut rng);
                (next.max(ended + LEAST_PAUSE), suspected)
            }
            None => {
                let is_good = finding.is_good();
                say(&subject, &endpoint, &verdict, &journal, is_good, finding);
                let next = ended + if is_good { RESOLVE_EVERY } else { RESOLVE_AGAIN };
                (next, ended + RESOLVE_AGAIN)
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {}
            () = endpoint.suspected() => tokio::time::sleep_until(suspected.min(next).into()).await,
        }
    }
}

/// Resolves and probes once.
async fn look(subject: &Subject, endpoint: &SharedEndpoint, resolved: &mut Option<Instant>) -> Finding {
    if let EndpointAddress::Name { host, .. } = &subject.address
        && resolved.is_none_or(|at| at.elapsed() >= RESOLVE_EVERY)
    {
        let current = endpoint.target();
        let resolving = resolve(&subject.address, current.as_ref());
        let resolving = async {
            if current.is_none() {
                return resolving.await;
            }
            let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
            tokio::time::timeout(RESOLVE_PATIENCE, resolving).await.map_err(late)?
        };
        match resolving.await {
            Ok(target) => {
                if current.as_ref() != Some(&target) {
                    info!(upstream = subject.upstream, endpoint = %endpoint.label, address = %target, "resolved");
                    endpoint.set_target(Some(target));
                }
                *resolved = Some(Instant::now());
            }
            // What was resolved before is used on: a name server that is away takes no endpoint away.
            Err(_) if current.is_some() => *resolved = Some(Instant::now()),
            Err(error) => {
                let words = format!("the name {host} does not resolve: {}", probe::reason(&error));
                return Finding::new(ProbeResult::Unresolved, words);
            }
        }
    }
    let (Some(health), Some(target)) = (&subject.health, endpoint.target()) else {
        return Finding::new(ProbeResult::Success, "resolved");
    };
    let host = match target {
        Target::Tcp(_) => &*endpoint.label,
        Target::Unix(_) => "localhost",
    };
    let finding = probe::probe(&target, host, health).await;
    if !finding.is_good() {
        // Perhaps it has moved.
        *resolved = None;
    }
    finding
}

/// Publishes a verdict; logs and remembers it when it changed.
fn say(
    subject: &Subject,
    endpoint: &SharedEndpoint,
    verdict: &watch::Sender<Verdict>,
    journal: &Journal,
    is_up: bool,
    finding: Finding,
) {
    let changed = endpoint.status.set_up(is_up);
    let is_first = !verdict.borrow().is_known;
    let was = verdict.borrow().since;
    let since = if changed || is_first { Some(Instant::now()) } else { was };
    if changed || (is_first && !is_up) {
        let (upstream, endpoint, reason) = (&subject.upstream, &endpoint.label, &finding.words);
        if is_up {
            info!(upstream, %endpoint, reason, "endpoint is up");
        } else {
            warn!(upstream, %endpoint, reason, "endpoint is down");
        }
        let kind = if is_up { ChangeKind::Up } else { ChangeKind::Down };
        // Coming up at the start is what was meant to happen.
        if !(is_first && is_up) {
            journal.endpoint(kind, upstream, endpoint, reason);
        }
    }
    verdict.send_replace(Verdict { is_known: true, words: finding.words, since });
}
