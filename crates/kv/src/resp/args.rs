//! [`Args`]: the words of one command, as slices of the buffer they were read into.

use crate::error::Error;
use crate::resp::number::{parse_float, parse_integer};

/// The words of one command; number 0 is its name.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buffer: &'a [u8],
    /// Start and end of each word in `buffer`.
    ranges: &'a [(usize, usize)],
}

impl<'a> Args<'a> {
    /// The words at `ranges` (start, end) of `buffer`.
    pub fn new(buffer: &'a [u8], ranges: &'a [(usize, usize)]) -> Self {
        Self { buffer, ranges }
    }

    /// How many there are, the name included.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is none, not even a name.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The word at `index`, if there are as many.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let (start, end) = *self.ranges.get(index)?;
        self.buffer.get(start..end)
    }

    /// The word at `index`; empty beyond the end, which a command excludes by its arity.
    pub fn at(&self, index: usize) -> &'a [u8] {
        self.get(index).unwrap_or_default()
    }

    /// The words from `index` on, which become number 0 and up.
    pub fn from(&self, index: usize) -> Self {
        Self { buffer: self.buffer, ranges: self.ranges.get(index..).unwrap_or_default() }
    }

    /// One after the other.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + use<'a> {
        let buffer = self.buffer;
        self.ranges.iter().map(move |(start, end)| buffer.get(*start..*end).unwrap_or_default())
    }

    /// The word at `index` as a 64-bit integer.
    ///
    /// # Errors
    /// It is none, or is not there.
    pub fn integer(&self, index: usize) -> Result<i64, Error> {
        parse_integer(self.at(index)).ok_or(Error::NOT_INTEGER)
    }

    /// The word at `index` as a floating-point number, infinities included.
    ///
    /// # Errors
    /// It is none, or is not there.
    pub fn float(&self, index: usize) -> Result<f64, Error> {
        parse_float(self.at(index)).ok_or(Error::NOT_FLOAT)
    }

    /// Whether the word at `index` is `word` (given in capitals), in whatever case.
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.at(index).eq_ignore_ascii_case(word.as_bytes())
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|word| word.escape_ascii().to_string())).finish()
    }
}
