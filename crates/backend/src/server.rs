//! The server: listens, serves each connection with hyper, stops gracefully or at once.

use std::io;
use std::net::{self, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::app::{App, Phase, Service};
use crate::cache::{Cache, CacheMeter, CacheStates};
use crate::capacity::Capacity;
use crate::chaos::Chaos;
use crate::database::{Pool, Refusal, Settings, State};
use crate::options::Options;
use crate::random::Random;
use crate::traffic::Traffic;

/// A toy backend that listens; [`Server::run`] serves.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    address: SocketAddr,
    /// One per thread, all of the same socket.
    listeners: Vec<net::TcpListener>,
    shutdown_timeout: Duration,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to stop, and running requests were finished or their time was over.
    Stopped,
    /// `/chaos?mode=dead`: listener and connections were cut where they stood.
    Died,
}

/// Tells when the database is filled; see [`Server::ready`].
#[derive(Clone, Debug)]
pub struct Ready(watch::Receiver<State>);

impl Server {
    /// Listens and opens the database, within a Tokio runtime that has I/O enabled; filling it goes on in the background. Errors name the address or file and
    /// the flag that chose it.
    pub async fn bind(options: Options) -> io::Result<Server> {
        options.check()?;
        let signature = HeaderValue::from_str(&options.name)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener =
            listen(options.listen, options.backlog).map_err(|error| refused(options.listen, &error))?;
        let address = listener.local_addr()?;
        let mut listeners = vec![listener];
        while let Some(listener) = listeners.first().filter(|_| listeners.len() < options.threads) {
            listeners.push(listener.try_clone()?);
        }
        let database = Arc::new(Pool::open(&Settings {
            file: options.database,
            rows: options.rows,
            name_index: options.name_index,
            connections: options.database_pool,
            queue: options.database_queue,
            latency: options.database_latency,
            timeout: options.database_timeout,
            seed: options.seed,
        })?);
        let cache = options.cache.map(|cache| Arc::new(Cache::new(cache, Arc::clone(&database))));
        let chaos = Chaos::new(database.trouble());
        let app = Arc::new(App {
            name: options.name,
            database,
            cache,
            capacity: Capacity::new(options.capacity),
            chaos,
            phase: watch::Sender::new(Phase::Running),
            traffic: Arc::new(Traffic::new()),
            latency: options.latency,
            random: Random::new(options.seed),
            threads: options.threads,
            began: SystemTime::now(),
            signature,
        });
        Ok(Server { app, address, listeners, shutdown_timeout: options.shutdown_timeout })
    }

    /// Where it listens, with the port that was given for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What tells when `/healthz` turns from 503 to 200.
    pub fn ready(&self) -> Ready {
        Ready(self.app.database.subscribe())
    }

    /// What tells how it stands with the cache, if it has one.
    pub fn cache(&self) -> Option<CacheStates> {
        self.app.cache.as_deref().map(Cache::states)
    }

    /// What tells how it stands with the replica it looks into, if it has one.
    pub fn cache_read(&self) -> Option<CacheStates> {
        self.app.cache.as_deref().and_then(Cache::read_states)
    }

    /// What reads the cache's counters, if it has one.
    pub fn cache_meter(&self) -> Option<CacheMeter> {
        self.app.cache.as_deref().map(Cache::meter)
    }

    /// Serves until `shutdown` is ready, then finishes running requests for at most
    /// [`Options::shutdown_timeout`]; or until `/chaos?mode=dead`.
    ///
    /// One thread's share is served by the calling runtime (time and I/O enabled), the others by threads of their
    /// own. Dropping the future ends everything at once, as a killed process would: listener and connections.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<Ending> {
        let Server { app, listeners, shutdown_timeout, .. } = self;
        let _cut = CutOnDrop(Arc::clone(&app));
        // Ends with this future.
        let mut background = JoinSet::new();
        if let Some(cache) = &app.cache {
            background.spawn(cache.keep());
        }
        let mut listeners = listeners.into_iter();
        let own = listeners.next();
        // Each thread holds a sender; once all are gone nothing is received any more.
        let (running, mut ended) = mpsc::channel::<()>(1);
        for (number, listener) in listeners.enumerate() {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (app, running) = (Arc::clone(&app), running.clone());
            thread::Builder::new().name(format!("toy-{}", number + 1)).spawn(move || {
                serve_on(&runtime, listener, app, shutdown_timeout);
                drop((runtime, running));
            })?;
        }
        drop(running);
        let stop = async {
            shutdown.await;
            app.phase.send_if_modified(|phase| {
                let stops = *phase == Phase::Running;
                if stops {
                    *phase = Phase::Stopping;
                }
                stops
            });
            std::future::pending::<()>().await
        };
        let serve = async {
            if let Some(listener) = own {
                serve(TcpListener::from_std(listener)?, &app, shutdown_timeout).await;
            }
            ended.recv().await;
            io::Result::Ok(())
        };
        tokio::select! {
            result = serve => result?,
            () = stop => {}
        }
        let phase = *app.phase.borrow();
        Ok(if phase == Phase::Dead { Ending::Died } else { Ending::Stopped })
    }
}

impl Ready {
    /// Returns once the rows are there, or why they never will be.
    pub async fn wait(mut self) -> io::Result<()> {
        match self.0.wait_for(|state| *state != State::Filling).await.as_deref() {
            Ok(State::Failed(reason)) => Err(io::Error::other(Refusal::Failed(reason.clone()).to_string())),
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("the backend ended before its database was filled")),
        }
    }
}

/// Whatever ends [`Server::run`], also dropping it, ends the other threads.
struct CutOnDrop(Arc<App>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.phase.send_replace(Phase::Dead);
    }
}

fn serve_on(runtime: &Runtime, listener: net::TcpListener, app: Arc<App>, shutdown_timeout: Duration) {
    runtime.block_on(async move {
        // Fails only when the process is out of file descriptors; then the other threads serve.
        if let Ok(listener) = TcpListener::from_std(listener) {
            serve(listener, &app, shutdown_timeout).await;
        }
    });
}

/// One thread's share: accepts and serves until the phase changes, then ends accordingly.
async fn serve(listener: TcpListener, app: &Arc<App>, shutdown_timeout: Duration) {
    let mut connections = JoinSet::new();
    let mut phase = app.phase.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let service = Service { app: Arc::clone(app), peer };
                    connections.spawn(connection(stream, service, app.phase.subscribe()));
                }
                // Out of file descriptors, or a client that left early: neither is cured by trying at once.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            () = until(&mut phase, |phase| phase != Phase::Running) => break,
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout(shutdown_timeout, drained) => {}
        () = until(&mut phase, |phase| phase == Phase::Dead) => {}
    }
}

async fn connection(stream: TcpStream, service: Service, mut phase: watch::Receiver<Phase>) {
    // Fails when the client has gone already, which the first read will tell.
    let _ = stream.set_nodelay(true);
    let app = Arc::clone(&service.app);
    // Not `pipeline_flush`: with it hyper 1.12 takes a whole body into its queue, however long.
    let mut connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = &mut connection => {
            // How a connection ends is the client's business, but for `/chaos?mode=abort`.
            if ended.is_err() && app.chaos.faults().abort {
                let _ = connection.into_parts().io.into_inner().set_zero_linger();
            }
            return;
        }
        () = until(&mut phase, |phase| phase != Phase::Running) => {}
    }
    if *phase.borrow() == Phase::Stopping {
        Pin::new(&mut connection).graceful_shutdown();
        let _ = connection.await;
    }
}

/// Waits for a phase; the sender lives as long as any request does.
async fn until(phase: &mut watch::Receiver<Phase>, wanted: impl Fn(Phase) -> bool) {
    let _ = phase.wait_for(|phase| wanted(*phase)).await;
}

fn listen(address: SocketAddr, backlog: u32) -> io::Result<net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A backend that was killed comes back on its port at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)?.into_std()
}

fn refused(address: SocketAddr, error: &io::Error) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there; choose another port, or port 0 for a free one"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose a higher one",
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        _ => "choose another address",
    };
    io::Error::new(error.kind(), format!("cannot listen on {address} (--listen): {error}; {remedy}"))
}
