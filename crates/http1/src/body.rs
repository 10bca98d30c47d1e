//! [`BodyReader`]: where a body ends, whatever its framing.

use crate::Framing;
use crate::chunked::Chunked;
use crate::fault::Fault;

/// A piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'i> {
    /// Bytes of the body itself.
    Data(&'i [u8]),
    /// The input holds nothing more; the body goes on.
    More,
    /// The body is over; what follows in the input is not its.
    End,
}

/// Takes a body apart as its bytes arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyReader {
    /// Bytes still to come.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// Everything until the connection closes.
    UntilClose,
}

impl BodyReader {
    /// Begins a body.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Whether the body is over without anything further being read.
    #[inline]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
            Self::UntilClose => false,
        }
    }

    /// Whether the body is whole if the connection ends here.
    pub fn may_end_here(&self) -> bool {
        matches!(self, Self::UntilClose) || self.is_done()
    }

    /// Takes the next piece from the front of `input`; says how many bytes it took.
    ///
    /// # Errors
    /// The chunked coding is violated.
    #[inline]
    pub fn next<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Piece<'i>), Fault> {
        match self {
            Self::Length(0) => Ok((0, Piece::End)),
            Self::Chunked(chunked) => chunked.next(input),
            _ if input.is_empty() => Ok((0, Piece::More)),
            Self::UntilClose => Ok((input.len(), Piece::Data(input))),
            Self::Length(left) => {
                let size = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= size as u64;
                Ok((size, Piece::Data(input.get(..size).unwrap_or_default())))
            }
        }
    }

    /// The trailer lines of a chunked body that is over.
    pub fn trailers(&self) -> &[u8] {
        match self {
            Self::Chunked(chunked) => chunked.trailers(),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_takes_only_what_is_its() {
        let mut body = BodyReader::new(Framing::Length(5));
        assert_eq!(body.next(b"hel"), Ok((3, Piece::Data(b"hel"))));
        assert!(!body.is_done() && !body.may_end_here());
        assert_eq!(body.next(b"loGET"), Ok((2, Piece::Data(b"lo"))));
        assert!(body.is_done());
        assert_eq!(body.next(b"GET"), Ok((0, Piece::End)));
    }

    #[test]
    fn until_close_never_ends_by_itself() {
        let mut body = BodyReader::new(Framing::UntilClose);
        assert_eq!(body.next(b"abc"), Ok((3, Piece::Data(b"abc"))));
        assert!(!body.is_done() && body.may_end_here());
    }
}
