//! What should happen: every decision of the proxy, as pure functions of their arguments.
//!
//! Nothing here waits, opens, reads a clock or draws chance from outside: time comes in as
//! `now: Instant`, chance as `&mut` [`rng::Rng`]. The same arguments give the same answer, so a
//! simulation can replay any run. `clippy.toml` beside this crate refuses what would break that.
//!
//! A request meets the modules in this order: [`routing`] names its route, [`affinity`] what it is hashed by,
//! [`endpoint`] and [`eligibility`] say who could take it, [`balance`] picks one, [`forwarding`] says which headers
//! travel, [`queue`] who waits while all are full, [`retry`] whether a failed attempt is repeated, [`rejection`] what is
//! answered otherwise. [`health`] judges endpoints by probes, [`outlier`] by what requests meet there.

pub mod affinity;
pub mod balance;
pub mod eligibility;
pub mod endpoint;
pub mod forwarding;
pub mod hash;
pub mod health;
pub mod latency;
pub mod outlier;
pub mod queue;
pub mod rejection;
pub mod retry;
pub mod rng;
pub mod routing;

#[cfg(test)]
mod generated;
