//! `cargo xtask`: what development needs beside cargo itself.

mod bench;
mod decisions;
mod instructions;
mod processes;
mod sim;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development commands of Evenkeel
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check what a machine can check: crate table, purity, documents, names
    Tidy,
    /// Measure Evenkeel against nginx and HAProxy; prints Markdown
    Bench(bench::Options),
    /// Compare instruction counts of hot decisions and of a proxied request with the committed figures
    Instructions(instructions::Options),
    /// Run the policies in a seeded world and compare with published figures; prints Markdown
    Sim(sim::Options),
    /// Make one hot decision again and again (what `instructions` counts)
    #[command(hide = true)]
    Decide(decisions::Options),
    /// Send requests for `bench`
    #[command(hide = true)]
    Load(bench::load::Options),
    /// Answer requests for `bench`
    #[command(hide = true)]
    Origin,
}

fn main() -> ExitCode {
    let outcome = match Flags::parse().command {
        Command::Tidy => tidy::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Instructions(options) => instructions::run(&options),
        Command::Sim(options) => sim::run(&options),
        Command::Decide(options) => decisions::run(&options),
        Command::Load(options) => bench::load::run(&options),
        Command::Origin => bench::origin::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
