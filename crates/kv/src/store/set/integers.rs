//! [`Integers`]: a sorted array of numbers, four bytes each while all of them can be written so.

use crate::store::memory::allocation;

/// Distinct integers, ascending. Adding and taking out one moves those above it, so they should not be many.
#[derive(Clone, Debug)]
pub(super) enum Integers {
    Narrow(Vec<i32>),
    Wide(Vec<i64>),
}

impl Integers {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow(numbers) => numbers.len(),
            Self::Wide(numbers) => numbers.len(),
        }
    }

    /// Bytes allocated.
    pub(super) fn heap(&self) -> usize {
        match self {
            Self::Narrow(numbers) => allocation(numbers.capacity() * size_of::<i32>()),
            Self::Wide(numbers) => allocation(numbers.capacity() * size_of::<i64>()),
        }
    }

    pub(super) fn contains(&self, number: i64) -> bool {
        self.find(number).is_ok()
    }

    /// Adds a number; `false` if it is there.
    pub(super) fn insert(&mut self, number: i64) -> bool {
        let Err(index) = self.find(number) else { return false };
        if let Self::Narrow(numbers) = self {
            match i32::try_from(number) {
                Ok(number) => numbers.insert(index, number),
                Err(_) => *self = Self::Wide(numbers.iter().copied().map(i64::from).collect()),
            }
        }
        if let Self::Wide(numbers) = self {
            numbers.insert(index, number);
        }
        true
    }

    /// Takes a number out; whether it was there.
    pub(super) fn remove(&mut self, number: i64) -> bool {
        self.find(number).is_ok_and(|index| self.take_at(index).is_some())
    }

    /// The number at `index`.
    pub(super) fn get(&self, index: usize) -> Option<i64> {
        match self {
            Self::Narrow(numbers) => numbers.get(index).copied().map(i64::from),
            Self::Wide(numbers) => numbers.get(index).copied(),
        }
    }

    /// Takes out the number at `index`.
    pub(super) fn take_at(&mut self, index: usize) -> Option<i64> {
        match self {
            Self::Narrow(numbers) => take(numbers, index).map(i64::from),
            Self::Wide(numbers) => take(numbers, index),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = i64> {
        let (narrow, wide): (&[i32], &[i64]) = match self {
            Self::Narrow(numbers) => (numbers, &[]),
            Self::Wide(numbers) => (&[], numbers),
        };
        narrow.iter().copied().map(i64::from).chain(wide.iter().copied())
    }

    /// Where a number is, or would be.
    fn find(&self, number: i64) -> Result<usize, usize> {
        match self {
            Self::Narrow(numbers) => numbers.binary_search_by_key(&number, |other| i64::from(*other)),
            Self::Wide(numbers) => numbers.binary_search(&number),
        }
    }
}

impl Default for Integers {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

fn take<T>(numbers: &mut Vec<T>, index: usize) -> Option<T> {
    let number = (index < numbers.len()).then(|| numbers.remove(index));
    if numbers.capacity() > 16 && numbers.len() < numbers.capacity() / 4 {
        numbers.shrink_to(numbers.len() * 2);
    }
    number
}
