//! [`Shared`]: what all threads of one server share.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize};
use std::sync::{Arc, mpsc};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::persistence::{Saver, Turn};
use crate::replication::{Backlog, Keep, Primary};
use crate::server::blocking::Blocking;
use crate::server::clients::{Clients, Kind};
use crate::server::config::{Config, Configs};
use crate::server::pubsub::Pubsub;
use crate::server::replication::{self, Replication};
use crate::server::slowlog::SlowLog;
use crate::server::snapshots;
use crate::server::stats::Stats;
use crate::store::{Garbage, Millis, Store};

/// What all threads of one server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) memory: Memory,
    pub(crate) configs: Configs,
    pub(crate) clients: Clients,
    pub(crate) blocking: Blocking,
    pub(crate) pubsub: Pubsub,
    /// The stream of changes (its `backlog`), and the replicas it is for.
    pub(crate) primary: Arc<Primary>,
    pub(crate) replication: Replication,
    pub(crate) saver: Arc<Saver>,
    /// Takes what is to be dropped where nobody waits.
    pub(crate) garbage: mpsc::Sender<Vec<Garbage>>,
    pub(crate) slowlog: SlowLog,
    pub(crate) stats: Stats,
    pub(crate) pause: Pause,
    pub(crate) phase: watch::Sender<Phase>,
    stopping: AtomicBool,
    /// What identifies this run of the server, 40 hexadecimal digits.
    pub(crate) run_id: String,
    pub(crate) started: Instant,
    /// The same by the wall clock.
    pub(crate) began: SystemTime,
    pub(crate) threads: usize,
    /// Whether keys that have expired are removed although nobody looks at them; `DEBUG SET-ACTIVE-EXPIRE`.
    pub(crate) expires_actively: AtomicBool,
}

/// How far a server is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It serves.
    Running,
    /// It was asked to stop: what is being answered is finished.
    Stopping,
    /// Everything ends where it stands.
    Over,
}

/// Bytes that all shards take together. Threads report what they changed in batches.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    used: AtomicIsize,
    peak: AtomicUsize,
}

impl Memory {
    /// So much more, or less.
    pub(crate) fn change(&self, bytes: isize) {
        self.used.fetch_add(bytes, Relaxed);
    }

    /// Notes how much is used now, for [`Memory::peak`].
    pub(crate) fn look(&self) {
        self.peak.fetch_max(self.used(), Relaxed);
    }

    /// The most that was used when somebody looked.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// Bytes in use, apart from what threads have not reported yet.
    pub(crate) fn used(&self) -> usize {
        usize::try_from(self.used.load(Relaxed)).unwrap_or(0)
    }
}

/// `CLIENT PAUSE`
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// Until then; 0 without a pause.
    until: AtomicU64,
    /// Only commands that write are held back.
    writes_only: AtomicBool,
}

impl Pause {
    /// Holds commands back until then.
    pub(crate) fn begin(&self, until: Millis, writes_only: bool) {
        self.writes_only.store(writes_only, Relaxed);
        self.until.store(until, Relaxed);
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.until.store(0, Relaxed);
    }

    /// Until when commands wait: all, or those that write.
    pub(crate) fn holds(&self, writes: bool, now: Millis) -> Option<Millis> {
        let until = self.until.load(Relaxed);
        (until > now && (writes || !self.writes_only.load(Relaxed))).then_some(until)
    }
}

impl Shared {
    /// Of a server with so many threads and without data. Snapshots go to `snapshot`, if there is a file for them.
    pub(crate) fn new(
        config: Config,
        threads: usize,
        snapshot: Option<PathBuf>,
        garbage: mpsc::Sender<Vec<Garbage>>,
    ) -> Self {
        let turn = Turn::default();
        let backlog = Backlog::new(Keep::default(), &mut fastrand::Rng::new());
        // One thread waits for nobody; with several, most find the shard they need free.
        let store = Store::new(if threads == 1 { 1 } else { threads * 16 });
        let memory = Memory::default();
        for index in 0..store.shard_count() {
            if let Some(mut shard) = store.shard(index) {
                shard.set_policy(config.policy);
                memory.change(shard.used() as isize);
            }
        }
        let shared = Self {
            store,
            memory,
            configs: Configs::new(config),
            clients: Clients::default(),
            blocking: Blocking::new(),
            pubsub: Pubsub::default(),
            primary: Arc::new(Primary::new(Arc::new(backlog), turn.clone())),
            replication: Replication::default(),
            saver: Arc::new(Saver::new(snapshot, None, turn, wall_clock())),
            garbage,
            slowlog: SlowLog::default(),
            stats: Stats::default(),
            pause: Pause::default(),
            phase: watch::Sender::new(Phase::Running),
            stopping: AtomicBool::new(false),
            run_id: format!("{:032x}{:08x}", fastrand::u128(..), fastrand::u32(..)),
            started: Instant::now(),
            began: SystemTime::now(),
            threads,
            expires_actively: AtomicBool::new(true),
        };
        shared.follow_config(&shared.configs.current());
        shared
    }

    /// Does as the configuration says, where that is not asked for each time. The policy of eviction is not among it.
    pub(crate) fn follow_config(&self, config: &Config) {
        replication::adjust(self, config);
        snapshots::adjust(self, config);
    }

    /// Publishes a message and returns how many it reached; who does not take what is sent to it is closed.
    pub(crate) fn publish(&self, channel: &[u8], message: &[u8], now: Millis) -> usize {
        let config = self.configs.current();
        self.stats.published.fetch_add(1, Relaxed);
        self.pubsub.publish(channel, message, |client, message| {
            let limit = config.output_limit(Kind::Pubsub);
            let unsent = client.unsent.load(Relaxed);
            if !client.mailbox.send(message, unsent, limit, now) {
                self.slow_reader(client.id, client.address, "published messages");
            }
        })
    }

    /// Counts and tells that a client was closed for not reading.
    pub(crate) fn slow_reader(&self, id: u64, address: std::net::SocketAddr, what: &str) {
        self.stats.slow_readers.fetch_add(1, Relaxed);
        tracing::warn!(client = id, %address, "closed: it does not take its {what} (client-output-buffer-limit)");
    }

    /// Asks everything to end; a later phase is not undone.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let later = phase as u8 > *current as u8;
            if later {
                *current = phase;
            }
            later
        });
        self.stopping.store(*self.phase.borrow() != Phase::Running, Relaxed);
        for client in self.clients.all() {
            client.mailbox.wake();
        }
    }

    /// Whether the server has been asked to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Whether another server is followed.
    pub(crate) fn is_replica(&self) -> bool {
        self.replication.is_replica()
    }
}

impl AsRef<Store> for Shared {
    fn as_ref(&self) -> &Store {
        &self.store
    }
}

/// The time now.
pub(crate) fn wall_clock() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}
