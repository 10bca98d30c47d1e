//! `LPOS`: where in a list an element is.

use crate::command::Context;
use crate::error::Error;
use crate::resp::{Args, Reply, parse_integer};
use crate::store::{End, List};

/// `LPOS key element [RANK rank] [COUNT count] [MAXLEN length]`
pub(super) fn lpos(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let options = Options::parse(args)?;
    let list = context.keys.view::<List>(args.at(1))?;
    let mut found = list.into_iter().flat_map(|list| options.find(list, args.at(2)));
    match options.count {
        None => match found.next() {
            Some(index) => reply.count(index),
            None => reply.null(),
        },
        Some(count) => reply.array_of(|reply| found.take(count).map(|index| reply.count(index)).count()),
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
struct Options {
    from: End,
    /// Matches to pass over.
    skip: usize,
    /// Matches to answer, if all that is asked for is not the one.
    count: Option<usize>,
    /// Elements to look at.
    most: usize,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Self, Error> {
        let mut options = Self { from: End::Front, skip: 0, count: None, most: usize::MAX };
        for at in (3..args.len()).step_by(2) {
            let value = args.get(at + 1).ok_or(Error::SYNTAX)?;
            if args.is(at, "RANK") {
                let rank = parse_integer(value).ok_or(Error::NOT_INTEGER)?;
                options.from = if rank < 0 { End::Back } else { End::Front };
                let rank = usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX);
                options.skip = rank.checked_sub(1).ok_or(RANK_IS_ZERO)?;
            } else if args.is(at, "COUNT") {
                options.count = Some(number_or_all(value, NEGATIVE_COUNT)?);
            } else if args.is(at, "MAXLEN") {
                options.most = number_or_all(value, NEGATIVE_MAXLEN)?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }

    /// The indices of the matches, in the order they are found.
    fn find<'l>(&self, list: &'l List, element: &'l [u8]) -> Box<dyn Iterator<Item = usize> + 'l> {
        let last = list.len().saturating_sub(1);
        let matches = move |(step, other): (usize, &[u8])| (other == element).then_some(step);
        match self.from {
            End::Front => {
                Box::new(list.iter().enumerate().take(self.most).filter_map(matches).skip(self.skip))
            }
            End::Back => {
                let steps = list.iter().rev().enumerate().take(self.most).filter_map(matches).skip(self.skip);
                Box::new(steps.map(move |step| last - step))
            }
        }
    }
}

/// A number, of which 0 stands for all.
fn number_or_all(word: &[u8], error: Error) -> Result<usize, Error> {
    match parse_integer(word).map(usize::try_from) {
        Some(Ok(0)) => Ok(usize::MAX),
        Some(Ok(number)) => Ok(number),
        _ => Err(error),
    }
}

const RANK_IS_ZERO: Error = Error::new(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start \
     from the end of the list",
);
const NEGATIVE_COUNT: Error = Error::new("ERR COUNT can't be negative");
const NEGATIVE_MAXLEN: Error = Error::new("ERR MAXLEN can't be negative");
