//! [`Writer`]: the bytes of a file, entry by entry.

use crate::persistence::rdb::{CHECKSUM, Checksum, kind, opcode};
use crate::resp::parse_integer;
use crate::store::{Millis, Value};

/// The oldest version that has all we write; Redis 5 and later read it.
const HEADER: &[u8] = b"REDIS0009";

/// Collects the bytes of a file; whoever writes it takes them from time to time.
pub struct Writer {
    bytes: Vec<u8>,
    checksum: Checksum,
    db: Option<u8>,
}

impl Writer {
    /// Begins a file.
    pub fn new() -> Self {
        Self { bytes: HEADER.to_vec(), checksum: CHECKSUM.digest(), db: None }
    }

    /// A fact about the file. Who does not know `name` skips it.
    pub fn fact(&mut self, name: &str, value: &str) {
        self.bytes.push(opcode::AUX);
        string(&mut self.bytes, name.as_bytes());
        string(&mut self.bytes, value.as_bytes());
    }

    /// How many keys a database will have, and how many of them expire, so that who reads can make room at once.
    pub fn sizes(&mut self, db: u8, keys: usize, volatile: usize) {
        self.select(db);
        self.bytes.push(opcode::SIZES);
        length(&mut self.bytes, keys);
        length(&mut self.bytes, volatile);
    }

    /// A key with its value, and when it expires. Entries of different databases may alternate.
    pub fn entry(&mut self, db: u8, key: &[u8], value: &Value, expires: Option<Millis>) {
        self.select(db);
        let out = &mut self.bytes;
        if let Some(at) = expires {
            out.push(opcode::EXPIRES_MILLIS);
            out.extend_from_slice(&at.to_le_bytes());
        }
        out.push(match value {
            Value::Text(_) => kind::STRING,
            Value::List(_) => kind::LIST,
            Value::Set(_) => kind::SET,
            Value::Hash(_) => kind::HASH,
            Value::SortedSet(_) => kind::SORTED_SET,
        });
        string(out, key);
        content(out, value);
    }

    /// Bytes collected since they were taken last.
    pub fn collected(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the bytes collected; they belong behind those taken before.
    pub fn take(&mut self) -> Vec<u8> {
        self.checksum.update(&self.bytes);
        let next = Vec::with_capacity(self.bytes.len());
        std::mem::replace(&mut self.bytes, next)
    }

    /// The last bytes of the file: those not taken yet, the end mark, the checksum.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(opcode::END);
        let mut bytes = self.take();
        bytes.extend_from_slice(&self.checksum.finalize().to_le_bytes());
        bytes
    }

    fn select(&mut self, db: u8) {
        if self.db != Some(db) {
            self.db = Some(db);
            self.bytes.push(opcode::DATABASE);
            length(&mut self.bytes, usize::from(db));
        }
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("collected", &self.bytes.len())
            .field("db", &self.db)
            .finish_non_exhaustive()
    }
}

fn content(out: &mut Vec<u8>, value: &Value) {
    if let Value::Text(text) = value {
        return string(out, text.as_bytes());
    }
    length(out, value.elements());
    match value {
        Value::Text(_) => {}
        Value::List(list) => list.iter().for_each(|element| string(out, element)),
        Value::Set(set) => set.iter().for_each(|member| string(out, member.as_ref())),
        Value::Hash(hash) => {
            for (field, value) in hash.iter() {
                string(out, field);
                string(out, value);
            }
        }
        Value::SortedSet(sorted) => {
            for (member, score) in sorted.iter() {
                string(out, member);
                out.extend_from_slice(&score.to_le_bytes());
            }
        }
    }
}

/// A length in one, two, five or nine bytes.
fn length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..=0x3f => out.push(length as u8),
        0x40..=0x3fff => out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Bytes; those of a number of up to 32 bits as the number.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let number = if bytes.len() <= LONGEST_NUMBER { parse_integer(bytes) } else { None };
    match number.map(|number| (i8::try_from(number), i16::try_from(number), i32::try_from(number))) {
        Some((Ok(number), ..)) => out.extend_from_slice(&[0xc0, number as u8]),
        Some((_, Ok(number), _)) => {
            out.push(0xc1);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Some((.., Ok(number))) => {
            out.push(0xc2);
            out.extend_from_slice(&number.to_le_bytes());
        }
        _ => {
            length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

/// Digits of -2147483648.
const LONGEST_NUMBER: usize = 11;
