//! `LPOP`, `RPOP`, `LMPOP` and the forms of them that wait: elements are taken from an end.

use crate::command::Context;
use crate::command::blocking::{deadline, wait};
use crate::command::lists::end;
use crate::command::several::{Several, number};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, End, List};

/// `LPOP key [count]`
pub(super) fn lpop(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    pop(context, args, reply, End::Front)
}

/// `RPOP key [count]`
pub(super) fn rpop(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    pop(context, args, reply, End::Back)
}

/// `BLPOP key [key …] timeout`
pub(super) fn blpop(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    pop_or_wait(context, args, reply, End::Front)
}

/// `BRPOP key [key …] timeout`
pub(super) fn brpop(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    pop_or_wait(context, args, reply, End::Back)
}

/// `LMPOP numkeys key [key …] LEFT | RIGHT [COUNT count]`
pub(super) fn lmpop(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    if !Several::parse(args, end)?.pop(context, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// `BLMPOP timeout numkeys key [key …] LEFT | RIGHT [COUNT count]`
pub(super) fn blmpop(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let several = Several::parse(&args.from(1), end)?;
    let until = deadline(context, args.at(1))?;
    if !several.pop(context, reply)? {
        wait(context, until, true);
    }
    Ok(())
}

fn pop(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, end: End) -> Result<(), Error> {
    let (name, key) = (if end == End::Front { "lpop" } else { "rpop" }, args.at(1));
    if args.len() > 3 {
        return Err(Error::arity(name));
    }
    if args.len() == 2 {
        if !take_one(context, key, end, |element| reply.bulk(element))? {
            reply.null();
        }
        return Ok(());
    }
    let count = number(args, 2, 0, NOT_POSITIVE)?;
    if take(context, key, end, count, reply)?.is_none() {
        reply.null_array();
    }
    Ok(())
}

fn pop_or_wait(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
) -> Result<(), Error> {
    let last = args.len() - 1;
    let until = deadline(context, args.at(last))?;
    for key in (1..last).map(|at| args.at(at)) {
        let found = take_one(context, key, end, |element| {
            reply.array(2);
            reply.bulk(key);
            reply.bulk(element);
        })?;
        if found {
            context.instead(&[command(end), key]);
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
            if context.keys.get::<List>(key)?.is_none() {
                continue;
            }
            reply.array(2);
            reply.bulk(key);
            if let Some(count) = take(context, key, self.end, self.count, reply)? {
                context.instead(&[command(self.end), key, itoa::Buffer::new().format(count).as_bytes()]);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The command that takes from this end.
fn command(end: End) -> &'static [u8] {
    match end {
        End::Front => b"LPOP",
        End::Back => b"RPOP",
    }
}

/// Takes one element, which `write` sees before it goes; whether there was one.
fn take_one(
    context: &mut Context<'_>,
    key: &[u8],
    end: End,
    write: impl FnOnce(&[u8]),
) -> Result<bool, Error> {
    let found = context.keys.edit(key, |list: &mut List| {
        list.at_end(end).map(write);
        list.discard(end, 1);
        Edited::Changed(())
    })?;
    Ok(found.is_some())
}

/// Takes up to `count` elements, answers them as an array, and returns how many they were if there is the list.
fn take(
    context: &mut Context<'_>,
    key: &[u8],
    end: End,
    count: usize,
    reply: &mut Reply<'_>,
) -> Result<Option<usize>, Error> {
    context.keys.edit(key, |list: &mut List| {
        let count = count.min(list.len());
        reply.array(count);
        match end {
            End::Front => list.iter().take(count).for_each(|element| reply.bulk(element)),
            End::Back => list.iter().rev().take(count).for_each(|element| reply.bulk(element)),
        }
        list.discard(end, count);
        Edited::when(count > 0, count)
    })
}

const NOT_POSITIVE: Error = Error::new("ERR value is out of range, must be positive");
