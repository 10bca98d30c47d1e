//! Warm restarts: snapshots of all data in a file, and reading them back.

pub mod rdb;

mod file;
mod saver;
mod snapshot;

pub(crate) use file::directory;
pub use file::{Expired, Found, Loaded, load, restore, save};
pub(crate) use saver::facts;
pub use saver::{Refused, Saver, Status, Turn};
pub use snapshot::{Figures, Snapshot};

#[cfg(test)]
mod tests;
