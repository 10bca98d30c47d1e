//! [`Reader`]: the entries of a file, one after the other.

use std::io::Read;

use crate::persistence::rdb::source::{Error, Reason, Source};
use crate::persistence::rdb::{compact, kind, lzf, opcode};
use crate::store::{DATABASES, Hash, Kind, List, Millis, Set, SortedSet, Text, Value};

/// Newest version known: that of Redis 7.4 and 8. What came with those later than 7.2 is told by its own bytes.
const NEWEST: u32 = 12;

/// Reads the entries of a file.
///
/// Nothing it returned can be relied on before it has returned `None`: the checksum comes last.
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    version: Option<u32>,
    db: u8,
    expires: Option<Millis>,
    ended: bool,
}

/// What a file consists of.
#[derive(Debug)]
pub enum Item {
    /// A fact about the file, such as `redis-ver`.
    Fact {
        /// Which.
        name: Vec<u8>,
        /// As text.
        value: Vec<u8>,
    },
    /// How many keys a database is going to have; a hint.
    Sizes {
        /// The database.
        db: u8,
        /// Its keys.
        keys: u64,
        /// Those of them that expire.
        volatile: u64,
    },
    /// A key.
    Entry(Entry),
    /// Something that is not data and was skipped, such as a function.
    Skipped(&'static str),
}

/// A key with its value.
#[derive(Debug)]
pub struct Entry {
    /// The database it is in.
    pub db: u8,
    /// The key.
    pub key: Vec<u8>,
    /// What it holds; never a void collection.
    pub value: Value,
    /// When it expires, if ever.
    pub expires: Option<Millis>,
}

impl<R: Read> Reader<R> {
    /// Reads from `input`, through a buffer of its own.
    pub fn new(input: R) -> Self {
        Self { source: Source::new(input), version: None, db: 0, expires: None, ended: false }
    }

    /// The next item; `None` when the file was whole and its checksum right.
    ///
    /// # Errors
    /// The file is damaged, or cannot be read, or holds what we have not; it cannot be read on then.
    pub fn next_item(&mut self) -> Result<Option<Item>, Error> {
        if self.ended {
            return Ok(None);
        }
        let version = match self.version {
            Some(version) => version,
            None => self.header()?,
        };
        loop {
            let code = self.source.byte()?;
            match code {
                opcode::END => {
                    self.ended = true;
                    return self.end(version).map(|()| None);
                }
                opcode::EXPIRES_MILLIS => self.expires = Some(u64::from_le_bytes(self.source.array()?)),
                opcode::EXPIRES_SECONDS => {
                    self.expires = Some(u64::from(u32::from_le_bytes(self.source.array()?)) * 1000);
                }
                opcode::IDLE => _ = self.length()?,
                opcode::FREQUENCY => _ = self.source.byte()?,
                opcode::DATABASE => {
                    let db = self.length()?;
                    let known = u8::try_from(db).ok().filter(|db| *db < DATABASES);
                    self.db = known.ok_or_else(|| {
                        self.source.error(Reason::Unsupported("a database beyond number 15"))
                    })?;
                }
                opcode::SIZES => {
                    let (keys, volatile) = (self.length()?, self.length()?);
                    return Ok(Some(Item::Sizes { db: self.db, keys, volatile }));
                }
                opcode::SLOT => {
                    for _ in 0..3 {
                        self.length()?;
                    }
                }
                opcode::AUX => {
                    let (name, value) = (self.string()?, self.string()?);
                    return Ok(Some(Item::Fact { name, value }));
                }
                opcode::FUNCTION => {
                    self.string()?;
                    return Ok(Some(Item::Skipped("a library of functions")));
                }
                opcode::MODULE_AUX => {
                    self.module_aux()?;
                    return Ok(Some(Item::Skipped("what a module keeps")));
                }
                kind => {
                    let entry = self.entry(kind)?;
                    if let Some(entry) = entry {
                        return Ok(Some(Item::Entry(entry)));
                    }
                }
            }
        }
    }

    /// What follows the file: what was read of it already, and the input.
    pub fn into_rest(self) -> (Vec<u8>, R) {
        self.source.into_rest()
    }

    fn header(&mut self) -> Result<u32, Error> {
        let header: [u8; 9] = self.source.array()?;
        let digits = header.strip_prefix(b"REDIS").and_then(|digits| std::str::from_utf8(digits).ok());
        let version = digits.and_then(|digits| digits.parse().ok());
        let version = version.ok_or(Error { offset: 0, reason: Reason::NotRdb })?;
        if !(1..=NEWEST).contains(&version) {
            return Err(Error { offset: 5, reason: Reason::Version(version) });
        }
        self.version = Some(version);
        Ok(version)
    }

    fn end(&mut self, version: u32) -> Result<(), Error> {
        // There was no checksum before version 5, and 0 is that of who does not compute any.
        if version < 5 {
            return Ok(());
        }
        let computed = self.source.checksum();
        let stored = u64::from_le_bytes(self.source.array()?);
        if stored != 0 && stored != computed {
            return Err(self.source.error(Reason::Checksum { stored, computed }));
        }
        Ok(())
    }

    /// `None` for a collection without content, which old versions of Redis could leave behind.
    fn entry(&mut self, kind: u8) -> Result<Option<Entry>, Error> {
        // Before the key, so that a byte that means nothing is told and not taken for a length.
        if let Some(reason) = refused(kind) {
            return Err(self.source.error(reason));
        }
        let key = self.string()?;
        let value = self.value(kind)?;
        let expires = self.expires.take();
        Ok((!value.is_void()).then_some(Entry { db: self.db, key, value, expires }))
    }

    fn value(&mut self, kind: u8) -> Result<Value, Error> {
        Ok(match kind {
            kind::STRING => Value::Text(self.string()?.into()),
            kind::LIST => {
                let mut list = List::default();
                for _ in 0..self.length()? {
                    list.push_back(self.text()?);
                }
                list.into_value()
            }
            kind::LIST_ZIPLIST | kind::LIST_ZIPLISTS | kind::LIST_LISTPACKS => self.packed_list(kind)?,
            kind::SET => {
                let mut set = Set::default();
                for _ in 0..self.length()? {
                    set.insert(self.text()?);
                }
                set.into_value()
            }
            kind::SET_INTSET | kind::SET_LISTPACK => {
                let mut set = Set::default();
                self.packed(kind, |member| _ = set.insert(member))?;
                set.into_value()
            }
            kind::HASH => {
                let mut hash = Hash::default();
                for _ in 0..self.length()? {
                    hash.insert(self.text()?, self.text()?);
                }
                hash.into_value()
            }
            kind::HASH_ZIPLIST | kind::HASH_LISTPACK => {
                let mut hash = Hash::default();
                self.pairs(kind, |field, value| {
                    hash.insert(field, value);
                    true
                })?;
                hash.into_value()
            }
            kind::SORTED_SET | kind::SORTED_SET_TEXT => {
                let mut sorted = SortedSet::default();
                for _ in 0..self.length()? {
                    let member = self.text()?;
                    let score = if kind == kind::SORTED_SET { self.score()? } else { self.score_text()? };
                    sorted.insert(member.as_bytes(), score);
                }
                sorted.into_value()
            }
            kind::SORTED_SET_ZIPLIST | kind::SORTED_SET_LISTPACK => {
                let mut sorted = SortedSet::default();
                self.pairs(kind, |member, score| {
                    let score = score_of(score.as_bytes());
                    score.map(|score| sorted.insert(member.as_bytes(), score)).is_some()
                })?;
                sorted.into_value()
            }
            unknown => return Err(self.source.error(Reason::Unknown(unknown))),
        })
    }

    fn packed_list(&mut self, kind: u8) -> Result<Value, Error> {
        let mut list = List::default();
        let nodes = if kind == kind::LIST_ZIPLIST { 1 } else { self.length()? };
        for _ in 0..nodes {
            // Since version 10 a node may be one long element as it is.
            let plain = kind == kind::LIST_LISTPACKS
                && match self.length()? {
                    1 => true,
                    2 => false,
                    _ => return Err(self.source.error(Reason::Malformed("a malformed list"))),
                };
            match plain {
                true => list.push_back(self.text()?),
                false => self.packed(kind, |element| list.push_back(element))?,
            }
        }
        Ok(list.into_value())
    }

    /// The elements of a collection that is written in one piece.
    fn packed(&mut self, kind: u8, visit: impl FnMut(Text)) -> Result<(), Error> {
        let bytes = self.string()?;
        match kind {
            kind::SET_INTSET => compact::intset(&bytes, visit),
            kind::LIST_ZIPLIST | kind::LIST_ZIPLISTS | kind::SORTED_SET_ZIPLIST | kind::HASH_ZIPLIST => {
                compact::ziplist(&bytes, visit)
            }
            _ => compact::listpack(&bytes, visit),
        }
        .map_err(|malformed| self.source.error(Reason::Malformed(malformed)))
    }

    /// The same, two by two; `visit` says whether it can make something of them.
    fn pairs(&mut self, kind: u8, mut visit: impl FnMut(Text, Text) -> bool) -> Result<(), Error> {
        let (mut first, mut sound) = (None, true);
        self.packed(kind, |element| match first.take() {
            None => first = Some(element),
            Some(first) => sound &= visit(first, element),
        })?;
        match first {
            None if sound => Ok(()),
            _ => Err(self.source.error(Reason::Malformed("malformed pairs of a hash or sorted set"))),
        }
    }

    fn score(&mut self) -> Result<f64, Error> {
        let score = f64::from_le_bytes(self.source.array()?);
        if score.is_nan() { Err(self.source.error(NOT_A_SCORE)) } else { Ok(score) }
    }

    fn score_text(&mut self) -> Result<f64, Error> {
        match self.source.byte()? {
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            // Not a number.
            253 => Err(self.source.error(NOT_A_SCORE)),
            length => {
                let text = self.source.bytes(u64::from(length))?;
                score_of(&text).ok_or_else(|| self.source.error(NOT_A_SCORE))
            }
        }
    }

    fn text(&mut self) -> Result<Text, Error> {
        self.string().map(Text::from)
    }

    fn string(&mut self) -> Result<Vec<u8>, Error> {
        let number = match self.length_or_encoding()? {
            Length::Bytes(length) => return self.source.bytes(length),
            Length::Encoded(0) => i64::from(i8::from_le_bytes(self.source.array()?)),
            Length::Encoded(1) => i64::from(i16::from_le_bytes(self.source.array()?)),
            Length::Encoded(2) => i64::from(i32::from_le_bytes(self.source.array()?)),
            Length::Encoded(3) => {
                let (packed, unpacked) = (self.length()?, self.length()?);
                let packed = self.source.bytes(packed)?;
                let unpacked = usize::try_from(unpacked).unwrap_or(usize::MAX);
                let malformed = || self.source.error(Reason::Malformed("a malformed packed string"));
                return lzf::unpack(&packed, unpacked).ok_or_else(malformed);
            }
            Length::Encoded(_) => {
                return Err(self.source.error(Reason::Malformed("an unknown encoding of a string")));
            }
        };
        Ok(itoa::Buffer::new().format(number).as_bytes().to_vec())
    }

    fn length(&mut self) -> Result<u64, Error> {
        match self.length_or_encoding()? {
            Length::Bytes(length) => Ok(length),
            Length::Encoded(_) => Err(self.source.error(Reason::Malformed("no length where one should be"))),
        }
    }

    fn length_or_encoding(&mut self) -> Result<Length, Error> {
        let first = self.source.byte()?;
        Ok(match first >> 6 {
            0 => Length::Bytes(u64::from(first)),
            1 => Length::Bytes(u64::from(first & 0x3f) << 8 | u64::from(self.source.byte()?)),
            2 => match first {
                0x80 => Length::Bytes(u64::from(u32::from_be_bytes(self.source.array()?))),
                0x81 => Length::Bytes(u64::from_be_bytes(self.source.array()?)),
                _ => return Err(self.source.error(Reason::Malformed("an unknown encoding of a length"))),
            },
            _ => Length::Encoded(first & 0x3f),
        })
    }

    /// Values with a mark before each, until a mark that says there are no more.
    fn module_aux(&mut self) -> Result<(), Error> {
        self.length()?;
        loop {
            match self.length()? {
                0 => return Ok(()),
                1 | 2 => _ = self.length()?,
                3 => _ = self.source.array::<4>()?,
                4 => _ = self.source.array::<8>()?,
                5 => _ = self.string()?,
                _ => return Err(self.source.error(Reason::Malformed("malformed data of a module"))),
            }
        }
    }
}

enum Length {
    Bytes(u64),
    Encoded(u8),
}

const NOT_A_SCORE: Reason = Reason::Malformed("a score that is no number");

fn score_of(text: &[u8]) -> Option<f64> {
    crate::resp::parse_float(text)
}

/// Types that are known and not here, and bytes that are no type.
fn refused(kind: u8) -> Option<Reason> {
    match kind {
        kind::STRING..=kind::SORTED_SET
        | kind::LIST_ZIPLIST..=kind::LIST_ZIPLISTS
        | kind::HASH_LISTPACK..=kind::LIST_LISTPACKS
        | kind::SET_LISTPACK => None,
        6 | 7 => Some(Reason::Unsupported("a value of a module")),
        9 => Some(Reason::Unsupported("a hash as Redis before 2.6 wrote it")),
        15 | 19 | 21 => Some(Reason::Unsupported("a stream")),
        22..=25 => Some(Reason::Unsupported("a hash whose fields expire")),
        other => Some(Reason::Unknown(other)),
    }
}
