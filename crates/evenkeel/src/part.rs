//! `evenkeel part`: what an experiment is made of. Each part is a process of its own, and all of them are this binary, so
//! that an experiment needs nothing else.
//!
//! Not among the commands: whoever serves would hold the flags of all parts in memory.

use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::command::File;
use crate::{output, run};

/// The word that asks for one.
const WORD: &str = "part";

/// A part of an experiment; it ends with the process that started it
#[derive(Debug, Parser)]
#[command(name = "evenkeel part")]
pub(crate) enum Part {
    /// `evenkeel run`
    Proxy(File),
    /// The binary toy-backend
    ToyBackend(evenkeel_backend::Program),
    /// The binary evenkeel-kv
    Kv(evenkeel_kv::Program),
}

impl Part {
    /// The part that the command line asks for, if it asks for one. Ends the process if it does so wrongly.
    pub(crate) fn asked() -> Option<Self> {
        let mut words = std::env::args_os().skip(1);
        (words.next()? == WORD).then(|| Self::parse_from(std::iter::once(WORD.into()).chain(words)))
    }

    /// Runs it, until it is told to stop or its parent is gone.
    pub(crate) fn run(self) -> ExitCode {
        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            return output::fail(&format!("cannot ask for a signal when the parent ends: {error}"));
        }
        match self {
            Self::Proxy(file) => run::run_file(&file),
            Self::ToyBackend(program) => program.run(),
            Self::Kv(program) => program.run(),
        }
    }
}
