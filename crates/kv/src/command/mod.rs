//! The commands: a table of what exists, and what those on data do.
//!
//! A command on data is a function of its words and the keys it holds. It writes its answer and changes the
//! [`Keyspace`]; whatever else follows (who is woken, what replicas are told) is said in the [`Context`].
//! Commands that need the server around them, such as `SUBSCRIBE` or `INFO`, are in the table as well, with the name by
//! which the server knows them.

mod blocking;
mod decimal;
mod expiry;
pub(crate) mod glob;
mod hashes;
mod keys;
mod lists;
mod scan;
mod sets;
mod settings;
mod several;
mod sorted_sets;
mod strings;
mod table;
#[cfg(test)]
mod testing;

pub use settings::Settings;
pub use table::{Action, Flags, Keys, ServerCommand, Spec, all, find};

use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Keyspace, Millis};

/// What a command on data runs in.
#[derive(Debug)]
pub struct Context<'a> {
    /// The keys it holds.
    pub keys: Keyspace<'a>,
    /// Chance.
    pub rng: &'a mut fastrand::Rng,
    /// What `CONFIG SET` has chosen and commands depend on.
    pub settings: &'a Settings,
    /// Somebody repeats what changes; without that, how to repeat it need not be said.
    pub is_told: bool,
    /// What replicas are told, if the command changed anything.
    pub effect: Effect,
    /// The command has nothing to answer yet, and waits for one of its keys. Only commands with [`Flags::BLOCKING`].
    pub wait: Option<Wait>,
}

/// How a change is to be repeated elsewhere so that the same comes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// By the command as it was given.
    #[default]
    Same,
    /// By these commands instead, since the one given depends on time, chance or who waits. May be none.
    Instead(Vec<Vec<Vec<u8>>>),
}

/// Until when a command waits for its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// `None`: for ever.
    pub until: Option<Millis>,
    /// What it answers when nothing came: a null array, or a null.
    pub null_array: bool,
}

/// A command on data. What it wrote before an error is withdrawn by its caller; it must not have changed anything then.
pub type Function = fn(&mut Context<'_>, &Args<'_>, &mut Reply<'_>) -> Result<(), Error>;

impl Context<'_> {
    /// The time the command happens at.
    pub fn now(&self) -> Millis {
        self.keys.now()
    }

    /// Tells replicas another command instead of the one given; several calls, several commands.
    pub fn instead(&mut self, words: &[&[u8]]) {
        if !self.is_told {
            return;
        }
        let words = words.iter().map(|word| word.to_vec()).collect();
        match &mut self.effect {
            Effect::Same => self.effect = Effect::Instead(vec![words]),
            Effect::Instead(commands) => commands.push(words),
        }
    }
}
