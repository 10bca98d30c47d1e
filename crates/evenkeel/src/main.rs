//! The binary: command line and signals.

mod admin;
mod check;
mod client;
mod command;
mod demo;
mod explain;
mod limits;
mod notify;
mod operate;
mod output;
mod proxy;
mod run;
mod status;
mod table;
mod top;
mod view;

use std::process::ExitCode;

use clap::Parser;

/// jemalloc gives idle pages back on its own: what a burst of connections used is free again seconds later.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    command::Command::parse().run()
}
