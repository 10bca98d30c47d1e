//! A worker: one thread with its runtime and its own connections.
//!
//! All workers accept from one listening socket; one that has clearly more connections than another hands new ones over.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, watch};

use crate::server::clients::Client;
use crate::server::connection;
use crate::server::execute::Executor;
use crate::server::shared::{Phase, Shared, wall_clock};

/// What a read can bring at once.
const INPUT: usize = 64 * 1024;
/// How long accepting rests when the process is out of file descriptors or memory.
const REST: Duration = Duration::from_millis(100);
/// How often the same trouble is told.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What one thread has for all its connections.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) scratch: RefCell<Scratch>,
    index: usize,
    crew: Arc<Crew>,
    /// Somebody has left.
    left: Notify,
}

/// What is used by one connection at a time.
pub(crate) struct Scratch {
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Vec<u8>,
    pub(crate) ranges: Vec<(usize, usize)>,
    pub(crate) executor: Executor,
}

/// All workers: how many connections each has, and where it takes over others.
pub(crate) struct Crew {
    members: Vec<Member>,
}

struct Member {
    connections: AtomicUsize,
    inbox: mpsc::Sender<Handover>,
}

/// A connection on its way to another worker.
pub(crate) struct Handover {
    stream: StdStream,
    address: SocketAddr,
}

impl Crew {
    /// A crew of `count`, and what each takes over.
    pub(crate) fn new(count: usize) -> (Arc<Self>, Vec<mpsc::Receiver<Handover>>) {
        let (members, inboxes) = (0..count)
            .map(|_| {
                let (inbox, handovers) = mpsc::channel(1024);
                (Member { connections: AtomicUsize::new(0), inbox }, handovers)
            })
            .unzip();
        (Arc::new(Self { members }), inboxes)
    }

    fn connections(&self, index: usize) -> Option<&AtomicUsize> {
        self.members.get(index).map(|member| &member.connections)
    }

    /// The member with the fewest connections, if it is not `index`, which would have more with another.
    fn less_busy_than(&self, index: usize) -> Option<&Member> {
        let own = self.connections(index)?.load(Relaxed);
        let least = self.members.iter().min_by_key(|member| member.connections.load(Relaxed))?;
        (least.connections.load(Relaxed) < own).then_some(least)
    }
}

/// Runs a worker until the server stops. Tells by `started` whether it could begin.
pub(crate) fn run(
    index: usize,
    shared: &Arc<Shared>,
    crew: Arc<Crew>,
    listener: StdListener,
    handovers: mpsc::Receiver<Handover>,
    patience: Duration,
    started: &std::sync::mpsc::SyncSender<io::Result<()>>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let worker = Rc::new(Worker {
        shared: shared.clone(),
        scratch: RefCell::new(Scratch {
            input: vec![0; INPUT].into_boxed_slice(),
            output: Vec::with_capacity(INPUT),
            ranges: Vec::with_capacity(64),
            executor: Executor::new(shared),
        }),
        index,
        crew,
        left: Notify::new(),
    });
    runtime.block_on(async {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let _ = started.send(Ok(()));
        serve(worker, listener, handovers, patience).await;
    });
    // Ends the connections that are left.
    drop(runtime);
}

async fn serve(
    worker: Rc<Worker>,
    listener: TcpListener,
    mut handovers: mpsc::Receiver<Handover>,
    patience: Duration,
) {
    let mut phase = worker.shared.phase.subscribe();
    let mut said: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = reaches(&mut phase, Phase::Stopping) => break,
            Some(handover) = handovers.recv() => worker.take_over(handover),
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => worker.admit(stream, address),
                Err(error) => {
                    if said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
                        said = Some(Instant::now());
                        tracing::warn!(%error, "cannot accept a connection");
                    }
                    tokio::time::sleep(REST).await;
                }
            },
        }
    }
    drop(listener);
    handovers.close();
    while let Some(handover) = handovers.recv().await {
        worker.take_over(handover);
    }
    let all_left = async {
        while worker.crew.connections(worker.index).is_some_and(|count| count.load(Relaxed) > 0) {
            worker.left.notified().await;
        }
    };
    tokio::select! {
        () = all_left => {}
        () = tokio::time::sleep(patience) => {}
        () = reaches(&mut phase, Phase::Over) => {}
    }
}

/// Waits until the server is that far from its end. The sender lives as long as the worker.
async fn reaches(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase as u8 >= wanted as u8).await;
}

impl Worker {
    /// Serves a connection here, has another worker serve it, or refuses it.
    fn admit(self: &Rc<Self>, stream: TcpStream, address: SocketAddr) {
        let shared = &self.shared;
        shared.stats.connections.fetch_add(1, Relaxed);
        let most = shared.configs.current().maxclients;
        if !shared.clients.enter(most) {
            if shared.stats.refused.fetch_add(1, Relaxed) == 0 {
                tracing::warn!(most, "connections are being refused: maxclients is reached");
            }
            // A connection that has just been made takes a line, or its client is gone.
            let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
            return;
        }
        let Some(other) = self.crew.less_busy_than(self.index) else {
            self.count();
            return self.start(stream, address);
        };
        let Ok(stream) = stream.into_std() else {
            return shared.clients.leave();
        };
        other.connections.fetch_add(1, Relaxed);
        if let Err(error) = other.inbox.try_send(Handover { stream, address }) {
            other.connections.fetch_sub(1, Relaxed);
            self.count();
            match error {
                mpsc::error::TrySendError::Full(handover) | mpsc::error::TrySendError::Closed(handover) => {
                    self.take_over(handover);
                }
            }
        }
    }

    fn count(&self) {
        if let Some(count) = self.crew.connections(self.index) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Serves a connection that was counted for this worker.
    fn take_over(self: &Rc<Self>, handover: Handover) {
        match TcpStream::from_std(handover.stream) {
            Ok(stream) => self.start(stream, handover.address),
            Err(error) => {
                tracing::warn!(%error, "cannot take over a connection");
                self.release();
            }
        }
    }

    fn start(self: &Rc<Self>, stream: TcpStream, address: SocketAddr) {
        let worker = self.clone();
        let local = stream.local_addr().unwrap_or(address);
        let id = self.shared.clients.next_id();
        let client = Arc::new(Client::new(id, address, local, stream.as_raw_fd(), wall_clock()));
        tokio::task::spawn_local(async move {
            let _place = Place(worker.clone());
            connection::serve(worker, stream, client).await;
        });
    }

    fn release(&self) {
        self.shared.clients.leave();
        if let Some(count) = self.crew.connections(self.index) {
            count.fetch_sub(1, Relaxed);
        }
        self.left.notify_one();
    }
}

/// A connection in the worker's count, for as long as it lives.
struct Place(Rc<Worker>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.release();
    }
}
