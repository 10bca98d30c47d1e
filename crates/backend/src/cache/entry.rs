//! What stands in the cache: the key of an item, its value as JSON, and the commands that put it there.
//!
//! | value of `items:{id}` | means |
//! |---|---|
//! | `{"id":7,"name":"item-7","price_cents":6033,"stock":217}` | the row |
//! | `null` | there is no such row |
//! | nothing, zero bytes | a fence: the row was written a moment ago, and nothing may be stored yet |

use std::borrow::Cow;
use std::time::Duration;

use redis::{Cmd, Pipeline};
use serde::{Deserialize, Serialize};

use crate::database::items::{Fields, Item};

/// The value of a fence.
const FENCE: &[u8] = b"";

/// An entry that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Row(Option<Item>),
    Fence,
    /// Not something a toy backend wrote.
    Bad,
    /// The row of another item: it stands at the wrong key, or the connection's answers are out of step with its
    /// questions.
    Foreign,
}

fn key(id: i64) -> String {
    format!("items:{id}")
}

/// Asks for an item's entry.
pub(super) fn get(id: i64) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(key(id));
    command
}

/// Stores where nothing stands: neither a fence nor what another backend stored.
pub(super) fn put(id: i64, value: &[u8], ttl: Duration) -> Cmd {
    let mut command = redis::cmd("SET");
    command.arg(key(id)).arg(value).arg("NX").arg("PX").arg(milliseconds(ttl));
    command
}

/// Deletes an entry, or a fence.
pub(super) fn delete(id: i64) -> Cmd {
    let mut command = redis::cmd("DEL");
    command.arg(key(id));
    command
}

/// Replaces an entry by a fence; without a time it is only deleted.
pub(super) fn invalidate(id: i64, fence: Duration) -> Cmd {
    if fence.is_zero() {
        return delete(id);
    }
    let mut command = redis::cmd("SET");
    command.arg(key(id)).arg(FENCE).arg("PX").arg(milliseconds(fence));
    command
}

/// The same for many at once.
pub(super) fn invalidate_all(ids: impl ExactSizeIterator<Item = i64>, fence: Duration) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(ids.len());
    for id in ids {
        pipeline.add_command(invalidate(id, fence));
    }
    pipeline
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// The value for a row, or for there being none.
pub(super) fn write(row: Option<&Item>) -> Vec<u8> {
    let stored = row.map(|item| Stored {
        id: item.id,
        name: item.fields.name.as_str().into(),
        price_cents: item.fields.price_cents,
        stock: item.fields.stock,
    });
    // Numbers and a string: there is nothing in it that JSON could not say.
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// Reads what stands at the key of item `id`.
pub(super) fn read(id: i64, value: &[u8]) -> Entry {
    if value == FENCE {
        return Entry::Fence;
    }
    match serde_json::from_slice::<Option<Stored>>(value) {
        Ok(Some(stored)) if stored.id != id => Entry::Foreign,
        Ok(stored) => Entry::Row(stored.map(|stored| Item {
            id,
            fields: Fields {
                name: stored.name.into_owned(),
                price_cents: stored.price_cents,
                stock: stored.stock,
            },
        })),
        Err(_) => Entry::Bad,
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    id: i64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    price_cents: i64,
    stock: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let fields = Fields { name: "a \"quoted\" \u{1F6A2}\n".into(), price_cents: -5, stock: i64::MAX };
        let item = Item { id: 7, fields };
        assert_eq!(read(7, &write(Some(&item))), Entry::Row(Some(item.clone())));
        assert_eq!(read(8, &write(Some(&item))), Entry::Foreign);
        assert_eq!(write(None), b"null");
        assert_eq!(read(7, b"null"), Entry::Row(None));
        assert_eq!(read(7, FENCE), Entry::Fence);
    }

    #[test]
    fn whatever_else_is_bad() {
        for value in [
            &b"{"[..],
            b"{}",
            b"7",
            b"\xff\xfe",
            br#"{"id":7,"name":"x","price_cents":1}"#,
            br#"{"id":7,"name":"x","price_cents":1,"stock":2,"colour":"red"}"#,
            br#"{"id":7,"name":"x","price_cents":1,"stock":2} "#,
            br#"{"id":7,"name":"x","price_cents":1,"stock":2}x"#,
        ] {
            let blank_ending = value.ends_with(b" ");
            assert_eq!(read(7, value) == Entry::Bad, !blank_ending, "{}", value.escape_ascii());
        }
    }
}
