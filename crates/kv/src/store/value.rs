//! [`Value`]: what a key holds.

use crate::store::{Hash, List, Set, SortedSet, Text};

/// The value of one key.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    Text(Text),
    /// A list.
    List(Box<List>),
    /// A set.
    Set(Box<Set>),
    /// A hash.
    Hash(Box<Hash>),
    /// A sorted set.
    SortedSet(Box<SortedSet>),
}

/// A type of value: how commands name the type they expect.
pub trait Kind: Sized + Default {
    /// The value, if it is of this type.
    fn of(value: &Value) -> Option<&Self>;
    /// The same, to change it.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// As the value of a key.
    fn into_value(self) -> Value;
}

impl Value {
    /// The name that `TYPE` answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Hash(_) => "hash",
            Self::SortedSet(_) => "zset",
        }
    }

    /// Bytes allocated for it, beside its own place in the entry.
    pub fn heap(&self) -> usize {
        match self {
            Self::Text(text) => text.heap(),
            Self::List(list) => list.heap(),
            Self::Set(set) => set.heap(),
            Self::Hash(hash) => hash.heap(),
            Self::SortedSet(sorted) => sorted.heap(),
        }
    }

    /// Elements, fields or members; 1 for a string.
    pub fn elements(&self) -> usize {
        match self {
            Self::Text(_) => 1,
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::Hash(hash) => hash.len(),
            Self::SortedSet(sorted) => sorted.len(),
        }
    }

    /// Whether it is a collection without content, which no key may hold.
    pub fn is_void(&self) -> bool {
        self.elements() == 0
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl Kind for Text {
    fn of(value: &Value) -> Option<&Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
    fn of_mut(value: &mut Value) -> Option<&mut Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
    fn into_value(self) -> Value {
        Value::Text(self)
    }
}

macro_rules! collections {
    ($($kind:ident),*) => {$(
        impl Kind for $kind {
            fn of(value: &Value) -> Option<&Self> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }
            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }
            fn into_value(self) -> Value {
                Value::$kind(Box::new(self))
            }
        }
    )*};
}

collections!(List, Set, Hash, SortedSet);

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<super::Value>(), 24);
    }
}
