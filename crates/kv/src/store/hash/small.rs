//! [`Small`]: a small hash in one piece of memory, read from the front.

use std::ops::Range;

use crate::store::memory::allocation;

/// Fields and bytes up to which reading from the front is quick.
const MOST_FIELDS: usize = 128;
const MOST_BYTES: usize = 8192;

/// Fields with their values, each of both behind its length: one byte up to 127, else two with the high bit set.
#[derive(Clone, Debug, Default)]
pub(super) struct Small {
    bytes: Vec<u8>,
    len: usize,
}

/// One field in its place.
#[derive(Clone, Debug)]
pub(super) struct Pair<'a> {
    pub(super) field: &'a [u8],
    pub(super) value: &'a [u8],
    /// Where both stand, with their lengths.
    place: Range<usize>,
}

impl Small {
    /// How many fields there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated.
    pub(super) fn heap(&self) -> usize {
        allocation(self.bytes.capacity())
    }

    /// Whether another such field would not be too much.
    pub(super) fn fits(&self, field: &[u8], value: &[u8]) -> bool {
        self.len < MOST_FIELDS && self.bytes.len() + size(field) + size(value) <= MOST_BYTES
    }

    /// All fields, the oldest first.
    pub(super) fn pairs(&self) -> Pairs<'_> {
        Pairs { rest: &self.bytes, at: 0 }
    }

    /// The field with this name.
    pub(super) fn find(&self, field: &[u8]) -> Option<Pair<'_>> {
        // Names of fields are often as long as each other and begin alike: most differ in the last byte.
        let (length, last) = (field.len(), field.last());
        self.pairs()
            .find(|pair| pair.field.len() == length && pair.field.last() == last && pair.field == field)
    }

    /// Gives a field a value that [fits](Small::fits); whether the field is new.
    pub(super) fn insert(&mut self, field: &[u8], value: &[u8]) -> bool {
        match self.find(field) {
            Some(pair) => {
                let place = pair.place.end - size(pair.value)..pair.place.end;
                let at = place.start;
                self.resize(place, size(value));
                self.write(at, value);
                false
            }
            None => {
                let end = self.bytes.len();
                self.resize(end..end, size(field) + size(value));
                let end = self.write(end, field);
                self.write(end, value);
                self.len += 1;
                true
            }
        }
    }

    /// Takes a field out; whether there was one.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let Some(place) = self.find(field).map(|pair| pair.place) else { return false };
        self.bytes.drain(place);
        self.len -= 1;
        self.settle();
        true
    }

    /// Makes what stands at `place` so many bytes long.
    fn resize(&mut self, place: Range<usize>, size: usize) {
        let (old, end) = (self.bytes.len(), place.start + size);
        if place.len() < size {
            let new = old + size - place.len();
            if new > self.bytes.capacity() {
                // What the allocator gives anyhow.
                self.bytes.reserve_exact(allocation(new) - old);
            }
            self.bytes.resize(new, 0);
            self.bytes.copy_within(place.end..old, end);
        } else if place.len() > size {
            self.bytes.drain(end..place.end);
            self.settle();
        }
    }

    /// Writes what there is room for, and its length; where it ends.
    fn write(&mut self, at: usize, bytes: &[u8]) -> usize {
        let (end, length) = (at + size(bytes), bytes.len());
        let Some(room) = self.bytes.get_mut(at..end) else { return at };
        let room = match room {
            [high, low, room @ ..] if length > 127 => {
                (*high, *low) = ((length >> 8) as u8 | 0x80, length as u8);
                room
            }
            [short, room @ ..] => {
                *short = length as u8;
                room
            }
            [] => return at,
        };
        room.copy_from_slice(bytes);
        end
    }

    /// Gives memory back when half of it is unused.
    fn settle(&mut self) {
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to(allocation(self.bytes.len()));
        }
    }
}

/// What bytes take together with their length.
fn size(bytes: &[u8]) -> usize {
    bytes.len() + if bytes.len() > 127 { 2 } else { 1 }
}

/// Goes through a small hash.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        let (field, rest) = split(self.rest)?;
        let (value, rest) = split(rest)?;
        let start = self.at;
        self.at += self.rest.len() - rest.len();
        self.rest = rest;
        Some(Pair { field, value, place: start..self.at })
    }
}

#[inline]
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes {
        [] => None,
        [short @ ..=127, rest @ ..] => rest.split_at_checked(usize::from(*short)),
        [high, low, rest @ ..] => rest.split_at_checked(usize::from(*high & 0x7f) << 8 | usize::from(*low)),
        [_] => None,
    }
}
