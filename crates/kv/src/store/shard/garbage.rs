//! [`Garbage`]: what takes long to free and is better freed elsewhere, while nobody waits for it.

use crate::store::eviction::Order;
use crate::store::expiry::Deadlines;
use crate::store::shard::{Entry, Shard};
use crate::store::slab::Slab;
use crate::store::table::Table;
use crate::store::{Millis, Value};

/// Elements from which on a collection takes long to free (as in Redis' lazy freeing).
const LARGE: usize = 64;

/// Something that only has to be dropped.
#[derive(Debug)]
pub struct Garbage {
    _content: Content,
}

/// Nobody looks at it again.
#[derive(Debug)]
#[expect(dead_code)]
pub(super) enum Content {
    Value(Value),
    Entries(Vec<Entry>),
    Table(Table),
    Order(Box<dyn Order>),
    All(Slab<Entry>, Deadlines),
}

impl From<Content> for Garbage {
    fn from(content: Content) -> Self {
        Self { _content: content }
    }
}

impl Shard {
    /// What piled up since the last time, to be dropped where nobody waits.
    pub fn take_garbage(&mut self) -> Vec<Garbage> {
        std::mem::take(&mut self.garbage)
    }

    /// Drops a value, or has it dropped.
    pub(super) fn throw_away(&mut self, value: Value) {
        if value.elements() > LARGE {
            self.garbage.push(Content::Value(value).into());
        }
    }

    /// The same with an entry that was taken out, unless a snapshot needs it yet.
    pub(super) fn part_with(&mut self, entry: Entry, expires: Option<Millis>) {
        if let Some(entry) = self.preserve_taken(entry, expires) {
            self.throw_away(entry.value);
        }
    }
}
