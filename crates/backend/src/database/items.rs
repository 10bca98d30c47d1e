//! The queries: one item by its number, items by name, a new item, a changed one, one less.

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
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

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The row of that number.
    Item(i64),
    /// The rows of that name.
    Name(String),
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Item(Option<Item>),
    Items(Vec<Item>),
}

impl Found {
    /// There is no such row.
    pub(crate) fn is_nothing(&self) -> bool {
        match self {
            Found::Item(item) => item.is_none(),
            Found::Items(items) => items.is_empty(),
        }
    }
}

/// What a write did to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) id: i64,
    /// The row's name before, if there was such a row.
    pub(crate) old_name: Option<String>,
    /// The row as it is afterwards, if there is one.
    pub(crate) row: Option<Item>,
}

impl Change {
    /// Whatever is found otherwise from now on: lists first, the row last.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let new_name = self.row.as_ref().map(|row| &row.fields.name);
        let names = self.old_name.iter().chain(new_name.filter(|name| self.old_name.as_ref() != Some(name)));
        names.cloned().map(Key::Name).chain([Key::Item(self.id)]).collect()
    }
}

/// Most rows that a query by name collects.
pub(crate) const MOST: usize = 100;

/// What there is for a key.
pub(crate) fn find(connection: &mut Connection, key: &Key) -> rusqlite::Result<Found> {
    match key {
        Key::Item(id) => by_id(connection, *id).map(Found::Item),
        Key::Name(name) => by_name(connection, name).map(Found::Items),
    }
}

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

pub(crate) fn insert(connection: &mut Connection, fields: Fields) -> rusqlite::Result<Change> {
    let id = connection
        .prepare_cached("INSERT INTO items (name, price_cents, stock) VALUES (?1, ?2, ?3)")?
        .insert(params![fields.name, fields.price_cents, fields.stock])?;
    Ok(Change { id, old_name: None, row: Some(Item { id, fields }) })
}

/// Changes a row, if there is such a row.
pub(crate) fn update(connection: &mut Connection, id: i64, changes: Changes) -> rusqlite::Result<Change> {
    if changes.name.is_none() {
        let row = set(connection, id, changes)?;
        return Ok(Change { id, old_name: row.as_ref().map(|row| row.fields.name.clone()), row });
    }
    // The name is read by who writes it: nobody else renames it in between.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let old_name = transaction
        .prepare_cached("SELECT name FROM items WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let row = set(&transaction, id, changes)?;
    transaction.commit()?;
    Ok(Change { id, old_name, row })
}

pub(crate) fn delete(connection: &mut Connection, id: i64) -> rusqlite::Result<Change> {
    let old_name = connection
        .prepare_cached("DELETE FROM items WHERE id = ?1 RETURNING name")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(Change { id, old_name, row: None })
}

fn set(connection: &Connection, id: i64, changes: Changes) -> rusqlite::Result<Option<Item>> {
    connection
        .prepare_cached(
            "UPDATE items SET name = coalesce(?2, name), price_cents = coalesce(?3, price_cents),
                 stock = coalesce(?4, stock)
             WHERE id = ?1 RETURNING id, name, price_cents, stock",
        )?
        .query_row(params![id, changes.name, changes.price_cents, changes.stock], item)
        .optional()
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let fields = Fields { name: row.get(1)?, price_cents: row.get(2)?, stock: row.get(3)? };
    Ok(Item { id: row.get(0)?, fields })
}
