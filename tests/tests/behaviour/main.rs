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
mod cache;
mod command_line;
mod deadlines;
mod examples;
mod failover;
mod forwarded_fields;
mod forwarding;
mod framing;
mod hashing;
mod health;
mod limits;
mod logs;
mod metrics;
mod monitoring;
mod outliers;
mod own_answers;
mod prometheus;
mod proxy_status;
mod queue;
mod reload;
mod responses;
mod reuse;
mod routes;
mod slow_receivers;
mod smuggling;
mod stop;
mod streaming;
mod tcp;
