//! [`Words`]: a command that is kept, for later or for others.

use crate::resp::Args;

/// The words of one command, on their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    text: Vec<u8>,
    ranges: Vec<(usize, usize)>,
}

impl Words {
    /// A copy of a command that is in a connection's buffer.
    pub(crate) fn of(args: &Args<'_>) -> Self {
        let mut words = Self {
            text: Vec::with_capacity(args.iter().map(<[u8]>::len).sum()),
            ranges: Vec::with_capacity(args.len()),
        };
        args.iter().for_each(|word| words.push(word));
        words
    }

    /// One more word.
    pub(crate) fn push(&mut self, word: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(word);
        self.ranges.push((start, self.text.len()));
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity() + self.ranges.capacity() * size_of::<(usize, usize)>()
    }

    /// The words as a command.
    pub(crate) fn args(&self) -> Args<'_> {
        Args::new(&self.text, &self.ranges)
    }
}

impl<'a> FromIterator<&'a [u8]> for Words {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(words: I) -> Self {
        let mut all = Self::default();
        words.into_iter().for_each(|word| all.push(word));
        all
    }
}
