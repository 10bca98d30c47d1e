//! What an operator is told about the cache, once for each change.

use std::fmt;

use tokio::sync::watch;

/// How a backend stands with its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// The first connection is being made.
    Connecting,
    /// It is used.
    Used,
    /// It is read, but for rows it has to be told of, and refuses to store, for the reason in the word (`oom`,
    /// `readonly`, …).
    NotStoring(&'static str),
    /// It is not used, for the reason in the word (`refused`, `timeout`, …): the database answers.
    Away(&'static str),
}

/// The changes of a [`CacheState`]; see [`Server::cache`](crate::Server::cache).
#[derive(Clone, Debug)]
pub struct CacheStates(pub(super) watch::Receiver<CacheState>);

impl CacheStates {
    /// How it stands now.
    pub fn now(&self) -> CacheState {
        *self.0.borrow()
    }

    /// Waits for the next change; `None` once the server is gone. Changes that follow each other too quickly to be
    /// looked at are one.
    pub async fn changed(&mut self) -> Option<CacheState> {
        self.0.changed().await.ok()?;
        Some(*self.0.borrow_and_update())
    }
}

impl fmt::Display for CacheState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CacheState::Connecting => f.write_str("is being connected to"),
            CacheState::Used => f.write_str("is used"),
            CacheState::NotStoring(reason) => write!(f, "stores nothing ({reason}), what is in it is used"),
            CacheState::Away(reason) => write!(f, "is away ({reason}), the database answers"),
        }
    }
}
