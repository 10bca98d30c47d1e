//! The binary `evenkeel-kv`.

use std::process::ExitCode;

use clap::Parser;

/// Gives idle memory back to the system, and has the size classes that `maxmemory` counts by.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    evenkeel_kv::Program::parse().run()
}
