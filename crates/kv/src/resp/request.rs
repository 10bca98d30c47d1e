//! [`Requests`]: finds the commands in a connection's bytes.
//!
//! A command is an array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) or, for people at a terminal, a line of
//! words (`GET k\r\n`). The words stay where they are; what is kept here is how far a command that has not
//! arrived whole has been understood, so that no byte is looked at twice however slowly it comes.

use std::fmt;

use memchr::memchr;

/// What one connection may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest bulk string, in bytes.
    pub bulk: usize,
    /// Most words of one command.
    pub words: usize,
    /// Most bytes of one whole command.
    pub command: usize,
}

/// Before a client has shown its password it can ask for very little, as in Redis.
pub(crate) const UNAUTHENTICATED: Limits = Limits { bulk: 16 * 1024, words: 10, command: 64 * 1024 };

/// Longest line: of words, or that announces a length.
const LONGEST_LINE: usize = 64 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self { bulk: 512 << 20, words: 1 << 20, command: 1 << 30 }
    }
}

/// How far a look into the bytes came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A command, with its words in the ranges. The next begins at `end`.
    Command {
        /// Index of the first byte behind the command.
        end: usize,
    },
    /// Bytes that ask for nothing: an empty line, an empty array.
    Nothing {
        /// Index of the first byte behind them.
        end: usize,
    },
    /// Not all there yet.
    Partial {
        /// How many more bytes are certain to come.
        missing: usize,
    },
}

/// Bytes that are no command. The connection is answered with this and closed, since nobody knows where the next would
/// begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A line longer than 64 KiB.
    LineTooLong,
    /// `*` with something that is no length, or more words than allowed.
    BadArrayLength,
    /// Another byte where a bulk string should begin.
    ExpectedBulk(u8),
    /// `$` with something that is no length, or a longer string than allowed.
    BadBulkLength,
    /// A command with more bytes than allowed.
    CommandTooLong,
    /// No line end behind a bulk string.
    NoLineEnd,
    /// A line with a quote that is not closed.
    UnbalancedQuotes,
    /// Too much for a client that has not shown its password.
    Unauthenticated,
}

/// The commands of one connection.
///
/// Invariant: `at` and the ranges are relative to the first byte of the command that is incomplete.
#[derive(Debug, Default)]
pub struct Requests {
    /// Words of the array that are still to come; `None` between commands.
    remaining: Option<usize>,
    /// How far the command has been understood.
    at: usize,
    /// Length of the bulk string that begins at `at`, once announced.
    bulk: Option<usize>,
    /// A line of words whose end has not been found among the first so many bytes.
    searched: usize,
    /// Words that came from quotes and are not in the connection's bytes as they are meant.
    unquoted: Vec<u8>,
}

impl Requests {
    /// Looks at the command that begins with the first of `bytes`; continues where it stopped when there are more of them
    /// than the last time. `ranges` is the caller's and keeps its content between the looks at one command; it is
    /// emptied when another begins.
    ///
    /// # Errors
    /// The bytes are no command.
    pub fn parse(
        &mut self,
        bytes: &[u8],
        ranges: &mut Vec<(usize, usize)>,
        limits: &Limits,
    ) -> Result<Parsed, ProtocolError> {
        if self.remaining.is_none() {
            ranges.clear();
            match bytes.first() {
                None => return Ok(Parsed::Partial { missing: 1 }),
                Some(b'*') => {}
                Some(_) => return self.line(bytes, ranges),
            }
            let Some((length, end)) = number_line(bytes, 1, ProtocolError::BadArrayLength)? else {
                return Ok(Parsed::Partial { missing: 1 });
            };
            let Ok(words) = usize::try_from(length) else { return Ok(Parsed::Nothing { end }) };
            if words > limits.words {
                return Err(limits.refusal(ProtocolError::BadArrayLength));
            }
            if words == 0 {
                return Ok(Parsed::Nothing { end });
            }
            self.remaining = Some(words);
            self.at = end;
        }
        while let Some(remaining) = self.remaining.filter(|remaining| *remaining > 0) {
            let length = match self.bulk {
                Some(length) => length,
                None => match self.announced(bytes, limits)? {
                    Some(length) => length,
                    None => return Ok(Parsed::Partial { missing: 1 }),
                },
            };
            let (start, end) = (self.at, self.at + length);
            match bytes.get(end..end + 2) {
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::NoLineEnd),
                None => return Ok(Parsed::Partial { missing: (end + 2).saturating_sub(bytes.len()) }),
            }
            ranges.push((start, end));
            self.at = end + 2;
            self.bulk = None;
            self.remaining = Some(remaining - 1);
        }
        self.remaining = None;
        Ok(Parsed::Command { end: std::mem::take(&mut self.at) })
    }

    /// The bytes the ranges of the last command refer to: those given, unless quotes had to be resolved.
    pub fn words<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        if self.unquoted.is_empty() { bytes } else { &self.unquoted }
    }

    /// Whether part of a command has arrived and the rest has not.
    pub fn is_incomplete(&self) -> bool {
        self.remaining.is_some() || self.searched > 0
    }

    fn announced(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        match bytes.get(self.at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
        }
        let Some((length, end)) = number_line(bytes, self.at + 1, ProtocolError::BadBulkLength)? else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|_| ProtocolError::BadBulkLength)?;
        if length > limits.bulk {
            return Err(limits.refusal(ProtocolError::BadBulkLength));
        }
        if end + length > limits.command {
            return Err(limits.refusal(ProtocolError::CommandTooLong));
        }
        self.at = end;
        self.bulk = Some(length);
        Ok(Some(length))
    }

    /// A line of words, which may be quoted as in a shell.
    fn line(&mut self, bytes: &[u8], ranges: &mut Vec<(usize, usize)>) -> Result<Parsed, ProtocolError> {
        self.unquoted.clear();
        let Some(length) = memchr(b'\n', bytes.get(self.searched..).unwrap_or_default()) else {
            if bytes.len() > LONGEST_LINE {
                return Err(ProtocolError::LineTooLong);
            }
            self.searched = bytes.len();
            return Ok(Parsed::Partial { missing: 1 });
        };
        let newline = std::mem::take(&mut self.searched) + length;
        if newline > LONGEST_LINE {
            return Err(ProtocolError::LineTooLong);
        }
        let line = bytes.get(..newline).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        split_words(line, &mut self.unquoted, ranges)?;
        let end = newline + 1;
        Ok(if ranges.is_empty() { Parsed::Nothing { end } } else { Parsed::Command { end } })
    }

    /// To be called when a command has been executed: its resolved quotes are not needed any more.
    pub fn finish(&mut self) {
        self.unquoted.clear();
    }
}

impl Limits {
    fn refusal(&self, error: ProtocolError) -> ProtocolError {
        if *self == UNAUTHENTICATED { ProtocolError::Unauthenticated } else { error }
    }
}

/// A signed number from `start` to the line's end; the number and where the next line begins.
fn number_line(
    bytes: &[u8],
    start: usize,
    error: ProtocolError,
) -> Result<Option<(i64, usize)>, ProtocolError> {
    // Lengths have at most 20 digits; whoever sends more sends no length.
    const LONGEST: usize = 24;
    let rest = bytes.get(start..).unwrap_or_default();
    let rest = rest.get(..LONGEST).unwrap_or(rest);
    let Some(length) = memchr(b'\r', rest) else {
        return if rest.len() == LONGEST { Err(error) } else { Ok(None) };
    };
    match bytes.get(start + length + 1) {
        None => return Ok(None),
        Some(b'\n') => {}
        Some(_) => return Err(error),
    }
    let text = rest.get(..length).unwrap_or_default();
    let number = super::number::parse_integer(text).ok_or(error)?;
    Ok(Some((number, start + length + 2)))
}

/// Splits a line at spaces, resolving `"a\x00b\n"` and `'it''s'`-style quotes as `redis-cli` writes them.
fn split_words(
    line: &[u8],
    unquoted: &mut Vec<u8>,
    ranges: &mut Vec<(usize, usize)>,
) -> Result<(), ProtocolError> {
    if memchr::memchr2(b'"', b'\'', line).is_none() {
        let mut start = 0;
        for word in line.split(u8::is_ascii_whitespace) {
            if !word.is_empty() {
                ranges.push((start, start + word.len()));
            }
            start += word.len() + 1;
        }
        return Ok(());
    }
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            // An empty text would mean that the words are where they were.
            unquoted.push(0);
            return Ok(());
        }
        let start = unquoted.len();
        rest = one_word(rest, unquoted)?;
        ranges.push((start, unquoted.len()));
    }
}

/// Resolves the word at the beginning of `text` into `out`; returns what follows.
fn one_word<'a>(mut text: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    let mut quote = None;
    loop {
        text = match (quote, text) {
            (None, [] | [b' ' | b'\t' | b'\r' | b'\n' | 0, ..]) => {
                return Ok(text.get(1..).unwrap_or_default());
            }
            (None, [mark @ (b'"' | b'\''), rest @ ..]) => {
                quote = Some(*mark);
                rest
            }
            (Some(b'"'), [b'\\', b'x', high, low, rest @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                out.push(hex(*high) << 4 | hex(*low));
                rest
            }
            (Some(b'"'), [b'\\', escaped, rest @ ..]) => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest
            }
            (Some(b'\''), [b'\\', b'\'', rest @ ..]) => {
                out.push(b'\'');
                rest
            }
            (Some(mark), [byte, rest @ ..]) if *byte == mark => {
                // A closing quote ends the word.
                match rest {
                    [] => return Ok(rest),
                    [next, after @ ..] if next.is_ascii_whitespace() => return Ok(after),
                    _ => return Err(ProtocolError::UnbalancedQuotes),
                }
            }
            (Some(_), []) => return Err(ProtocolError::UnbalancedQuotes),
            (_, [byte, rest @ ..]) => {
                out.push(*byte);
                rest
            }
        };
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineTooLong => f.write_str("Protocol error: too big inline request"),
            Self::BadArrayLength => f.write_str("Protocol error: invalid multibulk length"),
            Self::ExpectedBulk(other) => {
                write!(f, "Protocol error: expected '$', got '{}'", other.escape_ascii())
            }
            Self::BadBulkLength => f.write_str("Protocol error: invalid bulk length"),
            Self::CommandTooLong => f.write_str("Protocol error: command too long"),
            Self::NoLineEnd => f.write_str("Protocol error: expected a line end behind a bulk string"),
            Self::UnbalancedQuotes => f.write_str("Protocol error: unbalanced quotes in request"),
            Self::Unauthenticated => f.write_str("Protocol error: unauthenticated bulk or multibulk length"),
        }
    }
}

impl std::error::Error for ProtocolError {}

#[cfg(test)]
mod tests;
