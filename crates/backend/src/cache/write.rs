//! Writes: the database first, then the cache is told, as its policy says.
//!
//! **Written through, a row is stored and then read once more from the database.** Of two that write the same row, the
//! first may reach the cache last, and its row would stay for the whole time to live. So who has stored a row looks
//! whether it is the newest still. If so, whoever writes later also stores later. If not, the entry is replaced by a
//! fence. An older row is found at most between its store and that fence: a round trip to the cache and a read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::link::Corrected;
use super::options::CachePolicy;
use super::tally::Through;
use super::{Cache, entry, stale};
use crate::database::items::{self, Change, Found, Item, Key};
use crate::database::{Answered, Refusal};

/// What became of a write.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) outcome: Result<Answered<Change>, Refusal>,
    /// Whether the cache was told at once; `None` if there was nothing to tell, as the write failed, or by policy.
    pub(crate) invalidated: Option<bool>,
    /// Time the cache took.
    pub(crate) cache: Duration,
}

impl Written {
    /// One of which no cache was told.
    pub(crate) fn untold(outcome: Result<Answered<Change>, Refusal>) -> Written {
        Written { outcome, invalidated: None, cache: Duration::ZERO }
    }
}

impl Cache {
    /// Changes a row and then tells the cache what it was found by and is found by now, also if there was no such row
    /// to change: the cache may not know that. Both happen also when the client that asked for it goes away meanwhile,
    /// or when the database takes longer than is waited for it.
    pub(crate) async fn write<F>(self: &Arc<Self>, query: F) -> Written
    where
        F: FnOnce(&mut Connection) -> rusqlite::Result<Change> + Send + 'static,
    {
        let cache = Arc::clone(self);
        let (answer, answered) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let began = stale::now();
            let outcome = cache.database.write(query).await;
            // Nobody listens any more when the time is over or the client has gone.
            let _ = answer.send(());
            let asked = Instant::now();
            let (invalidated, reading) = match &outcome {
                Ok(answered) => cache.tell(&answered.found, began).await,
                Err(_) => (None, Duration::ZERO),
            };
            Written { outcome, invalidated, cache: asked.elapsed().saturating_sub(reading) }
        });
        // That nothing was sent, the task's end says better.
        if let Err(refusal) = self.database.in_time(async { Ok(answered.await) }).await {
            return Written::untold(Err(refusal));
        }
        let cut_off =
            |error| Written::untold(Err(Refusal::Failed(format!("the write was cut off: {error}"))));
        task.await.unwrap_or_else(cut_off)
    }

    /// Tells the cache what a write that `began` then (Unix time in milliseconds) has changed. `None` if it is not to be
    /// told. And how much of the time the database had.
    async fn tell(&self, change: &Change, began: u64) -> (Option<bool>, Duration) {
        let keys = change.keys();
        keys.iter().for_each(|key| self.flights.forget(key));
        match (self.link.options.policy, &change.row) {
            (CachePolicy::TtlOnly, _) => (None, Duration::ZERO),
            (CachePolicy::WriteThrough, Some(row)) => {
                let (done, reading) = self.write_through(row, &keys, began).await;
                (Some(done), reading)
            }
            (_, row) => {
                let mut commands = self.link.invalidation(&keys, self.link.options.fence);
                if let Some(row) = row {
                    self.add_copy(&mut commands, row, began);
                }
                let done = self.link.correct(&keys, &commands).await != Corrected::Owed;
                (Some(done), Duration::ZERO)
            }
        }
    }

    /// Stores the row and invalidates the lists it is in, and then looks whether it was overtaken. Returns whether the
    /// cache was told, and how long that look took.
    async fn write_through(&self, row: &Item, keys: &[Key], began: u64) -> (bool, Duration) {
        let key = Key::Item(row.id);
        let found = Found::Item(Some(row.clone()));
        let lists = keys.iter().filter(|other| **other != key);
        let mut commands = self.link.invalidation(lists, self.link.options.fence);
        commands.add_command(entry::replace(&key, &entry::write(&key, &found), self.ttl(&found)));
        self.add_copy(&mut commands, row, began);
        let tally = &self.link.tally;
        match self.link.correct(keys, &commands).await {
            Corrected::AsAsked => {}
            Corrected::Deleted => {
                tally.written_through(Through::Refused);
                return (true, Duration::ZERO);
            }
            Corrected::Owed => {
                tally.written_through(Through::Failed);
                return (false, Duration::ZERO);
            }
        }
        let id = row.id;
        let asked = Instant::now();
        let now = self.database.read(move |connection| items::find(connection, &Key::Item(id))).await;
        let reading = asked.elapsed();
        if now.is_ok_and(|answered| answered.found == found) {
            tally.written_through(Through::Done);
            return (true, reading);
        }
        tally.written_through(Through::Overtaken);
        (self.link.invalidate(keys).await, reading)
    }
}
