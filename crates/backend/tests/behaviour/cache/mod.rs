//! The cache before the database, as clients see it.

mod aside;
mod choices;
pub(crate) mod fake;
mod faults;
mod redis;
mod writes;
