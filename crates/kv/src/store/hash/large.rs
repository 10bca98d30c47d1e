//! [`Large`]: the fields of a large hash, each under a number, found by their bytes.
//!
//! Numbers are dense: when a field goes, the last takes its number. So any of them is as easily drawn as another, a
//! scan goes through the numbers, and there are no holes that take memory.

use std::hash::{BuildHasher, RandomState};

use crate::store::Text;
use crate::store::dense::Dense;
use crate::store::index::Index;

/// Fields with their values.
#[derive(Clone, Debug, Default)]
pub(super) struct Large {
    pairs: Dense<Pair>,
    index: Index,
    /// Bytes allocated for fields and values too long for their place.
    texts: usize,
    hasher: RandomState,
}

#[derive(Clone, Debug)]
struct Pair {
    field: Text,
    value: Text,
}

impl Large {
    /// How many fields there are.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Bytes allocated.
    pub(super) fn heap(&self) -> usize {
        self.pairs.heap() + self.index.heap() + self.texts
    }

    /// The value of a field.
    pub(super) fn get(&self, field: &[u8]) -> Option<&[u8]> {
        let number = self.find(self.hash(field), field)?;
        self.pairs.get(number as usize).map(|pair| pair.value.as_bytes())
    }

    /// The field with a number.
    pub(super) fn nth(&self, number: usize) -> Option<(&[u8], &[u8])> {
        self.pairs.get(number).map(Pair::bytes)
    }

    /// All fields.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().map(Pair::bytes)
    }

    /// Gives a field a value; whether the field is new.
    pub(super) fn insert(&mut self, field: impl AsRef<[u8]> + Into<Text>, value: impl Into<Text>) -> bool {
        let hash = self.hash(field.as_ref());
        let value = value.into();
        self.texts += value.heap();
        let number = self.find(hash, field.as_ref());
        match number.and_then(|number| self.pairs.get_mut(number as usize)) {
            Some(pair) => {
                self.texts -= pair.value.heap();
                pair.value = value;
                false
            }
            None => {
                let field = field.into();
                self.texts += field.heap();
                self.index.insert(hash, self.pairs.len() as u32);
                self.pairs.push(Pair { field, value });
                true
            }
        }
    }

    /// Takes a field out; whether there was one.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let hash = self.hash(field);
        let Some(number) = self.find(hash, field) else { return false };
        self.index.remove(hash, number);
        if let Some(gone) = self.pairs.swap_remove(number as usize) {
            self.texts -= gone.field.heap() + gone.value.heap();
        }
        if let Some(moved) = self.pairs.get(number as usize) {
            let hash = self.hash(moved.field.as_bytes());
            self.index.renumber(hash, self.pairs.len() as u32, number);
        }
        true
    }

    fn hash(&self, field: &[u8]) -> u32 {
        self.hasher.hash_one(field) as u32
    }

    fn find(&self, hash: u32, field: &[u8]) -> Option<u32> {
        self.index.find(hash, |number| {
            self.pairs.get(number as usize).is_some_and(|pair| pair.field.as_bytes() == field)
        })
    }

    /// The heap, looked up at every field.
    #[cfg(test)]
    pub(super) fn recount(&self) -> usize {
        let texts: usize = self.pairs.iter().map(|pair| pair.field.heap() + pair.value.heap()).sum();
        self.pairs.recount() + self.index.recount() + texts
    }
}

impl Pair {
    fn bytes(&self) -> (&[u8], &[u8]) {
        (self.field.as_bytes(), self.value.as_bytes())
    }
}
