//! The cache before the database, used aside: reads look there first, rows that were read are stored there, and
//! writes invalidate.
//!
//! **A cache that is away costs nothing but itself.** A lookup has a deadline; after a few that fail, none is
//! made until one question in the background was answered again. Whatever goes wrong, the database answers.
//!
//! **A miss is one database read,** however many requests of this process wait for it.
//!
//! **An old row does not come back.** A reader may have read a row just before a write, and store it just after
//! the write has deleted it from the cache: then it would stay for the whole time to live. So a write leaves a
//! fence at the key, rows are stored only where nothing stands (`SET … NX`), and only if they were read less than
//! half a fence ago. The idea is that of the leases of Nishtala et al., "Scaling Memcache at Facebook" (NSDI
//! 2013), with commands that every Redis has. A store that is not answered in time may be carried out at any time
//! later, so the key is invalidated behind it: on the same connection, or before the next one is used.
//!
//! **What the cache cannot be told is owed:** the invalidation after a write, behind a store without an answer, of
//! a row at the wrong key. The process that owes it does not read that entry until it has made up for it. Others may
//! read the old row for as long as it lives.
//!
//! **What is left,** with the time to live as its bound: a fence that is evicted; a process that dies while it owes
//! something; more owed than is remembered; and a store on a connection that ended before the invalidation could
//! follow it, if it is carried out more than a fence after the next connection was ready.

mod breaker;
mod entry;
mod fault;
mod flight;
mod keeper;
mod link;
mod meter;
mod options;
mod state;
mod tally;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;
use rusqlite::Connection;

use self::entry::Entry;
pub(crate) use self::fault::Fault;
use self::flight::{Boarding, Flights, Leader};
use self::link::Link;
pub use self::meter::{CacheFigures, CacheMeter};
pub use self::options::{CacheOptions, CacheUrl, CacheUrlError};
pub use self::state::{CacheState, CacheStates};
use self::tally::{Operation, Stored};
use crate::count::Page;
use crate::database::items::{self, Item};
use crate::database::{Answered, Pool, Refusal};

/// A row, or that there is none; or why the database does not say.
pub(crate) type Row = Result<Answered<Option<Item>>, Refusal>;

/// A cache and the database behind it.
#[derive(Debug)]
pub(crate) struct Cache {
    link: Arc<Link>,
    database: Arc<Pool>,
    flights: Arc<Flights<Row>>,
}

/// The answer to a read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) row: Row,
    pub(crate) seen: Seen,
    /// Time the cache took, or was waited for.
    pub(crate) cache: Duration,
    /// The database's answer is that to another request's question.
    pub(crate) shared: bool,
}

/// What the cache said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Hit,
    Miss,
    Bypass(Fault),
}

/// What became of a write.
#[derive(Debug)]
pub(crate) struct Written<T> {
    pub(crate) outcome: Result<Answered<T>, Refusal>,
    /// Whether the cache was told at once; `None` if the write failed and there was nothing to tell.
    pub(crate) invalidated: Option<bool>,
    /// Time the cache took.
    pub(crate) cache: Duration,
}

impl Cache {
    pub(crate) fn new(options: CacheOptions, database: Arc<Pool>) -> Cache {
        Cache { link: Link::new(options), database, flights: Flights::new() }
    }

    /// Connects and stays connected for as long as it is polled.
    pub(crate) fn keep(&self) -> impl Future<Output = ()> + Send + use<> {
        keeper::keep(Arc::clone(&self.link))
    }

    pub(crate) fn states(&self) -> CacheStates {
        CacheStates(self.link.told.subscribe())
    }

    pub(crate) fn meter(&self) -> CacheMeter {
        CacheMeter(Arc::clone(&self.link))
    }

    /// The lines of the metrics page.
    pub(crate) fn write_metrics(&self, page: &mut Page) {
        let (breaker, owed) = self.link.figures();
        let gauges = [
            ("breaker_state", "Whether the cache is asked: 0 closed, 1 open, 2 probing.", breaker),
            ("invalidations_pending", "Invalidations that wait for the cache.", owed),
            ("flights", "Database reads under way for those who miss.", self.flights.count() as u64),
        ];
        self.link.tally.write(page, &gauges);
    }

    /// Finds an item: in the cache, or else in the database.
    pub(crate) async fn read(self: &Arc<Self>, id: i64) -> Read {
        let asked = Instant::now();
        let found = self.look_up(id).await;
        let cache = asked.elapsed();
        let seen = match found {
            Ok(Some(row)) => {
                self.link.tally.hits.add_one();
                let row = Answered { found: row, waited: Duration::ZERO, worked: Duration::ZERO };
                return Read { row: Ok(row), seen: Seen::Hit, cache, shared: false };
            }
            Ok(None) => {
                self.link.tally.misses.add_one();
                Seen::Miss
            }
            Err(fault) => {
                self.link.tally.bypass(fault);
                Seen::Bypass(fault)
            }
        };
        let (row, shared) = self.load(id, seen == Seen::Miss).await;
        Read { row, seen, cache, shared }
    }

    /// Changes rows and then invalidates the item that `written` names, also if there was no such row to change: the
    /// cache may not know that. Both happen also when the client that asked for it goes away meanwhile.
    pub(crate) async fn write<T, F>(
        self: &Arc<Self>,
        query: F,
        written: impl FnOnce(&T) -> i64 + Send + 'static,
    ) -> Written<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let cache = Arc::clone(self);
        let task = tokio::spawn(async move {
            let outcome = cache.database.write(query).await;
            let id = outcome.as_ref().ok().map(|answered| written(&answered.found));
            let asked = Instant::now();
            let invalidated = match id {
                Some(id) => {
                    cache.flights.forget(id);
                    Some(cache.link.invalidate(id).await)
                }
                None => None,
            };
            Written { outcome, invalidated, cache: asked.elapsed() }
        });
        task.await.unwrap_or_else(|error| Written {
            outcome: Err(Refusal::Failed(format!("the write was cut off: {error}"))),
            invalidated: None,
            cache: Duration::ZERO,
        })
    }

    /// What the cache has: a row or that there is none, nothing, or no answer.
    async fn look_up(&self, id: i64) -> Result<Option<Option<Item>>, Fault> {
        let reply = self.link.ask(Operation::Lookup, id, &entry::get(id)).await?;
        let entry = match &reply.value {
            Value::Nil => return Ok(None),
            Value::BulkString(value) => entry::read(id, value),
            _ => Entry::Bad,
        };
        match entry {
            Entry::Row(row) => Ok(Some(row)),
            Entry::Fence => Ok(None),
            Entry::Foreign => {
                self.link.distrust(reply.generation, id);
                Err(Fault::Garbage)
            }
            Entry::Bad => {
                self.link.tally.bad_entries.add_one();
                // Not deleted: a fence may have taken its place meanwhile, and has to stand.
                self.link.invalidate(id).await;
                Ok(None)
            }
        }
    }

    /// Reads the database, or waits for who does so already. The read goes on while one of them waits. Only a miss
    /// `stores` what it reads: a cache that gave no answer is not given more to do.
    async fn load(self: &Arc<Self>, id: i64, stores: bool) -> (Row, bool) {
        let (seat, shared) = match self.flights.board(id) {
            Boarding::First(leader, seat) => {
                tokio::spawn(lead(Arc::clone(self), id, leader, stores));
                (seat, false)
            }
            Boarding::Joined(seat) => (seat, true),
            Boarding::Full => return (self.read_database(id).await, false),
        };
        match seat.landed().await {
            Some(row) => {
                if shared {
                    self.link.tally.followers.add_one();
                }
                (row, shared)
            }
            // Its thread ended, as a server that stops ends threads one after the other.
            None => (self.read_database(id).await, false),
        }
    }

    async fn read_database(&self, id: i64) -> Row {
        self.link.tally.reads.add_one();
        let row = self.database.read(move |connection| items::by_id(connection, id)).await;
        if let Ok(answered) = &row {
            self.link.tally.read_time.add(answered.waited + answered.worked);
        }
        row
    }

    async fn store(&self, id: i64, row: Option<&Item>, read_at: Instant, is_fresh: bool) -> Stored {
        let CacheOptions { ttl, absent_ttl, fence, .. } = self.link.options;
        if !is_fresh || (!fence.is_zero() && read_at.elapsed() >= fence / 2) {
            return Stored::Late;
        }
        let ttl = if row.is_some() { ttl } else { absent_ttl };
        match self.link.ask(Operation::Store, id, &entry::put(id, &entry::write(row), ttl)).await {
            Ok(reply) if reply.value == Value::Nil => Stored::Present,
            Ok(_) => Stored::Done,
            Err(_) => Stored::Failed,
        }
    }
}

/// Reads an item for all who wait for it, and may store it once they have it.
async fn lead(cache: Arc<Cache>, id: i64, mut leader: Leader<Row>, stores: bool) {
    let asked = Instant::now();
    let row = tokio::select! {
        biased;
        row = cache.read_database(id) => row,
        () = leader.deserted() => return,
    };
    leader.land(row.clone());
    if let (Ok(answered), true) = (row, stores) {
        // When the query began; what it waited for a connection does not make a row older.
        let read_at = asked + answered.waited;
        let stored = cache.store(id, answered.found.as_ref(), read_at, leader.is_fresh()).await;
        cache.link.tally.stored(stored);
    }
}

#[cfg(test)]
mod tests;
