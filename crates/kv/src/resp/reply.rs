//! [`Reply`]: writes answers into a connection's output, in the client's protocol version.

use crate::error::Error;
use crate::resp::number::write_float;

/// What the client has chosen with `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2: no maps, no doubles, no booleans; two kinds of null.
    #[default]
    Resp2,
    /// RESP3 as <https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md> has it.
    Resp3,
}

/// Writes one answer (or the parts of a nested one). What RESP2 lacks becomes what Redis makes of it.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The client's choice.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// From here on in another version: `HELLO` is answered in the one it asks for.
    pub fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    fn number(&mut self, kind: u8, value: i64) {
        self.line(kind, itoa::Buffer::new().format(value).as_bytes());
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status; `text` has no line end.
    pub fn status(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error.
    pub fn error(&mut self, error: &Error) {
        self.line(b'-', error.text().as_bytes());
    }

    /// A 64-bit integer.
    pub fn integer(&mut self, value: i64) {
        self.number(b':', value);
    }

    /// A count as an integer.
    pub fn count(&mut self, value: usize) {
        self.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// 1 or 0 in both versions, as most commands answer yes or no.
    pub fn flag(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b":1\r\n" } else { b":0\r\n" });
    }

    /// Bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.push(b'$');
        self.out.extend_from_slice(itoa::Buffer::new().format(bytes.len()).as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer as bytes.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Bytes, or null.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// Null where there would be bytes.
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Null where there would be an array.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// A floating-point number; bytes in RESP2.
    pub fn double(&mut self, value: f64) {
        let mut text = Vec::with_capacity(24);
        write_float(&mut text, value);
        match self.is_resp3() {
            true => self.line(b',', &text),
            false => self.bulk(&text),
        }
    }

    /// A boolean; 1 or 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        match (self.is_resp3(), value) {
            (true, true) => self.out.extend_from_slice(b"#t\r\n"),
            (true, false) => self.out.extend_from_slice(b"#f\r\n"),
            (false, _) => self.flag(value),
        }
    }

    /// Text for people, such as that of `INFO`; bytes in RESP2.
    pub fn verbatim(&mut self, text: &str) {
        if !self.is_resp3() {
            return self.bulk(text.as_bytes());
        }
        self.number(b'=', (text.len() + 4) as i64);
        self.out.extend_from_slice(b"txt:");
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// `length` answers follow.
    pub fn array(&mut self, length: usize) {
        self.number(b'*', length as i64);
    }

    /// `length` distinct answers follow; an array in RESP2.
    pub fn set(&mut self, length: usize) {
        self.number(if self.is_resp3() { b'~' } else { b'*' }, length as i64);
    }

    /// `length` pairs of answers follow; a flat array in RESP2.
    pub fn map(&mut self, length: usize) {
        match self.is_resp3() {
            true => self.number(b'%', length as i64),
            false => self.array(length * 2),
        }
    }

    /// A message nobody asked for, of `length` answers; an array in RESP2.
    pub fn push(&mut self, length: usize) {
        self.number(if self.is_resp3() { b'>' } else { b'*' }, length as i64);
    }

    /// Bytes that are an answer already.
    pub fn raw(&mut self, answer: &[u8]) {
        self.out.extend_from_slice(answer);
    }

    /// Lets somebody else append what are answers already.
    pub fn append_with(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        append(self.out);
    }

    /// Where the output ends, for [`Reply::withdraw`].
    pub fn mark(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written since `mark`.
    pub fn withdraw(&mut self, mark: usize) {
        self.out.truncate(mark);
    }

    /// Writes an array whose length is known only afterwards: `write` returns how many answers it wrote.
    pub fn array_of(&mut self, write: impl FnOnce(&mut Reply<'_>) -> usize) {
        let mut items = Vec::new();
        let length = write(&mut Reply::new(&mut items, self.protocol));
        self.array(length);
        self.raw(&items);
    }
}
