//! The database: a bounded pool of SQLite connections, each on a thread of its own, and who waits for them.
//!
//! SQLite blocks, so no connection is ever touched by a thread that serves HTTP. Requests wait in one queue, in
//! order and with a bound; this is the bottleneck that a balancer can find.

pub(crate) mod items;
mod open;
mod queue;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::{oneshot, watch};

use self::queue::{Job, Queue};
use crate::count::{Counter, Time};
use crate::latency::Latency;
use crate::random::Random;

/// What a pool needs to know; see the fields of the same names in [`Options`](crate::Options).
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) file: Option<PathBuf>,
    pub(crate) rows: u32,
    pub(crate) name_index: bool,
    pub(crate) connections: usize,
    pub(crate) queue: usize,
    /// What a query takes beyond its work.
    pub(crate) latency: Latency,
    pub(crate) seed: Option<u64>,
}

/// Connections and the queue before them. Dropping it interrupts what runs and ends the threads.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    state: watch::Receiver<State>,
    interrupts: Vec<InterruptHandle>,
    refused: AtomicU64,
    bound: usize,
}

/// Whether the rows are there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Filling,
    Ready,
    Failed(String),
}

/// What a query found and what it took.
#[derive(Clone, Debug)]
pub(crate) struct Answered<T> {
    pub(crate) found: T,
    /// From asking to having a connection.
    pub(crate) waited: Duration,
    /// With the connection.
    pub(crate) worked: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Filling,
    QueueFull(usize),
    Failed(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Filling => f.write_str("filling: the database's rows are being made"),
            Refusal::QueueFull(bound) => write!(
                f,
                "the database is busy and {bound} requests wait for it already (--database-pool, --database-queue)"
            ),
            Refusal::Failed(reason) => write!(f, "the database failed: {reason}"),
        }
    }
}

/// A snapshot for the metrics page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) busy: usize,
    pub(crate) waiting: usize,
    pub(crate) refused: u64,
    /// How many there are that can be busy, and how many may wait.
    pub(crate) connections: usize,
    pub(crate) bound: usize,
}

/// What queries took together since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) queries: u64,
    /// For a connection.
    pub(crate) waited: Duration,
    /// With one.
    pub(crate) worked: Duration,
}

struct Shared {
    queue: Queue,
    /// Only in memory, where SQLite lets a reader fail while another connection writes: there a writer is alone.
    /// A file is in write-ahead mode, where readers and a writer do not meet.
    memory: Option<RwLock<()>>,
    latency: Latency,
    random: Random,
    queries: Counter,
    waited: Time,
    worked: Time,
}

impl Pool {
    /// Opens the connections and begins to fill the database if it is new, without waiting for that.
    pub(crate) fn open(settings: &Settings) -> io::Result<Pool> {
        let connections = open::connections(settings)?;
        let interrupts = connections.iter().map(Connection::get_interrupt_handle).collect();
        let memory = settings.file.is_none().then(RwLock::default);
        let shared = Arc::new(Shared {
            queue: Queue::new(settings.connections, settings.queue),
            memory,
            latency: settings.latency,
            random: Random::new(settings.seed),
            queries: Counter::default(),
            waited: Time::default(),
            worked: Time::default(),
        });
        let (tell, state) = watch::channel(State::Filling);
        // From here on dropping the pool ends the threads, also when one of them cannot be started.
        let pool = Pool { shared, state, interrupts, refused: AtomicU64::new(0), bound: settings.queue };
        let mut tell = Some(tell);
        for (number, mut connection) in connections.into_iter().enumerate() {
            let (shared, filler) =
                (Arc::clone(&pool.shared), tell.take().map(|tell| (tell, settings.clone())));
            thread::Builder::new().name(format!("database-{number}")).spawn(move || {
                if let Some((tell, settings)) = filler {
                    let state = match open::fill(&mut connection, &settings) {
                        Ok(()) => State::Ready,
                        Err(error) => State::Failed(error.to_string()),
                    };
                    tell.send_replace(state);
                }
                shared.queue.work(&mut connection);
            })?;
        }
        Ok(pool)
    }

    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    pub(crate) fn load(&self) -> Load {
        let (busy, waiting) = self.shared.queue.load();
        Load {
            busy,
            waiting,
            refused: self.refused.load(Ordering::Relaxed),
            connections: self.interrupts.len(),
            bound: self.bound,
        }
    }

    /// What queries took that are over.
    pub(crate) fn spent(&self) -> Spent {
        let Shared { queries, waited, worked, .. } = &*self.shared;
        Spent { queries: queries.value(), waited: waited.value(), worked: worked.value() }
    }

    /// Runs a query that changes nothing.
    pub(crate) async fn read<T, F>(&self, query: F) -> Result<Answered<T>, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.run(query, false).await
    }

    /// Runs a query that changes rows.
    pub(crate) async fn write<T, F>(&self, query: F) -> Result<Answered<T>, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.run(query, true).await
    }

    async fn run<T, F>(&self, query: F, writes: bool) -> Result<Answered<T>, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        match &*self.state.borrow() {
            State::Ready => {}
            State::Filling => return Err(Refusal::Filling),
            State::Failed(reason) => return Err(Refusal::Failed(reason.clone())),
        }
        let (reply, answer) = oneshot::channel();
        let ask = Ask {
            query: Some(query),
            writes,
            asked: Instant::now(),
            result: None,
            reply,
            shared: Arc::clone(&self.shared),
        };
        if self.shared.queue.push(Box::new(ask)).is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal::QueueFull(self.bound));
        }
        match answer.await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(error)) => Err(Refusal::Failed(error.to_string())),
            Err(_) => Err(Refusal::Failed("its thread ended".to_owned())),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue.close();
        for interrupt in &self.interrupts {
            interrupt.interrupt();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("state", &self.state())
            .field("load", &self.load())
            .finish_non_exhaustive()
    }
}

/// One query on its way to a connection and back.
struct Ask<T, F> {
    query: Option<F>,
    writes: bool,
    asked: Instant,
    result: Option<rusqlite::Result<Answered<T>>>,
    reply: oneshot::Sender<rusqlite::Result<Answered<T>>>,
    shared: Arc<Shared>,
}

impl<T, F> Job for Ask<T, F>
where
    T: Send,
    F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn work(&mut self, connection: &mut Connection) {
        let Some(query) = self.query.take() else { return };
        let started = Instant::now();
        // Half on the way there, half on the way back.
        let way = self.shared.latency.sample(&self.shared.random) / 2;
        self.shared.queue.pause(way);
        let found = match &self.shared.memory {
            Some(lock) if self.writes => {
                let _alone = lock.write().unwrap_or_else(PoisonError::into_inner);
                query(connection)
            }
            Some(lock) => {
                let _shared = lock.read().unwrap_or_else(PoisonError::into_inner);
                query(connection)
            }
            None => query(connection),
        };
        self.shared.queue.pause(way);
        let (waited, worked) = (started - self.asked, started.elapsed());
        self.shared.queries.add_one();
        self.shared.waited.add(waited);
        self.shared.worked.add(worked);
        self.result = Some(found.map(|found| Answered { found, waited, worked }));
    }

    fn reply(self: Box<Self>) {
        let Ask { result, reply, .. } = *self;
        if let Some(result) = result {
            // Nobody listens any more when the client has gone; then there is nothing to tell.
            let _ = reply.send(result);
        }
    }
}

#[cfg(test)]
mod tests;
