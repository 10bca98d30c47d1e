//! [`Replication`]: whether this server follows another, and what follows from that for clients.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::command::Flags;
use crate::error::Error;
use crate::replication::{Keep, Link, LinkState, Source, Timing};
use crate::server::config::Config;
use crate::server::repeat::Repeater;
use crate::server::shared::{Shared, wall_clock};

/// This server's part in replication.
#[derive(Debug, Default)]
pub(crate) struct Replication {
    is_replica: AtomicBool,
    /// Held while it begins or ends to follow, which waits for shards: never to be asked for with a shard held.
    turn: Mutex<()>,
    /// Held for a moment, and never while anything else is waited for: who holds shards may ask for it.
    link: Mutex<Option<Arc<Link>>>,
}

impl Replication {
    /// Whether it follows another server.
    pub(crate) fn is_replica(&self) -> bool {
        self.is_replica.load(Relaxed)
    }

    /// What it follows its primary by.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.slot().clone()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Link>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it follows another server and has its stream.
    pub(crate) fn is_linked(&self) -> bool {
        self.link().is_some_and(|link| link.status().state == LinkState::Up)
    }

    /// Whether clients may change anything.
    ///
    /// # Errors
    /// It follows another server, and they may not.
    pub(crate) fn may_write(&self, config: &Config) -> Result<(), Error> {
        if self.is_replica() && config.replica_read_only {
            return Err(Error::new("READONLY You can't write against a read only replica."));
        }
        Ok(())
    }

    /// Whether a command may be answered.
    ///
    /// # Errors
    /// It is about data, which may be old, and is not to be answered then.
    pub(crate) fn may_answer(&self, config: &Config, flags: Flags) -> Result<(), Error> {
        let concerned = self.is_replica() && !config.serves_stale && !flags.has(Flags::LOADING);
        if concerned && !self.is_linked() {
            return Err(Error::new(
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            ));
        }
        Ok(())
    }

    /// Ends the link, when the server ends.
    pub(crate) fn end(&self) {
        if let Some(link) = self.link() {
            link.stop();
        }
    }
}

/// To be called about each second.
pub(crate) fn upkeep(shared: &Shared, rng: &mut fastrand::Rng) {
    if shared.primary.tick(shared.is_replica(), rng) {
        for index in 0..shared.store.shard_count() {
            if let Some(mut shard) = shared.store.shard(index) {
                // Who turned it on again meanwhile held all shards for that.
                shard.log_removals(shared.primary.backlog.is_on());
            }
        }
    }
}

/// Does as the configuration says.
pub(crate) fn adjust(shared: &Shared, config: &Config) {
    let ttl = Some(config.backlog_ttl).filter(|ttl| *ttl > 0).map(Duration::from_secs);
    let most = if config.replica_output.hard == 0 { usize::MAX } else { config.replica_output.hard };
    shared.primary.backlog.set_keep(Keep { size: config.backlog_size, most, ttl });
    shared.primary.set_timing(Timing {
        ping: Duration::from_secs(config.replica_ping_period),
        timeout: Duration::from_secs(config.replication_timeout),
    });
}

/// Follows another server from now on: `REPLICAOF host port`. Nothing happens if it is followed already.
///
/// # Errors
/// There can be no more threads.
pub(crate) fn follow(shared: &Arc<Shared>, host: &str, port: u16) -> std::io::Result<()> {
    let config = shared.configs.current();
    let replication = &shared.replication;
    let _turn = replication.turn();
    if replication.link().is_some_and(|link| link.source.host == host && link.source.port == port) {
        return Ok(());
    }
    let before = replication.slot().take();
    if let Some(link) = before {
        link.stop();
    }
    adjust(shared, &config);
    {
        let mut keys = shared.store.hold_all(0, wall_clock());
        replication.is_replica.store(true, Relaxed);
        shared.primary.backlog.suspend();
        for shard in keys.shards_mut() {
            shard.set_keeps_expired(true);
            shard.log_removals(false);
        }
    }
    unblock_all(shared);
    let password = String::from_utf8_lossy(&config.primary_password).into_owned();
    let source = Source {
        host: host.to_owned(),
        port,
        user: None,
        password: Some(password).filter(|password| !password.is_empty()),
        listening_port: config.fixed.port,
    };
    let link = Arc::new(Link::new(source, shared.primary.clone()));
    let repeater = Repeater::new(shared);
    let (run, store_of) = (link.clone(), shared.clone());
    std::thread::Builder::new()
        .name("kv-replica".to_owned())
        .spawn(move || run.run(&store_of.store, &repeater, wall_clock))?;
    tracing::info!(primary = %link.source, "following a primary");
    *replication.slot() = Some(link);
    Ok(())
}

/// Whoever waits for a key would take something from it, which only the primary may do now.
fn unblock_all(shared: &Shared) {
    const UNBLOCKED: Error = Error::new(
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    );
    for client in shared.clients.all() {
        if let Some(waiter) = client.waiter()
            && waiter.end(Some(&UNBLOCKED))
        {
            shared.blocking.leave(&waiter);
            client.mailbox.wake();
        }
    }
}

/// Follows nobody any more, with the data as they are: `REPLICAOF NO ONE`.
pub(crate) fn lead(shared: &Arc<Shared>) {
    let replication = &shared.replication;
    let _turn = replication.turn();
    let before = replication.slot().take();
    let Some(link) = before else { return };
    link.stop();
    let mut keys = shared.store.hold_all(0, wall_clock());
    shared.primary.backlog.branch(&mut fastrand::Rng::new());
    shared.primary.leave_stream();
    for shard in keys.shards_mut() {
        shard.set_keeps_expired(false);
        shard.log_removals(shared.primary.backlog.is_on());
    }
    replication.is_replica.store(false, Relaxed);
    tracing::info!(primary = %link.source, "following nobody any more");
}

/// The two parts of `HOST:PORT`; an IPv6 address stands in brackets.
///
/// # Errors
/// It has not these parts.
pub(crate) fn host_and_port(text: &str) -> std::io::Result<(String, u16)> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let host = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let parts = parts.map(|(name, port)| (host(name), port)).filter(|(name, _)| !name.is_empty());
    parts.ok_or_else(|| {
        let text = format!("{text:?} (--replicaof) is not of the form HOST:PORT");
        std::io::Error::new(std::io::ErrorKind::InvalidInput, text)
    })
}
