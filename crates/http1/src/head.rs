//! [`HeadParser`]: finds the start line and the fields of a head, and can be resumed at any byte.
//!
//! Invariant: a byte is looked at a bounded number of times however slowly it arrives, so that a client
//! that sends a head byte by byte costs no more than one that sends it at once.

use std::ops::Range;

use memchr::memchr;

use crate::fault::{Fault, FaultKind};
use crate::field::{Known, is_value, token_length, trim};

/// More fields than this have no honest use, and what is done per field adds up.
const FIELD_LIMIT: usize = 256;

/// One field, as spans into the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    start: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
    /// What the name is.
    pub known: Known,
}

impl Field {
    /// Where its line begins in the head; it ends where the next one begins, or with the head's empty line.
    #[inline]
    pub fn line_start(&self) -> usize {
        self.start as usize
    }

    /// The name as it was sent. Empty if `head` is not the head this field was found in.
    #[inline]
    pub fn name<'h>(&self, head: &'h [u8]) -> &'h [u8] {
        span(head, self.start, self.name_len)
    }

    /// The value without blanks around it. Empty if `head` is not the head this field was found in.
    #[inline]
    pub fn value<'h>(&self, head: &'h [u8]) -> &'h [u8] {
        span(head, self.value, self.value_len)
    }
}

#[inline]
fn span(head: &[u8], start: u32, len: u32) -> &[u8] {
    let start = start as usize;
    head.get(start..start + len as usize).unwrap_or_default()
}

/// Which line ends are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    /// CRLF only: for requests, where a lone LF is how requests are smuggled.
    Strict,
    /// CRLF or LF: for responses (RFC 9112 §2.2).
    Lenient,
}

/// Reads the lines of one head. Reused for the next one after [`HeadParser::reset`].
#[derive(Debug, Default)]
pub struct HeadParser {
    fields: Vec<Field>,
    /// Where the start line is, once seen.
    start_line: Option<Range<usize>>,
    /// Where the line being read begins.
    line: usize,
    /// Up to where that line was searched for its end.
    searched: usize,
    /// Whether some line ended with LF alone.
    lone_lf: bool,
}

impl HeadParser {
    /// Forgets the head, keeps the memory.
    pub fn reset(&mut self) {
        self.fields.clear();
        self.start_line = None;
        self.line = 0;
        self.searched = 0;
        self.lone_lf = false;
    }

    /// Whether every line so far ended with CRLF, so that whole lines may be copied as they are.
    #[inline]
    pub fn is_clean(&self) -> bool {
        !self.lone_lf
    }

    /// Whether nothing was parsed yet.
    pub fn is_fresh(&self) -> bool {
        self.searched == 0
    }

    /// The fields found so far.
    #[inline]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The start line without its line end, once one was found.
    #[inline]
    pub fn start_line<'h>(&self, head: &'h [u8]) -> Option<&'h [u8]> {
        self.start_line.clone().and_then(|span| head.get(span))
    }

    /// Reads on. `bytes` begins where the head begins and holds all that has arrived since; `Some(length)`
    /// is the length of the whole head, `None` asks for more bytes.
    ///
    /// # Errors
    /// The grammar is violated, or the head is longer than `limit` bytes.
    pub fn parse(&mut self, bytes: &[u8], limit: usize, line_ends: LineEnds) -> Result<Option<usize>, Fault> {
        loop {
            let unsearched = bytes.get(self.searched..).unwrap_or_default();
            let Some(offset) = memchr(b'\n', unsearched) else {
                self.searched = bytes.len();
                if bytes.len() >= limit {
                    return Err(self.too_large());
                }
                return Ok(None);
            };
            let end = self.searched + offset;
            if end >= limit {
                return Err(self.too_large());
            }
            let line = bytes.get(self.line..end).unwrap_or_default();
            let line = match line {
                [line @ .., b'\r'] => line,
                line if line_ends == LineEnds::Lenient => {
                    self.lone_lf = true;
                    line
                }
                _ => return Err(Fault::malformed("a line ends with LF alone instead of CRLF")),
            };
            let (start, next) = (self.line, end + 1);
            self.line = next;
            self.searched = next;
            if self.start_line.is_none() {
                // An empty line before the start line is skipped (RFC 9112 §2.2).
                if !line.is_empty() {
                    self.start_line = Some(start..start + line.len());
                }
            } else if line.is_empty() {
                return Ok(Some(next));
            } else if self.fields.len() == FIELD_LIMIT {
                return Err(Fault::of(FaultKind::HeadTooLarge, "there are more than 256 header fields"));
            } else {
                self.fields.push(field(line, start)?);
            }
        }
    }

    fn too_large(&self) -> Fault {
        if self.start_line.is_none() {
            Fault::of(
                FaultKind::StartLineTooLong,
                "the request line is longer than the limit of this listener",
            )
        } else {
            Fault::of(FaultKind::HeadTooLarge, "the header fields are larger than the limit of this listener")
        }
    }
}

/// Checks one field line that begins at `start`.
#[inline]
pub(crate) fn field(line: &[u8], start: usize) -> Result<Field, Fault> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Fault::malformed("a header field is folded over several lines"));
    }
    // Names are short: one look finds their end and checks them.
    let colon = token_length(line);
    let (name, rest) = line.split_at(colon);
    if name.is_empty() || rest.first() != Some(&b':') {
        return Err(bad_name(line, rest));
    }
    let raw = rest.get(1..).unwrap_or_default();
    if !is_value(raw) {
        return Err(Fault::malformed("a header field's value has a control character"));
    }
    let value = trim(raw);
    let blanks = raw.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    Ok(Field {
        start: start as u32,
        name_len: colon as u32,
        value: (start + colon + 1 + if value.is_empty() { 0 } else { blanks }) as u32,
        value_len: value.len() as u32,
        known: Known::of(name),
    })
}

/// Says what is wrong with a line whose token is not followed by a colon.
#[cold]
fn bad_name(line: &[u8], rest: &[u8]) -> Fault {
    Fault::malformed(match (line.first(), rest.first()) {
        _ if !line.contains(&b':') => "a header line has no colon",
        (Some(b':'), _) => "a header field has no name",
        (_, Some(b' ' | b'\t')) => "there is a blank between a header field's name and its colon",
        _ => "a header field's name has a character that no name may have",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Option<usize>, Fault> {
        HeadParser::default().parse(text.as_bytes(), 1 << 16, LineEnds::Strict)
    }

    #[test]
    fn fields_are_found_with_their_spans() {
        let head = b"\r\nGET / HTTP/1.1\r\nHost:  a \r\nX-Empty:\t\r\nX-B:c:d\r\n\r\nrest";
        let mut parser = HeadParser::default();
        assert_eq!(parser.parse(head, 1000, LineEnds::Strict), Ok(Some(head.len() - 4)));
        assert_eq!(parser.start_line(head), Some(b"GET / HTTP/1.1".as_slice()));
        let pairs: Vec<_> = parser.fields().iter().map(|f| (f.name(head), f.value(head))).collect();
        assert_eq!(pairs, [(b"Host".as_slice(), b"a".as_slice()), (b"X-Empty", b""), (b"X-B", b"c:d")]);
    }

    #[test]
    fn bad_lines_are_refused_as_soon_as_they_are_whole() {
        for (text, what) in [
            ("GET / HTTP/1.1\n", "LF alone"),
            ("GET / HTTP/1.1\r\nHost: a\n", "LF alone"),
            ("GET / HTTP/1.1\r\n folded\r\n", "folded"),
            ("GET / HTTP/1.1\r\nno colon\r\n", "no colon"),
            ("GET / HTTP/1.1\r\nHost : a\r\n", "blank between"),
            ("GET / HTTP/1.1\r\n: a\r\n", "no name"),
            ("GET / HTTP/1.1\r\nHo\u{7f}st: a\r\n", "no name may have"),
            ("GET / HTTP/1.1\r\nA: b\rc\r\n", "control character"),
            ("GET / HTTP/1.1\r\nA: b\0c\r\n", "control character"),
        ] {
            let fault = parse(text).expect_err(text);
            assert!(fault.what.contains(what), "{text:?}: {fault}");
        }
    }

    #[test]
    fn limits_tell_the_start_line_from_the_fields() {
        let long = format!("GET /{}", "a".repeat(100));
        let fault = HeadParser::default().parse(long.as_bytes(), 64, LineEnds::Strict).unwrap_err();
        assert_eq!(fault.kind, FaultKind::StartLineTooLong);
        let long = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(100));
        let fault = HeadParser::default().parse(long.as_bytes(), 64, LineEnds::Strict).unwrap_err();
        assert_eq!(fault.kind, FaultKind::HeadTooLarge);
    }

    #[test]
    fn fields_are_counted() {
        let head = |fields| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(fields));
        assert!(parse(&head(256)).unwrap().is_some());
        assert_eq!(parse(&head(257)).unwrap_err().kind, FaultKind::HeadTooLarge);
    }

    #[test]
    fn a_response_may_end_lines_with_lf() {
        let mut parser = HeadParser::default();
        let head = b"HTTP/1.1 200 OK\nA: b\n\n";
        assert_eq!(parser.parse(head, 100, LineEnds::Lenient), Ok(Some(head.len())));
    }

    proptest! {
        /// However the bytes are cut, the outcome is the same as of the whole.
        #[test]
        fn resuming_changes_nothing(
            bytes in prop::collection::vec(prop::sample::select(b"aG:/ \r\n\t\0H1.".to_vec()), 0..80),
            cuts in prop::collection::vec(0usize..80, 0..6),
        ) {
            let mut whole = HeadParser::default();
            let expected = whole.parse(&bytes, 70, LineEnds::Strict);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let mut parser = HeadParser::default();
            let mut outcome = Ok(None);
            for cut in cuts {
                outcome = parser.parse(&bytes[..cut], 70, LineEnds::Strict);
                if !matches!(outcome, Ok(None)) {
                    break;
                }
            }
            prop_assert_eq!(outcome, expected);
            if outcome.is_ok() {
                prop_assert_eq!(parser.fields(), whole.fields());
            }
        }
    }
}
