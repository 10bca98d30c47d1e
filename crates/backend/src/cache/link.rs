//! The connection to the cache as requests see it: a question with a deadline, or at once the reason why not.
//!
//! A request never dials and never waits for someone who does: the keeper makes connections in the background,
//! and while there is none, every question is answered at once by the fault that took the last one. All threads
//! share one connection; its client crate writes the questions of many requests together.
//!
//! An entry that may be wrong and could not be invalidated yet is owed: nobody asks for it before it was.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::breaker::Breaker;
use super::entry;
use super::fault::Fault;
use super::options::{CacheOptions, CacheUrl};
use super::state::CacheState;
use super::tally::{Operation, Tally};
use crate::database::items::Key;
use crate::random::Random;

/// Most invalidations that are remembered while the cache takes none; a name among them has at most 200 bytes.
const MOST_OWED: usize = 10_000;

/// The way to the cache.
pub(super) struct Link {
    pub(super) options: CacheOptions,
    /// Where it leads.
    pub(super) url: CacheUrl,
    /// Of the whole cache, which may have two links.
    pub(super) tally: Arc<Tally>,
    pub(super) told: watch::Sender<CacheState>,
    /// Wakes the keeper when its connection was given up.
    pub(super) given_up: Notify,
    /// Wakes the keeper when something is owed.
    pub(super) owing: Notify,
    state: Mutex<State>,
    random: Random,
}

struct State {
    breaker: Breaker,
    /// There exactly while the breaker is closed.
    connection: Option<MultiplexedConnection>,
    /// Of the connection; what is heard from an older one changes nothing.
    generation: u64,
    /// Why there is no connection.
    fault: Fault,
    /// The entries to invalidate.
    owed: HashMap<Key, Owing>,
    /// Counts what came to be owed.
    owings: u64,
}

/// Why something is owed; the number tells it from what is owed for the same key later.
struct Owing {
    number: u64,
    fault: Fault,
}

/// An invalidation to make up. It is that of one moment: if the key comes to be owed again, it is owed still.
pub(super) struct Owed {
    pub(super) key: Key,
    number: u64,
}

/// How entries were corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Corrected {
    AsAsked,
    /// The cache is full: they were deleted, and nothing was put in their place.
    Deleted,
    /// Not yet.
    Owed,
}

/// An answer, and the connection it came from.
pub(super) struct Reply {
    pub(super) value: Value,
    pub(super) generation: u64,
}

impl Link {
    pub(super) fn new(options: CacheOptions, url: CacheUrl, tally: Arc<Tally>) -> Arc<Link> {
        let state = State {
            breaker: Breaker::new(Instant::now().into_std()),
            connection: None,
            generation: 0,
            fault: Fault::Connecting,
            owed: HashMap::new(),
            owings: 0,
        };
        Arc::new(Link {
            options,
            url,
            tally,
            told: watch::Sender::new(CacheState::Connecting),
            given_up: Notify::new(),
            owing: Notify::new(),
            state: Mutex::new(state),
            random: Random::new(None),
        })
    }

    /// Puts a question about a key; the answer has the kind that fits the operation, or it is a fault. Of what is
    /// owed nothing is read or stored.
    pub(super) async fn ask(&self, operation: Operation, key: &Key, command: &Cmd) -> Result<Reply, Fault> {
        let (mut connection, generation) = self.connection(Some(key))?;
        let asked = Instant::now();
        let answer = timeout(self.options.timeout, connection.send_packed_command(command)).await;
        let judged = judge(operation, answer.unwrap_or_else(|_| Err(timed_out())));
        self.tally.asked(operation, asked.elapsed(), judged.as_ref().err().map(|bad| bad.fault));
        match judged {
            Ok(value) => {
                self.lock().breaker.succeeded();
                if operation == Operation::Store {
                    self.tell(generation, CacheState::Used);
                }
                Ok(Reply { value, generation })
            }
            Err(bad) => {
                if operation == Operation::Store && !bad.is_reply {
                    // It may be carried out yet, after a write whose fence is gone by then.
                    self.owe(key, bad.fault);
                }
                Err(self.suffer(generation, operation, bad))
            }
        }
    }

    /// Invalidates entries, or owes that; see [`Link::correct`].
    pub(super) async fn invalidate(&self, keys: &[Key]) -> bool {
        self.correct(keys, &self.invalidation(keys, self.options.fence)).await != Corrected::Owed
    }

    /// Changes the entries of these keys, so that they are not wrong any more. If that cannot be done now, their
    /// invalidation is owed: this backend does not read them before it has been made up.
    pub(super) async fn correct(&self, keys: &[Key], commands: &Pipeline) -> Corrected {
        let mut done = self.change(commands).await;
        let is_full = done == Err(Fault::Oom);
        if is_full {
            // A full cache takes nothing new, but it deletes, and it takes no old row either.
            done = self.change(&self.invalidation(keys, Duration::ZERO)).await;
        }
        for key in keys {
            match done {
                Ok(()) => self.tally.invalidations.add_one(),
                Err(fault) => self.owe(key, fault),
            }
        }
        match done {
            Ok(()) if is_full => Corrected::Deleted,
            Ok(()) => Corrected::AsAsked,
            Err(_) => Corrected::Owed,
        }
    }

    /// The commands that invalidate entries, with old copies if there are any.
    pub(super) fn invalidation<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a Key>,
        fence: Duration,
    ) -> Pipeline {
        entry::invalidate_all(keys, fence, !self.options.serve_stale.is_zero())
    }

    /// Why this backend must not read a key, if it must not.
    pub(super) fn owing(&self, key: &Key) -> Option<Fault> {
        self.lock().owed.get(key).map(|owing| owing.fault)
    }

    /// Changes entries in one go. What is done of it after a fault is not known.
    async fn change(&self, commands: &Pipeline) -> Result<(), Fault> {
        let operation = Operation::Invalidate;
        let (mut connection, generation) = self.connection(None)?;
        let asked = Instant::now();
        let answer = connection.send_packed_commands(commands, 0, commands.len());
        let judged = match timeout(self.options.timeout, answer).await.unwrap_or_else(|_| Err(timed_out())) {
            Ok(values) => values.into_iter().try_for_each(|value| judge(operation, Ok(value)).map(drop)),
            Err(error) => judge(operation, Err(error)).map(drop),
        };
        self.tally.asked(operation, asked.elapsed(), judged.err().map(|bad| bad.fault));
        match judged {
            Ok(()) => {
                self.lock().breaker.succeeded();
                Ok(())
            }
            Err(bad) => Err(self.suffer(generation, operation, bad)),
        }
    }

    /// Figures for the metrics page: the breaker's state, and what is owed.
    pub(super) fn figures(&self) -> (u64, u64) {
        let state = self.lock();
        (state.breaker.state().number(), state.owed.len() as u64)
    }

    /// The connection to put a question on. Of a key that is owed it is none.
    fn connection(&self, key: Option<&Key>) -> Result<(MultiplexedConnection, u64), Fault> {
        let state = self.lock();
        if let (Some(_), Some(owing)) = (&state.connection, key.and_then(|key| state.owed.get(key))) {
            return Err(owing.fault);
        }
        state.connection.clone().map(|connection| (connection, state.generation)).ok_or(state.fault)
    }

    /// Draws the consequences of a bad answer and returns its fault.
    fn suffer(&self, generation: u64, operation: Operation, bad: Bad) -> Fault {
        let mut state = self.lock();
        if !state.holds(generation) {
            // Given up while this one waited: what took the connection is the reason.
            return if bad.fault == Fault::Closed { state.fault } else { bad.fault };
        }
        let now = Instant::now().into_std();
        let opened = match bad.fault {
            Fault::Closed | Fault::Garbage => state.breaker.broke(now, self.random.unit()),
            _ if bad.is_reply && operation != Operation::Lookup => {
                // It answers: that it does not store is no reason not to read it.
                drop(state);
                self.tell(generation, CacheState::NotStoring(bad.fault.word()));
                return bad.fault;
            }
            _ => state.breaker.failed(now, self.random.unit()),
        };
        if opened {
            self.give_up(&mut state, bad.fault);
        }
        bad.fault
    }

    pub(super) fn owe(&self, key: &Key, fault: Fault) {
        self.tally.owed.add_one();
        let mut state = self.lock();
        if state.owed.len() < MOST_OWED || state.owed.contains_key(key) {
            state.owings += 1;
            let number = state.owings;
            state.owed.insert(key.clone(), Owing { number, fault });
        } else {
            self.tally.lost.add_one();
        }
        drop(state);
        self.owing.notify_one();
    }

    fn give_up(&self, state: &mut State, fault: Fault) {
        state.connection = None;
        state.fault = fault;
        self.say(CacheState::Away(fault.word()));
        self.given_up.notify_one();
    }

    /// Tells the operator, if that connection is the one in use.
    pub(super) fn tell(&self, generation: u64, news: CacheState) {
        if *self.told.borrow() != news && self.lock().holds(generation) {
            self.say(news);
        }
    }

    fn say(&self, news: CacheState) {
        self.told.send_if_modified(|told| std::mem::replace(told, news) != news);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the keeper does to the state.
impl Link {
    /// When to try next; `None` while there is a connection.
    pub(super) fn next_probe(&self) -> Option<Instant> {
        match self.lock().breaker.state() {
            super::breaker::State::Open { probe_at } => Some(Instant::from_std(probe_at)),
            _ => None,
        }
    }

    pub(super) fn begin_probe(&self) -> bool {
        self.lock().breaker.probe(Instant::now().into_std())
    }

    pub(super) fn probe_failed(&self, fault: Fault) {
        let mut state = self.lock();
        state.breaker.probe_failed(Instant::now().into_std(), self.random.unit());
        state.fault = fault;
        self.say(CacheState::Away(fault.word()));
    }

    /// Up to so many of the invalidations that are owed. They stay so until they are settled.
    pub(super) fn owed(&self, most: usize) -> Vec<Owed> {
        let state = self.lock();
        let owed = state.owed.iter().take(most);
        owed.map(|(key, owing)| Owed { key: key.clone(), number: owing.number }).collect()
    }

    /// These were made up.
    pub(super) fn settled(&self, made_up: &[Owed]) {
        let mut state = self.lock();
        for Owed { key, number } in made_up {
            if state.owed.get(key).is_some_and(|owing| owing.number == *number) {
                state.owed.remove(key);
            }
        }
    }

    /// Lets requests use a connection, and says how it is used. Returns its generation.
    pub(super) fn publish(&self, connection: &MultiplexedConnection, news: CacheState) -> u64 {
        let mut state = self.lock();
        state.generation += 1;
        state.connection = Some(connection.clone());
        state.breaker.probe_succeeded(Instant::now().into_std());
        self.say(news);
        state.generation
    }

    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.lock().holds(generation)
    }

    /// That connection is of no use any more.
    pub(super) fn lost(&self, generation: u64, fault: Fault) {
        let mut state = self.lock();
        if state.holds(generation) && state.breaker.broke(Instant::now().into_std(), self.random.unit()) {
            self.give_up(&mut state, fault);
        }
    }
}

impl State {
    fn holds(&self, generation: u64) -> bool {
        self.connection.is_some() && self.generation == generation
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Link")
            .field("options", &self.options)
            .field("breaker", &state.breaker)
            .field("fault", &state.fault)
            .field("owed", &state.owed.len())
            .finish_non_exhaustive()
    }
}

/// An answer that does not help.
#[derive(Clone, Copy, Debug)]
struct Bad {
    fault: Fault,
    /// It is an error reply of a cache that works.
    is_reply: bool,
}

/// The limit of time, in the client crate's words.
fn timed_out() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

fn judge(operation: Operation, answer: RedisResult<Value>) -> Result<Value, Bad> {
    match (operation, answer) {
        (Operation::Lookup, Ok(value @ (Value::Nil | Value::BulkString(_)))) => Ok(value),
        // Something else stands at the key, and it is for the caller to say what that means.
        (Operation::Lookup, Ok(Value::ServerError(error))) if error.code() == "WRONGTYPE" => {
            Ok(Value::ServerError(error))
        }
        (Operation::Store, Ok(value @ (Value::Okay | Value::Nil | Value::Int(_)))) => Ok(value),
        (Operation::Invalidate, Ok(value @ (Value::Okay | Value::Int(_)))) => Ok(value),
        (_, Ok(Value::ServerError(error))) => {
            Err(Bad { fault: Fault::of_reply(error.code()), is_reply: true })
        }
        (_, Ok(_)) => Err(Bad { fault: Fault::Garbage, is_reply: false }),
        (_, Err(error)) => Err(Bad { fault: Fault::of_client(&error), is_reply: false }),
    }
}
