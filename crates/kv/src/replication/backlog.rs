//! [`Backlog`]: the stream of changes, as commands, and how much of it is kept for replicas that fall behind or come back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::replication::ReplicationId;
use crate::replication::ring::Ring;

/// How much of the stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Bytes for replicas that come back: `repl-backlog-size`.
    pub size: usize,
    /// Bytes at most for a replica that is connected and slow, or still receives the snapshot; beyond them it is given up.
    pub most: usize,
    /// How long the stream goes on without a replica: `repl-backlog-ttl`. `None`: for ever.
    pub ttl: Option<Duration>,
}

impl Default for Keep {
    fn default() -> Self {
        Self { size: 16 << 20, most: 256 << 20, ttl: Some(Duration::from_secs(3600)) }
    }
}

/// The stream of changes.
///
/// What is appended while the keys it is about are held stands in the stream in the order in which it happened.
#[derive(Debug)]
pub struct Backlog {
    records: AtomicBool,
    stream: Mutex<Stream>,
}

/// Where a server stands in the history of changes, and which other history it shares a beginning with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The history.
    pub id: ReplicationId,
    /// Bytes of its stream so far.
    pub offset: u64,
    /// The history this one is the continuation of, and up to which offset they are the same.
    pub before: Option<(ReplicationId, u64)>,
}

/// The stream and its figures, for `INFO`.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Where it stands.
    pub position: Position,
    /// Whether there is a stream.
    pub on: bool,
    /// `repl-backlog-size`
    pub size: usize,
    /// Offset of the first byte kept.
    pub first: u64,
    /// Bytes allocated.
    pub memory: usize,
}

/// The stream does not reach back to where a reader stands: it was too slow, or the history is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// What the stream consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// There is none.
    Off,
    /// Our own changes.
    Records,
    /// The stream of a primary of our own.
    Copies,
}

#[derive(Debug)]
struct Stream {
    mode: Mode,
    id: ReplicationId,
    before: Option<(ReplicationId, u64)>,
    ring: Ring,
    /// The database that who reads is in at the end.
    db: Option<u8>,
    keep: Keep,
    readers: Vec<Arc<Place>>,
    /// Since when there has been no reader.
    alone: Option<Instant>,
    /// The head of a command, used again.
    text: Vec<u8>,
}

/// Where a reader stands.
#[derive(Debug)]
struct Place {
    offset: AtomicU64,
    more: Notify,
}

/// Appends to a stream; from its first use on nobody else does, so that several commands stand together.
pub struct Appender<'a> {
    backlog: &'a Backlog,
    stream: Option<MutexGuard<'a, Stream>>,
}

/// Reads the stream from some place on, and keeps it from forgetting what was not read yet, within limits.
#[derive(Debug)]
pub struct Reader {
    backlog: Arc<Backlog>,
    place: Arc<Place>,
}

impl Backlog {
    /// A stream that does not record yet.
    pub fn new(keep: Keep, rng: &mut fastrand::Rng) -> Self {
        let stream = Stream {
            mode: Mode::Off,
            id: ReplicationId::random(rng),
            before: None,
            ring: Ring::default(),
            db: None,
            keep,
            readers: Vec::new(),
            alone: None,
            text: Vec::new(),
        };
        Self { records: AtomicBool::new(false), stream: Mutex::new(stream) }
    }

    /// Whether changes are recorded. It changes to yes only while all keys are held.
    pub fn is_on(&self) -> bool {
        self.records.load(Relaxed)
    }

    /// Begins to record unless it copies; to be called with all keys held. What happened before is not in the stream.
    pub fn turn_on(&self) {
        let mut stream = self.lock();
        if stream.mode == Mode::Off {
            self.set_mode(&mut stream, Mode::Records);
        }
    }

    /// For appending.
    pub fn hold(&self) -> Appender<'_> {
        Appender { backlog: self, stream: None }
    }

    /// One command in database `db`, if changes are recorded.
    pub fn append<'w>(&self, db: u8, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        if self.is_on() {
            self.hold().append(db, words);
        }
    }

    /// Where the stream stands.
    pub fn position(&self) -> Position {
        self.lock().position()
    }

    /// Where the stream stands, and what it takes.
    pub fn figures(&self) -> Figures {
        let stream = self.lock();
        Figures {
            position: stream.position(),
            on: stream.mode != Mode::Off,
            size: stream.keep.size,
            first: stream.ring.start(),
            memory: stream.ring.memory(),
        }
    }

    /// Chooses how much is kept from now on.
    pub fn set_keep(&self, keep: Keep) {
        self.lock().keep = keep;
    }

    /// How much is kept.
    pub fn keep(&self) -> Keep {
        self.lock().keep
    }

    /// Reads on where a replica of history `id` stopped, if all that follows is still there.
    pub fn resume(self: &Arc<Self>, id: ReplicationId, offset: u64) -> Option<Reader> {
        let mut stream = self.lock();
        let same =
            stream.id == id || stream.before.is_some_and(|(before, end)| before == id && offset <= end);
        let there = (stream.ring.start()..=stream.ring.end()).contains(&offset);
        (stream.mode != Mode::Off && same && there).then(|| stream.reader(self, offset))
    }

    /// Reads from the end on. Who reads is in no database yet: the next change begins with a `SELECT`.
    pub fn follow(self: &Arc<Self>) -> Reader {
        let mut stream = self.lock();
        stream.db = None;
        let end = stream.ring.end();
        stream.reader(self, end)
    }

    /// Records nothing any more, as somebody else's history is going to be followed: that of which ours is a part, if it
    /// turns out so.
    pub fn suspend(&self) {
        let mut stream = self.lock();
        if stream.mode == Mode::Records {
            self.set_mode(&mut stream, Mode::Copies);
        }
    }

    /// Goes on as the copy of another server's history, of which nothing is kept yet; who read the old one has to begin
    /// anew.
    pub fn adopt(&self, id: ReplicationId, offset: u64) {
        let mut stream = self.lock();
        stream.restart(id, offset);
        stream.before = None;
        self.set_mode(&mut stream, Mode::Copies);
    }

    /// The history we copied goes on with our own changes and under a new name, as its server is not followed any more; to
    /// be called with all keys held. Those who copied it as well can go on from here.
    pub fn branch(&self, rng: &mut fastrand::Rng) {
        let mut stream = self.lock();
        stream.before = Some((stream.id, stream.ring.end()));
        stream.id = ReplicationId::random(rng);
        stream.db = None;
        if stream.mode == Mode::Copies {
            self.set_mode(&mut stream, Mode::Records);
        }
    }

    /// The server whose history this is the copy of goes on under a new name.
    pub fn rename(&self, id: ReplicationId) {
        let mut stream = self.lock();
        if stream.id != id {
            stream.before = Some((stream.id, stream.ring.end()));
            stream.id = id;
        }
    }

    /// There is no stream any more, and nobody can go on where it was.
    pub fn turn_off(&self, rng: &mut fastrand::Rng) {
        let mut stream = self.lock();
        self.end(&mut stream, rng);
    }

    /// Ends the recording when there has been no replica for long; whether it did. To be called from time to time.
    pub fn rest(&self, now: Instant, rng: &mut fastrand::Rng) -> bool {
        let mut stream = self.lock();
        if stream.mode != Mode::Records || !stream.readers.is_empty() {
            return false;
        }
        // Whoever turned it on for somebody who never came.
        let since = *stream.alone.get_or_insert(now);
        let over = stream.keep.ttl.is_some_and(|ttl| now.saturating_duration_since(since) >= ttl);
        if over {
            self.end(&mut stream, rng);
        }
        over
    }

    fn end(&self, stream: &mut Stream, rng: &mut fastrand::Rng) {
        self.set_mode(stream, Mode::Off);
        // What happens from now on is in no stream: whoever comes back has missed it.
        let offset = stream.ring.end();
        stream.restart(ReplicationId::random(rng), offset);
        stream.before = None;
    }

    fn set_mode(&self, stream: &mut Stream, mode: Mode) {
        stream.mode = mode;
        self.records.store(mode == Mode::Records, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn position(&self) -> Position {
        Position { id: self.id, offset: self.ring.end(), before: self.before }
    }

    fn reader(&mut self, backlog: &Arc<Backlog>, offset: u64) -> Reader {
        let place = Arc::new(Place { offset: offset.into(), more: Notify::new() });
        self.readers.push(Arc::clone(&place));
        self.alone = None;
        Reader { backlog: Arc::clone(backlog), place }
    }

    fn restart(&mut self, id: ReplicationId, offset: u64) {
        self.id = id;
        self.ring = Ring::starting_at(offset);
        self.db = None;
        for place in self.readers.drain(..) {
            // No stream reaches as far, so the reader learns that it is over.
            place.offset.store(u64::MAX, Relaxed);
            place.more.notify_one();
        }
        self.alone = Some(Instant::now());
    }

    fn command<'w>(&mut self, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        write_head(&mut text, b'*', words.len());
        for word in words {
            write_head(&mut text, b'$', word.len());
            if word.len() > LONG {
                // Straight into the ring: no second copy of something long.
                self.ring.push(&text);
                self.ring.push(word);
                text.clear();
            } else {
                text.extend_from_slice(word);
            }
            text.extend_from_slice(b"\r\n");
        }
        self.ring.push(&text);
        self.text = text;
    }

    fn trim(&mut self) {
        let end = self.ring.end();
        let slowest = self.readers.iter().map(|place| place.offset.load(Relaxed)).min().unwrap_or(end);
        let kept = end.saturating_sub(self.keep.size as u64);
        let most = end.saturating_sub(self.keep.most.max(self.keep.size) as u64);
        self.ring.forget_before(slowest.min(kept).max(most));
    }
}

impl<'a> Appender<'a> {
    /// One command in database `db`, preceded by a `SELECT` if that is another than before; nothing unless changes are
    /// recorded.
    pub fn append<'w>(&mut self, db: u8, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        let stream = self.stream();
        // Whoever asked whether it is on has not asked under this lock.
        if stream.mode != Mode::Records {
            return;
        }
        if stream.db != Some(db) {
            stream.db = Some(db);
            let number = itoa::Buffer::new().format(db).to_owned();
            stream.command([&b"SELECT"[..], number.as_bytes()].into_iter());
        }
        stream.command(words);
    }

    /// One command that belongs to no database, such as `PING`. A stream that is copied stays as it came.
    pub fn command<'w>(&mut self, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        let stream = self.stream();
        if stream.mode == Mode::Records {
            stream.command(words);
        }
    }

    /// Bytes of the stream that is being copied, as they came.
    pub fn copied(&mut self, bytes: &[u8]) {
        self.stream().ring.push(bytes);
    }

    fn stream(&mut self) -> &mut MutexGuard<'a, Stream> {
        let backlog = self.backlog;
        self.stream.get_or_insert_with(|| backlog.lock())
    }
}

impl Drop for Appender<'_> {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.trim();
            for place in &stream.readers {
                place.more.notify_one();
            }
        }
    }
}

impl std::fmt::Debug for Appender<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appender").field("holds", &self.stream.is_some()).finish_non_exhaustive()
    }
}

/// Longer words are not collected with the rest of their command first.
const LONG: usize = 1024;

fn write_head(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

impl Reader {
    /// Takes up to `most` bytes into `out`; none if there are none yet.
    ///
    /// # Errors
    /// The stream does not reach back to here any more.
    pub fn read(&mut self, most: usize, out: &mut Vec<u8>) -> Result<(), Gone> {
        let before = out.len();
        let stream = self.backlog.lock();
        let offset = self.place.offset.load(Relaxed);
        if !stream.ring.copy(offset, most, out) {
            return Err(Gone);
        }
        self.place.offset.store(offset + (out.len() - before) as u64, Relaxed);
        Ok(())
    }

    /// Waits until there may be something to read; returns at once if there has been since the last time.
    pub async fn more(&self) {
        self.place.more.notified().await;
    }

    /// Whether the stream does not reach back to here any more.
    pub fn is_lost(&self) -> bool {
        self.place.offset.load(Relaxed) < self.backlog.lock().ring.start() || self.offset() == u64::MAX
    }

    /// How far the stream was read.
    pub fn offset(&self) -> u64 {
        self.place.offset.load(Relaxed)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut stream = self.backlog.lock();
        stream.readers.retain(|place| !Arc::ptr_eq(place, &self.place));
        if stream.readers.is_empty() {
            stream.alone = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
