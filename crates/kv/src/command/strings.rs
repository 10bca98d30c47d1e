//! Commands on strings.

mod counters;
mod setting;
#[cfg(test)]
mod tests;

use crate::command::{Context, Flags, Keys, Spec};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, Expiry, Text};

pub(super) const COMMANDS: &[Spec] = {
    const READ: Flags = Flags::READ.and(Flags::FAST);
    const SLOW: Flags = Flags::WRITE.and(Flags::GROWS);
    const WRITE: Flags = SLOW.and(Flags::FAST);
    const FREES: Flags = Flags::WRITE.and(Flags::FAST);
    const PAIRS: Keys = Keys::Range { first: 1, last: -1, step: 2 };
    &[
        Spec::data("APPEND", 3, WRITE, Keys::FIRST, append),
        Spec::data("DECR", 2, WRITE, Keys::FIRST, counters::decr),
        Spec::data("DECRBY", 3, WRITE, Keys::FIRST, counters::decrby),
        Spec::data("GET", 2, READ, Keys::FIRST, get),
        Spec::data("GETDEL", 2, FREES, Keys::FIRST, getdel),
        Spec::data("GETEX", -2, FREES, Keys::FIRST, setting::getex),
        Spec::data("GETRANGE", 4, Flags::READ, Keys::FIRST, getrange),
        Spec::data("GETSET", 3, WRITE, Keys::FIRST, setting::getset),
        Spec::data("INCR", 2, WRITE, Keys::FIRST, counters::incr),
        Spec::data("INCRBY", 3, WRITE, Keys::FIRST, counters::incrby),
        Spec::data("INCRBYFLOAT", 3, WRITE, Keys::FIRST, counters::incrbyfloat),
        Spec::data("MGET", -2, READ, Keys::REST, mget),
        Spec::data("MSET", -3, SLOW, PAIRS, mset),
        Spec::data("MSETNX", -3, SLOW, PAIRS, msetnx),
        Spec::data("PSETEX", 4, SLOW, Keys::FIRST, setting::psetex),
        Spec::data("SET", -3, SLOW, Keys::FIRST, setting::set),
        Spec::data("SETEX", 4, SLOW, Keys::FIRST, setting::setex),
        Spec::data("SETNX", 3, WRITE, Keys::FIRST, setting::setnx),
        Spec::data("SETRANGE", 4, SLOW, Keys::FIRST, setrange),
        Spec::data("STRLEN", 2, READ, Keys::FIRST, strlen),
        Spec::data("SUBSTR", 4, Flags::READ, Keys::FIRST, getrange),
    ]
};

fn append(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (key, tail) = (args.at(1), args.at(2));
    let longest = context.settings.longest_string;
    let appended = context.keys.edit(key, |text: &mut Text| {
        if text.len() + tail.len() > longest {
            return Edited::Unchanged(Err(TOO_LONG));
        }
        text.edit(|bytes| bytes.extend_from_slice(tail));
        Edited::Changed(Ok(text.len()))
    })?;
    let length = match appended {
        Some(length) => length?,
        None => {
            context.keys.set(key, Text::new(tail), Expiry::Never);
            tail.len()
        }
    };
    reply.count(length);
    Ok(())
}

fn get(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.bulk_or_null(context.keys.view::<Text>(args.at(1))?.map(Text::as_bytes));
    Ok(())
}

fn getdel(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let key = args.at(1);
    match context.keys.view::<Text>(key)? {
        Some(text) => {
            reply.bulk(text.as_bytes());
            context.keys.delete(key);
        }
        None => reply.null(),
    }
    Ok(())
}

fn getrange(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (start, end) = (args.integer(2)?, args.integer(3)?);
    let text = context.keys.view::<Text>(args.at(1))?.map_or(&b""[..], Text::as_bytes);
    reply.bulk(part(text, start, end));
    Ok(())
}

/// From one position to another, both included; negative ones count from the end.
fn part(text: &[u8], start: i64, end: i64) -> &[u8] {
    let length = text.len() as i64;
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let place = |at: i64| if at < 0 { (length.saturating_add(at)).max(0) } else { at } as usize;
    text.get(place(start)..place(end).saturating_add(1).min(text.len())).unwrap_or_default()
}

fn mget(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let keys = args.from(1);
    reply.array(keys.len());
    for key in keys.iter() {
        // What holds another type counts as missing here, and nowhere else.
        reply.bulk_or_null(context.keys.view::<Text>(key).ok().flatten().map(Text::as_bytes));
    }
    Ok(())
}

fn mset(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    set_pairs(context, &pairs(args, "MSET")?);
    reply.ok();
    Ok(())
}

fn msetnx(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let pairs = pairs(args, "MSETNX")?;
    let free = pairs.iter().step_by(2).all(|key| !context.keys.contains(key));
    if free {
        set_pairs(context, &pairs);
    }
    reply.flag(free);
    Ok(())
}

/// Keys and values in turn.
fn pairs<'a>(args: &Args<'a>, name: &str) -> Result<Args<'a>, Error> {
    let pairs = args.from(1);
    if pairs.len().is_multiple_of(2) { Ok(pairs) } else { Err(Error::arity(name)) }
}

fn set_pairs(context: &mut Context<'_>, pairs: &Args<'_>) {
    for at in (0..pairs.len()).step_by(2) {
        context.keys.set(pairs.at(at), Text::new(pairs.at(at + 1)), Expiry::Never);
    }
}

fn setrange(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (key, patch) = (args.at(1), args.at(3));
    let start = usize::try_from(args.integer(2)?).map_err(|_| OFFSET)?;
    let longest = context.settings.longest_string;
    let length = context.keys.edit_or_new(key, |text: &mut Text| {
        if patch.is_empty() {
            return Edited::Unchanged(Ok(text.len()));
        }
        let end = start.saturating_add(patch.len());
        if end > longest {
            return Edited::Unchanged(Err(TOO_LONG));
        }
        text.edit(|bytes| {
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            if let Some(place) = bytes.get_mut(start..end) {
                place.copy_from_slice(patch);
            }
        });
        Edited::Changed(Ok(text.len()))
    })??;
    reply.count(length);
    Ok(())
}

fn strlen(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.count(context.keys.view::<Text>(args.at(1))?.map_or(0, Text::len));
    Ok(())
}

const TOO_LONG: Error = Error::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
const OFFSET: Error = Error::new("ERR offset is out of range");
