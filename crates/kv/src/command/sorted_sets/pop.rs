//! `ZPOPMIN`, `ZPOPMAX`, `ZMPOP` and the forms of them that wait: members are taken from an end.

use crate::command::Context;
use crate::command::blocking::{deadline, wait};
use crate::command::several::{Several, number};
use crate::command::sorted_sets::{write, write_each, write_pairs};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, Keyspace, Ranked, SortedSet};

/// Which end members are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Lowest,
    Highest,
}

/// `ZPOPMIN key [count]`
pub(super) fn zpopmin(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    pop_one_key(context, args, reply, End::Lowest)
}

/// `ZPOPMAX key [count]`
pub(super) fn zpopmax(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    pop_one_key(context, args, reply, End::Highest)
}

/// `BZPOPMIN key [key …] timeout`
pub(super) fn bzpopmin(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    await_one(context, args, reply, End::Lowest)
}

/// `BZPOPMAX key [key …] timeout`
pub(super) fn bzpopmax(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    await_one(context, args, reply, End::Highest)
}

/// `ZMPOP numkeys key [key …] MIN | MAX [COUNT count]`
pub(super) fn zmpop(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let several = Several::parse(args, End::named)?;
    if !several.pop(context, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// `BZMPOP timeout numkeys key [key …] MIN | MAX [COUNT count]`
pub(super) fn bzmpop(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let several = Several::parse(&args.from(1), End::named)?;
    let until = deadline(context, args.at(1))?;
    if !several.pop(context, reply)? {
        wait(context, until, true);
    }
    Ok(())
}

fn pop_one_key(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
) -> Result<(), Error> {
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let count = match args.len() {
        3 => Some(number(args, 2, 0, NOT_POSITIVE)?),
        _ => None,
    };
    let found = pop(&mut context.keys, args.at(1), end, count.unwrap_or(1), |members| match (end, count) {
        (End::Lowest, Some(_)) => write(reply, members, true),
        (End::Highest, Some(_)) => write(reply, members.rev(), true),
        (_, None) => {
            reply.array(2);
            write_each(reply, members);
        }
    })?;
    if found.is_none() {
        reply.array(0);
    }
    Ok(())
}

fn await_one(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
) -> Result<(), Error> {
    let last = args.len() - 1;
    let until = deadline(context, args.at(last))?;
    for key in (1..last).map(|at| args.at(at)) {
        let found = pop(&mut context.keys, key, end, 1, |members| {
            reply.array(3);
            reply.bulk(key);
            write_each(reply, members);
        })?;
        if found.is_some() {
            context.instead(&[end.command(), key]);
            return Ok(());
        }
    }
    wait(context, until, true);
    Ok(())
}

impl Several<'_, End> {
    /// Pops from the first key that has something, and answers that; whether there was one.
    fn pop(&self, context: &mut Context<'_>, reply: &mut Reply<'_>) -> Result<bool, Error> {
        for key in &self.keys {
            let found = pop(&mut context.keys, key, self.end, self.count, |members| {
                reply.array(2);
                reply.bulk(key);
                match self.end {
                    End::Lowest => write_pairs(reply, members),
                    End::Highest => write_pairs(reply, members.rev()),
                }
            })?;
            if let Some(count) = found {
                context.instead(&[self.end.command(), key, itoa::Buffer::new().format(count).as_bytes()]);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl End {
    fn named(word: &[u8]) -> Result<Self, Error> {
        match word {
            _ if word.eq_ignore_ascii_case(b"MIN") => Ok(Self::Lowest),
            _ if word.eq_ignore_ascii_case(b"MAX") => Ok(Self::Highest),
            _ => Err(Error::SYNTAX),
        }
    }

    /// The command that takes from this end.
    fn command(self) -> &'static [u8] {
        match self {
            Self::Lowest => b"ZPOPMIN",
            Self::Highest => b"ZPOPMAX",
        }
    }
}

/// Takes up to `count` members, and how many they were if there is the key. `write` sees them before they go, in
/// ascending order.
fn pop(
    keys: &mut Keyspace<'_>,
    key: &[u8],
    end: End,
    count: usize,
    write: impl FnOnce(Ranked<'_>),
) -> Result<Option<usize>, Error> {
    keys.edit(key, |set: &mut SortedSet| {
        let count = count.min(set.len());
        let ranks = match end {
            End::Lowest => 0..count,
            End::Highest => set.len() - count..set.len(),
        };
        write(set.range(ranks.clone()));
        Edited::when(set.remove_range(ranks) > 0, count)
    })
}

const NOT_POSITIVE: Error = Error::new("ERR value is out of range, must be positive");
