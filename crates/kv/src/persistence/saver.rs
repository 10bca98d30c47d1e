//! [`Saver`]: when snapshots are saved, and how that went.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, info};

use crate::persistence::file::{self, Loaded};
use crate::persistence::snapshot::{Figures, Snapshot};
use crate::store::{Millis, Store};

/// Who takes a snapshot holds this meanwhile, since there is one at a time.
pub type Turn = Arc<tokio::sync::Mutex<()>>;

/// Saves snapshots on a thread of its own: when asked to, and on an interval if something has changed.
#[derive(Debug)]
pub struct Saver {
    path: Option<PathBuf>,
    turn: Turn,
    state: Mutex<State>,
    wake: Condvar,
    /// How many attempts are over.
    over: watch::Sender<u64>,
}

/// How saving goes, for `INFO`, `LASTSAVE` and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The last attempt came to a whole file, or there was none.
    pub last_ok: bool,
    /// When the last whole file was begun, or loaded, or the server started.
    pub last_success: Millis,
    /// How long the last attempt took.
    pub last_took: Option<Duration>,
    /// What the last whole file came to.
    pub figures: Figures,
    /// For how long one is being saved, or going to be.
    pub running: Option<Duration>,
    /// Whole files since the start.
    pub saves: u64,
    /// Attempts that failed since the start.
    pub failures: u64,
    /// Changes that the last whole file has not.
    pub unsaved_changes: u64,
    /// What was loaded at the start.
    pub loaded: Loaded,
}

/// Why nothing is going to be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Something is being saved.
    InProgress,
    /// There is no file to save to, or the server is stopping.
    Off,
}

#[derive(Debug)]
struct State {
    requested: bool,
    stopping: bool,
    /// At a graceful stop.
    saves_last: bool,
    loaded: Loaded,
    running: Option<Instant>,
    interval: Option<Duration>,
    last_ok: bool,
    /// Why the last attempt that failed did.
    last_error: Option<(io::ErrorKind, String)>,
    last_success: Millis,
    last_took: Option<Duration>,
    figures: Figures,
    saves: u64,
    failures: u64,
    /// Changes when the last whole file was begun.
    saved_changes: u64,
}

impl Saver {
    /// Saves to `path`, if there is one; every `interval`, if there is one.
    pub fn new(path: Option<PathBuf>, interval: Option<Duration>, turn: Turn, now: Millis) -> Self {
        let state = State {
            requested: false,
            stopping: false,
            saves_last: true,
            loaded: Loaded::default(),
            running: None,
            interval,
            last_ok: true,
            last_error: None,
            last_success: now,
            last_took: None,
            figures: Figures::default(),
            saves: 0,
            failures: 0,
            saved_changes: 0,
        };
        Self { path, turn, state: Mutex::new(state), wake: Condvar::new(), over: watch::Sender::new(0) }
    }

    /// Does the saving until [`Saver::stop`]; for a thread of its own. `clock` tells the time, `changes` how many there
    /// were since the start.
    pub fn run(&self, store: &Store, clock: impl Fn() -> Millis, changes: impl Fn() -> u64) {
        while self.wait(&changes) {
            self.attempt(store, clock(), &changes);
        }
    }

    /// Asks for a snapshot soon. [`Saver::finished`] waits for it.
    ///
    /// # Errors
    /// There is one already, or none can be.
    pub fn request(&self) -> Result<u64, Refused> {
        let mut state = self.lock();
        if self.path.is_none() || state.stopping {
            return Err(Refused::Off);
        }
        if state.running.is_some() || state.requested {
            return Err(Refused::InProgress);
        }
        state.requested = true;
        let attempts = state.saves + state.failures;
        drop(state);
        self.wake.notify_all();
        Ok(attempts + 1)
    }

    /// Waits until as many attempts are over as [`Saver::request`] said; whether the last one succeeded.
    pub async fn finished(&self, attempt: u64) -> bool {
        // Fails only when the sender is gone, which is ours.
        let _ = self.over.subscribe().wait_for(|over| *over >= attempt).await;
        self.lock().last_ok
    }

    /// Waits while a snapshot is being saved.
    pub async fn idle(&self) {
        let attempt = {
            let state = self.lock();
            let busy = state.running.is_some() || state.requested;
            busy.then_some(state.saves + state.failures + 1)
        };
        if let Some(attempt) = attempt {
            self.finished(attempt).await;
        }
    }

    /// Chooses whether [`Saver::finish`] saves.
    pub fn set_last(&self, saves: bool) {
        self.lock().saves_last = saves;
    }

    /// Saves, if there is a file and something has changed. `changes` tells how many changes there were since the start.
    ///
    /// # Errors
    /// What has changed could not be saved; the text names the file.
    pub async fn settle(&self, changes: impl Fn() -> u64) -> io::Result<()> {
        loop {
            self.idle().await;
            if self.status(changes()).unsaved_changes == 0 {
                return Ok(());
            }
            match self.request() {
                Ok(attempt) if self.finished(attempt).await => return Ok(()),
                Ok(_) => return Err(self.failure()),
                // One was begun meanwhile, perhaps too early.
                Err(Refused::InProgress) => {}
                Err(Refused::Off) => return Ok(()),
            }
        }
    }

    /// For a graceful stop: [`Saver::settle`] unless [`Saver::set_last`] was told otherwise, and lets [`Saver::run`] return.
    ///
    /// # Errors
    /// As [`Saver::settle`].
    pub async fn finish(&self, changes: impl Fn() -> u64) -> io::Result<()> {
        self.idle().await;
        let saves = self.lock().saves_last;
        let settled = if saves { self.settle(changes).await } else { Ok(()) };
        self.stop();
        settled
    }

    fn failure(&self) -> io::Error {
        let error = self.lock().last_error.clone();
        let (kind, text) = error.unwrap_or((io::ErrorKind::Other, "nobody saves any more".to_owned()));
        let path = self.path.as_deref().unwrap_or(std::path::Path::new("")).display();
        io::Error::new(kind, format!("cannot save {path} (--snapshot): {text}"))
    }

    /// Shows what was loaded at the start.
    pub fn set_loaded(&self, loaded: Loaded) {
        self.lock().loaded = loaded;
    }

    /// Lets [`Saver::run`] return, after what it is saving now.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.wake.notify_all();
    }

    /// Chooses the interval.
    pub fn set_interval(&self, interval: Option<Duration>) {
        self.lock().interval = interval;
        self.wake.notify_all();
    }

    /// The interval.
    pub fn interval(&self) -> Option<Duration> {
        self.lock().interval
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    /// How saving goes, after so many changes since the start.
    pub fn status(&self, changes: u64) -> Status {
        let state = self.lock();
        Status {
            last_ok: state.last_ok,
            last_success: state.last_success,
            last_took: state.last_took,
            figures: state.figures,
            running: match state.running {
                Some(since) => Some(since.elapsed()),
                None => state.requested.then_some(Duration::ZERO),
            },
            saves: state.saves,
            failures: state.failures,
            unsaved_changes: changes.saturating_sub(state.saved_changes),
            loaded: state.loaded,
        }
    }

    /// Waits until something is to be saved; false at the end.
    fn wait(&self, changes: &impl Fn() -> u64) -> bool {
        let mut state = self.lock();
        let mut since = Instant::now();
        loop {
            if state.requested {
                return true;
            }
            if state.stopping {
                return false;
            }
            let left = match state.interval.filter(|_| self.path.is_some()) {
                None => {
                    since = Instant::now();
                    None
                }
                Some(interval) => match interval.checked_sub(since.elapsed()) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ if changes() != state.saved_changes => return true,
                    // Nothing to save: look again after another interval.
                    _ => {
                        since = Instant::now();
                        Some(interval)
                    }
                },
            };
            state = match left {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    fn attempt(&self, store: &Store, now: Millis, changes: &impl Fn() -> u64) {
        let Some(path) = &self.path else { return };
        let start = Instant::now();
        self.lock().running = Some(start);
        let (result, saved) = {
            let _turn = self.turn.blocking_lock();
            let mut saved = 0;
            let snapshot = Snapshot::begin(store, now, |_| {
                saved = changes();
                facts(now)
            });
            (file::save(path, snapshot), saved)
        };
        let took = start.elapsed();
        report(path, &result, took);
        let mut state = self.lock();
        (state.running, state.requested) = (None, false);
        state.last_took = Some(took);
        state.last_ok = result.is_ok();
        match result {
            Ok(figures) => {
                state.figures = figures;
                state.saves += 1;
                state.last_success = now;
                state.saved_changes = saved;
            }
            Err(error) => {
                state.failures += 1;
                state.last_error = Some((error.kind(), error.to_string()));
            }
        }
        let over = state.saves + state.failures;
        drop(state);
        self.over.send_replace(over);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What Redis writes about a file as well.
pub(crate) fn facts(now: Millis) -> Vec<(&'static str, String)> {
    vec![
        ("redis-bits", "64".to_owned()),
        ("ctime", (now / 1000).to_string()),
        ("evenkeel-kv-ver", env!("CARGO_PKG_VERSION").to_owned()),
    ]
}

fn report(path: &std::path::Path, result: &io::Result<Figures>, took: Duration) {
    let path = path.display();
    match result {
        Ok(Figures { keys, bytes, longest_hold }) => {
            info!(%path, keys, bytes, ?took, ?longest_hold, "snapshot saved");
        }
        Err(error) => error!(%path, %error, ?took, "snapshot not saved; the last one stays as it is"),
    }
}
