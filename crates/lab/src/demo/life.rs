//! A part that can be killed: a server on a thread and runtime of its own, so that its death is real, and its
//! resurrection.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::{Notify, oneshot, watch};
use tracing::{info, warn};

/// How long until a part that could not listen again tries it once more.
const AGAIN: Duration = Duration::from_secs(2);

/// What a part is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartState {
    /// It serves, well or badly.
    Serving,
    /// It was killed: nobody listens.
    Dead {
        /// When it is started again.
        back_at: Instant,
    },
}

/// What there is to know of a part to keep it alive.
pub(crate) trait Part: Send + 'static {
    /// What listens.
    type Server;

    /// For the log, and its thread's name.
    fn name(&self) -> &str;

    /// Listens, and from then on always at the same address.
    fn bind(&mut self) -> impl Future<Output = io::Result<Self::Server>>;

    /// Serves until `stop` is ready, which it obeys, or somebody kills it.
    fn run(
        &self,
        server: Self::Server,
        stop: impl Future<Output = ()>,
    ) -> impl Future<Output = io::Result<()>>;
}

/// A part that lives, or will again. Dropped, it is stopped and waited for.
#[derive(Debug)]
pub(crate) struct Life {
    state: watch::Receiver<PartState>,
    stop: watch::Sender<bool>,
    restart: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
struct Lived<P> {
    part: P,
    restart_after: Duration,
    state: watch::Sender<PartState>,
    stop: watch::Receiver<bool>,
    restart: Arc<Notify>,
}

impl Life {
    /// Starts a part. It listens when this returns, with what `look` saw in its server. Killed, it is back after
    /// `restart_after`.
    ///
    /// # Errors
    /// It cannot listen.
    pub(crate) async fn begin<P: Part, T: Send + 'static>(
        part: P,
        restart_after: Duration,
        look: impl FnOnce(&P::Server) -> T + Send + 'static,
    ) -> io::Result<(Self, T)> {
        let name = part.name().to_owned();
        let (started, starting) = oneshot::channel();
        let state = watch::Sender::new(PartState::Serving);
        let stop = watch::Sender::new(false);
        let restart = Arc::new(Notify::new());
        let watched = state.subscribe();
        let lived =
            Lived { part, restart_after, state, stop: stop.subscribe(), restart: Arc::clone(&restart) };
        let thread = thread::Builder::new().name(name.clone()).spawn(move || live(lived, look, started))?;
        let begun = starting.await.map_err(|_| io::Error::other(format!("the thread of {name} died")))?;
        Ok((Self { state: watched, stop, restart, thread: Some(thread) }, begun?))
    }

    /// What it is doing.
    pub(crate) fn state(&self) -> PartState {
        *self.state.borrow()
    }

    /// Has it end. Dropping it waits for that.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Starts a dead one now.
    pub(crate) fn restart(&self) {
        if self.state() != PartState::Serving {
            self.restart.notify_one();
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A part that panicked has been heard of.
            let _ = thread.join();
        }
    }
}

fn live<P: Part, T>(
    mut lived: Lived<P>,
    look: impl FnOnce(&P::Server) -> T,
    started: oneshot::Sender<io::Result<T>>,
) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        match lived.part.bind().await {
            Ok(server) => {
                if started.send(Ok(look(&server))).is_ok() {
                    lived.go_on(server).await;
                }
            }
            // Whoever waits for it is told; nobody waiting is fine too.
            Err(error) => drop(started.send(Err(error))),
        }
    });
}

impl<P: Part> Lived<P> {
    /// Serves, dies and is started again until it is stopped.
    async fn go_on(mut self, mut server: P::Server) {
        loop {
            let mut stop = self.stop.clone();
            let stopped = async move {
                // The sender lives in `Life`, which tells before it goes.
                let _ = stop.wait_for(|stop| *stop).await;
            };
            let outcome = self.part.run(server, stopped).await;
            if *self.stop.borrow() {
                return;
            }
            let name = self.part.name();
            match outcome {
                Ok(()) => warn!("{name} was killed and is back in {} s", self.restart_after.as_secs()),
                Err(error) => warn!("{name} broke: {error}"),
            }
            match self.resurrect().await {
                Some(risen) => server = risen,
                None => return,
            }
            info!("{} is back", self.part.name());
            self.state.send_replace(PartState::Serving);
        }
    }

    /// Listens again when it is time; `None` when it is stopped first.
    async fn resurrect(&mut self) -> Option<P::Server> {
        let mut pause = self.restart_after;
        loop {
            self.state.send_replace(PartState::Dead { back_at: Instant::now() + pause });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.restart.notified() => {}
                _ = self.stop.wait_for(|stop| *stop) => return None,
            }
            match self.part.bind().await {
                Ok(server) => return Some(server),
                Err(error) => {
                    warn!("{} cannot come back: {error}", self.part.name());
                    pause = AGAIN;
                }
            }
        }
    }
}
