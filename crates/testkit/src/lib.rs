//! Evenkeel's test kit: byte-level clients, scripted origins, and the built binaries as child processes.
//!
//! Everything here fails a test by panicking, with what was received in the message. Nothing sleeps for
//! a fixed time: every wait ends with an event, or with [`DEADLINE`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test kit fails a test by panicking"
)]

mod backend;
mod binaries;
mod cache;
mod client;
mod load;
mod message;
mod metrics;
mod origin;
mod ports;
mod process;
mod prometheus;
mod proxy;
mod temp_dir;
mod wait;
mod wire;

pub use backend::ToyBackend;
pub use binaries::binary;
pub use cache::CacheServer;
pub use client::{Failure, RawClient};
pub use load::{Load, LoadReport, RunningLoad};
pub use message::{Fields, Head, Response, describe};
pub use metrics::{Metrics, Sample};
pub use origin::{BoxedScript, Conversation, Origin, RedisMood, Request, reply, reply_with};
pub use ports::{Blackhole, ReservedPort};
pub use process::{Exit, Process};
pub use prometheus::Prometheus;
pub use proxy::{Proxy, ProxyBuilder, app_config, run_evenkeel};
pub use temp_dir::TempDir;
pub use wait::{DEADLINE, Gate, eventually};
pub use wire::End;
