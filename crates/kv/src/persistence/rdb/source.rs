//! [`Source`]: the bytes of a file one after the other, with where they stand and their checksum; and what can be wrong.

use std::fmt;
use std::io::{self, Read};

use crate::persistence::rdb::{CHECKSUM, Checksum};

/// Why a file cannot be loaded, and where that was found.
#[derive(Debug)]
pub struct Error {
    /// Bytes from the beginning of the file.
    pub offset: u64,
    /// What is wrong there.
    pub reason: Reason,
}

/// What can be wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// It cannot be read on.
    Unreadable(io::Error),
    /// It ends before its end mark.
    Truncated,
    /// It does not begin as an RDB file does.
    NotRdb,
    /// It is of a version that came later than this was written, or never.
    Version(u32),
    /// It holds something that we do not have, such as a stream.
    Unsupported(&'static str),
    /// A byte that announces nothing known.
    Unknown(u8),
    /// A part that contradicts itself.
    Malformed(&'static str),
    /// The checksum at the end is not that of the bytes before it.
    Checksum {
        /// At the end of the file.
        stored: u64,
        /// Of its bytes.
        computed: u64,
    },
}

/// Reads ahead into a buffer of this size.
const BUFFER: usize = 64 * 1024;

/// Longer strings are taken in steps of this, so that an announced length alone takes no memory.
const STEP: usize = 1 << 20;

pub(super) struct Source<R> {
    input: R,
    buffer: Vec<u8>,
    /// Of the buffer: where to read on, and up to where the checksum has been computed.
    at: usize,
    summed: usize,
    /// Of the input: where the buffer begins.
    start: u64,
    checksum: Checksum,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::with_capacity(BUFFER),
            at: 0,
            summed: 0,
            start: 0,
            checksum: CHECKSUM.digest(),
        }
    }

    pub(super) fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    pub(super) fn error(&self, reason: Reason) -> Error {
        Error { offset: self.offset(), reason }
    }

    /// The checksum of all bytes taken so far.
    pub(super) fn checksum(&mut self) -> u64 {
        self.sum();
        self.checksum.clone().finalize()
    }

    /// What was read from the input and not taken, and the input.
    pub(super) fn into_rest(self) -> (Vec<u8>, R) {
        (self.buffer.get(self.at..).unwrap_or_default().to_vec(), self.input)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.fill(N)?;
        let bytes = self.buffer.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).copied();
        let bytes = bytes.ok_or(Error { offset: self.offset(), reason: Reason::Truncated })?;
        self.at += N;
        Ok(bytes)
    }

    /// `length` bytes, however many.
    pub(super) fn bytes(&mut self, length: u64) -> Result<Vec<u8>, Error> {
        let length = usize::try_from(length)
            .map_err(|_| self.error(Reason::Malformed("a length beyond all memory")))?;
        let mut bytes = Vec::with_capacity(length.min(STEP));
        while bytes.len() < length {
            let missing = length - bytes.len();
            self.fill(1)?;
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let taken = rest.get(..missing).unwrap_or(rest);
            bytes.extend_from_slice(taken);
            self.at += taken.len();
        }
        Ok(bytes)
    }

    /// Makes the buffer hold at least `count` more bytes, at most [`BUFFER`].
    fn fill(&mut self, count: usize) -> Result<(), Error> {
        if self.buffer.len() - self.at >= count {
            return Ok(());
        }
        self.sum();
        self.start += self.at as u64;
        self.buffer.drain(..self.at);
        (self.at, self.summed) = (0, 0);
        while self.buffer.len() < count {
            let held = self.buffer.len();
            self.buffer.resize(BUFFER, 0);
            let read = self.input.read(self.buffer.get_mut(held..).unwrap_or_default());
            self.buffer.truncate(held + read.as_ref().map_or(0, |read| *read));
            match read {
                Ok(0) => {
                    return Err(Error { offset: self.start + held as u64, reason: Reason::Truncated });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(Reason::Unreadable(error))),
            }
        }
        Ok(())
    }

    fn sum(&mut self) {
        self.checksum.update(self.buffer.get(self.summed..self.at).unwrap_or_default());
        self.summed = self.at;
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Truncated => f.write_str("it ends too early"),
            Self::NotRdb => f.write_str("this is no RDB file"),
            Self::Version(version) => write!(f, "RDB version {version} is not known here"),
            Self::Unsupported(what) => {
                write!(f, "{what} cannot be loaded: this server has nothing of that kind")
            }
            Self::Unknown(byte) => write!(f, "byte {byte} announces nothing known"),
            Self::Malformed(what) => f.write_str(what),
            Self::Checksum { stored, computed } => {
                write!(f, "the checksum is {stored:016x}, that of the content {computed:016x}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Reason::Unreadable(error) = &self.reason { Some(error) } else { None }
    }
}

impl<R> fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("start", &self.start).field("at", &self.at).finish_non_exhaustive()
    }
}
