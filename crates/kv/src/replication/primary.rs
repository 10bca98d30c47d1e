//! [`Primary`]: the replicas that follow this server, what they have acknowledged, and what is kept for them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::timeout_at;

use crate::persistence::Turn;
use crate::replication::Backlog;

/// This server as the one that others follow.
#[derive(Debug)]
pub struct Primary {
    /// The stream of changes.
    pub backlog: Arc<Backlog>,
    /// Held while a snapshot is taken.
    pub(super) turn: Turn,
    /// Held while commands are applied that came from a primary of our own, together with noting them in the backlog: whoever
    /// holds it sees data and stream at the same place.
    pub(super) unit: Mutex<()>,
    /// The database that the stream of a primary of our own is in; [`NO_DATABASE`] without one. It stays while another
    /// primary is looked for, since the same stream may go on there.
    pub(super) stream_db: AtomicU8,
    replicas: Mutex<Vec<Arc<Replica>>>,
    /// Changes whenever a replica has acknowledged something, or has come or gone.
    acknowledged: watch::Sender<u64>,
    timing: Mutex<Timing>,
    last_ping: Mutex<Instant>,
    counts: Counts,
}

pub(super) const NO_DATABASE: u8 = u8::MAX;

/// How often and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// `repl-ping-replica-period`
    pub ping: Duration,
    /// `repl-timeout`: after such a silence the other side is gone.
    pub timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { ping: Duration::from_secs(10), timeout: Duration::from_secs(60) }
    }
}

/// A replica that is connected.
#[derive(Debug)]
pub struct Replica {
    /// Where it connected from.
    pub address: IpAddr,
    /// The port it listens at, by its own account; 0 if it did not say.
    pub port: u16,
    phase: Mutex<Phase>,
    acknowledged: AtomicU64,
    heard: Mutex<Instant>,
    pub(super) close: Notify,
}

/// How far a replica has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for its snapshot to begin.
    Waiting,
    /// Receives its snapshot, or loads it.
    Loading,
    /// Receives changes.
    Online,
}

/// How a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Where it connected from.
    pub address: IpAddr,
    /// The port it listens at.
    pub port: u16,
    /// How far it has come.
    pub phase: Phase,
    /// Bytes of the stream it has acknowledged.
    pub offset: u64,
    /// Since it was heard of.
    pub lag: Duration,
}

#[derive(Debug, Default)]
struct Counts {
    full: AtomicU64,
    partial: AtomicU64,
    refused: AtomicU64,
    given_up: AtomicU64,
}

/// What happened with replicas since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Whole snapshots begun: `sync_full`.
    pub full: u64,
    /// Replicas that went on where they had stopped: `sync_partial_ok`.
    pub partial: u64,
    /// Replicas that wanted to and could not: `sync_partial_err`.
    pub refused: u64,
    /// Replicas closed because they were too slow, or silent.
    pub given_up: u64,
}

impl Phase {
    /// As `INFO` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "wait_bgsave",
            Self::Loading => "send_bulk",
            Self::Online => "online",
        }
    }
}

impl Primary {
    /// Without replicas. `turn` is that of everybody who takes snapshots.
    pub fn new(backlog: Arc<Backlog>, turn: Turn) -> Self {
        Self {
            backlog,
            turn,
            unit: Mutex::new(()),
            stream_db: AtomicU8::new(NO_DATABASE),
            replicas: Mutex::default(),
            acknowledged: watch::Sender::new(0),
            timing: Mutex::default(),
            last_ping: Mutex::new(Instant::now()),
            counts: Counts::default(),
        }
    }

    /// How often and how long.
    pub fn timing(&self) -> Timing {
        *lock(&self.timing)
    }

    /// Chooses that.
    pub fn set_timing(&self, timing: Timing) {
        *lock(&self.timing) = timing;
    }

    /// All replicas, in the order in which they came.
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        lock(&self.replicas).iter().map(|replica| replica.status()).collect()
    }

    /// What happened so far.
    pub fn totals(&self) -> Totals {
        let Counts { full, partial, refused, given_up } = &self.counts;
        Totals {
            full: full.load(Relaxed),
            partial: partial.load(Relaxed),
            refused: refused.load(Relaxed),
            given_up: given_up.load(Relaxed),
        }
    }

    /// `CONFIG RESETSTAT`
    pub fn reset_totals(&self) {
        let Counts { full, partial, refused, given_up } = &self.counts;
        [full, partial, refused, given_up].iter().for_each(|count| count.store(0, Relaxed));
    }

    /// `WAIT`: waits until `count` replicas have acknowledged all up to `offset`, for at most `patience` (`None`: for ever);
    /// how many have.
    pub async fn wait(&self, count: usize, offset: u64, patience: Option<Duration>) -> usize {
        let mut news = self.acknowledged.subscribe();
        let deadline = patience.and_then(|patience| tokio::time::Instant::now().checked_add(patience));
        let mut asked = false;
        loop {
            news.mark_unchanged();
            let have = self.acknowledged(offset);
            if have >= count {
                return have;
            }
            if !std::mem::replace(&mut asked, true) && !lock(&self.replicas).is_empty() {
                self.backlog.hold().command([&b"REPLCONF"[..], b"GETACK", b"*"].into_iter());
            }
            match deadline {
                // The sender is ours.
                None => _ = news.changed().await,
                Some(deadline) => {
                    if timeout_at(deadline, news.changed()).await.is_err() {
                        return self.acknowledged(offset);
                    }
                }
            }
        }
    }

    /// How many replicas have acknowledged all up to `offset`.
    pub fn acknowledged(&self, offset: u64) -> usize {
        let replicas = lock(&self.replicas);
        replicas.iter().filter(|replica| replica.is(Phase::Online) && replica.offset() >= offset).count()
    }

    /// To be called about each second: shows replicas that we live, and ends the recording when there are none for long.
    /// Whether it did that; removals need not be logged then. `is_replica`: our own primary shows that it lives.
    pub fn tick(&self, is_replica: bool, rng: &mut fastrand::Rng) -> bool {
        if is_replica {
            return false;
        }
        let now = Instant::now();
        let mut last_ping = lock(&self.last_ping);
        if now.duration_since(*last_ping) >= self.timing().ping {
            *last_ping = now;
            if !lock(&self.replicas).is_empty() {
                self.backlog.hold().command([&b"PING"[..]].into_iter());
            }
        }
        self.backlog.rest(now, rng)
    }

    /// The stream of a primary of our own does not go on; to be called with all keys held.
    pub fn leave_stream(&self) {
        self.stream_db.store(NO_DATABASE, Relaxed);
    }

    /// Closes the connections of all replicas, which then begin anew.
    pub fn close_replicas(&self) {
        lock(&self.replicas).iter().for_each(|replica| replica.close.notify_one());
    }

    /// A replica has come; it is listed until what is returned is dropped.
    pub(super) fn enter(&self, address: IpAddr, port: u16) -> Listed<'_> {
        let replica = Arc::new(Replica {
            address,
            port,
            phase: Mutex::new(Phase::Waiting),
            acknowledged: AtomicU64::new(0),
            heard: Mutex::new(Instant::now()),
            close: Notify::new(),
        });
        lock(&self.replicas).push(Arc::clone(&replica));
        Listed { primary: self, replica }
    }

    pub(super) fn count_full(&self) {
        self.counts.full.fetch_add(1, Relaxed);
    }

    pub(super) fn count_partial(&self, resumed: bool) {
        let count = if resumed { &self.counts.partial } else { &self.counts.refused };
        count.fetch_add(1, Relaxed);
    }

    pub(super) fn count_given_up(&self) {
        self.counts.given_up.fetch_add(1, Relaxed);
    }
}

impl Replica {
    /// How it stands.
    pub fn status(&self) -> ReplicaStatus {
        ReplicaStatus {
            address: self.address,
            port: self.port,
            phase: *lock(&self.phase),
            offset: self.offset(),
            lag: self.silence(),
        }
    }

    pub(super) fn offset(&self) -> u64 {
        self.acknowledged.load(Relaxed)
    }

    pub(super) fn silence(&self) -> Duration {
        lock(&self.heard).elapsed()
    }

    pub(super) fn hear(&self) {
        *lock(&self.heard) = Instant::now();
    }

    fn is(&self, phase: Phase) -> bool {
        *lock(&self.phase) == phase
    }
}

/// A replica while it is listed.
pub(super) struct Listed<'a> {
    primary: &'a Primary,
    pub(super) replica: Arc<Replica>,
}

impl Listed<'_> {
    pub(super) fn set_phase(&self, phase: Phase) {
        *lock(&self.replica.phase) = phase;
        self.tell();
    }

    /// It has acknowledged all up to `offset`.
    pub(super) fn acknowledge(&self, offset: u64) {
        self.replica.hear();
        if self.replica.acknowledged.fetch_max(offset, Relaxed) != offset {
            self.tell();
        }
    }

    fn tell(&self) {
        self.primary.acknowledged.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        lock(&self.primary.replicas).retain(|replica| !Arc::ptr_eq(replica, &self.replica));
        self.tell();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
