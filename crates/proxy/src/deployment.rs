//! [`Deployment`]: a plan together with what is shared by all workers while it is in force.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use evenkeel_config::Plan;
use evenkeel_config::plan::Upstream;
use evenkeel_net::{Listener, Target};
use evenkeel_policy::endpoint::{Endpoint, Endpoints, Load, State, Status};
use evenkeel_policy::hash;
use evenkeel_policy::outlier::{Detector, Ejection};
use tokio::sync::{Notify, mpsc};

use crate::room::WaitingRoom;
use crate::wait::moment;

/// One whole configuration, as every worker receives it.
///
/// Invariant: `listeners` and `upstreams` run parallel to the lists of the plan.
#[derive(Debug)]
pub struct Deployment {
    /// What the operator wants.
    pub plan: Arc<Plan>,
    /// The open listeners.
    pub listeners: Vec<Arc<SharedListener>>,
    /// The upstreams.
    pub upstreams: Vec<SharedUpstream>,
}

/// What every worker and the control side know of one upstream. Each part outlives reloads that keep it.
#[derive(Debug, Clone)]
pub struct SharedUpstream {
    /// Its endpoints, in the order of the plan.
    pub endpoints: Vec<Arc<SharedEndpoint>>,
    /// Where its requests wait while they are full.
    pub room: Arc<WaitingRoom>,
    /// What finds outliers among them, if there are rules for it.
    pub outliers: Option<Arc<SharedOutliers>>,
}

/// What all workers share to find the outliers of one upstream. It outlives reloads that keep rules for it.
#[derive(Debug)]
pub struct SharedOutliers {
    /// Who decides, and when.
    pub detector: Detector,
    news: mpsc::Sender<Ejected>,
}

/// An endpoint was ejected.
#[derive(Debug)]
pub struct Ejected {
    /// The upstream's name.
    pub upstream: String,
    /// The endpoint.
    pub endpoint: Arc<SharedEndpoint>,
    /// Why, and for how long.
    pub ejection: Ejection,
}

/// A listening socket and how many connections came of it, over all workers.
#[derive(Debug)]
pub struct SharedListener {
    /// The socket.
    pub listener: Listener,
    /// Connections open now.
    pub open: AtomicUsize,
}

/// What every worker and the control side know of one endpoint. It outlives reloads that keep the endpoint.
#[derive(Debug)]
pub struct SharedEndpoint {
    /// Its label in metrics, logs and the API: the address as the configuration has it.
    pub label: Arc<str>,
    /// Who it is, for algorithms that hash: made from the label.
    pub identity: u64,
    /// Up, draining, weight: one word, written by control; ejections, written by workers.
    pub status: Arc<Status>,
    /// Requests in flight over all workers.
    pub load: Arc<Load>,
    target: RwLock<Option<Target>>,
    suspected: AtomicBool,
    suspicion: Notify,
}

impl SharedOutliers {
    /// Of an upstream of which nothing is known yet; `news` hears of ejections.
    pub fn new(news: mpsc::Sender<Ejected>) -> Arc<Self> {
        Arc::new(Self { detector: Detector::default(), news })
    }

    /// Tells of an ejection. Nobody waits for who listens: if it is that far behind, this one goes unsaid.
    pub(crate) fn tell(&self, ejected: Ejected) {
        let _ = self.news.try_send(ejected);
    }
}

/// The endpoints of an upstream as policy sees them.
pub fn endpoints(settings: &Upstream, shared: &[Arc<SharedEndpoint>]) -> Endpoints {
    let endpoint = |(settings, shared): (&evenkeel_config::plan::Endpoint, &Arc<SharedEndpoint>)| Endpoint {
        identity: shared.identity,
        status: shared.status.clone(),
        load: shared.load.clone(),
        max_in_flight: settings.max_in_flight,
        backup: settings.backup,
    };
    Endpoints::new(settings.endpoints.iter().zip(shared).map(endpoint).collect())
}

impl SharedListener {
    /// Shares a socket.
    pub fn new(listener: Listener) -> Arc<Self> {
        Arc::new(Self { listener, open: AtomicUsize::new(0) })
    }
}

impl SharedEndpoint {
    /// A new endpoint; `target` is `None` while its name is not resolved.
    pub fn new(label: &str, status: Status, target: Option<Target>) -> Arc<Self> {
        Arc::new(Self {
            label: label.into(),
            identity: hash::of(label.as_bytes()),
            status: Arc::new(status),
            load: Arc::new(Load::new()),
            target: RwLock::new(target),
            suspected: AtomicBool::new(false),
            suspicion: Notify::new(),
        })
    }

    /// What may be used of it now.
    pub fn state(&self) -> State {
        self.status.state(moment(Instant::now()))
    }

    /// Its latest ejection, if that is not over.
    pub fn ejection(&self) -> Option<Ejection> {
        let lasts = self.status.is_ejected(moment(Instant::now()));
        self.load.monitor.ejection(&self.status).filter(|_| lasts)
    }

    /// Where it is, once known.
    pub fn target(&self) -> Option<Target> {
        self.target.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets where it is.
    pub fn set_target(&self, target: Option<Target>) {
        *self.target.write().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Tells the prober that live traffic met a failure here, so that it looks at once.
    pub fn suspect(&self) {
        use std::sync::atomic::Ordering::Relaxed;
        if !self.suspected.load(Relaxed) && !self.suspected.swap(true, Relaxed) {
            self.suspicion.notify_one();
        }
    }

    /// Waits until somebody suspects the endpoint.
    pub async fn suspected(&self) {
        self.suspicion.notified().await;
        self.suspected.store(false, std::sync::atomic::Ordering::Relaxed);
    }
}
