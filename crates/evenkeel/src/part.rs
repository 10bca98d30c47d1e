//! `evenkeel part`: what an experiment is made of. Each part is a process of its own, and all of them are this binary, so
//! that an experiment needs nothing else.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::command::File;
use crate::{output, run};

/// Which one.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// `evenkeel run`
    Proxy(File),
    /// The binary toy-backend
    ToyBackend(evenkeel_backend::Program),
    /// The binary evenkeel-kv
    Kv(evenkeel_kv::Program),
}

/// Runs it, until it is told to stop or its parent is gone.
pub(crate) fn part(arguments: Arguments) -> ExitCode {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return output::fail(&format!("cannot ask for a signal when the parent ends: {error}"));
    }
    match arguments.part {
        Part::Proxy(file) => run::run_file(&file),
        Part::ToyBackend(program) => program.run(),
        Part::Kv(program) => program.run(),
    }
}
