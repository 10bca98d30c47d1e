//! [`Packed`]: byte strings in a row, in one allocation.

use std::ops::Range;

use crate::store::memory::allocation;

/// An end of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where it begins.
    Front,
    /// Where it ends.
    Back,
}

/// Byte strings in a row. Each stands between its length and its length backwards, so that the row can be read from
/// either end; lengths are in groups of seven bits, the lowest first (LEB128): up to 127 bytes cost two more.
///
/// The row grows and shrinks at both ends without being moved: there is room before and behind it.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    buffer: Box<[u8]>,
    /// The row is `buffer[start..end]`.
    start: usize,
    end: usize,
    count: usize,
}

/// What remains to be read of a row.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl Packed {
    /// Bytes that a row of several elements takes at most.
    pub(super) const MOST: usize = 4096;
    /// Buffers as small as this are not worth making smaller.
    const SMALL: usize = 64;

    /// Bytes in the row that an element of `length` bytes takes.
    pub(super) fn size(length: usize) -> usize {
        length + 2 * groups(length).1
    }

    /// An empty row with a buffer of `capacity` bytes, all of which are room at `end`.
    pub(super) fn with_capacity(capacity: usize, end: End) -> Self {
        let mut row = Self::default();
        row.relocate(capacity, end);
        row
    }

    /// How many elements there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the row.
    pub(super) fn used(&self) -> usize {
        self.end - self.start
    }

    /// Bytes allocated.
    pub(super) fn heap(&self) -> usize {
        allocation(self.buffer.len())
    }

    /// From the first to the last.
    pub(super) fn iter(&self) -> Elements<'_> {
        Elements { bytes: self.buffer.get(self.start..self.end).unwrap_or_default(), left: self.count }
    }

    /// From the one at `index` to the last.
    pub(super) fn iter_from(&self, index: usize) -> Elements<'_> {
        let bytes = self.buffer.get(self.place(index)..self.end).unwrap_or_default();
        Elements { bytes, left: self.count.saturating_sub(index) }
    }

    /// The one at `index`.
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        if index < self.count { self.iter_from(index).next() } else { None }
    }

    /// Adds one at an end. `false`, and nothing is added, if the row is full as far as this end is concerned.
    pub(super) fn push(&mut self, end: End, element: &[u8]) -> bool {
        let size = Self::size(element.len());
        // A row that was made for one long element has room for more than a row should have.
        if self.count > 0 && self.used() + size > Self::MOST {
            return false;
        }
        let room = match end {
            End::Front => self.start,
            End::Back => self.buffer.len() - self.end,
        };
        if room < size && !self.make_room(end, size) {
            return false;
        }
        match end {
            End::Front => {
                self.start -= size;
                write(&mut self.buffer, self.start, element);
            }
            End::Back => {
                write(&mut self.buffer, self.end, element);
                self.end += size;
            }
        }
        self.count += 1;
        true
    }

    /// Drops `count` of them at an end.
    pub(super) fn discard(&mut self, end: End, count: usize) {
        let count = count.min(self.count);
        match end {
            End::Front => self.start = self.place(count),
            End::Back => self.end = self.place(self.count - count),
        }
        self.count -= count;
        self.settle();
    }

    /// Puts one before the one at `index`, whatever the size that comes of it.
    pub(super) fn insert(&mut self, index: usize, element: &[u8]) {
        let at = self.place(index);
        self.splice(at..at, Some(element));
        self.count += 1;
    }

    /// Puts another in the place of the one at `index`, whatever the size that comes of it.
    pub(super) fn replace(&mut self, index: usize, element: &[u8]) {
        let place = self.place_of(index);
        self.splice(place, Some(element));
    }

    /// Takes the one at `index` out.
    pub(super) fn remove(&mut self, index: usize) {
        if index < self.count {
            self.splice(self.place_of(index), None);
            self.count -= 1;
            self.settle();
        }
    }

    /// Takes out those that equal `element`, at most so many, the first found from one end. Returns how many.
    pub(super) fn remove_equal(&mut self, element: &[u8], most: usize, from: End) -> usize {
        let (mut elements, mut gaps) = (self.iter(), Vec::new());
        while gaps.len() < most {
            let before = elements.bytes.len();
            let found = match from {
                End::Front => elements.next(),
                End::Back => elements.next_back(),
            };
            let Some(found) = found else { break };
            if found == element {
                let after = elements.bytes.len();
                gaps.push(match from {
                    End::Front => self.end - before..self.end - after,
                    End::Back => self.start + after..self.start + before,
                });
            }
        }
        if from == End::Back {
            gaps.reverse();
        }
        let mut end = gaps.first().map_or(self.end, |gap| gap.start);
        let mut rest = gaps.iter().peekable();
        while let Some(gap) = rest.next() {
            let kept = gap.end..rest.peek().map_or(self.end, |next| next.start);
            let length = kept.len();
            self.buffer.copy_within(kept, end);
            end += length;
        }
        self.end = end;
        self.count -= gaps.len();
        self.settle();
        gaps.len()
    }

    /// Cuts the row before `index`; returns what was behind.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let at = self.place(index);
        let buffer: Box<[u8]> = self.buffer.get(at..self.end).unwrap_or_default().into();
        let behind = Self { start: 0, end: buffer.len(), count: self.count - index.min(self.count), buffer };
        self.end = at;
        self.count -= behind.count;
        self.settle();
        behind
    }

    /// Puts another row behind this one, whatever the size that comes of it.
    pub(super) fn append(&mut self, other: &Self) {
        let row = other.buffer.get(other.start..other.end).unwrap_or_default();
        if self.buffer.len() - self.end < row.len() {
            self.relocate(self.grown(self.used() + row.len()), End::Back);
        }
        if let Some(place) = self.buffer.get_mut(self.end..self.end + row.len()) {
            place.copy_from_slice(row);
        }
        self.end += row.len();
        self.count += other.count;
    }

    /// Where the element at `index` begins, or the row ends; read from the nearer end.
    fn place(&self, index: usize) -> usize {
        let mut elements = self.iter();
        if index <= self.count / 2 {
            (0..index).for_each(|_| _ = elements.next());
            self.end - elements.bytes.len()
        } else {
            (index..self.count).for_each(|_| _ = elements.next_back());
            self.start + elements.bytes.len()
        }
    }

    fn place_of(&self, index: usize) -> Range<usize> {
        let at = self.place(index);
        at..at + self.get(index).map_or(0, |element| Self::size(element.len()))
    }

    /// The capacity for a row of `used` bytes: twice what it was if that is not too much, and what is allocated anyway.
    fn grown(&self, used: usize) -> usize {
        match used > Self::MOST {
            true => used,
            false => allocation(used.max((self.buffer.len() * 2).min(Self::MOST))),
        }
    }

    /// Makes room for `size` bytes at `end`, unless the row is full. Moves the row only if that gains as much as is moved.
    fn make_room(&mut self, end: End, size: usize) -> bool {
        let (used, capacity) = (self.used() + size, self.buffer.len());
        if used <= capacity / 2 {
            let start = if end == End::Front { capacity - self.used() } else { 0 };
            self.buffer.copy_within(self.start..self.end, start);
            (self.start, self.end) = (start, start + self.used());
        } else if self.is_empty() || (capacity < Self::MOST && used <= Self::MOST) {
            self.relocate(self.grown(used), end);
        } else {
            return false;
        }
        true
    }

    /// Moves the row into a buffer of `capacity` bytes with all the room at `end`.
    fn relocate(&mut self, capacity: usize, end: End) {
        let mut buffer = vec![0; capacity].into_boxed_slice();
        let start = if end == End::Front { capacity.saturating_sub(self.used()) } else { 0 };
        copy(&mut buffer, start, self.buffer.get(self.start..self.end).unwrap_or_default());
        (self.start, self.end) = (start, start + self.used());
        self.buffer = buffer;
    }

    /// Puts an element, or nothing, in the place of the bytes `gap`. The count is the caller's affair.
    fn splice(&mut self, gap: Range<usize>, element: Option<&[u8]>) {
        let size = element.map_or(0, |element| Self::size(element.len()));
        let mut at = gap.start;
        let used = self.used() - gap.len() + size;
        if self.start + used <= self.buffer.len() {
            self.buffer.copy_within(gap.end..self.end, at + size);
        } else {
            let capacity = if used <= self.buffer.len() { self.buffer.len() } else { self.grown(used) };
            let mut buffer = vec![0; capacity].into_boxed_slice();
            at -= self.start;
            copy(&mut buffer, 0, self.buffer.get(self.start..gap.start).unwrap_or_default());
            copy(&mut buffer, at + size, self.buffer.get(gap.end..self.end).unwrap_or_default());
            self.buffer = buffer;
            self.start = 0;
        }
        self.end = self.start + used;
        if let Some(element) = element {
            write(&mut self.buffer, at, element);
        }
    }

    /// Gives memory back when three quarters of it are unused.
    fn settle(&mut self) {
        if self.buffer.len() > Self::SMALL && self.used() < self.buffer.len() / 4 {
            self.relocate(allocation(self.used() * 2), End::Back);
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, head) = read_length(self.bytes.iter())?;
        let (element, rest) = self.bytes.get(head..)?.split_at_checked(length)?;
        self.bytes = rest.get(head..)?;
        self.left -= 1;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Elements<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (length, tail) = read_length(self.bytes.iter().rev())?;
        let body = self.bytes.get(..self.bytes.len().checked_sub(tail)?)?;
        let (rest, element) = body.split_at_checked(body.len().checked_sub(length)?)?;
        self.bytes = rest.get(..rest.len().checked_sub(tail)?)?;
        self.left -= 1;
        Some(element)
    }
}

impl ExactSizeIterator for Elements<'_> {}

fn copy(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = buffer.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Writes an element between its lengths.
fn write(buffer: &mut [u8], at: usize, element: &[u8]) {
    let (mut length, count) = groups(element.len());
    let Some(length) = length.get_mut(..count) else { return };
    copy(buffer, at, length);
    copy(buffer, at + count, element);
    length.reverse();
    copy(buffer, at + count + element.len(), length);
}

/// A length in groups of seven bits, and how many groups there are.
fn groups(mut length: usize) -> ([u8; 10], usize) {
    let (mut bytes, mut count) = ([0; 10], 0);
    for byte in &mut bytes {
        *byte = (length & 0x7f) as u8;
        count += 1;
        length >>= 7;
        if length == 0 {
            break;
        }
        *byte |= 0x80;
    }
    (bytes, count)
}

/// The length that begins here, and the number of its groups.
fn read_length<'b>(bytes: impl Iterator<Item = &'b u8>) -> Option<(usize, usize)> {
    let mut length = 0;
    for (count, byte) in bytes.enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * count);
        if *byte < 0x80 {
            return Some((length, count + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_can_be_read_from_both_ends() {
        let lengths = [0, 1, 127, 128, 129, 16_383, 16_384, 70_000, 2_097_152];
        let mut row = Packed::default();
        for length in lengths {
            row.insert(row.len(), &vec![length as u8; length]);
        }
        assert!(row.iter().map(<[u8]>::len).eq(lengths));
        assert!(row.iter().rev().map(<[u8]>::len).eq(lengths.into_iter().rev()));
        assert_eq!(row.iter().len(), lengths.len());
        assert_eq!(row.used(), lengths.iter().map(|length| Packed::size(*length)).sum::<usize>());
    }

    #[test]
    fn a_row_is_full_at_some_time_and_takes_what_it_says() {
        for end in [End::Front, End::Back] {
            let mut row = Packed::default();
            while row.push(end, b"abc") {}
            assert_eq!((row.len(), row.used(), row.heap()), (819, 4095, 4096), "{end:?}");
        }
    }

    #[test]
    fn one_that_is_too_large_is_alone() {
        let mut row = Packed::default();
        assert!(row.push(End::Back, &[b'x'; 5000]));
        assert_eq!(row.used(), 5004);
        assert!(!row.push(End::Back, b"") && !row.push(End::Front, b""));
    }

    #[test]
    fn what_goes_in_at_one_end_and_out_at_the_other_stays_small() {
        for (into, out) in [(End::Front, End::Back), (End::Back, End::Front)] {
            let mut row = Packed::default();
            for number in 0..10_000u32 {
                assert!(row.push(into, &number.to_le_bytes()));
                if row.len() > 3 {
                    row.discard(out, 1);
                }
            }
            assert_eq!(row.len(), 3);
            assert!(row.heap() <= 64, "{}", row.heap());
        }
    }

    #[test]
    fn memory_comes_back() {
        let mut row = Packed::default();
        while row.push(End::Back, b"abc") {}
        row.discard(End::Back, 700);
        assert!(row.heap() <= 2048, "{}", row.heap());
        row.discard(End::Front, 118);
        assert!(row.heap() <= 64, "{}", row.heap());
        assert_eq!(row.iter().collect::<Vec<_>>(), [b"abc"]);
    }
}
