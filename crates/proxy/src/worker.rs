//! A worker: one thread, one runtime, its own connections, pools and counters.
//!
//! Invariant: nothing on the request path is shared with another worker but what `state.rs` names:
//! endpoint status and load, listener counts. A deployment arrives as one message.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use evenkeel_net::{Detached, Peer};
use evenkeel_policy::rng::Rng;
use evenkeel_telemetry::{AccessLog, AccessWriter, Telemetry, Writer};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::error;

use crate::deployment::{Deployment, SharedListener};
use crate::listener;
use crate::state::{Scratch, Snapshot, Worker};
use crate::timers::Timers;

/// How often access lines are handed on and idle connections are looked through.
const TICK: Duration = Duration::from_millis(100);
/// How long the answers to those who were waited for in vain may take.
const FAREWELL: Duration = Duration::from_millis(250);
/// Ticks between two sweeps of the idle connections.
const SWEEP: u32 = 10;

/// All workers of the process.
pub struct Workers {
    orders: Vec<mpsc::UnboundedSender<Order>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What control tells a worker.
enum Order {
    Apply(Arc<Deployment>, oneshot::Sender<()>),
    /// Finish what runs, by then at the latest.
    Drain(Instant),
}

/// How busy each worker is, and where it takes over connections.
pub(crate) struct Peers {
    list: Vec<PeerWorker>,
    /// Client connections that the process may have.
    most: usize,
}

struct PeerWorker {
    connections: AtomicUsize,
    inbox: mpsc::Sender<Handover>,
}

/// A connection on its way to another worker.
pub(crate) struct Handover {
    pub(crate) stream: Detached,
    pub(crate) peer: Peer,
    pub(crate) listener: Arc<SharedListener>,
    pub(crate) place: Place,
}

/// One connection in a worker's count, for as long as it lives.
pub(crate) struct Place {
    peers: Arc<Peers>,
    index: usize,
}

impl Peers {
    fn count(&self, index: usize) -> Option<&AtomicUsize> {
        self.list.get(index).map(|peer| &peer.connections)
    }

    /// Counts a connection for a worker.
    pub(crate) fn place(self: &Arc<Self>, index: usize) -> Place {
        if let Some(count) = self.count(index) {
            count.fetch_add(1, Relaxed);
        }
        Place { peers: self.clone(), index }
    }

    /// Whether the process has as many client connections as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.list.iter().map(|peer| peer.connections.load(Relaxed)).sum::<usize>() >= self.most
    }

    /// The worker with the fewest connections, if it has clearly fewer than `index`.
    pub(crate) fn less_busy_than(&self, index: usize) -> Option<usize> {
        let own = self.count(index)?.load(Relaxed);
        let (least, count) = self
            .list
            .iter()
            .map(|peer| peer.connections.load(Relaxed))
            .enumerate()
            .min_by_key(|(_, count)| *count)?;
        (count + 1 + own / 32 < own + 1 && least != index).then_some(least)
    }

    /// Hands a connection over; gives it back when that worker is not keeping up.
    pub(crate) fn hand_over(&self, index: usize, handover: Handover) -> Result<(), Handover> {
        let Some(peer) = self.list.get(index) else { return Err(handover) };
        peer.inbox.try_send(handover).map_err(|error| match error {
            mpsc::error::TrySendError::Full(handover) | mpsc::error::TrySendError::Closed(handover) => {
                handover
            }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(count) = self.peers.count(self.index) {
            count.fetch_sub(1, Relaxed);
        }
    }
}

impl Workers {
    /// Starts `count` workers without listeners, for at most `most` client connections in all.
    ///
    /// # Errors
    /// The system has no threads or file descriptors left.
    pub fn start(
        count: usize,
        most: usize,
        telemetry: &Arc<Telemetry>,
        access: &AccessLog,
    ) -> io::Result<Self> {
        let (inboxes, handovers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(1024)).unzip();
        let list =
            inboxes.into_iter().map(|inbox| PeerWorker { connections: AtomicUsize::new(0), inbox }).collect();
        let peers = Arc::new(Peers { list, most });
        let (mut all_orders, mut threads) = (Vec::new(), Vec::new());
        for (index, handovers) in handovers.into_iter().enumerate() {
            let (orders, inbox) = mpsc::unbounded_channel();
            let (started, starts) = std::sync::mpsc::sync_channel(1);
            let (peers, telemetry, access) = (peers.clone(), telemetry.writer(), access.writer());
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || run(index, peers, telemetry, access, inbox, handovers, &started))?;
            starts.recv().map_err(io::Error::other)??;
            all_orders.push(orders);
            threads.push(thread);
        }
        Ok(Self { orders: all_orders, threads: Mutex::new(threads) })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.orders.len()
    }

    /// Gives every worker a deployment; returns when all of them serve by it.
    pub async fn apply(&self, deployment: &Arc<Deployment>) {
        let mut applied = Vec::new();
        for orders in &self.orders {
            let (done, receipt) = oneshot::channel();
            if orders.send(Order::Apply(deployment.clone(), done)).is_ok() {
                applied.push(receipt);
            }
        }
        for receipt in applied {
            let _ = receipt.await;
        }
    }

    /// Stops accepting, closes idle connections, lets running requests finish until `deadline`.
    pub fn drain(&self, deadline: Instant) {
        for orders in &self.orders {
            let _ = orders.send(Order::Drain(deadline));
        }
    }

    /// Waits for drained workers to end.
    pub fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                error!("a worker ended in a panic");
            }
        }
    }

    /// Whether one has ended without having been told to.
    pub fn has_failed(&self) -> bool {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).iter().any(JoinHandle::is_finished)
    }
}

fn run(
    index: usize,
    peers: Arc<Peers>,
    telemetry: Writer,
    access: AccessWriter,
    orders: mpsc::UnboundedReceiver<Order>,
    handovers: mpsc::Receiver<Handover>,
    started: &std::sync::mpsc::SyncSender<io::Result<()>>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let _ = started.send(Ok(()));
    // Chance needs no secrecy here: it spreads load and makes request ids unique.
    let mut seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), index);
    seed ^= u64::from(std::process::id()) << 32;
    let worker = Rc::new(Worker {
        index,
        peers,
        timers: Rc::new(Timers::default()),
        rng: RefCell::new(Rng::new(seed)),
        scratch: RefCell::new(Scratch::default()),
        eligible: RefCell::new(Vec::new()),
        access: RefCell::new(access),
        snapshot: RefCell::new(Rc::new(Snapshot::default())),
        generation: Cell::new(0),
        draining: Cell::new(false),
        is_over: Cell::new(false),
        connections: Cell::new(0),
        idle: Notify::new(),
        early: RefCell::new(Vec::new()),
    });
    runtime.block_on(serve(worker.clone(), telemetry, orders, handovers));
    drop(runtime); // Ends what is left, which records itself.
    worker.access.borrow_mut().flush();
}

/// Listeners being accepted from, and how to stop that.
type Accepting = HashMap<*const SharedListener, (Arc<SharedListener>, Rc<Notify>)>;

/// Obeys orders until drained.
async fn serve(
    worker: Rc<Worker>,
    telemetry: Writer,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut handovers: mpsc::Receiver<Handover>,
) {
    tokio::task::spawn_local(worker.timers.clone().drive());
    tokio::task::spawn_local(tick(worker.clone()));
    let mut accepting = Accepting::new();
    let deadline = loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Apply(deployment, done)) => {
                    if worker.apply(&deployment, &telemetry) {
                        // Idle HTTP connections of a listener that now speaks TCP are closed.
                        worker.timers.wake_all();
                    }
                    listen(&worker, &deployment, &mut accepting);
                    for handover in worker.early.take() {
                        listener::take_over(&worker, handover);
                    }
                    let _ = done.send(());
                }
                Some(Order::Drain(deadline)) => break deadline,
                None => break Instant::now(),
            },
            Some(handover) = handovers.recv() => listener::take_over(&worker, handover),
        }
    };
    worker.draining.set(true);
    for (_, stop) in accepting.into_values() {
        stop.notify_one();
    }
    worker.timers.wake_all();
    handovers.close();
    while let Some(handover) = handovers.recv().await {
        listener::take_over(&worker, handover);
    }
    let all_ended = async {
        while worker.connections.get() > 0 {
            worker.idle.notified().await;
        }
    };
    let mut all_ended = std::pin::pin!(all_ended);
    if tokio::time::timeout_at(deadline.into(), all_ended.as_mut()).await.is_err() {
        worker.is_over.set(true);
        worker.timers.wake_all();
        let _ = tokio::time::timeout(FAREWELL, all_ended).await;
    }
}

/// Starts accepting on new listeners, stops on those that are gone.
fn listen(worker: &Rc<Worker>, deployment: &Deployment, accepting: &mut Accepting) {
    let before = accepting.len();
    accepting.retain(|_, (shared, stop)| {
        let stays = deployment.listeners.iter().any(|listener| Arc::ptr_eq(listener, shared));
        if !stays {
            stop.notify_one();
        }
        stays
    });
    if accepting.len() < before {
        // Idle connections of a listener that is gone are closed; those of the others look and wait on.
        worker.timers.wake_all();
    }
    for shared in &deployment.listeners {
        accepting.entry(Arc::as_ptr(shared)).or_insert_with(|| {
            let stop = Rc::new(Notify::new());
            tokio::task::spawn_local(listener::accept(worker.clone(), shared.clone(), stop.clone()));
            (shared.clone(), stop)
        });
    }
}

/// The worker's housekeeping.
async fn tick(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0u32;
    loop {
        interval.tick().await;
        worker.access.borrow_mut().flush();
        if worker.snapshot.borrow().has_fallen() {
            // Sessions there look, and end.
            worker.timers.wake_all();
        }
        ticks = ticks.wrapping_add(1);
        if ticks.is_multiple_of(SWEEP) {
            let snapshot = worker.snapshot.borrow().clone();
            snapshot.sweep(Instant::now());
        }
    }
}
