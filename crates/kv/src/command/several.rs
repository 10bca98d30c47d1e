//! [`Several`]: what `LMPOP`, `ZMPOP` and the forms of them that wait are told.

use crate::error::Error;
use crate::resp::Args;

/// Some keys, of which the first that has something is taken from, at one end, so much.
pub(super) struct Several<'a, E> {
    pub(super) keys: Vec<&'a [u8]>,
    pub(super) end: E,
    pub(super) count: usize,
}

impl<'a, E> Several<'a, E> {
    /// `numkeys key [key …] END [COUNT count]` behind a word that does not matter.
    ///
    /// # Errors
    /// Those of Redis, in its order: the number of keys, the end, the count, what is too much.
    pub(super) fn parse(args: &Args<'a>, end: impl FnOnce(&[u8]) -> Result<E, Error>) -> Result<Self, Error> {
        let keys = number(args, 1, 1, NO_KEYS)?;
        let at = keys.saturating_add(2);
        let end = end(args.get(at).ok_or(Error::SYNTAX)?)?;
        let count = match args.len() - at {
            1 => 1,
            3.. if args.is(at + 1, "COUNT") => number(args, at + 2, 1, NO_COUNT)?,
            _ => return Err(Error::SYNTAX),
        };
        if args.len() > at + 3 {
            return Err(Error::SYNTAX);
        }
        Ok(Self { keys: args.from(2).iter().take(keys).collect(), end, count })
    }
}

/// The word at `at` as a number of at least `least`; `error` otherwise.
pub(super) fn number(args: &Args<'_>, at: usize, least: usize, error: Error) -> Result<usize, Error> {
    let number = args.integer(at).ok().and_then(|number| usize::try_from(number).ok());
    number.filter(|number| *number >= least).ok_or(error)
}

const NO_KEYS: Error = Error::new("ERR numkeys should be greater than 0");
const NO_COUNT: Error = Error::new("ERR count should be greater than 0");
