//! The queries: one item by its number, items by name, a new item.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Item {
    pub(crate) id: i64,
    #[serde(flatten)]
    pub(crate) fields: Fields,
}

/// What a client chooses of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fields {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) price_cents: i64,
    #[serde(default)]
    pub(crate) stock: i64,
}

/// Most rows that a query by name collects.
pub(crate) const MOST: usize = 100;

pub(crate) fn by_id(connection: &mut Connection, id: i64) -> rusqlite::Result<Option<Item>> {
    connection
        .prepare_cached("SELECT id, name, price_cents, stock FROM items WHERE id = ?1")?
        .query_row([id], item)
        .optional()
}

/// With the index a few page reads, without it a walk over the whole table.
pub(crate) fn by_name(connection: &mut Connection, name: &str) -> rusqlite::Result<Vec<Item>> {
    connection
        .prepare_cached("SELECT id, name, price_cents, stock FROM items WHERE name = ?1 LIMIT ?2")?
        .query_map(params![name, MOST as i64], item)?
        .collect()
}

pub(crate) fn insert(connection: &mut Connection, fields: Fields) -> rusqlite::Result<Item> {
    let id = connection
        .prepare_cached("INSERT INTO items (name, price_cents, stock) VALUES (?1, ?2, ?3)")?
        .insert(params![fields.name, fields.price_cents, fields.stock])?;
    Ok(Item { id, fields })
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let fields = Fields { name: row.get(1)?, price_cents: row.get(2)?, stock: row.get(3)? };
    Ok(Item { id: row.get(0)?, fields })
}
