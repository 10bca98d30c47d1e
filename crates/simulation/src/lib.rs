//! The policy core in a seeded world: endpoints with service times, open-loop clients, a virtual clock. What is
//! decided is decided by the code that serves; what takes time is a number.
//!
//! The same seed gives the same run, event by event.

mod chance;
pub mod experiment;
pub mod figure;
mod overload;
mod schedule;
mod times;
mod world;
