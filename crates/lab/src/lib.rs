//! The lab: real parts, started, loaded and broken in one process, so that what Evenkeel promises can be watched.
//!
//! [`demo`] is the command `evenkeel demo`. It is made of a [`Cluster`] (proxy, [`Toy`] backends and the
//! [`CacheServer`] that they use through the proxy), a [`Load`] that judges it from outside, a [`Meter`] that reads
//! what the proxy and the backends count, and a view of both.

mod cache;
mod cluster;
mod demo;
mod events;
mod figures;
mod guide;
mod life;
mod lines;
mod load;
mod meter;
mod ports;
mod savings;
mod scratch;
mod screen;
mod toy;
mod view;

pub use cache::CacheServer;
pub use cluster::{Cluster, ClusterOptions};
pub use demo::{DemoOptions, configuration, demo};
pub use guide::{Guide, Places, Try};
pub use life::PartState;
pub use load::{Load, LoadOptions, LoadReading};
pub use meter::{EndpointReading, Light, Meter, Reading, Traffic};
pub use ports::Ports;
pub use savings::Savings;
pub use toy::Toy;
