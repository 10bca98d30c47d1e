//! Serves one replica on its connection: agrees where to begin, sends a snapshot if it must, then the stream of changes.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::persistence::{Snapshot, facts};
use crate::replication::ReplicationId;
use crate::replication::backlog::{Position, Reader};
use crate::replication::primary::{Listed, NO_DATABASE, Phase, Primary};
use crate::resp::parse_integer;
use crate::resp::{Args, Limits, Parsed, Requests};
use crate::store::{Millis, Store};

/// What a replica has told before it asks for the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Where it connects from.
    pub address: IpAddr,
    /// `REPLCONF listening-port`; 0 if it did not say.
    pub port: u16,
    /// `REPLCONF capa eof`: it can receive a snapshot whose length is not known before.
    pub eof: bool,
}

/// Where it wants to begin: `PSYNC id offset`, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `None` for `?`: it has nothing yet.
    from: Option<(ReplicationId, u64)>,
}

/// Why a replica's connection is over.
#[derive(Debug)]
pub enum Ended {
    /// The connection is.
    Connection(io::Error),
    /// It closed the connection.
    Closed,
    /// It fell further behind than changes are kept.
    TooSlow,
    /// It took less of its snapshot than a network has to carry, and kept others from taking one.
    Slow,
    /// Nothing was heard of it for long.
    Silent,
    /// Its connection was to be closed.
    Told,
    /// It cannot receive a snapshot as we send it.
    NotCapable,
    /// What it sent is no command.
    Protocol,
}

impl Wanted {
    /// The two words of `PSYNC`; the second is the offset of the first byte it wants, counted from 1.
    pub fn parse(id: &[u8], offset: &[u8]) -> Self {
        let offset = parse_integer(offset).and_then(|offset| u64::try_from(offset).ok()?.checked_sub(1));
        Self { from: ReplicationId::parse(id).zip(offset) }
    }
}

/// Serves a replica until its connection ends. `input` is what it sent behind its `PSYNC`. `clock` tells the time.
pub async fn serve<S: AsRef<Store> + Send + Sync + 'static>(
    primary: &Arc<Primary>,
    store: &Arc<S>,
    mut stream: TcpStream,
    input: Vec<u8>,
    greeting: Greeting,
    wanted: Wanted,
    clock: fn() -> Millis,
) -> Ended {
    let listed = primary.enter(greeting.address, greeting.port);
    let replica = format!("{}:{}", greeting.address, greeting.port);
    let resumed = wanted.from.and_then(|(id, offset)| primary.backlog.resume(id, offset));
    if wanted.from.is_some() {
        primary.count_partial(resumed.is_some());
    }
    let ended = async {
        let (reader, waits) = match resumed {
            Some(reader) => {
                info!(replica, offset = reader.offset(), "replica goes on where it stopped");
                let id = primary.backlog.position().id;
                stream.write_all(format!("+CONTINUE {id}\r\n").as_bytes()).await?;
                (reader, false)
            }
            None if !greeting.eof => {
                let refusal = b"-ERR a snapshot is sent only to replicas with REPLCONF capa eof\r\n";
                stream.write_all(refusal).await?;
                return Err(Ended::NotCapable);
            }
            None => {
                primary.count_full();
                (send_snapshot(primary, store, &mut stream, &listed, clock).await?, true)
            }
        };
        Err(Feed { primary, listed: &listed, reader, waits, input, out: Vec::new(), sent: 0 }
            .run(&mut stream)
            .await)
    };
    let told = async {
        listed.replica.close.notified().await;
        Err::<(), _>(Ended::Told)
    };
    let ended = tokio::select! {
        ended = ended => ended,
        told = told => told,
    };
    let ended = ended.err().unwrap_or(Ended::Closed);
    if matches!(ended, Ended::TooSlow | Ended::Slow | Ended::Silent) {
        primary.count_given_up();
        warn!(replica, "replica given up: {ended}");
    } else {
        info!(replica, "replica gone: {ended}");
    }
    ended
}

/// Pieces of the snapshot that may wait to be sent.
const PIECES_AHEAD: usize = 8;

/// Sends the data as they are at some moment from now on, and returns what reads all changes since then.
async fn send_snapshot<S: AsRef<Store> + Send + Sync + 'static>(
    primary: &Arc<Primary>,
    store: &Arc<S>,
    stream: &mut TcpStream,
    listed: &Listed<'_>,
    clock: fn() -> Millis,
) -> Result<Reader, Ended> {
    let patience = primary.timing().timeout;
    let mut turn = pin!(Arc::clone(&primary.turn).lock_owned());
    let turn = loop {
        match timeout(SIGN_OF_LIFE, turn.as_mut()).await {
            Ok(turn) => break turn,
            // An empty line says that we are still here.
            Err(_) => write(stream, b"\n", patience).await?,
        }
    };
    let (begun, beginning) = oneshot::channel();
    let (pieces, mut received) = mpsc::channel::<Vec<u8>>(PIECES_AHEAD);
    let (primary, store) = (Arc::clone(primary), Arc::clone(store));
    std::thread::Builder::new().name("kv-sync".to_owned()).spawn(move || {
        let _turn = turn;
        let snapshot = {
            let _unit = primary.unit.lock().unwrap_or_else(PoisonError::into_inner);
            let now = clock();
            // What has expired by our clock a primary of our own may yet prolong.
            let seen = if primary.stream_db.load(Relaxed) == NO_DATABASE { now } else { 0 };
            let mut follows = None;
            let snapshot = Snapshot::begin((*store).as_ref(), seen, |keys| {
                primary.backlog.turn_on();
                keys.shards_mut().for_each(|shard| shard.log_removals(true));
                let (reader, position) = (primary.backlog.follow(), primary.backlog.position());
                let facts = stream_facts(&primary, position, now);
                follows = Some((reader, position));
                facts
            });
            // Fails when the replica is gone already; then so does the first piece.
            let _ = follows.map(|follows| begun.send(follows));
            snapshot
        };
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        match snapshot.write(|bytes| pieces.blocking_send(bytes).map_err(gone)) {
            Ok(figures) => info!(keys = figures.keys, bytes = figures.bytes, "snapshot sent to a replica"),
            Err(error) => info!(%error, "snapshot for a replica not finished"),
        }
    })?;
    let stopped = || Ended::Connection(io::Error::other("the snapshot could not be begun"));
    let (reader, position) = beginning.await.map_err(|_| stopped())?;
    listed.set_phase(Phase::Loading);
    let mark = ReplicationId::random(&mut fastrand::Rng::new());
    let head = format!("+FULLRESYNC {} {}\r\n$EOF:{mark}\r\n", position.id, position.offset);
    let mut pace = Pace::new(patience);
    send(stream, head.as_bytes(), &mut pace, &reader).await?;
    while let Some(piece) = received.recv().await {
        send(stream, &piece, &mut pace, &reader).await?;
    }
    send(stream, mark.as_bytes(), &mut pace, &reader).await?;
    listed.replica.hear();
    Ok(reader)
}

/// While a replica has to wait for its snapshot it gets an empty line so often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

fn stream_facts(primary: &Primary, position: Position, now: Millis) -> Vec<(&'static str, String)> {
    let mut facts = facts(now);
    // A stream of our own begins with a SELECT; one that is copied goes on in the database it is in.
    let db = primary.stream_db.load(Relaxed);
    if db != NO_DATABASE {
        facts.push(("repl-stream-db", db.to_string()));
    }
    facts.push(("repl-id", position.id.to_string()));
    facts.push(("repl-offset", position.offset.to_string()));
    facts
}

async fn write(stream: &mut TcpStream, bytes: &[u8], patience: Duration) -> Result<(), Ended> {
    Ok(timeout(patience, stream.write_all(bytes)).await.map_err(|_| Ended::Silent)??)
}

/// Sends a part of the snapshot, at whose end `reader` waits. Meanwhile nobody else takes a snapshot, so who is slow or
/// cannot go on from there anyway is given up.
async fn send(
    stream: &mut TcpStream,
    mut bytes: &[u8],
    pace: &mut Pace,
    reader: &Reader,
) -> Result<(), Ended> {
    while !bytes.is_empty() {
        let began = Instant::now();
        let written = match timeout(LOOK, stream.write(bytes)).await {
            Ok(written) => written?,
            Err(_) => 0,
        };
        bytes = bytes.get(written..).unwrap_or_default();
        if reader.is_lost() {
            return Err(Ended::TooSlow);
        }
        if !pace.keeps(written, began.elapsed()) {
            return Err(Ended::Slow);
        }
    }
    Ok(())
}

/// How often it is asked whether a snapshot that makes no progress is still worth sending.
const LOOK: Duration = Duration::from_millis(200);

/// How fast a snapshot is taken. Only the time counts that is spent waiting for the replica.
#[derive(Debug)]
struct Pace {
    patience: Duration,
    /// Since the last look.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Bytes a second below which a snapshot would keep others waiting too long: 2 Mbit/s.
    const SLOWEST: u64 = 256 * 1024;

    /// Looks each `patience`.
    fn new(patience: Duration) -> Self {
        Self { patience, waited: Duration::ZERO, bytes: 0 }
    }

    /// Whether the replica is fast enough, now that it took so many bytes more in that time.
    fn keeps(&mut self, bytes: usize, waited: Duration) -> bool {
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.waited < self.patience {
            return true;
        }
        let least = self.waited.as_secs_f64() * Self::SLOWEST as f64;
        let keeps = self.bytes as f64 >= least;
        *self = Self::new(self.patience);
        keeps
    }
}

/// The stream of changes to one replica, and its acknowledgements.
struct Feed<'a> {
    primary: &'a Primary,
    listed: &'a Listed<'a>,
    reader: Reader,
    /// It is loading a snapshot, and must not be sent anything before it has said so: it finds the snapshot's end by the last
    /// bytes it has received.
    waits: bool,
    input: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
}

/// Read from the stream at a time.
const STEP: usize = 256 * 1024;

impl Feed<'_> {
    /// Why it ended.
    async fn run(mut self, stream: &mut TcpStream) -> Ended {
        match self.pass_on(stream).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn pass_on(&mut self, stream: &mut TcpStream) -> Result<std::convert::Infallible, Ended> {
        let (mut from, mut to) = stream.split();
        let mut requests = Requests::default();
        let mut ranges = Vec::new();
        let mut watch = interval(Duration::from_secs(1));
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if !self.waits {
            self.listed.set_phase(Phase::Online);
        }
        loop {
            self.understand(&mut requests, &mut ranges)?;
            if self.sent == self.out.len() && !self.waits {
                self.out.clear();
                self.sent = 0;
                self.reader.read(STEP, &mut self.out).map_err(|_| Ended::TooSlow)?;
            }
            let unsent = self.out.get(self.sent..).unwrap_or_default();
            tokio::select! {
                read = from.read_buf(&mut self.input) => if read? == 0 {
                    return Err(Ended::Closed);
                },
                written = to.write(unsent), if !unsent.is_empty() => {
                    self.sent += written?;
                },
                () = self.reader.more(), if unsent.is_empty() && !self.waits => {},
                _ = watch.tick() => {
                    if self.reader.is_lost() {
                        return Err(Ended::TooSlow);
                    }
                    if self.listed.replica.silence() > self.primary.timing().timeout {
                        return Err(Ended::Silent);
                    }
                },
            }
        }
    }

    /// What the replica sends: acknowledgements, and while it loads empty lines.
    fn understand(&mut self, requests: &mut Requests, ranges: &mut Vec<(usize, usize)>) -> Result<(), Ended> {
        let mut at = 0;
        loop {
            let bytes = self.input.get(at..).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            let (end, offset) = match requests.parse(bytes, ranges, &REPLICA).map_err(|_| Ended::Protocol)? {
                Parsed::Partial { .. } => break,
                Parsed::Nothing { end } => (end, None),
                Parsed::Command { end } => {
                    let args = Args::new(requests.words(bytes), ranges);
                    let is_ack = args.is(0, "REPLCONF") && args.is(1, "ACK");
                    let offset = is_ack.then(|| args.integer(2).ok()).flatten();
                    (end, offset.and_then(|offset| u64::try_from(offset).ok()))
                }
            };
            requests.finish();
            at += end;
            self.listed.replica.hear();
            if let Some(offset) = offset {
                if std::mem::take(&mut self.waits) {
                    self.listed.set_phase(Phase::Online);
                }
                self.listed.acknowledge(offset);
            }
        }
        self.input.drain(..at);
        Ok(())
    }
}

/// A replica sends nothing long.
const REPLICA: Limits = Limits { bulk: 4096, words: 64, command: 64 * 1024 };

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Closed => f.write_str("it closed the connection"),
            Self::TooSlow => f.write_str("it fell further behind than changes are kept"),
            Self::Slow => f.write_str("it takes its snapshot too slowly"),
            Self::Silent => f.write_str("nothing was heard of it for too long"),
            Self::Told => f.write_str("its connection was to be closed"),
            Self::NotCapable => f.write_str("it cannot receive a snapshot of unknown length"),
            Self::Protocol => f.write_str("what it sent is no command"),
        }
    }
}

impl std::error::Error for Ended {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_has_to_keep_a_pace() {
        const SECOND: Duration = Duration::from_secs(1);
        let kept = |bytes: &[usize]| {
            let mut pace = Pace::new(10 * SECOND);
            bytes.iter().take_while(|bytes| pace.keeps(**bytes, SECOND)).count()
        };
        let slowest = Pace::SLOWEST as usize;
        assert_eq!(kept(&[slowest; 100]), 100);
        assert_eq!(kept(&[slowest - 1; 100]), 9);
        assert_eq!(kept(&[0; 100]), 9);
        // Having been fast is no reason to be slow.
        assert_eq!(kept(&[&[1 << 30; 15][..], &[0; 85]].concat()), 29);
        // Short pauses are.
        assert_eq!(kept(&[&[0; 8][..], &[slowest * 5; 2]].concat().repeat(10)), 100);
    }
}
