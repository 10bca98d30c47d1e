//! Opens the connections and makes the rows of a new database.
//!
//! Without a file the database lives in SQLite's `memdb` file system under a name of its own: its connections
//! have separate page caches and read at the same time, which those of a shared cache (`cache=shared`) do not,
//! and nothing is left behind by a process that is killed, which a temporary file would be. A file is in
//! write-ahead mode, and several backends may share it.

use std::io;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::Settings;

/// Opens `settings.connections` connections to one database. The error names the file and the flag.
pub(super) fn connections(settings: &Settings) -> io::Result<Vec<Connection>> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let memory =
        || format!("file:/toy-{}-{}?vfs=memdb", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let name = settings.file.is_none().then(memory);
    (0..settings.connections)
        .map(|_| match (&name, &settings.file) {
            (_, Some(file)) => open_file(file),
            (name, None) => open_memory(name.as_deref().unwrap_or_default()),
        })
        .collect::<rusqlite::Result<_>>()
        .map_err(|error| {
            let what = match &settings.file {
                Some(file) => format!("the database {} (--database)", file.display()),
                None => "a database in memory".to_owned(),
            };
            io::Error::other(format!("cannot open {what}: {error}"))
        })
}

/// Makes the table and its rows unless they are there, and the index or its absence. All or nothing: a process
/// that is killed meanwhile leaves a database that is new.
pub(super) fn fill(connection: &mut Connection, settings: &Settings) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // A query, as `table_exists` believes what the connection knew before another backend filled the same file.
    let made = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'items')",
        [],
        |row| row.get::<_, bool>(0),
    )?;
    if !made {
        transaction.execute_batch(
            "CREATE TABLE items (
                 id INTEGER PRIMARY KEY,
                 name TEXT NOT NULL,
                 price_cents INTEGER NOT NULL,
                 stock INTEGER NOT NULL
             ) STRICT",
        )?;
        // Four rows share a name, so that a query by name has something to collect.
        transaction.execute(
            "WITH RECURSIVE number(i) AS (SELECT 1 WHERE ?1 >= 1 UNION ALL SELECT i + 1 FROM number WHERE i < ?1)
             INSERT INTO items (id, name, price_cents, stock)
             SELECT i, 'item-' || (i % max(1, ?1 / 4)), 100 + (i * 7919) % 9900, (i * 31) % 500 FROM number",
            params![settings.rows],
        )?;
    }
    transaction.execute_batch(match settings.name_index {
        true => "CREATE INDEX IF NOT EXISTS items_by_name ON items (name)",
        false => "DROP INDEX IF EXISTS items_by_name",
    })?;
    transaction.commit()
}

fn open_file(file: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "mmap_size", 1u32 << 28)?;
    Ok(connection)
}

fn open_memory(name: &str) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(name, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    #[test]
    fn of_two_that_open_a_new_file_one_fills_it() {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("toy-open-{}-{number}", process::id()));
        std::fs::create_dir(&directory).unwrap();
        let settings = Settings {
            file: Some(directory.join("shop.sqlite")),
            rows: 10,
            name_index: true,
            connections: 2,
            queue: 1,
            latency: Latency::None,
            timeout: None,
            seed: None,
        };
        let mut both = connections(&settings).unwrap();
        // Both have seen it empty.
        assert!(both.iter().all(|connection| !connection.table_exists(None, "items").unwrap()));
        for connection in &mut both {
            fill(connection, &settings).unwrap();
            let rows = connection.query_row("SELECT count(*) FROM items", [], |row| row.get::<_, i64>(0));
            assert_eq!(rows.unwrap(), 10);
        }
        drop(both);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
