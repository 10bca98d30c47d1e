//! The server around the data: sockets, threads, clients, and the commands about them.
//!
//! A command's way: `worker` accepts, `connection` reads and parses, `dispatch` lets it pass, `execute` (or `commands` and
//! `transactions`) carries it out, `connection` sends the answer.

mod blocking;
mod clients;
mod commands;
mod config;
mod connection;
mod dispatch;
mod execute;
mod lookup;
mod mailbox;
mod meter;
mod metrics;
mod process;
mod pubsub;
mod repeat;
mod replication;
mod room;
mod session;
mod shared;
mod slowlog;
mod snapshots;
mod stats;
mod transactions;
mod upkeep;
mod words;
mod worker;

pub(crate) use config::units;
pub use meter::Meter;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::options::Options;
use crate::server::config::{Config, Fixed};
use crate::server::shared::{Phase, Shared};
use crate::store::Garbage;

/// The version of Redis whose commands and answers these are, for clients that ask.
pub(crate) const COMPATIBLE_VERSION: &str = "7.0.15";

/// Connections that the system may queue; its `somaxconn` may lower it.
const BACKLOG: i32 = 4096;

/// How much longer than they have the threads are waited for.
const LENIENCE: Duration = Duration::from_secs(1);

/// A cache server that listens; [`Server::run`] serves.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    metrics: Option<TcpListener>,
    /// Whom to follow.
    primary: Option<(String, u16)>,
    patience: Duration,
    garbage: std::sync::mpsc::Receiver<Vec<Garbage>>,
}

impl Server {
    /// Listens, and loads the snapshot if there is one.
    ///
    /// # Errors
    /// Options that contradict each other, an address that cannot be listened on, or a file that cannot be read: the text
    /// names it and the flag.
    pub fn bind(options: Options) -> io::Result<Self> {
        options.check()?;
        let listener = listen(options.listen, "--listen")?;
        let address = listener.local_addr()?;
        let metrics = options.metrics.map(|address| listen(address, "--metrics")).transpose()?;
        let primary = options.replicaof.as_deref().map(replication::host_and_port).transpose()?;
        let snapshot = options.snapshot.as_deref().map(snapshots::placed).transpose()?;
        let path = snapshot.as_ref().map(|(directory, name)| directory.join(name));
        let (directory, snapshot) = snapshot.unwrap_or_default();
        let fixed = Fixed {
            port: address.port(),
            bind: address.ip().to_string(),
            directory: directory.to_string_lossy().into_owned(),
            snapshot,
        };
        let config = configured(&options, fixed)?;
        let threads =
            options.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
        let (sender, garbage) = std::sync::mpsc::channel();
        let shared = Arc::new(Shared::new(config, threads, path, sender));
        snapshots::load(&shared)?;
        Ok(Self { shared, listener, address, metrics, primary, patience: options.shutdown_timeout, garbage })
    }

    /// Where it listens, with the port that was given for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where it shows its metrics, with the port that was given for port 0.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// What reads how much it holds.
    pub fn meter(&self) -> Meter {
        Meter::new(&self.shared)
    }

    /// Serves until `shutdown` is ready or a client says `SHUTDOWN`, then finishes what is being answered, for at most
    /// [`Options::shutdown_timeout`], and saves a snapshot if it has a file for it. Clients are served by threads of its
    /// own, metrics by the calling runtime (time and I/O enabled). Dropping the future ends everything at once.
    ///
    /// # Errors
    /// The system has no threads or file descriptors left, or the last snapshot could not be saved: what has changed since
    /// the one before is lost then.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { shared, listener, metrics, primary, patience, garbage, .. } = self;
        let _cut = CutOnDrop(shared.clone());
        upkeep::start(&shared, garbage)?;
        snapshots::start(&shared)?;
        if let Some((host, port)) = &primary {
            replication::follow(&shared, host, *port)?;
        }
        // Ends with this future.
        let mut background = JoinSet::new();
        if let Some(listener) = metrics {
            background.spawn(metrics::serve(tokio::net::TcpListener::from_std(listener)?, shared.clone()));
        }
        let (crew, inboxes) = worker::Crew::new(shared.threads);
        // Each thread holds a sender; once all are gone nothing is received any more.
        let (running, mut ended) = mpsc::channel::<()>(1);
        for (index, handovers) in inboxes.into_iter().enumerate() {
            let (started, starts) = std::sync::mpsc::sync_channel(1);
            let (shared, crew, listener, running) =
                (shared.clone(), crew.clone(), listener.try_clone()?, running.clone());
            thread::Builder::new().name(format!("kv-{index}")).spawn(move || {
                worker::run(index, &shared, crew, listener, handovers, patience, &started);
                drop(running);
            })?;
            starts.recv().map_err(io::Error::other)??;
        }
        drop((running, listener));
        let mut phase = shared.phase.subscribe();
        tokio::select! {
            () = shutdown => shared.enter(Phase::Stopping),
            _ = phase.wait_for(|phase| *phase != Phase::Running) => {}
            _ = ended.recv() => {}
        }
        // A thread that is still busy then keeps nobody from saving the data.
        if tokio::time::timeout(patience + LENIENCE, ended.recv()).await.is_err() {
            tracing::warn!("stopping although a thread is still busy with a command");
        }
        shared.replication.end();
        shared.saver.finish(|| snapshots::changes(&shared)).await
    }
}

/// Whatever ends [`Server::run`], also dropping it, ends the threads.
struct CutOnDrop(Arc<Shared>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.enter(Phase::Over);
        self.0.replication.end();
        self.0.saver.stop();
    }
}

fn configured(options: &Options, fixed: Fixed) -> io::Result<Config> {
    let config = Config {
        maxmemory: options.maxmemory,
        policy: options.maxmemory_policy,
        password: options.password()?.into_bytes(),
        primary_password: options.primary_password()?.into_bytes(),
        maxclients: options.maxclients,
        timeout: options.timeout.as_secs(),
        snapshot_interval: options.snapshot_interval.map_or(0, |interval| interval.as_secs()),
        fixed,
        ..Config::default()
    };
    let pairs: Vec<_> = options.set.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    config.with(&pairs).map_err(|error| {
        let text = error.text().trim_start_matches("ERR ");
        io::Error::new(io::ErrorKind::InvalidInput, format!("--set: {text}"))
    })
}

fn listen(address: SocketAddr, flag: &str) -> io::Result<TcpListener> {
    let bound = || {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        // A server that was killed comes back on its port at once.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    bound().map_err(|error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program listens there; choose another port, or port 0 for a free one"
            }
            io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose a higher one",
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
            _ => "choose another address",
        };
        io::Error::new(error.kind(), format!("cannot listen on {address} ({flag}): {error}; {remedy}"))
    })
}
