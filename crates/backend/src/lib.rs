//! `evenkeel-backend`: the toy backend, an HTTP/1.1 service over SQLite that is worth balancing.
//!
//! It has what a balancer has to cope with in real services: a database behind a bounded pool, a cache before it
//! that may be away, a latency distribution, a limit on what it serves at once, a start-up phase in which it is
//! not ready, and faults that are switched on and off at run time (`/chaos`). The binary `toy-backend` is a thin
//! shell ([`Program`]) around [`Server`]; demos, experiments and tests run the same server inside their own process:
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use evenkeel_backend::{Options, Server};
//!
//! let options = Options { listen: ([127, 0, 0, 1], 0).into(), name: "a".into(), ..Options::default() };
//! let server = Server::bind(options).await?;
//! println!("listening on {}", server.local_addr());
//! server.run(std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod app;
mod body;
mod cache;
mod capacity;
mod chaos;
mod count;
mod database;
mod latency;
mod options;
mod program;
mod random;
mod routes;
mod server;
mod traffic;

pub use crate::cache::{
    CacheFigures, CacheMeter, CacheOptions, CacheState, CacheStates, CacheUrl, CacheUrlError,
};
pub use crate::latency::{Latency, LatencyError};
pub use crate::options::Options;
pub use crate::program::Program;
pub use crate::server::{Ending, Ready, Server};
