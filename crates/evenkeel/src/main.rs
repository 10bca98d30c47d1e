//! The binary: command line and signals.

mod admin;
mod check;
mod client;
mod command;
mod demo;
mod explain;
mod lab;
mod limits;
mod load;
mod notify;
mod operate;
mod output;
mod part;
mod proxy;
mod ready;
mod run;
mod status;
mod table;
mod time;
mod top;
mod view;

use std::process::ExitCode;

use clap::Parser;

/// jemalloc gives idle pages back on its own: what a burst of connections used is free again seconds later.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match part::Part::asked() {
        Some(part) => part.run(),
        None => command::Command::parse().run(),
    }
}
