//! The cache server of the cluster, which a client may shut down: then it is back after a while, empty.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evenkeel_kv::{Meter, Options, Server};

use crate::demo::life::{Life, Part, PartState};

/// Its name in the log and in the view.
pub(crate) const NAME: &str = "cache";

/// A cache server. It is stopped when dropped.
#[derive(Debug)]
pub struct CacheServer {
    address: SocketAddr,
    life: Life,
    meter: Arc<Mutex<Option<Meter>>>,
}

/// A cache server as it is kept alive.
struct Kept {
    options: Options,
    meter: Arc<Mutex<Option<Meter>>>,
}

impl CacheServer {
    /// Starts one. It listens when this returns. Ended by a client's `SHUTDOWN`, it is back on the same port after
    /// `restart_after`.
    ///
    /// # Errors
    /// It cannot listen.
    pub async fn start(options: Options, restart_after: Duration) -> io::Result<Self> {
        let meter = Arc::new(Mutex::new(None));
        let kept = Kept { options, meter: Arc::clone(&meter) };
        let (life, address) = Life::begin(kept, restart_after, Server::local_addr).await?;
        Ok(Self { address, life, meter })
    }

    /// Where it listens, when it lives.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is doing.
    pub fn state(&self) -> PartState {
        self.life.state()
    }

    /// Keys that it holds, and bytes of memory that they take; nothing while it is dead.
    pub fn holds(&self) -> (u64, u64) {
        let meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*meter, self.state()) {
            (Some(meter), PartState::Serving) => (meter.keys(), meter.bytes()),
            _ => (0, 0),
        }
    }

    /// Has it end. Dropping it waits for that.
    pub fn stop(&self) {
        self.life.stop();
    }

    /// Starts a dead one now.
    pub fn restart(&self) {
        self.life.restart();
    }
}

impl Part for Kept {
    type Server = Server;

    fn name(&self) -> &str {
        NAME
    }

    async fn bind(&mut self) -> io::Result<Server> {
        let server = Server::bind(self.options.clone())?;
        self.options.listen = server.local_addr();
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Some(server.meter());
        Ok(server)
    }

    async fn run(&self, server: Server, stop: impl Future<Output = ()>) -> io::Result<()> {
        let outcome = server.run(stop).await;
        // What it held goes with it.
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = None;
        outcome
    }
}
