//! [`Link`]: follows a primary on a thread of its own: agrees where to begin, loads a snapshot if it must, applies the stream.

use std::fmt;
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::persistence::rdb::{self, Reader};
use crate::persistence::{Expired, Loaded, load};
use crate::replication::ReplicationId;
use crate::replication::primary::{NO_DATABASE, Primary};
use crate::replication::stream::{Apply, Incoming, Unfit};
use crate::replication::wire::Wire;
use crate::store::{Millis, Store};

/// Whom to follow, and how to introduce ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// A name or an address.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// `masteruser`
    pub user: Option<String>,
    /// `masterauth`
    pub password: Option<String>,
    /// Where we listen.
    pub listening_port: u16,
}

/// How a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// How far it has come.
    pub state: LinkState,
    /// Since something was received from the primary.
    pub silence: Duration,
    /// Since it has not been connected; `None` while it is.
    pub down: Option<Duration>,
    /// Bytes of the snapshot received so far, while it is loaded.
    pub loaded: u64,
}

/// How far a link has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// There is no connection; there will be another attempt.
    Down,
    /// It connects and agrees where to begin.
    Connecting,
    /// It waits for a snapshot, or loads it.
    Loading,
    /// It follows the stream.
    Up,
}

/// A server that is followed.
#[derive(Debug)]
pub struct Link {
    /// Whom it follows.
    pub source: Source,
    primary: Arc<Primary>,
    state: Mutex<State>,
    stopping: AtomicBool,
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    state: LinkState,
    heard: Instant,
    down_since: Option<Instant>,
    loaded: u64,
    connection: Option<TcpStream>,
}

/// Why a connection to a primary is over.
#[derive(Debug)]
enum Failure {
    Connection(io::Error),
    /// It said something else than expected.
    Answer {
        to: &'static str,
        answer: String,
    },
    Snapshot(rdb::Error),
    Stream(Unfit),
    Silent,
    Stopped,
}

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two acknowledgements.
const ACKNOWLEDGE: Duration = Duration::from_secs(1);

/// Longest wait for a connection to be made.
const CONNECT: Duration = Duration::from_secs(5);

impl Link {
    /// A link that [`Link::run`] is to keep up. `primary` is what followers of our own are served from.
    pub fn new(source: Source, primary: Arc<Primary>) -> Self {
        let now = Instant::now();
        let state =
            State { state: LinkState::Down, heard: now, down_since: Some(now), loaded: 0, connection: None };
        Self {
            source,
            primary,
            state: Mutex::new(state),
            stopping: AtomicBool::new(false),
            wake: Condvar::new(),
        }
    }

    /// Follows the primary until [`Link::stop`]; for a thread of its own. Snapshots are loaded into a store like `store`.
    pub fn run(&self, store: &Store, apply: &dyn Apply, clock: fn() -> Millis) {
        let mut told = String::new();
        while !self.is_stopping() {
            let failure = self.follow(store, apply, clock).err().unwrap_or(Failure::Stopped);
            let mut state = self.lock();
            state.connection = None;
            if state.state == LinkState::Up {
                state.down_since = Some(Instant::now());
                told.clear();
            }
            state.state = LinkState::Down;
            if self.is_stopping() {
                break;
            }
            // The same again and again is told once.
            let reason = failure.to_string();
            if reason != told {
                warn!(primary = %self.source, "not following the primary: {reason}; trying again each second");
                told = reason;
            }
            let stopped = |_: &mut State| !self.is_stopping();
            drop(self.wake.wait_timeout_while(state, PAUSE, stopped).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Ends [`Link::run`]. Nothing is applied any more when this returns; another link may go on with the same stream.
    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
        if let Some(connection) = &self.lock().connection {
            Wire::close(connection);
        }
        self.wake.notify_all();
        drop(self.primary.unit.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How it stands.
    pub fn status(&self) -> LinkStatus {
        let state = self.lock();
        LinkStatus {
            state: state.state,
            silence: state.heard.elapsed(),
            down: state.down_since.map(|since| since.elapsed()),
            loaded: state.loaded,
        }
    }

    fn follow(&self, store: &Store, apply: &dyn Apply, clock: fn() -> Millis) -> Result<(), Failure> {
        self.enter(LinkState::Connecting);
        let patience = self.primary.timing().timeout;
        let mut wire = Wire::connect(&self.source.host, self.source.port, CONNECT.min(patience))?;
        self.lock().connection = Some(wire.handle()?);
        if self.is_stopping() {
            return Err(Failure::Stopped);
        }
        self.introduce(&mut wire)?;
        let incoming = match self.agree(&mut wire)? {
            Agreed::Resume => {
                info!(primary = %self.source, "going on where the stream stopped");
                let db = self.primary.stream_db.load(Relaxed);
                Incoming::new(if db == NO_DATABASE { 0 } else { db })
            }
            Agreed::Full { id, offset } => {
                self.enter(LinkState::Loading);
                let (loaded, wire_again) = self.load(wire, store, apply, clock, id, offset)?;
                wire = wire_again;
                Incoming::new(loaded.stream_db.unwrap_or(0))
            }
        };
        self.enter(LinkState::Up);
        self.apply(&mut wire, incoming, apply)
    }

    /// Everything before `PSYNC`.
    fn introduce(&self, wire: &mut Wire) -> Result<(), Failure> {
        wire.send(&[b"PING"])?;
        let answer = wire.line()?;
        if !answer.starts_with('+') && !answer.starts_with("-NOAUTH") && !answer.starts_with("-NOPERM") {
            return Err(Failure::Answer { to: "PING", answer });
        }
        if let Some(password) = &self.source.password {
            match &self.source.user {
                Some(user) => wire.send(&[b"AUTH", user.as_bytes(), password.as_bytes()])?,
                None => wire.send(&[b"AUTH", password.as_bytes()])?,
            }
            expect_ok(wire, "AUTH")?;
        }
        let port = self.source.listening_port.to_string();
        wire.send(&[b"REPLCONF", b"listening-port", port.as_bytes()])?;
        expect_ok(wire, "REPLCONF listening-port")?;
        wire.send(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"])?;
        expect_ok(wire, "REPLCONF capa")
    }

    fn agree(&self, wire: &mut Wire) -> Result<Agreed, Failure> {
        let backlog = &self.primary.backlog;
        let position = backlog.position();
        if backlog.figures().on {
            let next = (position.offset + 1).to_string();
            wire.send(&[b"PSYNC", position.id.as_bytes(), next.as_bytes()])?;
        } else {
            wire.send(&[b"PSYNC", b"?", b"-1"])?;
        }
        let answer = wire.line()?;
        let mut words = answer.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("+CONTINUE"), id, None) if backlog.figures().on => {
                if let Some(id) = id.and_then(|id| ReplicationId::parse(id.as_bytes())) {
                    backlog.rename(id);
                }
                Ok(Agreed::Resume)
            }
            (Some("+FULLRESYNC"), Some(id), Some(offset)) => {
                let full = ReplicationId::parse(id.as_bytes()).zip(offset.parse().ok());
                full.map(|(id, offset)| Agreed::Full { id, offset })
                    .ok_or(Failure::Answer { to: "PSYNC", answer })
            }
            _ => Err(Failure::Answer { to: "PSYNC", answer }),
        }
    }

    /// Loads a snapshot beside the data, then puts it in their place.
    fn load(
        &self,
        mut wire: Wire,
        store: &Store,
        apply: &dyn Apply,
        clock: fn() -> Millis,
        id: ReplicationId,
        offset: u64,
    ) -> Result<(Loaded, Wire), Failure> {
        let announcement = wire.line()?;
        let announced =
            announcement.strip_prefix('$').map(|length| (length.strip_prefix("EOF:"), length.parse::<u64>()));
        wire.show_signs(true);
        let fresh = store.sibling();
        let now = clock();
        let (loaded, mut wire) = match announced {
            Some((Some(mark), _)) => {
                let mut reader = Reader::new(Counting { wire, link: self });
                let loaded =
                    load(&mut reader, &fresh, now, Expired::Keep, || {}).map_err(Failure::Snapshot)?;
                let (rest, Counting { mut wire, .. }) = reader.into_rest();
                wire.put_back(rest);
                let mut end = vec![0; mark.len()];
                wire.read_exact(&mut end)?;
                if end != mark.as_bytes() {
                    let answer = end.escape_ascii().to_string();
                    return Err(Failure::Answer { to: "the end of the snapshot", answer });
                }
                (loaded, wire)
            }
            Some((None, Ok(length))) => {
                let mut reader = Reader::new(Counting { wire, link: self }.take(length));
                let loaded =
                    load(&mut reader, &fresh, now, Expired::Keep, || {}).map_err(Failure::Snapshot)?;
                let (_, mut input) = reader.into_rest();
                io::copy(&mut input, &mut io::sink())?;
                (loaded, input.into_inner().wire)
            }
            _ => return Err(Failure::Answer { to: "PSYNC", answer: announcement }),
        };
        wire.show_signs(false);
        let _unit = self.primary.unit.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopping() {
            return Err(Failure::Stopped);
        }
        apply.replace(fresh, clock());
        self.primary.close_replicas();
        self.primary.backlog.adopt(id, offset);
        self.primary.stream_db.store(loaded.stream_db.unwrap_or(0), Relaxed);
        info!(primary = %self.source, keys = loaded.keys, offset, "snapshot of the primary loaded");
        Ok((loaded, wire))
    }

    fn apply(&self, wire: &mut Wire, mut incoming: Incoming, apply: &dyn Apply) -> Result<(), Failure> {
        let patience = self.primary.timing().timeout;
        // Redis waits for this before it sends anything behind a snapshot.
        self.acknowledge(wire)?;
        let mut acknowledged = Instant::now();
        loop {
            let due = ACKNOWLEDGE.saturating_sub(acknowledged.elapsed());
            let mut asked = false;
            if wire.read_some(&mut incoming.bytes, due)? {
                let _unit = self.primary.unit.lock().unwrap_or_else(PoisonError::into_inner);
                if self.is_stopping() {
                    return Err(Failure::Stopped);
                }
                let done = incoming.advance(apply);
                asked = done.asked;
                self.primary.backlog.hold().copied(incoming.bytes.get(..done.bytes).unwrap_or_default());
                self.primary.stream_db.store(incoming.db(), Relaxed);
                incoming.forget(done.bytes);
                self.lock().heard = wire.heard;
                if let Err(unfit) = done.end {
                    if unfit == Unfit::Protocol {
                        // Where the next command begins is unknown, so everything has to be fetched again.
                        self.primary.backlog.turn_off(&mut fastrand::Rng::new());
                    }
                    return Err(Failure::Stream(unfit));
                }
            } else if wire.heard.elapsed() > patience {
                return Err(Failure::Silent);
            }
            if asked || acknowledged.elapsed() >= ACKNOWLEDGE {
                self.acknowledge(wire)?;
                acknowledged = Instant::now();
            }
        }
    }

    fn acknowledge(&self, wire: &mut Wire) -> io::Result<()> {
        let offset = self.primary.backlog.position().offset.to_string();
        wire.send(&[b"REPLCONF", b"ACK", offset.as_bytes()])
    }

    fn enter(&self, next: LinkState) {
        let mut state = self.lock();
        state.state = next;
        state.loaded = 0;
        if next == LinkState::Up {
            state.down_since = None;
            state.heard = Instant::now();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Agreed {
    Resume,
    Full { id: ReplicationId, offset: u64 },
}

fn expect_ok(wire: &mut Wire, to: &'static str) -> Result<(), Failure> {
    let answer = wire.line()?;
    if answer.starts_with('+') { Ok(()) } else { Err(Failure::Answer { to, answer }) }
}

/// Shows how much of a snapshot has come, and ends it when the link is to stop.
struct Counting<'a> {
    wire: Wire,
    link: &'a Link,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.link.is_stopping() {
            return Err(io::Error::other("the primary is not to be followed any more"));
        }
        let read = self.wire.read(buffer)?;
        let mut state = self.link.lock();
        state.loaded += read as u64;
        state.heard = self.wire.heard;
        Ok(read)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Answer { to, answer } => write!(f, "it answers {to} with {answer:?}"),
            Self::Snapshot(error) => write!(f, "its snapshot cannot be loaded: {error}"),
            Self::Stream(unfit) => unfit.fmt(f),
            Self::Silent => f.write_str("nothing was heard of it for too long"),
            Self::Stopped => f.write_str("it is not to be followed any more"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
