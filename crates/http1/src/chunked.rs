//! The chunked transfer coding (RFC 9112 §7.1), read strictly and written canonically.

use memchr::memchr;

use crate::body::Piece;
use crate::fault::{Fault, FaultKind};
use crate::field::is_value;
use crate::head::field;

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Longest line of a chunk's size and extensions. Extensions are read and dropped.
const SIZE_LINE_LIMIT: usize = 1024;

/// Longest trailer section.
const TRAILER_LIMIT: usize = 16 * 1024;

/// Writes a chunk's size line.
#[inline]
pub fn write_chunk_size(out: &mut Vec<u8>, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let nibble = ((size >> (digit * 4)) & 0xf) as u8;
        out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    }
    out.extend_from_slice(b"\r\n");
}

/// Takes a chunked body apart, resumable at any byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunked {
    state: State,
    /// The line being collected when it did not arrive whole, then the trailer section.
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    /// The CRLF after a chunk's data; `true` once its CR was seen.
    DataEnd(bool),
    /// Trailer lines; the offset in `line` where the current one begins.
    Trailers(usize),
    Done,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { state: State::Size, line: Vec::new() }
    }
}

impl Chunked {
    /// Whether the last chunk and its trailers were read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the next piece from the front of `input`; says how many bytes it took.
    ///
    /// # Errors
    /// Bad sizes, lines that do not end with CRLF, lines or trailers over their limit.
    pub fn next<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Piece<'i>), Fault> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            match self.state {
                State::Done => return Ok((taken, Piece::End)),
                _ if rest.is_empty() => return Ok((taken, Piece::More)),
                State::Size => {
                    let (used, whole) = take_line(&mut self.line, rest, SIZE_LINE_LIMIT)?;
                    taken += used;
                    if let Some(line) = whole {
                        let size = chunk_size(line)?;
                        self.line.clear();
                        self.state = if size == 0 { State::Trailers(0) } else { State::Data(size) };
                    }
                }
                State::Data(left) => {
                    let size = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let (data, _) = rest.split_at(size);
                    let left = left - size as u64;
                    self.state = if left == 0 { State::DataEnd(false) } else { State::Data(left) };
                    return Ok((taken + size, Piece::Data(data)));
                }
                State::DataEnd(seen_cr) => {
                    let expected = if seen_cr { b'\n' } else { b'\r' };
                    if rest.first() != Some(&expected) {
                        return Err(Fault::ambiguous("a chunk is not followed by CRLF"));
                    }
                    taken += 1;
                    self.state = if seen_cr { State::Size } else { State::DataEnd(true) };
                }
                State::Trailers(start) => {
                    let end = memchr(b'\n', rest);
                    let used = end.map_or(rest.len(), |end| end + 1);
                    if self.line.len() + used > TRAILER_LIMIT {
                        return Err(Fault::of(
                            FaultKind::HeadTooLarge,
                            "the trailers are larger than 16 KiB",
                        ));
                    }
                    self.line.extend_from_slice(rest.get(..used).unwrap_or_default());
                    taken += used;
                    if end.is_none() {
                        continue;
                    }
                    match self.line.get(start..).unwrap_or_default() {
                        b"\r\n" => {
                            self.line.truncate(start);
                            self.state = State::Done;
                            return Ok((taken, Piece::End));
                        }
                        [line @ .., b'\r', b'\n'] => {
                            field(line, 0)?;
                            self.state = State::Trailers(self.line.len());
                        }
                        _ => {
                            return Err(Fault::malformed(
                                "a trailer line ends with LF alone instead of CRLF",
                            ));
                        }
                    }
                }
            }
        }
    }

    /// The checked trailer lines, each with its CRLF; empty before the end and without trailers.
    pub fn trailers(&self) -> &[u8] {
        if self.is_done() { &self.line } else { &[] }
    }
}

/// Takes one line from `rest`, by way of `stash` when it is not whole yet. The line comes without CRLF.
fn take_line<'l>(
    stash: &'l mut Vec<u8>,
    rest: &'l [u8],
    limit: usize,
) -> Result<(usize, Option<&'l [u8]>), Fault> {
    let end = memchr(b'\n', rest);
    let used = end.map_or(rest.len(), |end| end + 1);
    if stash.len() + used > limit {
        return Err(Fault::ambiguous("a chunk's size line is longer than 1 KiB"));
    }
    let line = match end {
        Some(end) if stash.is_empty() => rest.get(..=end).unwrap_or_default(),
        _ => {
            stash.extend_from_slice(rest.get(..used).unwrap_or_default());
            if end.is_none() {
                return Ok((used, None));
            }
            stash.as_slice()
        }
    };
    match line {
        [line @ .., b'\r', b'\n'] => Ok((used, Some(line))),
        _ => Err(Fault::ambiguous("a chunk's size line ends with LF alone instead of CRLF")),
    }
}

/// Reads `1*HEXDIG [chunk-ext]`.
fn chunk_size(line: &[u8]) -> Result<u64, Fault> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    if digits == 0 || digits > 15 {
        return Err(Fault::ambiguous("a chunk's size is not a hexadecimal number"));
    }
    // Blanks before the semicolon are "bad whitespace" that a recipient must parse (RFC 9112 §7.1.1).
    if !matches!(crate::field::trim(extension).first(), None | Some(b';'))
        || (matches!(extension.first(), Some(b' ' | b'\t')) && crate::field::trim(extension).is_empty())
        || !is_value(extension)
    {
        return Err(Fault::ambiguous("a chunk's size is followed by something other than an extension"));
    }
    Ok(size
        .iter()
        .fold(0, |size, digit| size << 4 | u64::from((*digit as char).to_digit(16).unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(mut input: &[u8]) -> Result<(Vec<u8>, Chunked, usize), Fault> {
        let mut chunked = Chunked::default();
        let (mut body, mut taken) = (Vec::new(), 0);
        loop {
            let (used, piece) = chunked.next(input)?;
            taken += used;
            input = &input[used..];
            match piece {
                Piece::Data(data) => body.extend_from_slice(data),
                Piece::More | Piece::End => return Ok((body, chunked, taken)),
            }
        }
    }

    #[test]
    fn bodies_and_trailers() {
        let input = b"5\r\nhello\r\n6;ext=\"a\"\r\n world\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\nGET";
        let (body, chunked, taken) = decode(input).unwrap();
        assert_eq!((body.as_slice(), taken), (b"hello world".as_slice(), input.len() - 3));
        assert!(chunked.is_done());
        assert_eq!(chunked.trailers(), b"X-Sum: 1\r\nY: 2\r\n");
    }

    #[test]
    fn bad_chunks_are_refused() {
        for bad in [
            "\r\n",
            "g\r\n",
            "5 \r\nhello",
            "5\nhello",
            "0x5\r\n",
            "-1\r\n",
            "5\r\nhelloX",
            "5\r\nhello\nX",
            "5\r\nhello\r\r",
            "1000000000000000\r\n",
            "5 x\r\n",
            "5;a\u{1}\r\n",
            "0\r\nbad\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n folded: x\r\n",
        ] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let long = format!("5;{}", "a".repeat(2000));
        assert!(decode(long.as_bytes()).is_err());
        let long = format!("0\r\n{}", "A: b\r\n".repeat(4000));
        assert!(decode(long.as_bytes()).is_err());
    }

    #[test]
    fn sizes_are_written_in_hexadecimal() {
        for size in [0usize, 1, 9, 10, 15, 16, 255, 256, 65_535, 1 << 20, usize::MAX] {
            let mut out = Vec::new();
            write_chunk_size(&mut out, size);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{size:x}\r\n"));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cut in 1usize..20,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                write_chunk_size(&mut wire, chunk.len());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(LAST_CHUNK);
            let mut chunked = Chunked::default();
            let mut body = Vec::new();
            for mut part in wire.chunks(cut) {
                while !part.is_empty() {
                    let (used, piece) = chunked.next(part).unwrap();
                    part = &part[used..];
                    if let Piece::Data(data) = piece { body.extend_from_slice(data); }
                }
            }
            prop_assert!(chunked.is_done());
            prop_assert_eq!(body, chunks.concat());
        }

        #[test]
        fn garbage_never_panics_and_never_stalls(input in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut chunked = Chunked::default();
            let mut rest = input.as_slice();
            while let Ok((used, piece)) = chunked.next(rest) {
                if piece == Piece::More || piece == Piece::End { break; }
                prop_assert!(used > 0);
                rest = &rest[used..];
            }
        }
    }
}
