//! [`Snapshot`]: all data as they were at one moment, written out while they go on changing.

use std::io;
use std::time::{Duration, Instant};

use crate::persistence::rdb::Writer;
use crate::store::{DATABASES, Keyspace, Millis, Store};

/// A snapshot that has begun: what changes from now on is kept as it was until it has been written. Dropping it ends it.
///
/// There is one at a time; who begins one sees to that.
#[derive(Debug)]
pub struct Snapshot<'s> {
    store: &'s Store,
    writer: Writer,
    began: Millis,
    /// The shard being written.
    shard: usize,
    /// Entries to look at while its shard is held, so many that it is held about [`HOLD`].
    step: usize,
    figures: Figures,
}

/// What a snapshot came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Keys written.
    pub keys: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Longest time that a shard, or at the beginning all, could not be used by commands.
    pub longest_hold: Duration,
}

/// How long a shard is held at a time. Only a single large value can make it longer.
const HOLD: Duration = Duration::from_micros(200);

/// Most entries of a step, and those of the first.
const MOST: usize = 1000;
const FIRST: usize = 100;

/// Bytes are handed on in pieces of about this size.
const PIECE: usize = 128 * 1024;

impl<'s> Snapshot<'s> {
    /// The data at this moment, without those that had expired at `now`. `at_that_moment` is called with all keys held;
    /// the facts it returns are written into the head, for those who read it.
    pub fn begin(
        store: &'s Store,
        now: Millis,
        at_that_moment: impl FnOnce(&mut Keyspace<'_>) -> Vec<(&'static str, String)>,
    ) -> Self {
        let mut keys = store.hold_all(0, now);
        let start = Instant::now();
        let mut writer = Writer::new();
        let facts = at_that_moment(&mut keys);
        for (name, value) in &facts {
            writer.fact(name, value);
        }
        for db in 0..DATABASES {
            keys.select(db);
            if !keys.is_empty() {
                writer.sizes(db, keys.len(), keys.volatile_len());
            }
        }
        keys.shards_mut().for_each(|shard| shard.begin_snapshot());
        let longest_hold = start.elapsed();
        drop(keys);
        let figures = Figures { longest_hold, ..Figures::default() };
        Self { store, writer, began: now, shard: 0, step: FIRST, figures }
    }

    /// Hands the snapshot's bytes to `sink`, piece by piece, no shard being held meanwhile.
    ///
    /// # Errors
    /// Those of `sink`, which end it.
    pub fn write(mut self, mut sink: impl FnMut(Vec<u8>) -> io::Result<()>) -> io::Result<Figures> {
        loop {
            let more = self.advance();
            if self.writer.collected() >= PIECE || !more {
                let bytes = if more { self.writer.take() } else { std::mem::take(&mut self.writer).finish() };
                self.figures.bytes += bytes.len() as u64;
                sink(bytes)?;
            }
            if !more {
                return Ok(self.figures);
            }
        }
    }

    /// Collects some more entries; whether there are more.
    fn advance(&mut self) -> bool {
        let Some(mut shard) = self.store.shard(self.shard) else { return false };
        let start = Instant::now();
        let (writer, began, keys) = (&mut self.writer, self.began, &mut self.figures.keys);
        let more = shard.snapshot_some(self.step, &mut |saved| {
            // What had expired by then is only not removed yet.
            if saved.expires.is_none_or(|at| at > began) {
                writer.entry(saved.db, saved.key, saved.value, saved.expires);
                *keys += 1;
            }
        });
        if !more {
            shard.end_snapshot();
            self.shard += 1;
        }
        drop(shard);
        let held = start.elapsed();
        self.figures.longest_hold = self.figures.longest_hold.max(held);
        if held > HOLD {
            self.step = (self.step / 2).max(1);
        } else if held < HOLD / 2 {
            self.step = (self.step + self.step / 4 + 1).min(MOST);
        }
        true
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        for index in self.shard..self.store.shard_count() {
            if let Some(mut shard) = self.store.shard(index) {
                shard.end_snapshot();
            }
        }
    }
}
