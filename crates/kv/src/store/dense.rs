//! [`Dense`]: items numbered without holes, in chunks, so that growing never copies more than one of them.

use crate::store::memory::allocation;

/// Items in a chunk.
const CHUNK: usize = 256;
/// Room in the first chunk before it grows.
const FIRST: usize = 8;

/// Items under the numbers from 0 on.
#[derive(Clone, Debug)]
pub(super) struct Dense<T> {
    /// All full but the last, which is not empty.
    chunks: Vec<Vec<T>>,
}

impl<T> Dense<T> {
    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Bytes allocated.
    pub(super) fn heap(&self) -> usize {
        let chunk = |room: usize| allocation(room * size_of::<T>());
        let last = self.chunks.last().map_or(0, |last| chunk(last.capacity()));
        let list = allocation(self.chunks.capacity() * size_of::<Vec<T>>());
        self.chunks.len().saturating_sub(1) * chunk(CHUNK) + last + list
    }

    /// The item with a number.
    pub(super) fn get(&self, number: usize) -> Option<&T> {
        self.chunks.get(number / CHUNK)?.get(number % CHUNK)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.chunks.get_mut(number / CHUNK)?.get_mut(number % CHUNK)
    }

    /// All items in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// Another item, under the next number.
    pub(super) fn push(&mut self, item: T) {
        match self.chunks.last_mut().filter(|last| last.len() < CHUNK) {
            Some(last) => {
                if last.len() == last.capacity() {
                    last.reserve_exact(last.len().max(FIRST).min(CHUNK - last.len()));
                }
                last.push(item);
            }
            None => {
                let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { FIRST } else { CHUNK });
                chunk.push(item);
                self.chunks.push(chunk);
            }
        }
    }

    /// Takes an item out. The last one has its number then, if it was not the last itself.
    pub(super) fn swap_remove(&mut self, number: usize) -> Option<T> {
        if number >= self.len() {
            return None;
        }
        let last = self.chunks.last_mut()?.pop()?;
        if self.chunks.last().is_some_and(Vec::is_empty) {
            self.chunks.pop();
            if self.chunks.len() < self.chunks.capacity() / 4 {
                self.chunks.shrink_to(self.chunks.len() * 2);
            }
        }
        match self.get_mut(number) {
            Some(place) => Some(std::mem::replace(place, last)),
            None => Some(last),
        }
    }

    /// The heap, looked up at every chunk.
    #[cfg(test)]
    pub(super) fn recount(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| allocation(chunk.capacity() * size_of::<T>()));
        chunks.sum::<usize>() + allocation(self.chunks.capacity() * size_of::<Vec<T>>())
    }
}

impl<T> Default for Dense<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}
