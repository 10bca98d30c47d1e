//! The data's file: loaded before the server serves, saved while it does and once more when it stops.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::persistence::{Found, restore};
use crate::server::config::Config;
use crate::server::execute::Executor;
use crate::server::room;
use crate::server::shared::{Shared, wall_clock};

/// Loads the snapshot, if there is one. A damaged one is told of, set aside, and no reason not to start.
///
/// # Errors
/// The file is there and cannot be opened or set aside.
pub(crate) fn load(shared: &Arc<Shared>) -> io::Result<()> {
    let Some(path) = shared.saver.path() else { return Ok(()) };
    let started = std::time::Instant::now();
    let mut executor = Executor::new(shared);
    let found = restore(path, &shared.store, wall_clock(), || make_room(&mut executor));
    make_room(&mut executor);
    executor.end();
    let error = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot load {} (--snapshot): {error}", path.display()))
    };
    match found.map_err(error)? {
        Found::Nothing => tracing::info!(path = %path.display(), "no snapshot yet"),
        Found::Loaded(loaded) => {
            let (keys, expired, took) = (loaded.keys, loaded.expired, started.elapsed());
            tracing::info!(path = %path.display(), keys, expired, ?took, "snapshot loaded");
            if loaded.skipped > 0 {
                tracing::warn!(
                    skipped = loaded.skipped,
                    "the snapshot has functions or data of modules: left out"
                );
            }
            shared.saver.set_loaded(loaded);
        }
        Found::Damaged { error, aside } => {
            let (path, aside) = (path.display(), aside.display());
            tracing::error!(%path, %aside, %error, "the snapshot is damaged: set aside, starting without data");
        }
    }
    Ok(())
}

/// Evicts what is too much, now that more is there than the account knows of.
fn make_room(executor: &mut Executor) {
    let shared = Arc::clone(&executor.shared);
    let shards = (0..shared.store.shard_count()).filter_map(|index| Some(shared.store.shard(index)?.used()));
    let used: usize = shards.sum();
    executor.unreported = used as isize - shared.memory.used() as isize;
    let limit = executor.config.maxmemory;
    if limit > 0 && used > limit {
        // What may not go stays; then commands that need memory are refused.
        let _ = room::relieve(executor, limit, usize::MAX, None);
    }
}

/// Begins to save; ends with [`Saver::stop`](crate::persistence::Saver::stop).
///
/// # Errors
/// There can be no more threads.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    if shared.saver.path().is_some() {
        let shared = Arc::clone(shared);
        thread::Builder::new()
            .name("kv-snapshot".to_owned())
            .spawn(move || shared.saver.run(&shared.store, wall_clock, || changes(&shared)))?;
    }
    Ok(())
}

/// Does as the configuration says.
pub(crate) fn adjust(shared: &Shared, config: &Config) {
    let interval = Some(config.snapshot_interval).filter(|seconds| *seconds > 0).map(Duration::from_secs);
    if shared.saver.interval() != interval {
        shared.saver.set_interval(interval);
    }
}

/// Changes of the data since the start.
pub(crate) fn changes(shared: &Shared) -> u64 {
    shared.stats.sum(|counters| counters.changes.now())
}

/// The directory of a snapshot as an absolute path, and its name there.
///
/// # Errors
/// There is no such directory, or the path has no name.
pub(crate) fn placed(path: &Path) -> io::Result<(PathBuf, String)> {
    let wrong = |error: String| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{} (--snapshot): {error}", path.display()))
    };
    let directory =
        crate::persistence::directory(path).canonicalize().map_err(|error| wrong(error.to_string()))?;
    let name = path.file_name().ok_or_else(|| wrong("a file is needed, not a directory".to_owned()))?;
    Ok((directory, name.to_string_lossy().into_owned()))
}
