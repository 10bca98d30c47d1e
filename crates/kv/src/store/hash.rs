//! [`Hash`]: fields with values. Small ones are one piece of memory, large ones a table.

mod large;
mod small;
#[cfg(test)]
mod tests;

use crate::store::Text;
use crate::store::memory::allocation;
use large::Large;
use small::Small;

/// A value of fields with values.
#[derive(Clone, Debug, Default)]
pub struct Hash(Form);

#[derive(Clone, Debug)]
enum Form {
    Small(Small),
    Large(Box<Large>),
}

impl Hash {
    /// How many fields there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Small(small) => small.len(),
            Form::Large(large) => large.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated, those of the boxed struct itself included.
    pub fn heap(&self) -> usize {
        allocation(size_of::<Self>())
            + match &self.0 {
                Form::Small(small) => small.heap(),
                Form::Large(large) => allocation(size_of::<Large>()) + large.heap(),
            }
    }

    /// Whether there are at most so many fields, and at most so many bytes to a field and to a value: what Redis keeps in
    /// a listpack.
    pub fn is_within(&self, (fields, bytes): (usize, usize)) -> bool {
        self.len() <= fields && self.iter().all(|(field, value)| field.len() <= bytes && value.len() <= bytes)
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match &self.0 {
            Form::Small(small) => small.find(field).map(|pair| pair.value),
            Form::Large(large) => large.get(field),
        }
    }

    /// Whether there is the field.
    pub fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// Gives a field a value; whether the field is new.
    pub fn insert(
        &mut self,
        field: impl AsRef<[u8]> + Into<Text>,
        value: impl AsRef<[u8]> + Into<Text>,
    ) -> bool {
        let large = match &mut self.0 {
            Form::Small(small) if small.fits(field.as_ref(), value.as_ref()) => {
                return small.insert(field.as_ref(), value.as_ref());
            }
            Form::Small(small) => Box::new(Large::from(&*small)),
            Form::Large(large) => return large.insert(field, value),
        };
        self.0 = Form::Large(large);
        self.insert(field, value)
    }

    /// Takes a field out; whether there was one.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.0 {
            Form::Small(small) => small.remove(field),
            Form::Large(large) => large.remove(field),
        }
    }

    /// Fields with their values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (small, large) = match &self.0 {
            Form::Small(small) => (Some(small.pairs().map(|pair| (pair.field, pair.value))), None),
            Form::Large(large) => (None, Some(large.iter())),
        };
        small.into_iter().flatten().chain(large.into_iter().flatten())
    }

    /// The field with a number below [`Hash::len`]: in no particular order, but each has one. For chance.
    pub fn nth(&self, number: usize) -> Option<(&[u8], &[u8])> {
        match &self.0 {
            Form::Small(small) => small.pairs().nth(number).map(|pair| (pair.field, pair.value)),
            Form::Large(large) => large.nth(number),
        }
    }

    /// Visits `count` fields (all of a small hash) from `cursor` on, 0 at first, and returns the next cursor, 0 at the
    /// end. A field that is there from the first call to the last is visited at least once, whatever else changes.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], &[u8])) -> u64 {
        let Form::Large(large) = &self.0 else {
            self.iter().for_each(|(field, value)| visit(field, value));
            return 0;
        };
        // Downwards, since fields never take higher numbers: those below the cursor are the ones not visited.
        let len = large.len();
        let end =
            if cursor == 0 { len } else { usize::try_from(cursor).map_or(len, |cursor| cursor.min(len)) };
        let start = end.saturating_sub(count.max(1));
        (start..end)
            .rev()
            .filter_map(|number| large.nth(number))
            .for_each(|(field, value)| visit(field, value));
        start as u64
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::Small(Small::default())
    }
}

impl From<&Small> for Large {
    fn from(small: &Small) -> Self {
        let mut large = Self::default();
        for pair in small.pairs() {
            large.insert(pair.field, pair.value);
        }
        large
    }
}
