//! The binary `toy-backend`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    evenkeel_backend::Program::parse().run()
}
