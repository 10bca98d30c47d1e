//! A snapshot's file: written beside the old one and put in its place whole; read at the start, and set aside if damaged.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::persistence::rdb::{self, Item, Reader};
use crate::persistence::snapshot::{Figures, Snapshot};
use crate::store::{Expiry, Millis, Store};

/// Writes a snapshot to `path`: into `path.tmp-<process>`, onto the device, then under its name. Whatever happens, `path`
/// is the old file or the new one.
///
/// # Errors
/// The file could not be written; the old one is as it was.
pub fn save(path: &Path, snapshot: Snapshot<'_>) -> io::Result<Figures> {
    let temporary = Temporary(with_suffix(path, &format!("{TEMPORARY}{}", std::process::id())));
    let mut file = File::create(&temporary.0)?;
    let figures = snapshot.write(|bytes| file.write_all(&bytes))?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary.0, path)?;
    // The new name has to survive a power failure as well.
    File::open(directory(path))?.sync_all()?;
    Ok(figures)
}

/// What was found at the start.
#[derive(Debug)]
pub enum Found {
    /// No file, so no data.
    Nothing,
    /// A whole file.
    Loaded(Loaded),
    /// A file that is no snapshot of ours or Redis', or damaged. Nothing was loaded; the file is kept under another name.
    Damaged {
        /// Why, and where.
        error: rdb::Error,
        /// Its name now.
        aside: PathBuf,
    },
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Keys that are there now.
    pub keys: u64,
    /// Keys that had expired, and were left out.
    pub expired: u64,
    /// Things that are not data and were skipped.
    pub skipped: u64,
    /// The database in which the stream of changes that follows begins, if the file says.
    pub stream_db: Option<u8>,
}

/// Loads the file at `path`, if there is one, into an empty `store`, and removes what was left behind when a process died
/// while it wrote. `make_room` is called from time to time, so that more than fits is evicted and not kept.
///
/// # Errors
/// The file is there and cannot be opened or set aside.
pub fn restore(path: &Path, store: &Store, now: Millis, make_room: impl FnMut()) -> io::Result<Found> {
    remove_temporary(path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    match load(&mut Reader::new(file), store, now, Expired::LeaveOut, make_room) {
        Ok(loaded) => Ok(Found::Loaded(loaded)),
        Err(error) => {
            store.hold_all(0, now).flush(None);
            Ok(Found::Damaged { error, aside: set_aside(path, now)? })
        }
    }
}

/// What becomes of keys that have expired since they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// They are not loaded.
    LeaveOut,
    /// They are loaded as the others: whoever wrote them will say that they are gone, and may have prolonged them.
    Keep,
}

/// Loads all entries. After an error the store holds some of them.
///
/// # Errors
/// The bytes are no whole snapshot.
pub fn load(
    reader: &mut Reader<impl io::Read>,
    store: &Store,
    now: Millis,
    expired: Expired,
    mut make_room: impl FnMut(),
) -> Result<Loaded, rdb::Error> {
    let mut loaded = Loaded::default();
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Entry(entry)
                if expired == Expired::LeaveOut && entry.expires.is_some_and(|at| at <= now) =>
            {
                loaded.expired += 1;
            }
            Item::Entry(entry) => {
                let expiry = entry.expires.map_or(Expiry::Never, Expiry::At);
                store.hold_key(entry.db, &entry.key, now).set(&entry.key, entry.value, expiry);
                loaded.keys += 1;
                if loaded.keys % BETWEEN_ROOM == 0 {
                    make_room();
                }
            }
            Item::Skipped(_) => loaded.skipped += 1,
            Item::Fact { name, value } if name == b"repl-stream-db" => {
                loaded.stream_db = std::str::from_utf8(&value).ok().and_then(|db| db.parse().ok());
            }
            Item::Fact { .. } | Item::Sizes { .. } => {}
        }
    }
    make_room();
    Ok(loaded)
}

/// Keys loaded before room is made again.
const BETWEEN_ROOM: u64 = 256;

const TEMPORARY: &str = ".tmp-";

/// Removes the file unless it has got its final name, when nothing is there to be removed any more.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Fails when it was renamed; and what cannot be removed now is at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

fn remove_temporary(path: &Path) {
    let Some(name) = path.file_name() else { return };
    let mut prefix = name.to_owned();
    prefix.push(TEMPORARY);
    for entry in fs::read_dir(directory(path)).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            // It does no harm but for the space it takes.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Renames to `path.damaged-<seconds>`, with a number behind that if there is such a file.
fn set_aside(path: &Path, now: Millis) -> io::Result<PathBuf> {
    let seconds = now / 1000;
    let mut aside = with_suffix(path, &format!(".damaged-{seconds}"));
    let mut number = 0;
    while aside.try_exists()? {
        number += 1;
        aside = with_suffix(path, &format!(".damaged-{seconds}-{number}"));
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The directory a file is in.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
