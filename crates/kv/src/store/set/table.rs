//! [`Table`]: many members, to be found, drawn and walked through in constant time each.
//!
//! The members lie in an array without gaps, so that a random one is a random number away. An index says where each is. The
//! last member takes the place of one that is taken out; therefore a walk that goes *down* the array misses nobody who stays:
//! whoever is moved comes from where the walk was, or stays before it.
//!
//! Nothing is ever copied whole. The array is in chunks, and the index in parts that are split one at a time as members
//! come (linear hashing: Litwin, VLDB 1980). Only the rows of chunks and parts grow in one piece, 0.2 bytes a member.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use hashbrown::HashTable;

use crate::store::Text;
use crate::store::memory::allocation;

/// Many distinct members.
#[derive(Debug)]
pub(super) struct Table {
    /// All are full but the last.
    chunks: Vec<Vec<Text>>,
    parts: Vec<HashTable<Place>>,
    count: usize,
    /// Bytes allocated by the members, the chunks and the parts.
    content: usize,
}

/// Where a member is, and 28 bits of its hash: enough to find and move it within the index without looking at it.
#[derive(Clone, Copy, Debug)]
struct Place(u64);

/// Members in a chunk.
const CHUNK: usize = 512;
/// Members in a part, on the average. Parts that are yet to be split have up to twice as many, which still fit into a table
/// of 512; those that have been split, into one of 256.
const PART: usize = 208;

impl Table {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Bytes allocated, without the struct itself.
    pub(super) fn heap(&self) -> usize {
        let rows = allocation(self.chunks.capacity() * size_of::<Vec<Text>>())
            + allocation(self.parts.capacity() * size_of::<HashTable<Place>>());
        self.content + rows
    }

    pub(super) fn contains(&self, member: &[u8]) -> bool {
        self.find(member, hash(member)).is_some()
    }

    /// Adds a member; `false` if it is one already.
    pub(super) fn insert(&mut self, member: &[u8]) -> bool {
        let hash = hash(member);
        if self.find(member, hash).is_some() {
            return false;
        }
        let place = Place::new(hash, self.count);
        self.append(Text::new(member));
        if self.count > self.parts.len() * PART {
            self.split();
        }
        self.change_part(self.part_of(place), |part| {
            _ = part.insert_unique(place.spread(), place, Place::spread)
        });
        true
    }

    /// Takes a member out; whether it was one.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(place) = self.find(member, hash(member)) else { return false };
        self.take(place).is_some()
    }

    /// The member at `index`.
    pub(super) fn get(&self, index: usize) -> Option<&Text> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    /// Takes out the member at `index`.
    pub(super) fn take_at(&mut self, index: usize) -> Option<Text> {
        let hash = hash(self.get(index)?.as_bytes());
        self.take(Place::new(hash, index))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Text> {
        self.chunks.iter().flatten()
    }

    /// Visits `count` members below `cursor` (0: from the end), downwards. The next cursor, 0 when there are no more.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8])) -> u64 {
        let end = match usize::try_from(cursor) {
            Ok(0) | Err(_) => self.count,
            Ok(cursor) => cursor.min(self.count),
        };
        let start = end.saturating_sub(count.max(1));
        (start..end).rev().filter_map(|index| self.get(index)).for_each(|member| visit(member.as_bytes()));
        start as u64
    }

    fn find(&self, member: &[u8], hash: u64) -> Option<Place> {
        let wanted = Place::new(hash, 0);
        let part = self.parts.get(self.part_of(wanted))?;
        let is_it = |place: &Place| self.get(place.index()).is_some_and(|other| other.as_bytes() == member);
        part.find(wanted.spread(), is_it).copied()
    }

    /// Takes out the member at `place`, and puts the last one there.
    fn take(&mut self, place: Place) -> Option<Text> {
        let last = self.count.checked_sub(1)?;
        self.change_part(self.part_of(place), |part| {
            if let Ok(entry) = part.find_entry(place.spread(), |other| other.index() == place.index()) {
                entry.remove();
            }
            if part.capacity() > 16 && part.len() < part.capacity() / 4 {
                part.shrink_to(part.len() * 2, Place::spread);
            }
        });
        let mut text = self.pop()?;
        if place.index() != last {
            let moved = Place::new(hash(text.as_bytes()), last);
            let part = self.part_of(moved);
            if let Some(entry) = self
                .parts
                .get_mut(part)
                .and_then(|part| part.find_mut(moved.spread(), |other| other.index() == last))
            {
                *entry = moved.at(place.index());
            }
            let hole = self.chunks.get_mut(place.index() / CHUNK)?.get_mut(place.index() % CHUNK)?;
            std::mem::swap(hole, &mut text);
        }
        self.content -= text.heap();
        if self.parts.len() > 1 && self.count < self.parts.len() * (PART / 4) {
            self.join();
        }
        Some(text)
    }

    /// Puts a member behind the others.
    fn append(&mut self, text: Text) {
        if self.count.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::new());
        }
        if let Some(chunk) = self.chunks.last_mut() {
            self.content -= chunk_heap(chunk);
            self.content += text.heap();
            chunk.push(text);
            self.content += chunk_heap(chunk);
            self.count += 1;
        }
    }

    /// Takes the last member away; its own memory stays in the account.
    fn pop(&mut self) -> Option<Text> {
        let chunk = self.chunks.last_mut()?;
        let text = chunk.pop()?;
        self.count -= 1;
        self.content -= chunk_heap(chunk);
        if chunk.is_empty() {
            self.chunks.pop();
            if self.chunks.capacity() > 16 && self.chunks.len() < self.chunks.capacity() / 4 {
                self.chunks.shrink_to(self.chunks.len() * 2);
            }
        } else {
            if chunk.len() < chunk.capacity() / 4 {
                chunk.shrink_to(chunk.len() * 2);
            }
            self.content += chunk_heap(chunk);
        }
        Some(text)
    }

    /// The part that a member belongs to: by as many bits of the hash as there are parts, one less for those not split yet.
    fn part_of(&self, place: Place) -> usize {
        let mask = self.parts.len().next_power_of_two() - 1;
        let part = place.fragment() as usize & mask;
        if part < self.parts.len() { part } else { part & (mask >> 1) }
    }

    /// One part more: that which is to be split next gives it half of what it has.
    fn split(&mut self) {
        let new = self.parts.len();
        self.parts.push(HashTable::new());
        let mask = (new + 1).next_power_of_two() - 1;
        let mut moved = Vec::new();
        if new > 0 {
            self.change_part(new & (mask >> 1), |part| {
                moved.extend(part.extract_if(|place| place.fragment() as usize & mask == new));
                part.shrink_to_fit(Place::spread);
            });
        }
        self.change_part(new, |part| fill(part, &moved));
    }

    /// One part less: what it has goes back to where it came from.
    fn join(&mut self) {
        let Some(part) = self.parts.pop() else { return };
        self.content -= part_heap(&part);
        let mask = (self.parts.len() + 1).next_power_of_two() - 1;
        let moved: Vec<Place> = part.iter().copied().collect();
        self.change_part(self.parts.len() & (mask >> 1), |part| fill(part, &moved));
        if self.parts.capacity() > 16 && self.parts.len() < self.parts.capacity() / 4 {
            self.parts.shrink_to(self.parts.len() * 2);
        }
    }

    /// Changes a part and keeps the account.
    fn change_part(&mut self, index: usize, change: impl FnOnce(&mut HashTable<Place>)) {
        if let Some(part) = self.parts.get_mut(index) {
            let before = part_heap(part);
            change(part);
            self.content = self.content + part_heap(part) - before;
        }
    }

    /// The account from scratch.
    fn counted(&self) -> usize {
        let members: usize = self.iter().map(Text::heap).sum();
        let chunks: usize = self.chunks.iter().map(chunk_heap).sum();
        let parts: usize = self.parts.iter().map(part_heap).sum();
        members + chunks + parts
    }

    /// Whether the index says of every member where it is, and of nobody else, and the account is right.
    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        self.parts.iter().map(HashTable::len).sum::<usize>() == self.count
            && self.iter().count() == self.count
            && self.iter().enumerate().all(|(index, member)| {
                self.find(member.as_bytes(), hash(member.as_bytes()))
                    .is_some_and(|place| place.index() == index)
            })
            && self.content == self.counted()
    }
}

impl Default for Table {
    fn default() -> Self {
        let mut table = Self { chunks: Vec::new(), parts: Vec::new(), count: 0, content: 0 };
        table.split();
        table
    }
}

impl Clone for Table {
    fn clone(&self) -> Self {
        let (chunks, parts) = (self.chunks.clone(), self.parts.clone());
        let mut copy = Self { chunks, parts, count: self.count, content: 0 };
        // The chunks have no room to spare now.
        copy.content = copy.counted();
        copy
    }
}

impl Place {
    const INDEX: u32 = 36;

    fn new(hash: u64, index: usize) -> Self {
        Self(hash >> Self::INDEX << Self::INDEX | index as u64)
    }

    fn at(self, index: usize) -> Self {
        Self::new(self.0, index)
    }

    fn index(self) -> usize {
        (self.0 & ((1 << Self::INDEX) - 1)) as usize
    }

    /// What is kept of the hash.
    fn fragment(self) -> u64 {
        self.0 >> Self::INDEX
    }

    /// A hash for within a part, where the lowest bits of all fragments are the same: every bit of it depends on all bits
    /// of the fragment that matter, the topmost seven and the lowest most of all.
    fn spread(&self) -> u64 {
        self.fragment().wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(32)
    }
}

fn fill(part: &mut HashTable<Place>, places: &[Place]) {
    part.reserve(places.len(), Place::spread);
    places.iter().for_each(|place| _ = part.insert_unique(place.spread(), *place, Place::spread));
}

fn chunk_heap(chunk: &Vec<Text>) -> usize {
    allocation(chunk.capacity() * size_of::<Text>())
}

fn part_heap(part: &HashTable<Place>) -> usize {
    allocation(part.allocation_size())
}

/// The same for all sets, drawn once: whoever chooses the members cannot choose their places.
fn hash(member: &[u8]) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHER.hash_one(member)
}
