//! The cluster of `docker-compose.yml`: the files themselves, held against our programs; and with `EVENKEEL_CLUSTER=1`,
//! where there is a Docker engine, the cluster built, started, and broken under load.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod compose;
mod engine;
mod files;
mod under_load;
mod yaml;

use std::path::{Path, PathBuf};

/// A file of the workspace.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
