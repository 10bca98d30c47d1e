//! The commands that the server itself carries out.

mod client;
mod config;
pub(crate) mod connection;
mod debug;
mod describe;
mod info;
mod memory;
mod persistence;
mod pubsub;
mod replication;
mod slowlog;

use std::fmt;

use crate::command::{ServerCommand, Spec};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::server::dispatch::Next;
use crate::server::execute::Executor;
use crate::server::session::{Replies, Session};
use crate::server::transactions;
use crate::store::{Keyspace, Shard};

/// One command that is being carried out.
pub(crate) struct Call<'c, 'r, 'h> {
    pub(crate) executor: &'c mut Executor,
    pub(crate) session: &'c mut Session,
    pub(crate) spec: &'static Spec,
    pub(crate) args: Args<'c>,
    pub(crate) reply: &'c mut Reply<'r>,
    /// Between `MULTI` and `EXEC`: the shards held. Others must not be waited for.
    pub(crate) held: Option<&'c mut Keyspace<'h>>,
}

impl fmt::Debug for Call<'_, '_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("args", &self.args).finish_non_exhaustive()
    }
}

/// Carries out one of them.
///
/// # Errors
/// What it answers then; nothing that it wrote counts.
pub(crate) fn run(command: ServerCommand, call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    use ServerCommand as S;
    match command {
        S::Auth => connection::auth(call),
        S::Client => client::client(call),
        S::Command => describe::command(call),
        S::Config => config::config(call),
        S::Debug => debug::debug(call),
        S::Discard => transactions::discard(call),
        S::Echo => connection::echo(call),
        S::Exec => transactions::exec(call),
        S::Hello => connection::hello(call),
        S::Info => info::info(call),
        S::LastSave => persistence::last_save(call),
        S::Memory => memory::memory(call),
        S::Multi => transactions::multi(call),
        S::Ping => connection::ping(call),
        S::Psubscribe => pubsub::subscribe(call, crate::server::pubsub::Topic::Pattern),
        S::Psync => replication::psync(call),
        S::Publish => pubsub::publish(call),
        S::Pubsub => pubsub::pubsub(call),
        S::Punsubscribe => pubsub::unsubscribe(call, crate::server::pubsub::Topic::Pattern),
        S::Quit => connection::quit(call),
        S::Replconf => replication::replconf(call),
        S::Replicaof => replication::replicaof(call),
        S::Reset => connection::reset(call),
        S::Role => replication::role(call),
        S::Save => persistence::save(call),
        S::Select => connection::select(call),
        S::Shutdown => persistence::shutdown(call),
        S::Slowlog => slowlog::slowlog(call),
        S::Subscribe => pubsub::subscribe(call, crate::server::pubsub::Topic::Channel),
        S::SwapDb => memory::swap_databases(call),
        S::Time => connection::time(call),
        S::Unsubscribe => pubsub::unsubscribe(call, crate::server::pubsub::Topic::Channel),
        S::Unwatch => transactions::unwatch(call),
        S::Wait => replication::wait(call),
        S::Watch => transactions::watch(call),
    }
}

/// Whether a command looks at data of any key, so that within a transaction all have to be held.
pub(crate) fn touches_data(command: ServerCommand) -> bool {
    use ServerCommand as S;
    matches!(command, S::Config | S::Debug | S::Info | S::Memory | S::Select | S::SwapDb)
}

impl Call<'_, '_, '_> {
    /// Answers with what was published to the client, where that has its place: not within the array of a transaction,
    /// and not where answers are thrown away.
    pub(crate) fn deliver_messages(&mut self) {
        let is_heard = self.held.is_none() && self.session.replies == Replies::On;
        if is_heard && self.session.subscriptions.is_some() {
            let client = &self.session.client;
            self.reply.append_with(|out| client.mailbox.take(out));
        }
    }

    /// Shows every shard to `visit`, one after the other.
    fn each_shard(&mut self, mut visit: impl FnMut(&mut Shard)) {
        match &mut self.held {
            Some(keys) => keys.shards_mut().for_each(visit),
            None => {
                let store = &self.executor.shared.store;
                for index in 0..store.shard_count() {
                    if let Some(mut shard) = store.shard(index) {
                        visit(&mut shard);
                    }
                }
            }
        }
    }

    /// Looks at one key of the database in use.
    fn with_key<R>(&mut self, key: &[u8], look: impl FnOnce(&mut Keyspace<'_>) -> R) -> R {
        let db = self.session.db;
        match &mut self.held {
            Some(keys) => {
                keys.select(db);
                look(keys)
            }
            None => look(&mut self.executor.shared.store.hold_key(db, key, self.executor.now)),
        }
    }

    /// The number of words has to be one of these for this subcommand.
    fn expect(&self, words: impl std::ops::RangeBounds<usize>) -> Result<(), Error> {
        match words.contains(&self.args.len()) {
            true => Ok(()),
            false => {
                let subcommand = String::from_utf8_lossy(self.args.at(1));
                Err(Error::arity(&format!("{}|{subcommand}", self.spec.name)))
            }
        }
    }

    /// No such subcommand.
    fn unknown_subcommand(&self) -> Error {
        let word = self.args.at(1);
        let word = String::from_utf8_lossy(word.get(..128).unwrap_or(word));
        Error::told(format!("ERR unknown subcommand '{word}'. Try {} HELP.", self.spec.name))
    }

    /// The same where Redis counts the words of a subcommand only when it carries it out.
    fn misused_subcommand(&self) -> Error {
        let word = String::from_utf8_lossy(self.args.at(1)).into_owned();
        let name = self.spec.name;
        Error::told(format!(
            "ERR unknown subcommand or wrong number of arguments for '{word}'. Try {name} HELP."
        ))
    }

    /// Answers lines for people.
    fn help(&mut self, lines: &[&str]) -> Result<Next, Error> {
        self.reply.array(lines.len());
        lines.iter().for_each(|line| self.reply.status(line));
        Ok(Next::Go)
    }
}
