//! A worker's side of the access log: formats records into a batch, passes full batches on, gets empty ones back.

use super::timestamp::Timestamp;
use super::{Format, Record, json, text};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Most bytes in a batch.
const BATCH: usize = 64 * 1024;
/// Empty buffers that come back to a worker for reuse.
const SPARE: usize = 4;

/// One worker's way into the log. Ends with what it holds passed on.
#[derive(Debug)]
pub struct AccessWriter {
    format: Format,
    /// `None`: the log is off.
    queue: Option<SyncSender<Option<Batch>>>,
    counts: Arc<AccessCounts>,
    stamp: Timestamp,
    batch: Vec<u8>,
    lines: u64,
    emptied: Receiver<Vec<u8>>,
    home: SyncSender<Vec<u8>>,
}

impl AccessWriter {
    pub(super) fn new(
        format: Format,
        queue: Option<SyncSender<Option<Batch>>>,
        counts: Arc<AccessCounts>,
    ) -> Self {
        let (home, emptied) = sync_channel(SPARE);
        let stamp = Timestamp::default();
        Self { format, queue, counts, stamp, batch: Vec::new(), lines: 0, emptied, home }
    }

    /// Whether records go anywhere; when not, there is no need to make them.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Adds one line to the batch. Never waits: a full batch that the queue does not take is dropped and counted.
    pub fn record(&mut self, record: &Record<'_>) {
        if self.queue.is_none() {
            return;
        }
        if self.lines > 0 && self.batch.len() + record.ceiling() > BATCH {
            self.pass_on();
            self.give_up();
        }
        match self.format {
            Format::Text => text::put_line(&mut self.batch, &mut self.stamp, record),
            Format::Json => json::put_line(&mut self.batch, &mut self.stamp, record),
        }
        self.lines += 1;
    }

    /// Passes on what there is, full or not; to be called every 100 ms or so. What the queue does not take stays for
    /// the next time.
    pub fn flush(&mut self) {
        if self.lines > 0 {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        let Some(queue) = &self.queue else { return };
        let batch = Batch {
            bytes: mem::replace(&mut self.batch, self.emptied.try_recv().unwrap_or_default()),
            lines: mem::take(&mut self.lines),
            counts: Arc::clone(&self.counts),
            home: self.home.clone(),
        };
        // A batch that comes back because the log is closed counts itself as lost.
        if let Err(TrySendError::Full(Some(batch))) = queue.try_send(Some(batch)) {
            (self.batch, self.lines) = batch.into_parts();
        }
    }

    /// Drops what the queue did not take.
    fn give_up(&mut self) {
        self.counts.lose(mem::take(&mut self.lines));
        self.batch.clear();
    }
}

impl Drop for AccessWriter {
    fn drop(&mut self) {
        self.flush();
        self.give_up();
    }
}

/// Lines on their way. Lines that are still in it when it is dropped, wherever that happens, are counted as lost.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    lines: u64,
    counts: Arc<AccessCounts>,
    home: SyncSender<Vec<u8>>,
}

impl Batch {
    #[cfg(test)]
    pub(super) fn of(bytes: &[u8], counts: &Arc<AccessCounts>) -> Self {
        let lines = bytes.iter().filter(|b| **b == b'\n').count() as u64;
        Self { bytes: bytes.to_vec(), lines, counts: Arc::clone(counts), home: sync_channel(1).0 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Everything was written: the buffer goes back to its worker.
    pub(super) fn written(mut self) {
        self.lines = 0;
        let mut bytes = mem::take(&mut self.bytes);
        bytes.clear();
        let _ = self.home.try_send(bytes);
    }

    /// Only the lines that end in the first `written` bytes were written.
    pub(super) fn lost_after(mut self, written: usize) {
        let rest = self.bytes.get(written..).unwrap_or_default();
        self.lines = u64::try_from(rest.iter().filter(|b| **b == b'\n').count()).unwrap_or(u64::MAX);
    }

    fn into_parts(mut self) -> (Vec<u8>, u64) {
        (mem::take(&mut self.bytes), mem::take(&mut self.lines))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.counts.lose(self.lines);
    }
}

/// What a log lost. Written by whoever loses it, which is rare.
#[derive(Debug, Default)]
pub(crate) struct AccessCounts {
    dropped: AtomicU64,
    write_errors: AtomicU64,
}

impl AccessCounts {
    /// Lines lost.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Writes that failed.
    pub(crate) fn write_errors(&self) -> u64 {
        self.write_errors.load(Relaxed)
    }

    fn lose(&self, lines: u64) {
        self.dropped.fetch_add(lines, Relaxed);
    }

    pub(super) fn write_failed(&self) {
        self.write_errors.fetch_add(1, Relaxed);
    }
}
