//! The cache before the database, used aside: reads look there first, rows that were read are stored there, and
//! writes invalidate.
//!
//! **A cache that is away costs nothing but itself.** A lookup has a deadline; after a few that fail, none is
//! made until one question in the background was answered again. Whatever goes wrong, the database answers.
//!
//! **A miss is one database read,** however many requests of this process wait for it.
//!
//! **A write makes three entries wrong:** the row, the list of its name, and that of the name it had. The write itself
//! reads the old name, in the same transaction.
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
//! follow it, if it is carried out more than a fence after the next connection was ready; what is written through and
//! not answered (no fence stands in its way), whenever that is carried out. And who shares a database read that began before
//! another process's write has what was before it, for the rest of that read.
//!
//! **What a write does is chosen** ([`CachePolicy`], `write.rs`); what is answered when the database fails, in `stale.rs`.
//!
//! **Lookups may go to a replica,** which hears of everything later. What is stored goes to the primary, where the fences
//! are, so a row read behind a fence that has not arrived is not stored; but until it has arrived the old row is found.

mod breaker;
mod entry;
mod fault;
mod flight;
mod keeper;
mod link;
mod meter;
mod options;
mod stale;
mod state;
mod tally;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use self::entry::Entry;
pub(crate) use self::fault::Fault;
use self::flight::{Boarding, Flights, Leader};
use self::link::{Link, Reply};
pub use self::meter::{CacheFigures, CacheMeter};
pub use self::options::{CacheOptions, CachePolicy, CacheUrl, CacheUrlError};
pub use self::state::{CacheState, CacheStates};
use self::tally::{Operation, Stored, Tally};
pub(crate) use self::write::Written;
use crate::count::Page;
use crate::database::items::{self, Found, Key};
use crate::database::{Answered, Pool, Refusal};

/// What there is; or why the database does not say.
pub(crate) type Rows = Result<Answered<Found>, Refusal>;

/// A cache and the database behind it.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Where rows are stored and invalidated.
    link: Arc<Link>,
    /// Where they are looked up: the same, or a replica of it.
    lookups: Arc<Link>,
    database: Arc<Pool>,
    flights: Arc<Flights<Rows>>,
}

/// The answer to a read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) rows: Rows,
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
    /// The database failed; this is what was so that long ago.
    Stale(Duration),
}

impl Cache {
    pub(crate) fn new(options: CacheOptions, database: Arc<Pool>) -> Cache {
        let tally = Arc::new(Tally::default());
        let link = Link::new(options.clone(), options.url.clone(), Arc::clone(&tally));
        let lookups = match options.read.clone() {
            Some(replica) => Link::new(options, replica, tally),
            None => Arc::clone(&link),
        };
        Cache { link, lookups, database, flights: Flights::new() }
    }

    /// Lookups go another way than what is stored.
    fn has_replica(&self) -> bool {
        !Arc::ptr_eq(&self.link, &self.lookups)
    }

    /// Connects and stays connected for as long as it is polled.
    pub(crate) fn keep(&self) -> impl Future<Output = ()> + Send + use<> {
        let link = Arc::clone(&self.link);
        let replica = self.has_replica().then(|| Arc::clone(&self.lookups));
        async move {
            match replica {
                Some(replica) => drop(tokio::join!(keeper::keep(link), keeper::keep(replica))),
                None => keeper::keep(link).await,
            }
        }
    }

    pub(crate) fn states(&self) -> CacheStates {
        CacheStates(self.link.told.subscribe())
    }

    pub(crate) fn read_states(&self) -> Option<CacheStates> {
        self.has_replica().then(|| CacheStates(self.lookups.told.subscribe()))
    }

    pub(crate) fn meter(&self) -> CacheMeter {
        CacheMeter(Arc::clone(&self.link))
    }

    /// The lines of the metrics page.
    pub(crate) fn write_metrics(&self, page: &mut Page) {
        let (breaker, owed) = self.link.figures();
        let mut gauges = vec![
            ("breaker_state", "Whether the cache is asked: 0 closed, 1 open, 2 probing.", breaker),
            ("invalidations_pending", "Invalidations that wait for the cache.", owed),
            ("flights", "Database reads under way for those who miss.", self.flights.count() as u64),
        ];
        if self.has_replica() {
            let help = "Whether the replica is asked: 0 closed, 1 open, 2 probing.";
            gauges.push(("read_breaker_state", help, self.lookups.figures().0));
        }
        self.link.tally.write(page, &gauges);
    }

    /// Finds what there is for a key: in the cache, or else in the database.
    pub(crate) async fn read(self: &Arc<Self>, key: &Key) -> Read {
        let asked = Instant::now();
        let found = self.look_up(key).await;
        let cache = asked.elapsed();
        let seen = match found {
            Ok(Some(found)) => {
                self.link.tally.hits.add_one();
                let rows = Answered { found, waited: Duration::ZERO, worked: Duration::ZERO };
                return Read { rows: Ok(rows), seen: Seen::Hit, cache, shared: false };
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
        let (rows, shared) = self.load(key, seen == Seen::Miss).await;
        let copy = match &rows {
            Err(refusal) if refusal.is_failure() => self.copy(key).await,
            _ => None,
        };
        match copy {
            Some((found, age)) => {
                self.link.tally.stale.add_one();
                let rows = Answered { found, waited: Duration::ZERO, worked: Duration::ZERO };
                Read { rows: Ok(rows), seen: Seen::Stale(age), cache, shared: false }
            }
            None => Read { rows, seen, cache, shared },
        }
    }

    /// What the cache has: rows or that there are none, nothing, or no answer.
    async fn look_up(&self, key: &Key) -> Result<Option<Found>, Fault> {
        let reply = self.ask(key, &entry::get(key)).await?;
        let entry = match &reply.value {
            Value::Nil => return Ok(None),
            Value::BulkString(value) => entry::read(key, value),
            _ => Entry::Bad,
        };
        match entry {
            Entry::Rows(found) => Ok(Some(found)),
            Entry::Fence => Ok(None),
            Entry::Foreign => {
                // Either the connection's answers are out of step, then it is of no use any more; or the row stands
                // at the wrong key, then it has to go before the key is read again.
                self.link.owe(key, Fault::Garbage);
                self.lookups.lost(reply.generation, Fault::Garbage);
                Err(Fault::Garbage)
            }
            Entry::Bad => {
                self.link.tally.bad_entries.add_one();
                // Not deleted: a fence may have taken its place meanwhile, and has to stand.
                self.link.invalidate(std::slice::from_ref(key)).await;
                Ok(None)
            }
        }
    }

    /// Puts a question where rows are looked up. Of what is owed nothing is asked.
    async fn ask(&self, key: &Key, command: &Cmd) -> Result<Reply, Fault> {
        if let (true, Some(fault)) = (self.has_replica(), self.link.owing(key)) {
            return Err(fault);
        }
        self.lookups.ask(Operation::Lookup, key, command).await
    }

    /// Reads the database, or waits for who does so already. The read goes on while one of them waits. Only a miss
    /// `stores` what it reads: a cache that gave no answer is not given more to do.
    async fn load(self: &Arc<Self>, key: &Key, stores: bool) -> (Rows, bool) {
        let (seat, shared) = match self.flights.board(key) {
            Boarding::First(leader, seat) => {
                tokio::spawn(lead(Arc::clone(self), key.clone(), leader, stores));
                (seat, false)
            }
            Boarding::Joined(seat) => (seat, true),
            Boarding::Full => return (self.read_database(key).await, false),
        };
        match seat.landed().await {
            Some(rows) => {
                if shared {
                    self.link.tally.followers.add_one();
                }
                (rows, shared)
            }
            // Its thread ended, as a server that stops ends threads one after the other.
            None => (self.read_database(key).await, false),
        }
    }

    async fn read_database(&self, key: &Key) -> Rows {
        self.link.tally.reads.add_one();
        let key = key.clone();
        let rows = self.database.read(move |connection| items::find(connection, &key)).await;
        if let Ok(answered) = &rows {
            self.link.tally.read_time.add(answered.waited + answered.worked);
        }
        rows
    }

    async fn store(&self, key: &Key, found: &Found, read_at: Instant, is_fresh: bool) -> Stored {
        let CacheOptions { fence, policy, .. } = self.link.options;
        if !is_fresh || (!fence.is_zero() && read_at.elapsed() >= fence / 2) {
            return Stored::Late;
        }
        let mut ttl = self.ttl(found);
        if policy == CachePolicy::TtlOnly {
            // Nothing but this time ends it, so it begins when the row was read.
            ttl = ttl.saturating_sub(read_at.elapsed());
            if ttl.is_zero() {
                return Stored::Late;
            }
        }
        match self.link.ask(Operation::Store, key, &entry::put(key, &entry::write(key, found), ttl)).await {
            Ok(reply) if reply.value == Value::Nil => Stored::Present,
            Ok(_) => Stored::Done,
            Err(_) => Stored::Failed,
        }
    }

    /// How long that may be found in the cache.
    fn ttl(&self, found: &Found) -> Duration {
        if found.is_nothing() { self.link.options.absent_ttl } else { self.link.options.ttl }
    }
}

/// Reads the database for all who wait for it, and may store what was found once they have it.
async fn lead(cache: Arc<Cache>, key: Key, mut leader: Leader<Rows>, stores: bool) {
    let asked = Instant::now();
    let rows = tokio::select! {
        biased;
        rows = cache.read_database(&key) => rows,
        () = leader.deserted() => return,
    };
    leader.land(rows.clone());
    if let (Ok(answered), true) = (rows, stores) {
        // When the query began; what it waited for a connection does not make a row older.
        let read_at = asked + answered.waited;
        let stored = cache.store(&key, &answered.found, read_at, leader.is_fresh()).await;
        cache.link.tally.stored(stored);
        if stored == Stored::Done {
            cache.store_copy(&key, &answered.found, read_at).await;
        }
    }
}

#[cfg(test)]
mod tests;
