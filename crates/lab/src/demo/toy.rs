//! A toy backend that can be killed, and what its cache did in all its lives.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evenkeel_backend::{CacheFigures, CacheMeter, CacheState, Options, Ready, Server};

use crate::demo::life::{Life, Part, PartState};

/// A toy backend. It is stopped when dropped.
#[derive(Debug)]
pub struct Toy {
    name: String,
    address: SocketAddr,
    life: Life,
    books: Arc<Books>,
}

/// What a toy's cache did.
#[derive(Debug, Default)]
struct Books(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// In the lives before this one.
    past: CacheFigures,
    present: Option<CacheMeter>,
}

/// A toy backend as it is kept alive.
struct Kept {
    options: Options,
    books: Arc<Books>,
}

impl Toy {
    /// Starts one. It listens when this returns; [`Ready`] tells when its database is filled. Killed by
    /// `/chaos?mode=dead`, it is back on the same port after `restart_after`.
    ///
    /// # Errors
    /// It cannot listen, or open its database.
    pub async fn start(options: Options, restart_after: Duration) -> io::Result<(Self, Ready)> {
        let name = options.name.clone();
        let books = Arc::new(Books::default());
        let kept = Kept { options, books: Arc::clone(&books) };
        let look = |server: &Server| (server.local_addr(), server.ready());
        let (life, (address, ready)) = Life::begin(kept, restart_after, look).await?;
        Ok((Self { name, address, life, books }, ready))
    }

    /// What it answers with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens, when it lives.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is doing.
    pub fn state(&self) -> PartState {
        self.life.state()
    }

    /// How it stands with its cache; `None` without one, and while it is dead.
    pub fn cache(&self) -> Option<CacheState> {
        let lives = self.state() == PartState::Serving;
        self.books.entries().present.as_ref().filter(|_| lives).map(CacheMeter::state)
    }

    /// What its cache did since it was started for the first time.
    pub fn cache_figures(&self) -> CacheFigures {
        self.books.entries().sum()
    }

    /// Has it finish running requests for as long as its options say, and end. Dropping it waits for that.
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
        &self.options.name
    }

    async fn bind(&mut self) -> io::Result<Server> {
        let server = Server::bind(self.options.clone()).await?;
        self.options.listen = server.local_addr();
        let mut entries = self.books.entries();
        entries.past = entries.sum();
        entries.present = server.cache_meter();
        drop(entries);
        Ok(server)
    }

    async fn run(&self, server: Server, stop: impl Future<Output = ()>) -> io::Result<()> {
        server.run(stop).await.map(drop)
    }
}

impl Books {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn sum(&self) -> CacheFigures {
        self.past + self.present.as_ref().map(CacheMeter::figures).unwrap_or_default()
    }
}
