//! The queries: one item by its number, items by name, a new item, a changed one, one less.

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

/// What a client changes of a row; what it leaves out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    pub(crate) name: Option<String>,
    pub(crate) price_cents: Option<i64>,
    pub(crate) stock: Option<i64>,
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

/// The row as it is afterwards, if there is one.
pub(crate) fn update(
    connection: &mut Connection,
    id: i64,
    changes: Changes,
) -> rusqlite::Result<Option<Item>> {
    connection
        .prepare_cached(
            "UPDATE items SET name = coalesce(?2, name), price_cents = coalesce(?3, price_cents),
                 stock = coalesce(?4, stock)
             WHERE id = ?1 RETURNING id, name, price_cents, stock",
        )?
        .query_row(params![id, changes.name, changes.price_cents, changes.stock], item)
        .optional()
}

/// Whether there was such a row.
pub(crate) fn delete(connection: &mut Connection, id: i64) -> rusqlite::Result<bool> {
    Ok(connection.prepare_cached("DELETE FROM items WHERE id = ?1")?.execute([id])? > 0)
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let fields = Fields { name: row.get(1)?, price_cents: row.get(2)?, stock: row.get(3)? };
    Ok(Item { id: row.get(0)?, fields })
}
