//! [`SortedSet`]: members ordered by score.

/// A value of members ordered by score.
#[derive(Clone, Debug, Default)]
pub struct SortedSet {}

impl SortedSet {
    /// How many there are.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated, the 64-or-so of the boxed struct itself included.
    pub fn heap(&self) -> usize {
        0
    }
}
