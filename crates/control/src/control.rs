//! [`Control`]: starting, reloading and stopping, each whole or not at all.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use evenkeel_config::Plan;
use evenkeel_config::plan::{AccessTarget, Listener, LogFormat};
use evenkeel_net::Address;
use evenkeel_proxy::{Deployment, Workers};
use evenkeel_telemetry::{
    AccessLog, Capacity, ControlSeries, EndpointState, Format, Labels, Target, Telemetry,
};
use tracing::{error, info, warn};

use crate::admin;
use crate::errors::{ReloadError, StartError};
use crate::handle::Handle;
use crate::journal::ChangeKind;
use crate::listeners::{ListenError, Opened, announce, missing, open};
use crate::registry::{Prepared, Registry};

/// How long a start waits for the first probes, so that the first requests find endpoints.
const START_PATIENCE: Duration = Duration::from_millis(100);
/// How long a reload waits for the first probes of new endpoints; the old configuration serves meanwhile.
const RELOAD_PATIENCE: Duration = Duration::from_secs(2);

/// Where the configuration comes from, when it is to be read again.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The command line or a program: there is nothing to read again.
    Given,
}

/// A running proxy.
#[derive(Debug)]
pub struct Control {
    shared: Arc<Shared>,
    admin: Option<SocketAddr>,
}

/// What the control side holds, shared with the admin server.
pub(crate) struct Shared {
    pub(crate) source: Source,
    pub(crate) telemetry: Arc<Telemetry>,
    series: Arc<ControlSeries>,
    access: AccessLog,
    workers: Workers,
    /// Client connections that the limit of open files allows.
    affordable: usize,
    state: Mutex<State>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    pub(crate) is_ready: AtomicBool,
    pub(crate) is_draining: AtomicBool,
    pub(crate) started: Instant,
}

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) registry: Registry,
    opened: Opened,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Control {
    /// Starts to serve by a plan. Must be called within a tokio runtime, which is then the control side's.
    ///
    /// # Errors
    /// Nothing is left running in that case.
    pub async fn start(plan: Plan, source: Source) -> Result<Self, StartError> {
        let telemetry = Telemetry::new();
        let access = open_access_log(&plan)?;
        telemetry.watch(&access);
        let series = telemetry.control();
        series.build_info(env!("CARGO_PKG_VERSION"), option_env!("EVENKEEL_REVISION").unwrap_or("unknown"));
        let admin = match &plan.admin {
            Some(admin) => {
                let refused = |error| ListenError {
                    address: admin.address.to_string(),
                    setting: "admin.address".into(),
                    error,
                };
                let listener = std::net::TcpListener::bind(admin.address).map_err(refused);
                Some((listener.map_err(StartError::Listen)?, Arc::from(admin.hosts.as_slice())))
            }
            None => None,
        };
        let opened = open(&plan, &Opened::default()).map_err(StartError::Listen)?;
        let count = plan.server.workers.map_or_else(cores, NonZeroUsize::get);
        let affordable = affordable_connections(&plan);
        let workers = Workers::start(count, affordable, &telemetry, &access).map_err(StartError::System)?;

        let registry = Registry::new();
        let prepared = registry.prepare(&plan, &series);
        let first_round = prepared.all_known();
        prepared.settle(START_PATIENCE).await;
        let mut state = State { deployment: deploy(plan, &opened, &prepared), registry, opened };
        state.registry.commit(&state.deployment.plan, prepared, &series);
        workers.apply(&state.deployment).await;
        series.config_reload(true, SystemTime::now());
        announce(&state.deployment, &[]);
        let shared = Arc::new(Shared {
            source,
            telemetry,
            series,
            access,
            workers,
            affordable,
            state: Mutex::new(state),
            reloading: tokio::sync::Mutex::default(),
            is_ready: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            started: Instant::now(),
        });
        let becoming_ready = shared.clone();
        tokio::spawn(async move {
            first_round.await;
            becoming_ready.is_ready.store(true, Relaxed);
        });
        let mut control = Self { shared, admin: None };
        if let Some((listener, hosts)) = admin {
            let address = listener.local_addr().map_err(StartError::System)?;
            admin::serve(listener, hosts, control.handle()).map_err(StartError::System)?;
            info!("admin listening on {address}");
            control.admin = Some(address);
        }
        Ok(control)
    }

    /// What the admin server, the command line and the demo hold of it.
    pub fn handle(&self) -> Handle {
        Handle(self.shared.clone())
    }

    /// Where the admin server listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Where a listener listens.
    pub fn listener_address(&self, name: &str) -> Option<Address> {
        let state = self.shared.state();
        let index = state.deployment.plan.listeners.iter().position(|listener| listener.name == name)?;
        state.deployment.listeners.get(index).map(|shared| shared.listener.address().clone())
    }

    /// Reads the configuration again and serves by it, or says why not.
    ///
    /// # Errors
    /// The configuration before it stays in force, whole.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        self.shared.reload().await
    }

    /// Opens the access log anew, after it was moved away.
    pub fn reopen_logs(&self) {
        self.shared.access.reopen();
    }

    /// Whether a worker has died, which nothing but a bug can bring about.
    pub fn has_failed(&self) -> bool {
        self.shared.workers.has_failed()
    }

    /// Stops accepting, waits for running requests up to `server.shutdown_timeout`, ends.
    pub async fn stop(self) {
        let shared = self.shared;
        shared.is_draining.store(true, Relaxed);
        let _no_reload = shared.reloading.lock().await;
        let patience = shared.state().deployment.plan.server.shutdown_timeout;
        info!("stopping: running requests have {patience:?} to finish");
        let now = Instant::now();
        shared.workers.drain(now.checked_add(patience).unwrap_or(now));
        for listener in &shared.state().deployment.listeners {
            listener.listener.close();
        }
        let stopping = shared.clone();
        // The workers' threads are waited for on a thread that may wait.
        let joined = tokio::task::spawn_blocking(move || stopping.workers.join()).await;
        if joined.is_err() {
            error!("waiting for the workers failed");
        }
        shared.access.close();
        info!("stopped");
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn reload(&self) -> Result<(), ReloadError> {
        let _one_at_a_time = self.reloading.lock().await;
        let outcome = self.try_reload().await;
        self.series.config_reload(outcome.is_ok(), SystemTime::now());
        let journal = self.state().registry.journal.clone();
        match &outcome {
            Ok(()) => {
                info!("configuration reloaded");
                journal.process(ChangeKind::Reloaded, "the configuration was reloaded");
            }
            Err(error) => {
                error!("reload refused, the configuration before it stays in force: {error}");
                journal.process(ChangeKind::ReloadRefused, &error.to_string());
            }
        }
        outcome
    }

    async fn try_reload(&self) -> Result<(), ReloadError> {
        if self.is_draining.load(Relaxed) {
            return Err(ReloadError::Stopping);
        }
        let Source::File(path) = &self.source else { return Err(ReloadError::NoFile) };
        let checked = evenkeel_config::load(path).map_err(|report| ReloadError::Config(Box::new(report)))?;
        for warning in checked.warnings.to_string().lines().filter(|line| !line.is_empty()) {
            warn!("{warning}");
        }
        let plan = checked.plan;
        let (opened, prepared) = {
            let state = self.state();
            let fixed = fixed_settings(&state.deployment.plan, &plan);
            if !fixed.is_empty() {
                return Err(ReloadError::NeedsRestart(fixed));
            }
            let opened = open(&plan, &state.opened).map_err(ReloadError::Listen)?;
            (opened, state.registry.prepare(&plan, &self.series))
        };
        prepared.settle(RELOAD_PATIENCE).await;
        let deployment = deploy(plan, &opened, &prepared);
        let before = {
            let mut state = self.state();
            state.registry.commit(&deployment.plan, prepared, &self.series);
            state.opened = opened;
            std::mem::replace(&mut state.deployment, deployment.clone())
        };
        self.workers.apply(&deployment).await;
        // Only now does no worker accept from those that are gone.
        for gone in missing(&before.listeners, &deployment.listeners) {
            gone.listener.close();
            info!("no longer listening on {}", gone.listener.address());
        }
        announce(&deployment, &before.listeners);
        self.forget_what_left(&deployment.plan);
        Ok(())
    }

    /// Drops the metric series of what the plan does not name any more.
    fn forget_what_left(&self, plan: &Plan) {
        let has_listener = |name: &str| plan.listeners.iter().any(|listener| listener.name == name);
        let has_upstream =
            |name: &str| name.is_empty() || plan.upstreams.iter().any(|upstream| upstream.name == name);
        let has_route = |name: &str| name.is_empty() || plan.routes.iter().any(|route| route.name == name);
        let registry = &self.state().registry;
        self.telemetry.retain(|labels| match *labels {
            Labels::Listener { listener } => has_listener(listener),
            Labels::Route { listener, route, upstream } => {
                has_listener(listener) && has_route(route) && has_upstream(upstream)
            }
            Labels::Sessions { listener, upstream } => has_listener(listener) && has_upstream(upstream),
            Labels::Upstream { upstream } => has_upstream(upstream),
            Labels::Endpoint { upstream, endpoint } => registry.get(upstream, endpoint).is_some(),
        });
    }

    pub(crate) fn worker_count(&self) -> usize {
        self.workers.count()
    }

    /// Writes the gauges of endpoints and capacity as they are now, and gives the page.
    pub(crate) fn metrics(&self) -> String {
        {
            let state = self.state();
            let Deployment { plan, upstreams, .. } = &*state.deployment;
            for (upstream, shared) in plan.upstreams.iter().zip(upstreams) {
                for (settings, endpoint) in upstream.endpoints.iter().zip(&shared.endpoints) {
                    let now = endpoint.state();
                    let now = EndpointState {
                        up: now.up,
                        ejected: now.ejected,
                        draining: now.draining,
                        weight: now.weight.into(),
                        in_flight_limit: settings.max_in_flight,
                    };
                    self.series.set_endpoint(&upstream.name, &endpoint.label, now);
                }
            }
            let queued =
                plan.upstreams.iter().zip(upstreams).filter(|(upstream, _)| upstream.queue.is_some());
            let depths = queued.map(|(upstream, shared)| (upstream.name.clone(), shared.room.len()));
            self.series.set_queues(depths.collect());
            let limit = |listener: &Listener| listener.limits.connections.min(self.affordable);
            let limits = plan.listeners.iter().map(|listener| (listener.name.clone(), limit(listener)));
            let capacity = Capacity {
                workers: self.workers.count(),
                connections: limits.collect(),
                all_connections: self.affordable,
            };
            self.series.set_capacity(capacity);
        }
        self.telemetry.page()
    }
}

/// Client connections that the limit of open files allows: each may need a descriptor for itself and one for an
/// endpoint, and some are kept back for probes, the admin server and logs. Without this, clients that only wait
/// could take every descriptor from those that work.
fn affordable_connections(plan: &Plan) -> usize {
    const KEPT_BACK: u64 = 64;
    let Some(files) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current else {
        return usize::MAX;
    };
    let affordable = usize::try_from(files.saturating_sub(KEPT_BACK) / 2).unwrap_or(usize::MAX).max(1);
    for listener in plan.listeners.iter().filter(|listener| listener.limits.connections > affordable) {
        info!(
            "the limit of open files, {files}, is enough for {affordable} client connections; listener {} asks for {}: \
             raise it (ulimit -n, LimitNOFILE), or lower listener.{}.limits.connections",
            listener.name, listener.limits.connections, listener.name
        );
    }
    affordable
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn open_access_log(plan: &Plan) -> Result<AccessLog, StartError> {
    let target = match &plan.log.access {
        AccessTarget::Stdout => Target::Stdout,
        AccessTarget::File(path) => Target::File(path.clone()),
        AccessTarget::Off => Target::Off,
    };
    let format = match plan.log.format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    AccessLog::start(target, format).map_err(|error| match &plan.log.access {
        AccessTarget::File(path) => StartError::AccessLog(path.clone(), error),
        _ => StartError::System(error),
    })
}

fn deploy(plan: Plan, opened: &Opened, prepared: &Prepared) -> Arc<Deployment> {
    let listeners = plan
        .listeners
        .iter()
        .filter_map(|listener| opened.get(&(listener.name.clone(), listener.address.clone())).cloned())
        .collect();
    Arc::new(Deployment { plan: Arc::new(plan), listeners, upstreams: prepared.upstreams.clone() })
}

/// Settings that differ and take effect only at a start.
fn fixed_settings(old: &Plan, new: &Plan) -> Vec<&'static str> {
    let mut fixed = Vec::new();
    if old.server.workers != new.server.workers {
        fixed.push("server.workers");
    }
    if old.admin != new.admin {
        fixed.push("admin");
    }
    if old.log != new.log {
        fixed.push("log");
    }
    fixed
}
