//! What stands in the cache: the keys, their values as JSON, and the commands that put them there.
//!
//! | key | value | means |
//! |---|---|---|
//! | `items:{id}` | `{"id":7,"name":"item-7","price_cents":6033,"stock":217}` | the row |
//! | | `null` | there is no such row |
//! | `items:name:{name}` | `{"name":"item-7","items":[{"id":7,…},…]}` | the rows of that name |
//! | either | nothing, zero bytes | a fence: rows were written a moment ago, and nothing may be stored yet |
//! | `stale:` and either | `1732730000123 ` and a value as above | what was so at that time, in Unix milliseconds |

use std::borrow::Cow;
use std::time::Duration;

use redis::{Cmd, Pipeline};
use serde::{Deserialize, Serialize};

use crate::database::items::{Fields, Found, Item, Key};

/// The value of a fence.
const FENCE: &[u8] = b"";

/// An entry that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Rows(Found),
    Fence,
    /// Not something a toy backend wrote.
    Bad,
    /// What belongs to another key: it stands at the wrong one, or the connection's answers are out of step with its
    /// questions.
    Foreign,
}

/// What was found once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) found: Found,
    /// Unix time in milliseconds.
    pub(super) at: u64,
}

fn text(key: &Key) -> String {
    match key {
        Key::Item(id) => format!("items:{id}"),
        Key::Name(name) => format!("items:name:{name}"),
    }
}

fn copy(key: &Key) -> String {
    format!("stale:{}", text(key))
}

/// Asks for an entry.
pub(super) fn get(key: &Key) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(text(key));
    command
}

/// Asks for an entry's old copy.
pub(super) fn get_copy(key: &Key) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(copy(key));
    command
}

/// Puts a row there, whatever stands there.
pub(super) fn replace(key: &Key, value: &[u8], ttl: Duration) -> Cmd {
    let mut command = redis::cmd("SET");
    command.arg(text(key)).arg(value).arg("PX").arg(milliseconds(ttl));
    command
}

/// Puts a copy there, whatever stands there; `at` is when its value was so, Unix time in milliseconds.
pub(super) fn put_copy(key: &Key, value: &[u8], at: u64, time: Duration) -> Cmd {
    let mut dated = format!("{at} ").into_bytes();
    dated.extend_from_slice(value);
    let mut command = redis::cmd("SET");
    command.arg(copy(key)).arg(dated).arg("PX").arg(milliseconds(time));
    command
}

/// Stores where nothing stands: neither a fence nor what another backend stored.
pub(super) fn put(key: &Key, value: &[u8], ttl: Duration) -> Cmd {
    let mut command = redis::cmd("SET");
    command.arg(text(key)).arg(value).arg("NX").arg("PX").arg(milliseconds(ttl));
    command
}

/// Deletes an entry, or a fence.
pub(super) fn delete(key: &Key) -> Cmd {
    let mut command = redis::cmd("DEL");
    command.arg(text(key));
    command
}

/// Replaces an entry by a fence; without a time it is only deleted.
pub(super) fn invalidate(key: &Key, fence: Duration) -> Cmd {
    if fence.is_zero() {
        return delete(key);
    }
    let mut command = redis::cmd("SET");
    command.arg(text(key)).arg(FENCE).arg("PX").arg(milliseconds(fence));
    command
}

/// The same for many at once, and if there are `copies`, without those.
pub(super) fn invalidate_all<'a>(
    keys: impl IntoIterator<Item = &'a Key>,
    fence: Duration,
    copies: bool,
) -> Pipeline {
    let mut pipeline = Pipeline::new();
    for key in keys {
        pipeline.add_command(invalidate(key, fence));
        if copies {
            pipeline.cmd("DEL").arg(copy(key));
        }
    }
    pipeline
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// The value for what was found.
pub(super) fn write(key: &Key, found: &Found) -> Vec<u8> {
    let written = match (key, found) {
        (_, Found::Item(item)) => serde_json::to_vec(&item.as_ref().map(Stored::of)),
        (Key::Name(name), Found::Items(items)) => serde_json::to_vec(&StoredList {
            name: name.into(),
            items: items.iter().map(Stored::of).collect(),
        }),
        // No item is found as a list.
        (Key::Item(_), Found::Items(_)) => return Vec::new(),
    };
    // Numbers and strings: there is nothing in it that JSON could not say.
    written.unwrap_or_default()
}

/// Reads what stands at a key.
pub(super) fn read(key: &Key, value: &[u8]) -> Entry {
    if value == FENCE {
        return Entry::Fence;
    }
    let row = serde_json::from_slice::<Option<Stored>>(value);
    let list = || serde_json::from_slice::<StoredList>(value);
    match (key, row) {
        (Key::Item(id), Ok(Some(stored))) if stored.id != *id => Entry::Foreign,
        (Key::Item(_), Ok(stored)) => Entry::Rows(Found::Item(stored.map(Stored::item))),
        (Key::Item(_), Err(_)) => list().map_or(Entry::Bad, |_| Entry::Foreign),
        (Key::Name(_), Ok(_)) => Entry::Foreign,
        (Key::Name(name), Err(_)) => match list() {
            Ok(list) if list.name != *name => Entry::Foreign,
            Ok(list) if list.items.iter().any(|stored| stored.name != *name) => Entry::Bad,
            Ok(list) => Entry::Rows(Found::Items(list.items.into_iter().map(Stored::item).collect())),
            Err(_) => Entry::Bad,
        },
    }
}

/// Reads a copy; `None` if it is none of this key.
pub(super) fn read_copy(key: &Key, value: &[u8]) -> Option<Copied> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (at, value) = value.split_at_checked(space)?;
    let at = std::str::from_utf8(at).ok()?.parse().ok()?;
    match read(key, value) {
        Entry::Rows(found) => Some(Copied { found, at }),
        _ => None,
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredList<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    items: Vec<Stored<'a>>,
}

impl Stored<'_> {
    fn of(item: &Item) -> Stored<'_> {
        Stored {
            id: item.id,
            name: item.fields.name.as_str().into(),
            price_cents: item.fields.price_cents,
            stock: item.fields.stock,
        }
    }

    fn item(self) -> Item {
        let Stored { id, name, price_cents, stock } = self;
        Item { id, fields: Fields { name: name.into_owned(), price_cents, stock } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: i64, name: &str) -> Item {
        Item { id, fields: Fields { name: name.into(), price_cents: -5, stock: i64::MAX } }
    }

    #[test]
    fn what_is_written_is_read() {
        let name = "a \"quoted\" \u{1F6A2}\n";
        let (seven, eight) = (Key::Item(7), Key::Item(8));
        let found = Found::Item(Some(item(7, name)));
        assert_eq!(read(&seven, &write(&seven, &found)), Entry::Rows(found.clone()));
        assert_eq!(read(&eight, &write(&seven, &found)), Entry::Foreign);
        assert_eq!(write(&seven, &Found::Item(None)), b"null");
        assert_eq!(read(&seven, b"null"), Entry::Rows(Found::Item(None)));
        assert_eq!(read(&seven, FENCE), Entry::Fence);

        let named = Key::Name(name.into());
        for items in [vec![], vec![item(7, name), item(8, name)]] {
            let found = Found::Items(items);
            let value = write(&named, &found);
            assert_eq!(read(&named, &value), Entry::Rows(found));
            assert_eq!(read(&Key::Name("another".into()), &value), Entry::Foreign);
            assert_eq!(read(&seven, &value), Entry::Foreign);
        }
        assert_eq!(read(&named, &write(&seven, &found)), Entry::Foreign);
        assert_eq!(read(&named, FENCE), Entry::Fence);
        let mixed = write(&named, &Found::Items(vec![item(7, name), item(8, "another")]));
        assert_eq!(read(&named, &mixed), Entry::Bad);
    }

    #[test]
    fn a_copy_has_its_time_and_belongs_to_its_key() {
        let (seven, eight) = (Key::Item(7), Key::Item(8));
        let found = Found::Item(Some(item(7, "x")));
        let mut value = b"1732730000123 ".to_vec();
        value.extend(write(&seven, &found));
        assert_eq!(read_copy(&seven, &value), Some(Copied { found, at: 1_732_730_000_123 }));
        assert_eq!(read_copy(&eight, &value), None);
        for bad in [&b""[..], b" null", b"null", b"12", b"-1 null", b"x null", b"12 {", b"12"] {
            assert_eq!(read_copy(&seven, bad), None, "{}", bad.escape_ascii());
        }
        assert_eq!(read_copy(&seven, b"12 null"), Some(Copied { found: Found::Item(None), at: 12 }));
    }

    #[test]
    fn a_name_that_looks_like_a_number_has_a_key_of_its_own() {
        assert_eq!(text(&Key::Item(7)), "items:7");
        assert_eq!(text(&Key::Name("7".into())), "items:name:7");
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
            assert_eq!(read(&Key::Item(7), value) == Entry::Bad, !blank_ending, "{}", value.escape_ascii());
        }
        for value in [&b"{"[..], b"[]", br#"{"name":"x"}"#, br#"{"name":"x","items":[7]}"#] {
            assert_eq!(read(&Key::Name("x".into()), value), Entry::Bad, "{}", value.escape_ascii());
        }
    }
}
