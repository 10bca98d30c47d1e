//! [`Repeater`]: carries out what a primary has done already: without asking, answering or telling anybody.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::command::{Action, Context, Effect, Function, ServerCommand, Spec};
use crate::error::Error;
use crate::replication::{Apply, Owned};
use crate::resp::{Args, Protocol, Reply};
use crate::server::commands::connection::database;
use crate::server::execute::{Executor, Held, hold};
use crate::server::shared::Shared;
use crate::store::{Keyspace, Millis, Store};

/// Carries out the stream of a primary.
pub(crate) struct Repeater {
    state: Mutex<State>,
}

struct State {
    executor: Executor,
    /// Commands that could not be repeated, each told once.
    told: BTreeSet<String>,
}

/// What a command of the stream does here.
enum Repeated {
    Data(&'static Spec, Function),
    Publish,
    Swap,
    Nothing,
}

/// Names remembered of commands that could not be repeated.
const MOST_TOLD: usize = 64;

impl Repeater {
    /// For one more link.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let executor = Executor::new(shared);
        Self { state: Mutex::new(State { executor, told: BTreeSet::new() }) }
    }

    fn with<R>(&self, run: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.executor.begin();
        let result = run(&mut state);
        state.executor.end();
        result
    }
}

impl Apply for Repeater {
    fn apply(&self, db: u8, args: &Args<'_>) {
        self.with(|state| {
            let repeated = state.understand(args);
            let shared = state.executor.shared.clone();
            let keys = match &repeated {
                Repeated::Data(spec, _) => hold(&shared.store, spec, db, args, state.executor.now),
                Repeated::Swap => shared.store.hold_all(db, state.executor.now),
                Repeated::Publish | Repeated::Nothing => return state.publish(&repeated, args),
            };
            state.carry_out(Held::new(keys), [(repeated, db, *args)].into_iter());
        });
    }

    fn apply_together(&self, commands: &[Owned]) {
        self.with(|state| {
            let shared = state.executor.shared.clone();
            let repeated: Vec<_> = commands
                .iter()
                .map(|command| (state.understand(&command.args()), command.db, command.args()))
                .collect();
            let keys = shared.store.hold_all(0, state.executor.now);
            state.carry_out(Held::new(keys), repeated.into_iter());
        });
    }

    fn replace(&self, fresh: Store, now: Millis) {
        self.with(|state| {
            let shared = state.executor.shared.clone();
            let mut held = Held::new(shared.store.hold_all(0, now));
            held.keys.adopt(fresh);
            state.executor.unreported += held.settle(&shared, |_| {});
        });
    }
}

impl State {
    fn understand(&mut self, args: &Args<'_>) -> Repeated {
        let spec =
            self.executor.table.find(args.at(0)).map(|(_, spec)| spec).filter(|spec| spec.takes(args.len()));
        match spec.map(|spec| (spec, spec.action)) {
            Some((spec, Action::Data(function))) => Repeated::Data(spec, function),
            Some((_, Action::Server(ServerCommand::Publish))) => Repeated::Publish,
            Some((_, Action::Server(ServerCommand::SwapDb))) => Repeated::Swap,
            _ => {
                self.tell(args, &Error::new("there is no such command here"));
                Repeated::Nothing
            }
        }
    }

    fn carry_out<'a>(&mut self, held: Held<'_>, commands: impl Iterator<Item = (Repeated, u8, Args<'a>)>) {
        let shared = self.executor.shared.clone();
        let config = self.executor.config.clone();
        let Held { mut keys, before } = held;
        // The primary has done this before, perhaps when they had not expired.
        keys.see_expired();
        let mut rng = self.executor.rng.fork();
        let mut answer = Vec::new();
        let settings = &config.settings;
        // Replicas of ours get the primary's words.
        let is_told = false;
        let mut context =
            Context { keys, rng: &mut rng, settings, is_told, effect: Effect::Same, wait: None };
        for (repeated, db, args) in commands {
            context.keys.select(db);
            context.effect = Effect::Same;
            let result = match repeated {
                Repeated::Data(_, function) => {
                    answer.clear();
                    function(&mut context, &args, &mut Reply::new(&mut answer, Protocol::Resp2))
                }
                Repeated::Swap => swap(&mut context.keys, &args),
                Repeated::Publish | Repeated::Nothing => {
                    self.publish(&repeated, &args);
                    Ok(())
                }
            };
            if let Err(error) = result {
                self.tell(&args, &error);
            }
        }
        let held = Held { keys: context.keys, before };
        self.executor.counters.changes.add(held.keys.changes());
        self.executor.unreported += held.settle(&shared, |_| {});
    }

    fn publish(&mut self, repeated: &Repeated, args: &Args<'_>) {
        if let Repeated::Publish = repeated {
            self.executor.shared.publish(args.at(1), args.at(2), self.executor.now);
        }
    }

    /// Something the primary could do and we cannot: the data differ from its data.
    fn tell(&mut self, args: &Args<'_>, error: &Error) {
        let name = args.at(0);
        let name = String::from_utf8_lossy(name.get(..64).unwrap_or(name)).to_ascii_uppercase();
        if self.told.len() < MOST_TOLD && self.told.insert(name.clone()) {
            tracing::error!(command = name, %error, "a command of the primary cannot be repeated; this is told once");
        }
    }
}

fn swap(keys: &mut Keyspace<'_>, args: &Args<'_>) -> Result<(), Error> {
    let one = args.integer(1).ok().and_then(database);
    let other = args.integer(2).ok().and_then(database);
    let (one, other) = one.zip(other).ok_or(Error::new("ERR DB index is out of range"))?;
    keys.swap_databases(one, other);
    Ok(())
}

impl fmt::Debug for Repeater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeater").finish_non_exhaustive()
    }
}
