//! The toy backend as clients see it: real sockets, and the binary as a process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cache;
mod client;
mod connections;
mod faults;
mod items;
mod load;
mod process;
mod routes;
mod running;
