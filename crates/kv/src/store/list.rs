//! [`List`]: elements in order.

/// A value of elements in order.
#[derive(Clone, Debug, Default)]
pub struct List {}

impl List {
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
