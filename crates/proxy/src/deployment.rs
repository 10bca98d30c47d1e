//! [`Deployment`]: a plan together with what is shared by all workers while it is in force.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, PoisonError, RwLock};

use evenkeel_config::Plan;
use evenkeel_net::{Listener, Target};
use evenkeel_policy::endpoint::{Load, Status};
use tokio::sync::Notify;

use crate::room::WaitingRoom;

/// One whole configuration, as every worker receives it.
///
/// Invariant: `listeners`, `upstreams` and `rooms` run parallel to the lists of the plan.
#[derive(Debug)]
pub struct Deployment {
    /// What the operator wants.
    pub plan: Arc<Plan>,
    /// The open listeners.
    pub listeners: Vec<Arc<SharedListener>>,
    /// The endpoints of each upstream.
    pub upstreams: Vec<Vec<Arc<SharedEndpoint>>>,
    /// Where the requests of each upstream wait while its endpoints are full.
    pub rooms: Vec<Arc<WaitingRoom>>,
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
    /// Up, ejected, draining, weight: one word, written by control.
    pub status: Arc<Status>,
    /// Requests in flight over all workers.
    pub load: Arc<Load>,
    target: RwLock<Option<Target>>,
    suspected: AtomicBool,
    suspicion: Notify,
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
            status: Arc::new(status),
            load: Arc::new(Load::new()),
            target: RwLock::new(target),
            suspected: AtomicBool::new(false),
            suspicion: Notify::new(),
        })
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
