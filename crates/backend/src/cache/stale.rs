//! Old copies: what is answered when the database fails (as `stale-if-error` of RFC 5861).
//!
//! A copy stands beside its entry, at a key of its own, so that the entry's rules stay as they are: it is stored where
//! nothing stands, and a fence keeps old rows out. A copy needs neither. It carries the time at which it was so, and is
//! used only when the database gives no answer, for as long as it is younger than the time to live and
//! `--cache-serve-stale` together. A write replaces that of its row and removes those of the lists it is in; a reader
//! that is late may put an older one back, and so may the first of two writers, which that same age ends.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::{Pipeline, Value};

use super::tally::Operation;
use super::{Cache, entry};
use crate::database::items::{Found, Item, Key};

impl Cache {
    /// An old copy that may be answered, and its age.
    pub(super) async fn copy(&self, key: &Key) -> Option<(Found, Duration)> {
        if !self.has_copies() {
            return None;
        }
        let reply = self.ask(key, &entry::get_copy(key)).await.ok()?;
        let Value::BulkString(value) = &reply.value else { return None };
        let copy = entry::read_copy(key, value)?;
        // A clock that is behind that of the one who stored it makes it new; its key has an end of its own.
        let age = Duration::from_millis(now().saturating_sub(copy.at));
        (age <= self.copy_time(&copy.found)).then_some((copy.found, age))
    }

    /// Keeps a copy of what was read from the database then.
    pub(super) async fn store_copy(&self, key: &Key, found: &Found, read_at: Instant) {
        if !self.has_copies() {
            return;
        }
        let age = u64::try_from(read_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let value = entry::write(key, found);
        let command = entry::put_copy(key, &value, now().saturating_sub(age), self.copy_time(found));
        // Without it there is one copy less, which the link has counted as a failure.
        let _ = self.link.ask(Operation::Store, key, &command).await;
    }

    /// The command that keeps a copy of a row just written, if copies are kept. It is as old as the beginning of its write:
    /// another may have come after it and have told the cache before.
    pub(super) fn add_copy(&self, commands: &mut Pipeline, row: &Item, began: u64) {
        if self.has_copies() {
            let (key, found) = (Key::Item(row.id), Found::Item(Some(row.clone())));
            let value = entry::write(&key, &found);
            commands.add_command(entry::put_copy(&key, &value, began, self.copy_time(&found)));
        }
    }

    fn has_copies(&self) -> bool {
        !self.link.options.serve_stale.is_zero()
    }

    /// How long a copy may be used.
    fn copy_time(&self, found: &Found) -> Duration {
        self.ttl(found).saturating_add(self.link.options.serve_stale)
    }
}

/// Unix time in milliseconds.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
