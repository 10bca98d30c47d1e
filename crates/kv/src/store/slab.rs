//! [`Slab`]: items under stable numbers, in chunks of 256 KiB, so that growing copies nothing.

use std::collections::BTreeSet;

use crate::store::memory::allocation;

/// The number of nothing.
pub(super) const NONE: u32 = u32::MAX;

/// What a full chunk takes, about. jemalloc adds a page to each large allocation: of 64 KiB that would be 6 %.
const CHUNK_BYTES: usize = 256 << 10;

/// Items with numbers. A number is used again after its item was removed.
///
/// A shard has memory for some 60 million entries long before numbers run out (at 2³² − 1).
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// Chunks with room. The first is filled first, so that the last ones run empty.
    open: BTreeSet<u32>,
    len: usize,
    reserved: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    slots: Vec<Slot<T>>,
    /// Head of the list of free slots.
    free: u32,
    used: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Used(T),
    /// With the next one that is free.
    Free(u32),
}

impl<T> Slab<T> {
    const PER_CHUNK: usize = CHUNK_BYTES / size_of::<Slot<T>>();

    /// What one item takes.
    pub(super) const ITEM_BYTES: usize = size_of::<Slot<T>>();

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the items. What is free between them is used before more is allocated, and is not counted.
    pub(super) fn bytes(&self) -> usize {
        self.len * Self::ITEM_BYTES
    }

    /// Bytes allocated for items that are not there.
    pub(super) fn slack(&self) -> usize {
        self.reserved.saturating_sub(self.bytes())
    }

    /// All numbers are smaller.
    pub(super) fn bound(&self) -> u32 {
        let last = self.chunks.last().map_or(0, |chunk| chunk.slots.len());
        (self.chunks.len().saturating_sub(1) * Self::PER_CHUNK + last) as u32
    }

    /// The item with this number.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        match self.chunks.get(number / Self::PER_CHUNK)?.slots.get(number % Self::PER_CHUNK)? {
            Slot::Used(item) => Some(item),
            Slot::Free(_) => None,
        }
    }

    /// The same, to change it.
    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let number = number as usize;
        match self.chunks.get_mut(number / Self::PER_CHUNK)?.slots.get_mut(number % Self::PER_CHUNK)? {
            Slot::Used(item) => Some(item),
            Slot::Free(_) => None,
        }
    }

    /// Puts an item somewhere and says where.
    pub(super) fn insert(&mut self, item: T) -> u32 {
        let at = match self.open.first() {
            Some(&at) => at as usize,
            None => {
                self.chunks.push(Chunk { slots: Vec::new(), free: NONE, used: 0 });
                let at = self.chunks.len() - 1;
                self.open.insert(at as u32);
                at
            }
        };
        let Some(chunk) = self.chunks.get_mut(at) else { return NONE };
        let slot = match chunk.slots.get_mut(chunk.free as usize) {
            Some(slot) => {
                let number = chunk.free;
                if let Slot::Free(next) = slot {
                    chunk.free = *next;
                }
                *slot = Slot::Used(item);
                number as usize
            }
            None => {
                if chunk.slots.len() == chunk.slots.capacity() {
                    self.reserved -= allocation(chunk.slots.capacity() * Self::ITEM_BYTES);
                    // Only the first chunk starts small.
                    let room = if at == 0 { (chunk.slots.len() * 2).max(8) } else { Self::PER_CHUNK };
                    chunk.slots.reserve_exact(room.min(Self::PER_CHUNK) - chunk.slots.len());
                    self.reserved += allocation(chunk.slots.capacity() * Self::ITEM_BYTES);
                }
                chunk.slots.push(Slot::Used(item));
                chunk.slots.len() - 1
            }
        };
        chunk.used += 1;
        if chunk.used == Self::PER_CHUNK {
            self.open.remove(&(at as u32));
        }
        self.len += 1;
        (at * Self::PER_CHUNK + slot) as u32
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let (at, slot) = (number as usize / Self::PER_CHUNK, number as usize % Self::PER_CHUNK);
        let chunk = self.chunks.get_mut(at)?;
        let place = chunk.slots.get_mut(slot)?;
        if let Slot::Free(_) = place {
            return None;
        }
        let Slot::Used(item) = std::mem::replace(place, Slot::Free(chunk.free)) else { return None };
        chunk.free = slot as u32;
        if chunk.used == Self::PER_CHUNK {
            self.open.insert(at as u32);
        }
        chunk.used -= 1;
        self.len -= 1;
        Some(item)
    }

    /// The first item with this number or a higher one.
    pub(super) fn next_from(&self, number: u32) -> Option<(u32, &T)> {
        let (first, mut slot) = (number as usize / Self::PER_CHUNK, number as usize % Self::PER_CHUNK);
        for (at, chunk) in self.chunks.iter().enumerate().skip(first) {
            if chunk.used > 0 {
                for (place, item) in chunk.slots.iter().enumerate().skip(slot) {
                    if let Slot::Used(item) = item {
                        return Some(((at * Self::PER_CHUNK + place) as u32, item));
                    }
                }
            }
            slot = 0;
        }
        None
    }

    /// All items, in the order of their numbers.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let found = self.next_from(from)?;
            from = found.0 + 1;
            Some(found)
        })
    }

    /// One of the items, all equally likely unless hardly any slots are used.
    pub(super) fn random(&self, rng: &mut fastrand::Rng) -> Option<u32> {
        const TRIES: usize = 32;
        let bound = self.bound();
        if self.len == 0 {
            return None;
        }
        for _ in 0..TRIES {
            let number = rng.u32(0..bound);
            if self.get(number).is_some() {
                return Some(number);
            }
        }
        let found = self.next_from(rng.u32(0..bound)).or_else(|| self.next_from(0));
        found.map(|(number, _)| number)
    }

    /// Whether so much is free that [`Slab::move_last`] is worth while: a quarter, and more than a chunk.
    pub(super) fn is_sparse(&self) -> bool {
        self.slack() > (self.bytes() / 4).max(CHUNK_BYTES * 3 / 2)
    }

    /// Moves the item with the highest number to a free place in an earlier chunk; the old number and the new. `None` if
    /// there is no such place.
    pub(super) fn move_last(&mut self) -> Option<(u32, u32)> {
        self.trim();
        let last = self.chunks.len().checked_sub(1)?;
        if *self.open.first()? as usize >= last {
            return None;
        }
        let slots = &self.chunks.get(last)?.slots;
        let slot = slots.iter().rposition(|slot| matches!(slot, Slot::Used(_)))?;
        let old = (last * Self::PER_CHUNK + slot) as u32;
        let item = self.remove(old)?;
        let new = self.insert(item);
        self.trim();
        Some((old, new))
    }

    /// Gives back what comes after the last item.
    fn trim(&mut self) {
        while let Some(chunk) = self.chunks.pop_if(|chunk| chunk.used == 0) {
            self.reserved -= allocation(chunk.slots.capacity() * Self::ITEM_BYTES);
            self.open.remove(&(self.chunks.len() as u32));
        }
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), open: BTreeSet::new(), len: 0, reserved: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn numbers_stay_while_items_come_and_go() {
        let mut slab = Slab::default();
        let mut model = BTreeMap::new();
        let mut rng = fastrand::Rng::with_seed(1);
        for round in 0..120_000u64 {
            if rng.u8(..) < 200 {
                let number = slab.insert(round);
                assert_eq!(model.insert(number, round), None);
            } else if let Some((&number, _)) = model.range(rng.u32(0..slab.bound().max(1))..).next() {
                assert_eq!(slab.remove(number), model.remove(&number));
                assert_eq!(slab.remove(number), None);
            }
        }
        assert_eq!(slab.len(), model.len());
        assert!(slab.bound() > 2 * Slab::<u64>::PER_CHUNK as u32);
        assert!(slab.iter().map(|(number, &item)| (number, item)).eq(model));
    }

    #[test]
    fn moving_the_last_gives_chunks_back() {
        let mut slab = Slab::default();
        for number in 0..100_000u64 {
            slab.insert(number);
        }
        let mut model: BTreeMap<u32, u64> = slab.iter().map(|(number, &item)| (number, item)).collect();
        model.retain(|&number, _| {
            let stays = number % 10 == 0;
            if !stays {
                slab.remove(number);
            }
            stays
        });
        assert!(slab.is_sparse());
        let before = slab.slack();
        while slab.is_sparse() {
            let (old, new) = slab.move_last().unwrap();
            let item = model.remove(&old).unwrap();
            assert_eq!(model.insert(new, item), None);
        }
        assert!(slab.slack() < before / 2, "{} of {before}", slab.slack());
        assert!(slab.iter().map(|(number, &item)| (number, item)).eq(model));
    }

    #[test]
    fn random_reaches_every_item() {
        let mut slab = Slab::default();
        for number in 0..20 {
            slab.insert(number);
        }
        let mut rng = fastrand::Rng::with_seed(1);
        let mut seen = [false; 20];
        for _ in 0..1000 {
            seen[slab.random(&mut rng).unwrap() as usize] = true;
        }
        assert_eq!(seen, [true; 20]);
    }
}
