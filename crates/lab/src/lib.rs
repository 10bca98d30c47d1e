//! The lab: real parts, started, loaded and broken, so that what Evenkeel promises can be watched and measured.
//!
//! [`demo`] is the command `evenkeel demo`: a whole cluster in this process, to be looked at. The experiments of
//! `evenkeel lab` ([`experiment`]) measure parts that are processes of their own ([`site`]) under an open-loop load
//! ([`load`]), and write down what came out ([`report`]).

pub mod demo;
pub mod experiment;
mod figures;
pub mod load;
mod ports;
pub mod report;
mod scratch;
pub mod site;

pub use ports::Ports;
