//! `LMOVE`, `RPOPLPUSH` and the forms of them that wait: an element goes from one list to another.

use crate::command::Context;
use crate::command::blocking::{deadline, wait};
use crate::command::lists::end;
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, End, List, Millis};

/// `LMOVE source destination LEFT | RIGHT LEFT | RIGHT`
pub(super) fn lmove(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (from, to) = (end(args.at(3))?, end(args.at(4))?);
    if !transfer(context, args, from, to, reply)? {
        reply.null();
    }
    Ok(())
}

/// `RPOPLPUSH source destination`
pub(super) fn rpoplpush(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    if !transfer(context, args, End::Back, End::Front, reply)? {
        reply.null();
    }
    Ok(())
}

/// `BLMOVE source destination LEFT | RIGHT LEFT | RIGHT timeout`
pub(super) fn blmove(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (from, to) = (end(args.at(3))?, end(args.at(4))?);
    let until = deadline(context, args.at(5))?;
    let words = [b"LMOVE", args.at(1), args.at(2), args.at(3), args.at(4)];
    transfer_or_wait(context, args, from, to, reply, until, &words)
}

/// `BRPOPLPUSH source destination timeout`
pub(super) fn brpoplpush(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let until = deadline(context, args.at(3))?;
    let words = [b"RPOPLPUSH", args.at(1), args.at(2)];
    transfer_or_wait(context, args, End::Back, End::Front, reply, until, &words)
}

/// `words` are what replicas are told.
fn transfer_or_wait(
    context: &mut Context<'_>,
    args: &Args<'_>,
    from: End,
    to: End,
    reply: &mut Reply<'_>,
    until: Option<Millis>,
    words: &[&[u8]],
) -> Result<(), Error> {
    if transfer(context, args, from, to, reply)? {
        context.instead(words);
    } else {
        wait(context, until, false);
    }
    Ok(())
}

/// Moves an element and answers it; whether there was one.
fn transfer(
    context: &mut Context<'_>,
    args: &Args<'_>,
    from: End,
    to: End,
    reply: &mut Reply<'_>,
) -> Result<bool, Error> {
    let (source, destination) = (args.at(1), args.at(2));
    if context.keys.get::<List>(source)?.is_none() {
        return Ok(false);
    }
    // Nothing is taken before it is sure that it can be put.
    context.keys.get::<List>(destination)?;
    let element = context.keys.edit(source, |list: &mut List| {
        let element = list.pop(from);
        if let Some(element) = element.as_ref().filter(|_| source == destination) {
            list.push(to, element.as_bytes());
        }
        Edited::Changed(element)
    })?;
    let Some(element) = element.flatten() else { return Ok(false) };
    if source != destination {
        context.keys.edit_or_new(destination, |list: &mut List| {
            list.push(to, element.as_bytes());
            Edited::Changed(())
        })?;
    }
    reply.bulk(element.as_bytes());
    Ok(true)
}
