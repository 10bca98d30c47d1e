//! The writing thread: the only place that waits for the disk. A failed write loses lines, says so, and goes on.

use super::batch::{AccessCounts, Batch};
use super::open;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Acquire};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

/// Complaints about the same log come no faster than this.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// What the thread shall do besides writing; looked at with every message.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) reopen: AtomicBool,
    pub(super) close: AtomicBool,
}

/// The target of the lines.
pub(super) struct Sink {
    file: File,
    /// `None`: standard output.
    path: Option<PathBuf>,
    asked: Arc<Asked>,
    counts: Arc<AccessCounts>,
    /// The last write ended within a line.
    torn: bool,
    reports: Reports,
}

impl Sink {
    pub(super) fn new(
        file: File,
        path: Option<PathBuf>,
        asked: Arc<Asked>,
        counts: Arc<AccessCounts>,
    ) -> Self {
        Self { file, path, asked, counts, torn: false, reports: Reports::default() }
    }

    /// Writes what comes through the queue until the log is closed or nobody can write to it any more.
    pub(super) fn run(mut self, queue: &Receiver<Option<Batch>>) {
        while let Ok(message) = queue.recv() {
            if self.asked.reopen.swap(false, AcqRel) {
                self.reopen();
            }
            if let Some(batch) = message {
                self.write(batch);
            }
            if self.asked.close.load(Acquire) {
                queue.try_iter().flatten().for_each(|batch| self.write(batch));
                return;
            }
        }
    }

    fn write(&mut self, batch: Batch) {
        if self.torn {
            match self.write_all(b"\n") {
                Ok(()) => self.torn = false,
                Err((_, error)) => return self.lost(batch, 0, &error),
            }
        }
        match self.write_all(batch.bytes()) {
            Ok(()) => batch.written(),
            Err((written, error)) => {
                let last = written.checked_sub(1).and_then(|last| batch.bytes().get(last));
                self.torn = last.is_some_and(|b| *b != b'\n');
                self.lost(batch, written, &error);
            }
        }
    }

    /// Like `write_all` of std, but an error says how far it came.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        loop {
            let rest = bytes.get(written..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            match self.file.write(rest) {
                Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody we share standard output with has made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(5))
                }
                Err(error) => return Err((written, error)),
            }
        }
    }

    fn lost(&mut self, batch: Batch, written: usize, error: &io::Error) {
        batch.lost_after(written);
        self.counts.write_failed();
        if self.reports.due(Instant::now()) {
            let lost = self.counts.dropped();
            complain(&format!(
                "cannot write access log {}: {error}; {lost} lines lost so far; make room or change log.access",
                self.name()
            ));
        }
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => (self.file, self.torn) = (file, false),
            Err(error) => complain(&format!("{error}; lines still go to the file opened before")),
        }
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or("on standard output".to_owned(), |path| path.display().to_string())
    }
}

/// Says it on standard error; when even that cannot be written there is nobody left to tell.
fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "evenkeel: {what}");
}

/// When something was last reported.
#[derive(Debug, Default)]
struct Reports {
    last: Option<Instant>,
}

impl Reports {
    /// Whether to report now.
    fn due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.duration_since(last) >= REPORT_INTERVAL);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    #[test]
    fn a_torn_line_is_closed_before_the_next() {
        let (mut reader, pipe) = io::pipe().unwrap();
        let counts = Arc::<AccessCounts>::default();
        let mut sink = Sink::new(File::from(OwnedFd::from(pipe)), None, Arc::default(), Arc::clone(&counts));
        // Longer than a pipe holds: the reader goes away while the second line is half written.
        let long = [b"one\n".as_slice(), &vec![b'x'; 1 << 21], b"\nthree\n"].concat();
        let writing = thread::spawn(move || {
            sink.write(Batch::of(&long, &sink.counts));
            sink
        });
        reader.read_exact(&mut [0; 4]).unwrap();
        drop(reader);
        let mut sink = writing.join().unwrap();
        assert!(sink.torn);
        assert_eq!((counts.dropped(), counts.write_errors()), (2, 1));

        let (mut reader, pipe) = io::pipe().unwrap();
        sink.file = File::from(OwnedFd::from(pipe));
        sink.write(Batch::of(b"four\n", &counts));
        sink.write(Batch::of(b"five\n", &counts));
        drop(sink);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "\nfour\nfive\n");
    }

    #[test]
    fn reports_are_rare() {
        let start = Instant::now();
        let mut reports = Reports::default();
        let due: Vec<u64> =
            (0..=25).filter(|second| reports.due(start + Duration::from_secs(*second))).collect();
        assert_eq!(due, [0, 10, 20]);
    }
}
