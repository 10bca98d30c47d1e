//! `evenkeel-kv`: a cache server that Redis clients accept, as a library; the binary of the same name runs it.
//!
//! Four layers, each of which knows only those before it:
//!
//! - [`resp`]: the protocol's requests and replies, without I/O.
//! - [`store`]: the data: typed values under keys, expiry, eviction, memory. Pure: time and chance are arguments.
//! - [`command`]: the table of commands and what those on data do. Pure as well.
//! - [`Server`]: sockets, threads and clients around them; [`persistence`] and [`replication`], the ways data leave and
//!   enter beside commands.

pub mod command;
pub mod error;
pub mod persistence;
pub mod replication;
pub mod resp;
pub mod store;

mod options;
mod program;
mod server;

pub use options::Options;
pub use program::Program;
pub use server::{Meter, Server};
