//! A toy backend on a thread and runtime of its own, so that killing it is real, and its resurrection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use evenkeel_backend::{Ending, Options, Ready, Server};
use tokio::runtime;
use tokio::sync::{Notify, oneshot, watch};
use tracing::{info, warn};

/// How long until a toy that could not listen again tries it once more.
const AGAIN: Duration = Duration::from_secs(2);

/// A toy backend. It is stopped when dropped.
#[derive(Debug)]
pub struct Toy {
    name: String,
    address: SocketAddr,
    state: watch::Receiver<ToyState>,
    stop: watch::Sender<bool>,
    restart: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

/// What a toy backend is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToyState {
    /// It serves, well or badly.
    Serving,
    /// It was killed: nobody listens.
    Dead {
        /// When it is started again.
        back_at: Instant,
    },
}

/// What the thread of a toy works with.
struct Life {
    options: Options,
    restart_after: Duration,
    state: watch::Sender<ToyState>,
    stop: watch::Receiver<bool>,
    restart: Arc<Notify>,
}

impl Toy {
    /// Starts one. It listens when this returns; [`Ready`] tells when its database is filled. Killed by
    /// `/chaos?mode=dead`, it is back on the same port after `restart_after`.
    ///
    /// # Errors
    /// It cannot listen, or open its database.
    pub async fn start(options: Options, restart_after: Duration) -> io::Result<(Self, Ready)> {
        let name = options.name.clone();
        let (started, starting) = oneshot::channel();
        let state = watch::Sender::new(ToyState::Serving);
        let stop = watch::Sender::new(false);
        let restart = Arc::new(Notify::new());
        let watched = state.subscribe();
        let life =
            Life { options, restart_after, state, stop: stop.subscribe(), restart: Arc::clone(&restart) };
        let thread = thread::Builder::new().name(name.clone()).spawn(move || live(life, started))?;
        let begun = starting.await.map_err(|_| io::Error::other(format!("the thread of {name} died")))?;
        let (address, ready) = begun?;
        Ok((Self { name, address, state: watched, stop, restart, thread: Some(thread) }, ready))
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
    pub fn state(&self) -> ToyState {
        *self.state.borrow()
    }

    /// Has it finish running requests for as long as its options say, and end. Dropping it waits for that.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Starts a dead one now.
    pub fn restart(&self) {
        if self.state() != ToyState::Serving {
            self.restart.notify_one();
        }
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A toy that panicked has been heard of.
            let _ = thread.join();
        }
    }
}

fn live(mut life: Life, started: oneshot::Sender<io::Result<(SocketAddr, Ready)>>) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        match Server::bind(life.options.clone()).await {
            Ok(server) => {
                life.options.listen = server.local_addr();
                if started.send(Ok((server.local_addr(), server.ready()))).is_ok() {
                    life.go_on(server).await;
                }
            }
            // Whoever waits for it is told; nobody waiting is fine too.
            Err(error) => drop(started.send(Err(error))),
        }
    });
}

impl Life {
    /// Serves, dies and is started again until it is stopped.
    async fn go_on(mut self, mut server: Server) {
        loop {
            let mut stop = self.stop.clone();
            let stopped = async move {
                // The sender lives in the toy, which tells before it goes.
                let _ = stop.wait_for(|stop| *stop).await;
            };
            let name = self.options.name.as_str();
            match server.run(stopped).await {
                Ok(Ending::Stopped) => return,
                Ok(Ending::Died) => {
                    warn!("{name} was killed and is back in {} s", self.restart_after.as_secs());
                }
                Err(error) => warn!("{name} broke: {error}"),
            }
            match self.resurrect().await {
                Some(risen) => server = risen,
                None => return,
            }
            info!("{} is back", self.options.name);
            self.state.send_replace(ToyState::Serving);
        }
    }

    /// Listens again when it is time; `None` when it is stopped first.
    async fn resurrect(&mut self) -> Option<Server> {
        let mut pause = self.restart_after;
        loop {
            self.state.send_replace(ToyState::Dead { back_at: Instant::now() + pause });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.restart.notified() => {}
                _ = self.stop.wait_for(|stop| *stop) => return None,
            }
            match Server::bind(self.options.clone()).await {
                Ok(server) => return Some(server),
                Err(error) => {
                    warn!("{} cannot come back: {error}", self.options.name);
                    pause = AGAIN;
                }
            }
        }
    }
}
