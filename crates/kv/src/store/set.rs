//! [`Set`]: distinct members; compact while they are few, or integers and not many.

mod integers;
mod table;

use std::ops::Deref;

use crate::resp::parse_integer;
use crate::store::Text;
use crate::store::memory::allocation;
use crate::store::packed::{End, Packed};
use integers::Integers;
use table::Table;

/// Distinct members, each with a number below [`Set::len`] that changes only when members are taken out or the form
/// changes. To find, add, take out or draw one takes constant time whatever the size.
#[derive(Clone, Debug)]
pub struct Set(Form);

#[derive(Clone, Debug)]
enum Form {
    /// From the beginning, until there are [`MOST_INTEGERS`] or something else is added.
    Integers(Integers),
    /// Until there are [`MOST_PACKED`] or they take [`MOST_PACKED_BYTES`].
    Packed(Packed),
    /// From then on.
    Table(Box<Table>),
}

/// A member as it is stored, or written out if it is stored as a number.
#[derive(Clone, Debug)]
pub enum Member<'a> {
    /// As it is stored.
    Stored(&'a [u8]),
    /// Written out.
    Number(Text),
}

/// As many as Redis keeps in an `intset`.
const MOST_INTEGERS: usize = 512;
/// What is searched from end to end has to be short.
const MOST_PACKED: usize = 128;
const MOST_PACKED_BYTES: usize = 2048;

impl Set {
    /// How many members there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Integers(integers) => integers.len(),
            Form::Packed(packed) => packed.len(),
            Form::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated, the boxed struct itself included.
    pub fn heap(&self) -> usize {
        let form = match &self.0 {
            Form::Integers(integers) => integers.heap(),
            Form::Packed(packed) => packed.heap(),
            Form::Table(table) => allocation(size_of::<Table>()) + table.heap(),
        };
        allocation(size_of::<Self>()) + form
    }

    /// What `OBJECT ENCODING` answers if up to `most` integers count as compact (`set-max-intset-entries`).
    pub fn encoding(&self, most: usize) -> &'static str {
        match &self.0 {
            Form::Integers(integers) if integers.len() <= most => "intset",
            _ => "hashtable",
        }
    }

    /// Whether `member` is one.
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Form::Integers(integers) => parse_integer(member).is_some_and(|number| integers.contains(number)),
            Form::Packed(packed) => packed.iter().any(|other| other == member),
            Form::Table(table) => table.contains(member),
        }
    }

    /// Adds a member; `false` if it is one already.
    pub fn insert(&mut self, member: impl AsRef<[u8]>) -> bool {
        let member = member.as_ref();
        match &mut self.0 {
            Form::Integers(integers) => match parse_integer(member) {
                Some(number) if integers.len() < MOST_INTEGERS => integers.insert(number),
                Some(number) if integers.contains(number) => false,
                _ => self.make_place(member),
            },
            Form::Packed(packed) => {
                if packed.iter().any(|other| other == member) {
                    return false;
                }
                fits(packed, member) && packed.push(End::Back, member) || self.make_place(member)
            }
            Form::Table(table) => table.insert(member),
        }
    }

    /// Takes a member out; whether it was one.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Integers(integers) => parse_integer(member).is_some_and(|number| integers.remove(number)),
            Form::Packed(packed) => packed.remove_equal(member, 1, End::Front) == 1,
            Form::Table(table) => table.remove(member),
        }
    }

    /// The member with that number.
    pub fn get(&self, index: usize) -> Option<Member<'_>> {
        match &self.0 {
            Form::Integers(integers) => integers.get(index).map(Member::from),
            Form::Packed(packed) => packed.get(index).map(Member::Stored),
            Form::Table(table) => table.get(index).map(Member::from),
        }
    }

    /// Takes out the member with that number.
    pub fn take_at(&mut self, index: usize) -> Option<Text> {
        match &mut self.0 {
            Form::Integers(integers) => integers.take_at(index).map(Text::from),
            Form::Packed(packed) => {
                let member = packed.get(index).map(Text::new);
                packed.remove(index);
                member
            }
            Form::Table(table) => table.take_at(index),
        }
    }

    /// All members, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = Member<'_>> {
        let (integers, packed, table) = match &self.0 {
            Form::Integers(integers) => (Some(integers), None, None),
            Form::Packed(packed) => (None, Some(packed), None),
            Form::Table(table) => (None, None, Some(table)),
        };
        let integers = integers.into_iter().flat_map(Integers::iter).map(Member::from);
        let packed = packed.into_iter().flat_map(Packed::iter).map(Member::Stored);
        let table = table.into_iter().flat_map(|table| table.iter()).map(Member::from);
        integers.chain(packed).chain(table)
    }

    /// Visits `count` members from `cursor` on, or all if the set is compact, and returns the next cursor, 0 at the end. A
    /// member that is there from the first call to the last is visited at least once, whatever happens to the others.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8])) -> u64 {
        if let Form::Table(table) = &self.0 {
            return table.scan(cursor, count, visit);
        }
        self.iter().for_each(|member| visit(&member));
        0
    }

    /// Adds a member that is none, for which the form is too small.
    fn make_place(&mut self, member: &[u8]) -> bool {
        let mut packed = Packed::default();
        let mut add = |member: &[u8]| fits(&packed, member) && packed.push(End::Back, member);
        if matches!(self.0, Form::Integers(_)) && self.iter().all(|number| add(&number)) && add(member) {
            self.0 = Form::Packed(packed);
            return true;
        }
        let mut table = Box::new(Table::default());
        self.iter().for_each(|member| _ = table.insert(&member));
        let added = table.insert(member);
        self.0 = Form::Table(table);
        added
    }
}

fn fits(packed: &Packed, member: &[u8]) -> bool {
    packed.len() < MOST_PACKED && packed.used() + Packed::size(member.len()) <= MOST_PACKED_BYTES
}

impl Default for Set {
    fn default() -> Self {
        Self(Form::Integers(Integers::default()))
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Set {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let mut set = Self::default();
        members.into_iter().for_each(|member| _ = set.insert(member));
        set
    }
}

impl Deref for Member<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Stored(bytes) => bytes,
            Self::Number(text) => text.as_bytes(),
        }
    }
}

impl AsRef<[u8]> for Member<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<i64> for Member<'_> {
    fn from(number: i64) -> Self {
        Self::Number(Text::from(number))
    }
}

impl<'a> From<&'a Text> for Member<'a> {
    fn from(text: &'a Text) -> Self {
        Self::Stored(text.as_bytes())
    }
}

#[cfg(test)]
mod tests;
