//! [`Text`]: bytes in little space. Up to 22 of them need no memory of their own.

use std::fmt;

use crate::store::memory::allocation;

/// Bytes: a key, a string value, a field, a member, an element. 24 bytes large.
#[derive(Clone)]
pub struct Text(Form);

#[derive(Clone)]
enum Form {
    Inline {
        length: u8,
        bytes: [u8; INLINE],
    },
    Heap(Box<[u8]>),
    /// Has been appended to, and probably will be again. Boxed, or a text would take 32 bytes.
    #[expect(clippy::box_collection)]
    Growing(Box<Vec<u8>>),
}

const INLINE: usize = 22;

impl Text {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut inline = [0; INLINE];
        match inline.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Self(Form::Inline { length: bytes.len() as u8, bytes: inline })
            }
            None => Self(Form::Heap(bytes.into())),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Form::Heap(bytes) => bytes,
            Form::Growing(bytes) => bytes,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Inline { length, .. } => usize::from(*length),
            Form::Heap(bytes) => bytes.len(),
            Form::Growing(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated beside the 24 of the text itself.
    pub fn heap(&self) -> usize {
        match &self.0 {
            Form::Inline { .. } => 0,
            Form::Heap(bytes) => allocation(bytes.len()),
            Form::Growing(bytes) => allocation(size_of::<Vec<u8>>()) + allocation(bytes.capacity()),
        }
    }

    /// Whether it needs memory of its own.
    pub fn is_inline(&self) -> bool {
        matches!(self.0, Form::Inline { .. })
    }

    /// Changes the bytes in place, as `APPEND` and `SETRANGE` do; what grows once has room to grow on.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        if let Form::Growing(bytes) = &mut self.0 {
            return change(bytes);
        }
        let mut bytes = match std::mem::replace(&mut self.0, Form::Inline { length: 0, bytes: [0; INLINE] }) {
            Form::Heap(bytes) => bytes.into_vec(),
            Form::Growing(bytes) => *bytes,
            Form::Inline { length, bytes } => bytes.get(..usize::from(length)).unwrap_or_default().to_vec(),
        };
        let result = change(&mut bytes);
        *self = if bytes.len() <= INLINE { Self::new(&bytes) } else { Self(Form::Growing(Box::new(bytes))) };
        result
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new(b"")
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() <= INLINE { Self::new(&bytes) } else { Self(Form::Heap(bytes.into_boxed_slice())) }
    }
}

impl From<i64> for Text {
    fn from(number: i64) -> Self {
        Self::new(itoa::Buffer::new().format(number).as_bytes())
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl std::borrow::Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Text>(), 24);
        assert_eq!(size_of::<Option<Text>>(), 24);
    }

    #[test]
    fn every_length_comes_back() {
        for length in 0..100 {
            let bytes: Vec<u8> = (0..length).collect();
            let text = Text::new(&bytes);
            assert_eq!(text.as_bytes(), bytes);
            assert_eq!(text.len(), bytes.len());
            assert_eq!(text.heap() == 0, text.is_inline());
            assert_eq!(Text::from(bytes), text);
        }
    }

    #[test]
    fn editing_keeps_the_bytes_and_the_account() {
        let mut text = Text::new(b"");
        let mut expected = Vec::new();
        for number in 0..200u8 {
            text.edit(|bytes| bytes.push(number));
            expected.push(number);
            assert_eq!(text.as_bytes(), expected);
            assert_eq!(text.is_inline(), expected.len() <= INLINE);
        }
        assert!(text.heap() >= 200);
    }
}
