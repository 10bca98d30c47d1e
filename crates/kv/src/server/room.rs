//! Room for what is to be stored: while the data take more than `maxmemory`, keys go by the policy.
//!
//! The keys of the shard that is going to grow come first, so that all shards keep their share. One shard is held at a
//! time, and a command waits for a bounded number of keys to go: the housekeeping takes the rest.

use crate::command::Spec;
use crate::error::Error;
use crate::resp::Args;
use crate::server::execute::Executor;
use crate::server::shared::Shared;
use crate::store::{Keyspace, Millis, Shard};

/// Keys that go for one command, if it is a small one.
const FEW: usize = 64;
/// What the smallest key takes, about. A command that brings many bytes may send as many away.
const SMALLEST: usize = 64;

/// Makes room for a command that may need memory.
///
/// # Errors
/// There is none, and nothing may go.
pub(crate) fn make(executor: &mut Executor, db: u8, spec: &Spec, args: &Args<'_>) -> Result<(), Error> {
    let limit = executor.config.maxmemory;
    if limit == 0 || executor.used() <= limit || executor.shared.is_replica() {
        return Ok(());
    }
    let incoming: usize = args.iter().map(<[u8]>::len).sum();
    let most = FEW + 2 * incoming / SMALLEST;
    let key = spec.keys.positions(args).next().map(|at| args.at(at)).unwrap_or_default();
    relieve(executor, limit, most, Some((db, key)))
}

/// Lets up to `most` keys go while more than `limit` bytes are used; first where `key` is.
///
/// # Errors
/// None may go.
pub(crate) fn relieve(
    executor: &mut Executor,
    limit: usize,
    most: usize,
    key: Option<(u8, &[u8])>,
) -> Result<(), Error> {
    let shared = executor.shared.clone();
    let count = shared.store.shard_count();
    let fair = executor.used() / count / 2;
    let mut left = most;
    if let Some((db, key)) = key {
        let mut keys = shared.store.hold_key(db, key, executor.now);
        for shard in keys.shards_mut() {
            // A shard that has less than others is not made to pay for them.
            if shard.used() > fair {
                evict(executor, shard, limit, &mut left);
            }
        }
    }
    let start = executor.rng.usize(0..count);
    for index in (start..count).chain(0..start) {
        if left == 0 || executor.used() <= limit {
            break;
        }
        if let Some(mut shard) = shared.store.shard(index) {
            evict(executor, &mut shard, limit, &mut left);
        }
    }
    // With some gone there is hope for the rest.
    if left < most || executor.used() <= limit { Ok(()) } else { Err(Error::OUT_OF_MEMORY) }
}

fn evict(executor: &mut Executor, shard: &mut Shard, limit: usize, left: &mut usize) {
    let before = shard.used();
    while *left > 0 {
        let freed = before.saturating_sub(shard.used());
        if executor.used().saturating_sub(freed) <= limit {
            break;
        }
        if shard.evict(&mut executor.rng, executor.now).is_none() {
            break;
        }
        *left -= 1;
    }
    executor.unreported -= before as isize - shard.used() as isize;
    tell_removed(&executor.shared, std::iter::once(&mut *shard));
    discard(&executor.shared, shard);
}

/// Removes what has expired in a shard, at most so much, and tells replicas. How much there was.
pub(crate) fn expire(executor: &mut Executor, shard: &mut Shard, now: Millis, most: usize) -> usize {
    let before = shard.used();
    let steps = shard.expire_some(now, most);
    executor.unreported -= before as isize - shard.used() as isize;
    tell_removed(&executor.shared, std::iter::once(&mut *shard));
    discard(&executor.shared, shard);
    steps
}

/// Tells replicas of the keys that went by themselves.
pub(crate) fn tell_removed<'s>(shared: &Shared, shards: impl Iterator<Item = &'s mut Shard>) {
    let backlog = &shared.primary.backlog;
    if backlog.is_on() {
        for (db, key) in shards.flat_map(|shard| shard.take_removed()) {
            backlog.append(db, [b"DEL".as_slice(), &key].into_iter());
        }
    }
}

/// Has what takes long to drop dropped elsewhere.
pub(crate) fn collect_garbage(shared: &Shared, keys: &mut Keyspace<'_>) {
    keys.shards_mut().for_each(|shard| discard(shared, shard));
}

pub(crate) fn discard(shared: &Shared, shard: &mut Shard) {
    let garbage = shard.take_garbage();
    if !garbage.is_empty() {
        // Without anybody to take it, it is dropped here.
        let _ = shared.garbage.send(garbage);
    }
}

impl Executor {
    /// Makes the account of all threads include what this one knows.
    pub(crate) fn report(&mut self) {
        if self.unreported != 0 {
            self.shared.memory.change(std::mem::take(&mut self.unreported));
        }
    }

    /// Bytes of data, as far as this thread knows.
    pub(crate) fn used(&self) -> usize {
        self.shared.memory.used().saturating_add_signed(self.unreported)
    }
}
