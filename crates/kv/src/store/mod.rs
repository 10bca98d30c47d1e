//! The data: typed values under keys, their expiry and eviction, and an account of the memory they take.
//!
//! Pure: nothing here reads a clock, waits for a device or draws chance of its own. The keys are spread by their hash over
//! [`Shard`]s, each behind a lock of its own, so that several threads can work at once; a command holds the shards of
//! its keys, in order, for as long as it runs, and sees them through a [`Keyspace`].

pub mod memory;

mod dense;
mod eviction;
mod expiry;
mod index;
mod keyspace;
mod shard;
mod slab;
mod table;
mod text;
mod value;

mod hash;
mod list;
mod packed;
mod set;
mod sorted_set;

pub use eviction::Policy;
pub use hash::Hash;
pub use keyspace::{Edited, Expiry, Keyspace, Store};
pub use list::{End, List};
pub use set::{Member, Set};
pub use shard::{Counters, Garbage, Saved, Shard};
pub use sorted_set::{Placed, Ranked, SortedSet};
pub use text::Text;
pub use value::{Kind, Value};

/// Milliseconds since 1970, the unit of all times here.
pub type Millis = u64;

/// Databases that `SELECT` can choose from.
pub const DATABASES: u8 = 16;
