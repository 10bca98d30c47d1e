//! [`Executor`]: the only place where commands meet data.
//!
//! A command holds the shards of its keys while it runs and while its effect is told to replicas, so that all see the
//! same order. Whatever can wait comes after: dropping what was large, serving those who wait for a key.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::command::{Action, Context, Effect, Flags, Function, Keys, Settings, Spec, Wait};
use crate::error::Error;
use crate::replication::Appender;
use crate::resp::{Args, Reply};
use crate::server::blocking::{State, Waiter, answer_nothing};
use crate::server::clients::Client;
use crate::server::config::Config;
use crate::server::lookup::Table;
use crate::server::room;
use crate::server::shared::{Shared, wall_clock};
use crate::server::slowlog::{self, SlowCommand};
use crate::server::stats::Counters;
use crate::store::{Keyspace, Millis, Store, Value};

/// Runs commands for one thread.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) shared: Arc<Shared>,
    /// The configuration in force when the batch began.
    pub(crate) config: Arc<Config>,
    pub(crate) table: &'static Table,
    pub(crate) counters: Arc<Counters>,
    pub(crate) rng: fastrand::Rng,
    /// When the commands of this batch happen.
    pub(crate) now: Millis,
    version: u64,
    clock: Clock,
    /// Bytes of data more than the shared account knows of.
    pub(crate) unreported: isize,
}

/// Times commands. Those that are always quick share the duration of their batch, which saves looking at the clock
/// before and after each.
#[derive(Debug)]
struct Clock {
    batch: Instant,
    /// The time now, if nothing has happened since it was looked at.
    now: Option<Instant>,
    /// Nanoseconds of the batch that belong to commands timed on their own.
    apart: u64,
    /// Numbers of the others.
    quick: Vec<u16>,
}

/// A command on data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) spec: &'static Spec,
    pub(crate) function: Function,
    pub(crate) db: u8,
    /// What it looks at counts as used.
    pub(crate) touches: bool,
}

/// More of a batch than this is not remembered for its share of the duration: it is reported at once.
const MOST_QUICK: usize = 1024;

impl Executor {
    /// For one more thread.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: shared.clone(),
            config: shared.configs.current(),
            table: Table::of_all(),
            counters: shared.stats.counters(),
            rng: fastrand::Rng::new(),
            now: wall_clock(),
            version: shared.configs.version(),
            clock: Clock { batch: Instant::now(), now: None, apart: 0, quick: Vec::with_capacity(64) },
            unreported: 0,
        }
    }

    /// Some commands are going to run, all at this time.
    pub(crate) fn begin(&mut self) {
        self.now = wall_clock();
        self.refresh();
        self.clock.batch = Instant::now();
        self.clock.now = Some(self.clock.batch);
    }

    /// They have run.
    pub(crate) fn end(&mut self) {
        if let Some(first) = self.clock.quick.first().copied() {
            let count = self.clock.quick.len() as u64;
            let all = self.clock.batch.elapsed().as_nanos() as u64;
            let each = all.saturating_sub(self.clock.apart) / count;
            for number in &self.clock.quick {
                self.counters.took(*number, each);
            }
            // Beyond that a batch of quick commands was slow as a whole: the system took the thread away, or a lock was
            // waited for. Nobody knows whose it was, so it is told of the first.
            if self.is_slow(each)
                && let Some(spec) = self.table.spec(first)
            {
                let words = vec![spec.name.as_bytes().to_vec()];
                self.log_slow(each, words, None);
            }
        }
        self.clock.quick.clear();
        self.clock.apart = 0;
        self.report();
    }

    /// Looks whether the configuration has changed.
    pub(crate) fn refresh(&mut self) {
        let version = self.shared.configs.version();
        if version != self.version {
            self.config = self.shared.configs.current();
            self.version = version;
        }
    }

    /// Runs and times one command, of whatever kind.
    pub(crate) fn timed<R>(
        &mut self,
        number: u16,
        spec: &Spec,
        args: &Args<'_>,
        client: &Client,
        run: impl FnOnce(&mut Self) -> R,
    ) -> R {
        if let Some(command) = self.counters.command(number) {
            command.calls.add(1);
        }
        let threshold = self.config.slowlog_threshold;
        let is_precise = (0..1000).contains(&threshold);
        if spec.flags.has(Flags::FAST) && !is_precise && self.clock.quick.len() < MOST_QUICK {
            self.clock.quick.push(number);
            self.clock.now = None;
            return run(self);
        }
        let began = self.clock.now.take().unwrap_or_else(Instant::now);
        let result = run(self);
        let now = Instant::now();
        self.clock.now = Some(now);
        let nanos = now.duration_since(began).as_nanos() as u64;
        self.clock.apart += nanos;
        self.counters.took(number, nanos);
        if self.is_slow(nanos)
            && let Some(words) = slowlog::shown(spec.name, args)
        {
            self.log_slow(nanos, words, Some(client));
        }
        result
    }

    fn is_slow(&self, nanos: u64) -> bool {
        u64::try_from(self.config.slowlog_threshold).is_ok_and(|micros| nanos / 1000 >= micros)
    }

    fn log_slow(&self, nanos: u64, words: Vec<Vec<u8>>, client: Option<&Client>) {
        let command = SlowCommand {
            id: 0,
            at: self.now / 1000,
            micros: nanos / 1000,
            words,
            address: client.map(|client| client.address.to_string()).unwrap_or_default(),
            name: client.map(|client| client.names().name.clone()).unwrap_or_default(),
        };
        self.shared.slowlog.add(command, self.config.slowlog_length);
    }

    /// Runs a command on data. `waits` is who waits if there is nothing yet; without anybody that is answered at once.
    /// What it returns then is what the client waits by.
    ///
    /// # Errors
    /// Those of the command. Nothing was answered and nothing changed.
    pub(crate) fn data(
        &mut self,
        job: Job,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
        waits: Option<&Arc<Client>>,
    ) -> Result<Option<Arc<Waiter>>, Error> {
        let Job { spec, function, db, touches } = job;
        if spec.flags.has(Flags::GROWS) {
            room::make(self, db, spec, args)?;
        }
        let (shared, settings) = (&*self.shared, &self.config.settings);
        let mark = reply.mark();
        let mut keys = hold(&shared.store, spec, db, args, self.now);
        if !touches {
            keys.leave_untouched();
        }
        // Asked again with the keys held: the server may have become a replica meanwhile.
        if spec.flags.has(Flags::WRITE) {
            shared.replication.may_write(&self.config)?;
        }
        let (held, outcome) = Held::new(keys).run(shared, function, args, reply, &mut self.rng, settings);
        let Outcome { result, effect, wait } = outcome;
        if let Err(error) = result {
            reply.withdraw(mark);
            self.unreported += held.settle(shared, |_| ());
            return Err(error);
        }
        let waiter = match (wait, waits) {
            (None, _) => None,
            (Some(wait), None) => {
                answer_nothing(wait.null_array, reply);
                None
            }
            (Some(wait), Some(client)) => Some(shared.blocking.enter(client, spec, args, db, wait)),
        };
        let changes = held.keys.changes();
        self.unreported += held.settle(shared, |stream| tell(stream, db, &effect, args));
        if changes > 0 {
            self.counters.changes.add(changes);
            if spec.flags.has(Flags::FEEDS) && self.shared.blocking.count() > 0 {
                self.serve(self.shared.blocking.fed_by(spec, db, args).into());
            }
        }
        Ok(waiter)
    }

    /// Gives what was put into these keys to those who wait for it, in the order they came.
    pub(crate) fn serve(&mut self, mut fed: VecDeque<(u8, Vec<u8>)>) {
        while let Some((db, key)) = fed.pop_front() {
            let mut behind = None;
            while let Some(waiter) = self.shared.blocking.next(db, &key, behind) {
                behind = Some(waiter.ticket);
                if !self.try_waiter(&waiter, &key, &mut fed) {
                    break;
                }
            }
        }
    }

    /// Runs a waiter's command again. Whether there may be something left for the next.
    fn try_waiter(&mut self, waiter: &Arc<Waiter>, key: &[u8], fed: &mut VecDeque<(u8, Vec<u8>)>) -> bool {
        let Action::Data(function) = waiter.spec.action else { return true };
        let words = waiter.words_for(key);
        let args = words.args();
        let (shared, settings) = (&*self.shared, &self.config.settings);
        // Shards before states, always: `CLIENT UNBLOCK` within a transaction has its shards when it asks for a state.
        let keys = hold(&shared.store, waiter.spec, waiter.db, &args, self.now);
        let mut state = waiter.state();
        if !matches!(*state, State::Waiting) {
            return true;
        }
        // Who waits on a server that became a replica is told so by whoever made it one.
        if !keys.contains(key) || shared.replication.may_write(&self.config).is_err() {
            return false;
        }
        let mut answer = Vec::new();
        let mut reply = Reply::new(&mut answer, waiter.protocol);
        let (held, outcome) =
            Held::new(keys).run(shared, function, &args, &mut reply, &mut self.rng, settings);
        let Outcome { result, effect, wait } = outcome;
        let answered = match result {
            Ok(()) => wait.is_none(),
            // The key is of a type that this one does not wait for. But where a list is and cannot be taken from, it
            // is the destination that is of another type.
            Err(error) if error == Error::WRONG_TYPE => {
                let is_fed =
                    waiter.spec.keys == Keys::TWO && matches!(held.keys.peek(key), Some(Value::List(_)));
                if is_fed {
                    reply.withdraw(0);
                    reply.error(&error);
                }
                is_fed
            }
            Err(error) => {
                reply.withdraw(0);
                reply.error(&error);
                true
            }
        };
        let changes = held.keys.changes();
        let more = held.keys.contains(key);
        self.unreported += held.settle(shared, |stream| tell(stream, waiter.db, &effect, &args));
        if answered {
            *state = State::Answered(answer);
            drop(state);
            self.shared.blocking.leave(waiter);
            waiter.client.mailbox.wake();
            if changes > 0 {
                self.counters.changes.add(changes);
                let other = waiter.spec.keys.positions(&args).map(|at| args.at(at)).filter(|at| *at != key);
                fed.extend(other.map(|other| (waiter.db, other.to_vec())));
            }
        }
        more
    }
}

/// Waits for the shards of a command's keys.
pub(crate) fn hold<'s>(store: &'s Store, spec: &Spec, db: u8, args: &Args<'s>, now: Millis) -> Keyspace<'s> {
    match spec.keys {
        Keys::All => store.hold_all(db, now),
        Keys::Range { first, last, .. } if usize::try_from(last) == Ok(first) => {
            store.hold_key(db, args.at(first), now)
        }
        keys => store.hold_keys(db, keys.positions(args).map(|at| args.at(at)), now),
    }
}

/// What came of a command.
struct Outcome {
    result: Result<(), Error>,
    effect: Effect,
    wait: Option<Wait>,
}

/// Shards that are held, and what they took before.
pub(crate) struct Held<'s> {
    pub(crate) keys: Keyspace<'s>,
    pub(crate) before: usize,
}

impl<'s> Held<'s> {
    /// Before anything is changed.
    pub(crate) fn new(mut keys: Keyspace<'s>) -> Self {
        let before = used(&mut keys);
        Self { keys, before }
    }

    /// Runs a command with them. That replicas are told cannot change meanwhile: it begins only with all shards held.
    fn run<'r>(
        self,
        shared: &Shared,
        function: Function,
        args: &Args<'_>,
        reply: &mut Reply<'_>,
        rng: &'r mut fastrand::Rng,
        settings: &'r Settings,
    ) -> (Held<'r>, Outcome)
    where
        's: 'r,
    {
        let Self { keys, before } = self;
        let is_told = shared.primary.backlog.is_on();
        let mut context = Context { keys, rng, settings, is_told, effect: Effect::Same, wait: None };
        let result = function(&mut context, args, reply);
        let Context { keys, effect, wait, .. } = context;
        (Held { keys, before }, Outcome { result, effect, wait })
    }

    /// Tells replicas what went by itself and, by `tell`, what was changed, and lets the shards go. How many bytes more
    /// they take.
    pub(crate) fn settle(mut self, shared: &Shared, tell: impl FnOnce(&mut Appender<'_>)) -> isize {
        if shared.primary.backlog.is_on() {
            room::tell_removed(shared, self.keys.shards_mut());
            if self.keys.changes() > 0 {
                tell(&mut shared.primary.backlog.hold());
            }
        }
        room::collect_garbage(shared, &mut self.keys);
        used(&mut self.keys) as isize - self.before as isize
    }
}

/// Tells replicas what a command has done.
pub(crate) fn tell(feed: &mut Appender<'_>, db: u8, effect: &Effect, args: &Args<'_>) {
    match effect {
        Effect::Same => feed.append(db, args.iter()),
        Effect::Instead(commands) => {
            for words in commands {
                feed.append(db, words.iter().map(Vec::as_slice));
            }
        }
    }
}

fn used(keys: &mut Keyspace<'_>) -> usize {
    keys.shards_mut().map(|shard| shard.used()).sum()
}
