//! The access log: one line per exchange, written by one thread, never waited for.
//!
//! A worker formats records into a batch of its own and passes full batches through a bounded queue. When the queue
//! is full the batch is dropped and its lines are counted: a slow disk costs log lines, not answers.

mod batch;
mod escape;
mod json;
mod record;
mod sink;
mod text;
mod timestamp;

pub(crate) use batch::AccessCounts;
pub use batch::AccessWriter;
pub use record::{Client, Record};

use crate::telemetry::lock;
use batch::Batch;
use sink::{Asked, Sink};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Release;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Batches that may wait for the disk: with 64 KiB each, 4 MiB for the process.
const QUEUE: usize = 64;

/// How long [`AccessLog::close`] waits for a disk that does not answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, created if need be, appended to.
    File(PathBuf),
    /// Nowhere: records are not even formatted.
    Off,
}

/// What a line looks like; both are described in `docs/access-log.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people: the story in the first words, then `key=value`.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// A running access log. A clone is another handle to the same one.
#[derive(Debug, Clone)]
pub struct AccessLog {
    format: Format,
    counts: Arc<AccessCounts>,
    /// `None`: off.
    running: Option<Arc<Running>>,
}

#[derive(Debug)]
struct Running {
    /// `None` in the queue only wakes the thread.
    queue: SyncSender<Option<Batch>>,
    asked: Arc<Asked>,
    thread: Mutex<Option<(JoinHandle<()>, Receiver<()>)>>,
}

impl AccessLog {
    /// Opens the target and starts the writing thread.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread can be started; the message names which.
    pub fn start(target: Target, format: Format) -> io::Result<Self> {
        match target {
            Target::Off => Ok(Self { format, counts: Arc::default(), running: None }),
            Target::Stdout => Self::on(File::from(io::stdout().as_fd().try_clone_to_owned()?), None, format),
            Target::File(path) => Self::on(open(&path)?, Some(path), format),
        }
    }

    /// A worker's way into the log.
    pub fn writer(&self) -> AccessWriter {
        let queue = self.running.as_ref().map(|running| running.queue.clone());
        AccessWriter::new(self.format, queue, Arc::clone(&self.counts))
    }

    /// Opens the file anew, for log rotation; batches that workers pass on after this call go to the new one. When
    /// that fails the old one stays, and standard error says why.
    pub fn reopen(&self) {
        if let Some(running) = &self.running {
            running.asked.reopen.store(true, Release);
            running.wake();
        }
    }

    /// Writes what is queued and ends the thread; to be called when the workers have ended, since what is passed on
    /// later counts as lost. Waits at most five seconds for a target that takes nothing.
    pub fn close(&self) {
        let Some(running) = &self.running else { return };
        running.asked.close.store(true, Release);
        running.wake();
        if let Some((thread, ended)) = lock(&running.thread).take()
            && ended.recv_timeout(CLOSE_TIMEOUT) == Err(RecvTimeoutError::Disconnected)
        {
            // It has ended; a panic in it has already been reported.
            let _ = thread.join();
        }
    }

    /// Lines lost so far: the queue was full, or a write failed.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped()
    }

    /// Failed writes so far.
    pub fn write_errors(&self) -> u64 {
        self.counts.write_errors()
    }

    pub(crate) fn counts(&self) -> Arc<AccessCounts> {
        Arc::clone(&self.counts)
    }

    fn on(file: File, path: Option<PathBuf>, format: Format) -> io::Result<Self> {
        let counts = Arc::<AccessCounts>::default();
        let asked = Arc::<Asked>::default();
        let (queue, batches) = sync_channel(QUEUE);
        let (ending, ended) = sync_channel::<()>(0);
        let sink = Sink::new(file, path, Arc::clone(&asked), Arc::clone(&counts));
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            sink.run(&batches);
            // Closes after the queue, whose remains are counted as lost.
            drop(batches);
            drop(ending);
        })?;
        let running = Running { queue, asked, thread: Mutex::new(Some((thread, ended))) };
        Ok(Self { format, counts, running: Some(Arc::new(running)) })
    }
}

impl Running {
    /// Makes the thread look at what was asked. When the queue is full it is awake and looks after its next batch.
    fn wake(&self) {
        let _ = self.queue.try_send(None);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot open access log {}: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests;
