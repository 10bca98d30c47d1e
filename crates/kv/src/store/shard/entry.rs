//! [`Entry`]: a key with its value and what expiry, eviction and snapshots have to remember of it. 72 bytes.

use crate::store::slab::{NONE, Slab};
use crate::store::{Text, Value};

/// What a table's number stands for.
#[derive(Debug)]
pub(in crate::store) struct Entry {
    pub(in crate::store) key: Text,
    pub(in crate::store) value: Value,
    /// The half of the hash that the table goes by.
    pub(in crate::store) hash: u32,
    /// Number among the deadlines, if it expires.
    pub(in crate::store) deadline: u32,
    /// Neighbours in the queue it is in.
    pub(in crate::store) next: u32,
    pub(in crate::store) previous: u32,
    /// When it was used, in seconds since 1970.
    pub(in crate::store) used: u32,
    /// How often lately; each order of eviction has its own scale.
    pub(in crate::store) frequency: u8,
    /// Which of the order's queues it is in; 0 for none.
    pub(in crate::store) queue: u8,
    pub(in crate::store) db: u8,
    /// The snapshot that has it already.
    pub(in crate::store) generation: u8,
}

impl Entry {
    pub(in crate::store) fn new(db: u8, key: &[u8], value: Value, hash: u32) -> Self {
        Self {
            key: Text::new(key),
            value,
            hash,
            deadline: NONE,
            next: NONE,
            previous: NONE,
            used: 0,
            frequency: 0,
            queue: 0,
            db,
            generation: 0,
        }
    }

    /// Bytes allocated beside the entry itself.
    pub(in crate::store) fn heap(&self) -> usize {
        self.key.heap() + self.value.heap()
    }

    /// Bytes that go with it.
    pub(in crate::store) fn weight(&self) -> usize {
        Slab::<Self>::ITEM_BYTES + self.heap()
    }

    pub(in crate::store) fn expires(&self) -> bool {
        self.deadline != NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small_with_or_without_content() {
        assert_eq!(size_of::<Entry>(), 72);
        assert_eq!(Slab::<Entry>::ITEM_BYTES, 72);
    }
}
