//! The lab: real parts, started, loaded and broken in one process, so that what Evenkeel promises can be watched.
//!
//! [`demo`] is the command `evenkeel demo`. It is made of a [`Cluster`] (proxy and [`Toy`] backends), a [`Load`]
//! that judges it from outside, a [`Meter`] that reads what the proxy counts, and a view of both.

mod cluster;
mod demo;
mod events;
mod figures;
mod guide;
mod lines;
mod load;
mod meter;
mod ports;
mod scratch;
mod screen;
mod toy;
mod view;

pub use cluster::{Cluster, ClusterOptions};
pub use demo::{DemoOptions, configuration, demo};
pub use guide::{Guide, Try};
pub use load::{Load, LoadOptions, LoadReading};
pub use meter::{EndpointReading, Light, Meter, Reading, Traffic};
pub use ports::Ports;
pub use toy::{Toy, ToyState};
