//! [`List`]: elements in order, in packed chunks.

use std::collections::VecDeque;
use std::ops::Range;

pub use crate::store::packed::End;

use crate::store::Text;
use crate::store::memory::allocation;
use crate::store::packed::Packed;

/// Elements in order. Adding, reading and dropping one at an end takes constant time. In the middle, it takes a step for
/// each chunk to the nearer end and for each element of one chunk; a chunk has about 4 KiB, or one element that is larger.
///
/// What grows with the whole list is the row of chunks, 40 bytes each: a list of a gigabyte copies 10 MB when it doubles.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// None of them is empty.
    chunks: VecDeque<Packed>,
    /// Elements in all chunks.
    count: usize,
    /// Bytes allocated by all chunks.
    buffers: usize,
}

impl List {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes allocated, the boxed struct itself included.
    pub fn heap(&self) -> usize {
        allocation(size_of::<Self>())
            + allocation(self.chunks.capacity() * size_of::<Packed>())
            + self.buffers
    }

    /// Bytes the elements take in their chunks, their lengths included; takes a step for each chunk.
    pub fn used(&self) -> usize {
        self.chunks.iter().map(Packed::used).sum()
    }

    /// From the first to the last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.chunks.iter().flat_map(Packed::iter)
    }

    /// From the one at `index` to the last.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        let (at, offset) = self.locate(index).unwrap_or((self.chunks.len(), 0));
        let first = self.chunks.get(at).map(|chunk| chunk.iter_from(offset));
        let rest = self.chunks.range((at + 1).min(self.chunks.len())..);
        first.into_iter().flatten().chain(rest.flat_map(Packed::iter))
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let (at, offset) = self.locate(index)?;
        self.chunks.get(at)?.get(offset)
    }

    /// The element at an end.
    pub fn at_end(&self, end: End) -> Option<&[u8]> {
        match end {
            End::Front => self.chunks.front()?.iter().next(),
            End::Back => self.chunks.back()?.iter().next_back(),
        }
    }

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, element: &[u8]) {
        let (last, next) = match end {
            End::Front => (0, 0),
            End::Back => (self.chunks.len().saturating_sub(1), self.chunks.len()),
        };
        if self.change(last, |chunk| chunk.push(end, element)) != Some(true) {
            let size = Packed::size(element.len());
            // A list that has filled a chunk will fill another, unless there are few elements to a chunk.
            let capacity = if self.is_empty() || size > Packed::MOST / 4 { 0 } else { Packed::MOST };
            let mut chunk = Packed::with_capacity(capacity, end);
            chunk.push(end, element);
            self.add(next, chunk);
        }
    }

    /// Adds an element behind the others, as loading does.
    pub fn push_back(&mut self, element: impl AsRef<[u8]>) {
        self.push(End::Back, element.as_ref());
    }

    /// Takes out the element at an end.
    pub fn pop(&mut self, end: End) -> Option<Text> {
        let element = Text::new(self.at_end(end)?);
        self.discard(end, 1);
        Some(element)
    }

    /// Drops `count` elements at an end, or as many as there are.
    pub fn discard(&mut self, end: End, mut count: usize) {
        while count > 0 && !self.is_empty() {
            let at = if end == End::Front { 0 } else { self.chunks.len() - 1 };
            let dropped = self.change(at, |chunk| {
                let dropped = count.min(chunk.len());
                chunk.discard(end, dropped);
                dropped
            });
            count -= dropped.unwrap_or(count);
        }
    }

    /// Drops all elements but those in `range`.
    pub fn keep(&mut self, range: Range<usize>) {
        self.discard(End::Back, self.count.saturating_sub(range.end.max(range.start)));
        self.discard(End::Front, range.start);
    }

    /// Puts another element in the place of the one at `index`; whether there is one.
    pub fn set(&mut self, index: usize, element: &[u8]) -> bool {
        let Some((at, offset)) = self.locate(index) else { return false };
        let size = Packed::size(element.len());
        let fits = self.chunks.get(at).is_some_and(|chunk| {
            let old = chunk.get(offset).map_or(0, |old| Packed::size(old.len()));
            chunk.len() == 1 || size <= old || chunk.used() - old + size <= Packed::MOST
        });
        if fits {
            self.change(at, |chunk| chunk.replace(offset, element));
        } else {
            self.insert_at(at, offset, element);
            if let Some((at, offset)) = self.locate(index + 1) {
                self.change(at, |chunk| chunk.remove(offset));
            }
        }
        true
    }

    /// Puts an element before or behind the first that equals `pivot`; whether there is one.
    pub fn insert_beside(&mut self, pivot: &[u8], behind: bool, element: &[u8]) -> bool {
        let found = self.chunks.iter().enumerate().find_map(|(at, chunk)| {
            let offset = chunk.iter().position(|other| other == pivot)?;
            Some((at, offset + usize::from(behind)))
        });
        match found {
            Some((at, offset)) => self.insert_at(at, offset, element),
            None => return false,
        }
        true
    }

    /// Takes out elements that equal `element`, at most so many, the first found from one end. Returns how many.
    pub fn remove_equal(&mut self, element: &[u8], most: usize, from: End) -> usize {
        let (mut removed, mut sparse) = (0, false);
        for step in 0..self.chunks.len() {
            let at = if from == End::Front { step } else { self.chunks.len() - 1 - step };
            let Some(chunk) = self.chunks.get_mut(at) else { break };
            let heap = chunk.heap();
            let here = chunk.remove_equal(element, most - removed, from);
            self.buffers = self.buffers + chunk.heap() - heap;
            sparse |= here > 0 && chunk.used() < Packed::MOST / 4;
            removed += here;
            if removed == most {
                break;
            }
        }
        self.count -= removed;
        if sparse {
            self.join();
        }
        removed
    }

    /// The chunk that has the element at `index`, and its number there; sought from the nearer end.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        let mut behind = self.count.checked_sub(index).filter(|behind| *behind > 0)?;
        if index < behind {
            let mut before = index;
            self.chunks.iter().enumerate().find_map(|(at, chunk)| {
                let found = before < chunk.len();
                if !found {
                    before -= chunk.len();
                }
                found.then_some((at, before))
            })
        } else {
            self.chunks.iter().enumerate().rev().find_map(|(at, chunk)| {
                let found = behind <= chunk.len();
                if !found {
                    behind -= chunk.len();
                }
                found.then_some((at, chunk.len().saturating_sub(behind)))
            })
        }
    }

    /// Changes one chunk and keeps the account; if it is empty then, it goes.
    fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Packed) -> R) -> Option<R> {
        let chunk = self.chunks.get_mut(at)?;
        let (heap, count) = (chunk.heap(), chunk.len());
        let result = change(chunk);
        self.buffers = self.buffers + chunk.heap() - heap;
        self.count = self.count + chunk.len() - count;
        if chunk.is_empty() {
            self.buffers -= chunk.heap();
            self.chunks.remove(at);
            if self.chunks.capacity() > 8 && self.chunks.len() < self.chunks.capacity() / 4 {
                self.chunks.shrink_to(self.chunks.len() * 2);
            }
        }
        Some(result)
    }

    /// Adds a chunk before that at `at`.
    fn add(&mut self, at: usize, chunk: Packed) {
        if chunk.is_empty() {
            return;
        }
        if self.chunks.capacity() == 0 {
            // Most lists are short, and one chunk is all they need.
            self.chunks.reserve_exact(1);
        }
        self.count += chunk.len();
        self.buffers += chunk.heap();
        self.chunks.insert(at.min(self.chunks.len()), chunk);
    }

    /// Puts an element before that at `offset` of the chunk `at`, which is cut in two if it is full.
    fn insert_at(&mut self, at: usize, offset: usize, element: &[u8]) {
        let size = Packed::size(element.len());
        if self.chunks.get(at).is_some_and(|chunk| chunk.used() + size <= Packed::MOST) {
            self.change(at, |chunk| chunk.insert(offset, element));
            return;
        }
        let mut before = self.change(at, std::mem::take).unwrap_or_default();
        let mut behind = before.split_off(offset);
        let mut alone = Packed::default();
        let _ = (!before.is_empty() && before.push(End::Back, element))
            || (!behind.is_empty() && behind.push(End::Front, element))
            || alone.push(End::Back, element);
        for chunk in [behind, alone, before] {
            self.add(at, chunk);
        }
    }

    /// Puts chunks together that fit into half of one, and drops those that are empty.
    fn join(&mut self) {
        let chunks = std::mem::take(&mut self.chunks);
        (self.buffers, self.count) = (0, 0);
        for chunk in chunks {
            let last = self.chunks.len().saturating_sub(1);
            let fits =
                self.chunks.get(last).is_some_and(|last| last.used() + chunk.used() <= Packed::MOST / 2);
            if fits {
                self.change(last, |last| last.append(&chunk));
            } else {
                self.add(self.chunks.len(), chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests;
