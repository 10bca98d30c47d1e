//! The behaviour ring: the built binary on real sockets, against raw clients and origins that stall, reset,
//! lie and die. One file per theme.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod aborts;
mod balancing;
mod command_line;
mod failover;
mod forwarding;
mod framing;
mod health;
mod limits;
mod logs;
mod metrics;
mod own_answers;
mod reload;
mod responses;
mod reuse;
mod routes;
mod smuggling;
mod stop;
mod streaming;
