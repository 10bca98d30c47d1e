//! What `SCAN`, `HSCAN`, `SSCAN` and `ZSCAN` share: cursor, options, answer.

use crate::command::glob;
use crate::error::Error;
use crate::resp::{Args, Reply, parse_integer};

/// Most elements that one call visits, whatever `COUNT` says.
const MOST: usize = 1 << 30;

/// The options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options<'a> {
    /// About how many elements to look at.
    pub(super) count: usize,
    /// The name of the type of key, as `TYPE` answers it.
    pub(super) kind: Option<&'a [u8]>,
    pattern: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Those from the word at `from` on; `TYPE` only where `of_keys`.
    ///
    /// # Errors
    /// Others, without a value, or a `COUNT` that is none.
    pub(super) fn parse(args: &Args<'a>, from: usize, of_keys: bool) -> Result<Self, Error> {
        let mut options = Self { count: 10, kind: None, pattern: None };
        for at in (from..args.len()).step_by(2) {
            let value = args.get(at + 1).ok_or(Error::SYNTAX)?;
            if args.is(at, "COUNT") {
                let count = parse_integer(value).ok_or(Error::NOT_INTEGER)?;
                let count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(Error::SYNTAX)?;
                options.count = count.min(MOST);
            } else if args.is(at, "MATCH") {
                options.pattern = Some(value);
            } else if args.is(at, "TYPE") && of_keys {
                options.kind = Some(value);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }

    /// Whether what has this name is asked for.
    pub(super) fn wants(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name))
    }
}

/// The word as a cursor.
///
/// # Errors
/// It is none.
pub(super) fn cursor(word: &[u8]) -> Result<u64, Error> {
    let text = std::str::from_utf8(word).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok()).ok_or(Error::new("ERR invalid cursor"))
}

/// Answers with what `scan` writes: it returns the next cursor and the number of elements written.
pub(super) fn answer(reply: &mut Reply<'_>, scan: impl FnOnce(&mut Reply<'_>) -> (u64, usize)) {
    let mut items = Vec::new();
    let (cursor, length) = scan(&mut Reply::new(&mut items, reply.protocol()));
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    reply.array(length);
    reply.raw(&items);
}

/// The answer where there is nothing to scan.
pub(super) fn answer_nothing(reply: &mut Reply<'_>) {
    answer(reply, |_| (0, 0));
}
