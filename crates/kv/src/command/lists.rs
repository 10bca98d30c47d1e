//! Commands on lists.

mod pop;
mod position;
#[cfg(test)]
mod tests;
mod transfer;

use crate::command::{Context, Flags, Keys, Spec};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, End, List};

pub(super) const COMMANDS: &[Spec] = {
    const READ: Flags = Flags::READ;
    const WRITE: Flags = Flags::WRITE;
    const PUSH: Flags = WRITE.and(Flags::GROWS).and(Flags::FAST).and(Flags::FEEDS);
    const MOVE: Flags = WRITE.and(Flags::GROWS).and(Flags::FEEDS);
    const BLOCKING: Flags = Flags::BLOCKING;
    const COUNTED: Keys = Keys::Counted { count: 1, also: None };
    &[
        Spec::data("BLMOVE", 6, MOVE.and(BLOCKING), Keys::TWO, transfer::blmove),
        Spec::data("BLMPOP", -5, WRITE.and(BLOCKING), Keys::Counted { count: 2, also: None }, pop::blmpop),
        Spec::data("BLPOP", -3, WRITE.and(BLOCKING), Keys::BUT_LAST, pop::blpop),
        Spec::data("BRPOP", -3, WRITE.and(BLOCKING), Keys::BUT_LAST, pop::brpop),
        Spec::data("BRPOPLPUSH", 4, MOVE.and(BLOCKING), Keys::TWO, transfer::brpoplpush),
        Spec::data("LINDEX", 3, READ, Keys::FIRST, lindex),
        Spec::data("LINSERT", 5, WRITE.and(Flags::GROWS), Keys::FIRST, linsert),
        Spec::data("LLEN", 2, READ.and(Flags::FAST), Keys::FIRST, llen),
        Spec::data("LMOVE", 5, MOVE, Keys::TWO, transfer::lmove),
        Spec::data("LMPOP", -4, WRITE, COUNTED, pop::lmpop),
        Spec::data("LPOP", -2, WRITE.and(Flags::FAST), Keys::FIRST, pop::lpop),
        Spec::data("LPOS", -3, READ, Keys::FIRST, position::lpos),
        Spec::data("LPUSH", -3, PUSH, Keys::FIRST, lpush),
        Spec::data("LPUSHX", -3, PUSH, Keys::FIRST, lpushx),
        Spec::data("LRANGE", 4, READ, Keys::FIRST, lrange),
        Spec::data("LREM", 4, WRITE, Keys::FIRST, lrem),
        Spec::data("LSET", 4, WRITE.and(Flags::GROWS), Keys::FIRST, lset),
        Spec::data("LTRIM", 4, WRITE, Keys::FIRST, ltrim),
        Spec::data("RPOP", -2, WRITE.and(Flags::FAST), Keys::FIRST, pop::rpop),
        Spec::data("RPOPLPUSH", 3, MOVE, Keys::TWO, transfer::rpoplpush),
        Spec::data("RPUSH", -3, PUSH, Keys::FIRST, rpush),
        Spec::data("RPUSHX", -3, PUSH, Keys::FIRST, rpushx),
    ]
};

/// `LPUSH key element [element …]`
fn lpush(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    push(context, args, reply, End::Front)
}

/// `RPUSH key element [element …]`
fn rpush(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    push(context, args, reply, End::Back)
}

/// `LPUSHX key element [element …]`
fn lpushx(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    push_if_there(context, args, reply, End::Front)
}

/// `RPUSHX key element [element …]`
fn rpushx(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    push_if_there(context, args, reply, End::Back)
}

/// `LLEN key`
fn llen(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.count(context.keys.view::<List>(args.at(1))?.map_or(0, List::len));
    Ok(())
}

/// `LRANGE key start stop`
fn lrange(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (start, stop) = (args.integer(2)?, args.integer(3)?);
    let Some(list) = context.keys.view::<List>(args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    let range = range(start, stop, list.len());
    reply.array(range.len());
    list.iter_from(range.start).take(range.len()).for_each(|element| reply.bulk(element));
    Ok(())
}

/// `LINDEX key index`
fn lindex(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let element = match context.keys.view::<List>(args.at(1))? {
        // Redis looks at the index only if there is the list.
        Some(list) => index(args.integer(2)?, list.len()).and_then(|index| list.get(index)),
        None => None,
    };
    reply.bulk_or_null(element);
    Ok(())
}

/// `LSET key index element`
fn lset(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let set = context.keys.edit(args.at(1), |list: &mut List| {
        let index = match args.integer(2) {
            Ok(number) => index(number, list.len()),
            Err(error) => return Edited::Unchanged(Err(error)),
        };
        let set = index.is_some_and(|index| list.set(index, args.at(3)));
        Edited::when(set, if set { Ok(()) } else { Err(Error::INDEX_OUT_OF_RANGE) })
    })?;
    set.unwrap_or(Err(Error::NO_SUCH_KEY))?;
    reply.ok();
    Ok(())
}

/// `LINSERT key BEFORE | AFTER pivot element`
fn linsert(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let behind = args.is(2, "AFTER");
    if !behind && !args.is(2, "BEFORE") {
        return Err(Error::SYNTAX);
    }
    let length = context.keys.edit(args.at(1), |list: &mut List| {
        let inserted = list.insert_beside(args.at(3), behind, args.at(4));
        Edited::when(inserted, inserted.then_some(list.len()))
    })?;
    match length {
        Some(Some(length)) => reply.count(length),
        Some(None) => reply.integer(-1),
        None => reply.integer(0),
    }
    Ok(())
}

/// `LREM key count element`: 0 is all; the last ones if negative.
fn lrem(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let count = args.integer(2)?;
    let from = if count < 0 { End::Back } else { End::Front };
    let most = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(most) => most,
    };
    let removed = context.keys.edit(args.at(1), |list: &mut List| {
        let removed = list.remove_equal(args.at(3), most, from);
        Edited::when(removed > 0, removed)
    })?;
    reply.count(removed.unwrap_or(0));
    Ok(())
}

/// `LTRIM key start stop`
fn ltrim(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (start, stop) = (args.integer(2)?, args.integer(3)?);
    context.keys.edit(args.at(1), |list: &mut List| {
        let before = list.len();
        list.keep(range(start, stop, before));
        Edited::when(list.len() < before, ())
    })?;
    reply.ok();
    Ok(())
}

fn push(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, end: End) -> Result<(), Error> {
    let length = context.keys.edit_or_new(args.at(1), |list: &mut List| {
        args.from(2).iter().for_each(|element| list.push(end, element));
        Edited::Changed(list.len())
    })?;
    reply.count(length);
    Ok(())
}

fn push_if_there(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
) -> Result<(), Error> {
    let length = context.keys.edit(args.at(1), |list: &mut List| {
        args.from(2).iter().for_each(|element| list.push(end, element));
        Edited::Changed(list.len())
    })?;
    reply.count(length.unwrap_or(0));
    Ok(())
}

/// `LEFT` or `RIGHT`.
fn end(word: &[u8]) -> Result<End, Error> {
    match word {
        _ if word.eq_ignore_ascii_case(b"LEFT") => Ok(End::Front),
        _ if word.eq_ignore_ascii_case(b"RIGHT") => Ok(End::Back),
        _ => Err(Error::SYNTAX),
    }
}

/// An index that may count from the end (-1 is the last element), in a list of `length`. `None` before the first.
fn index(number: i64, length: usize) -> Option<usize> {
    match usize::try_from(number) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(number.unsigned_abs()).ok()?),
    }
}

/// From `start` to `stop`, both included, as far as a list of `length` goes.
fn range(start: i64, stop: i64, length: usize) -> std::ops::Range<usize> {
    let start = index(start, length).unwrap_or(0).min(length);
    let end = index(stop, length).map_or(0, |stop| stop.saturating_add(1)).min(length);
    start..end.max(start)
}
