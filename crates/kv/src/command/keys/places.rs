//! Keys that come to stand elsewhere: `RENAME`, `COPY`, `MOVE`.

use crate::command::Context;
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{DATABASES, Expiry};

pub(super) fn rename(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (from, to) = (args.at(1), args.at(2));
    if from != to {
        carry(context, from, to)?;
    } else if !context.keys.contains(from) {
        return Err(Error::NO_SUCH_KEY);
    }
    reply.ok();
    Ok(())
}

pub(super) fn renamenx(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let (from, to) = (args.at(1), args.at(2));
    if !context.keys.contains(from) {
        return Err(Error::NO_SUCH_KEY);
    }
    let free = !context.keys.contains(to);
    if free {
        carry(context, from, to)?;
    }
    reply.flag(free);
    Ok(())
}

/// Takes what one key holds, with its time to live, to another.
fn carry(context: &mut Context<'_>, from: &[u8], to: &[u8]) -> Result<(), Error> {
    let expiry = life(context, from);
    let value = context.keys.take(from).ok_or(Error::NO_SUCH_KEY)?;
    context.keys.set(to, value, expiry);
    Ok(())
}

fn life(context: &Context<'_>, key: &[u8]) -> Expiry {
    context.keys.expiry(key).flatten().map_or(Expiry::Never, Expiry::At)
}

pub(super) fn copy(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (from, to) = (args.at(1), args.at(2));
    let (source, mut target) = (context.keys.db(), context.keys.db());
    let mut replace = false;
    let mut at = 3;
    while at < args.len() {
        if args.is(at, "REPLACE") {
            replace = true;
        } else if args.is(at, "DB") && at + 1 < args.len() {
            at += 1;
            target = database(args.integer(at)?)?;
        } else {
            return Err(Error::SYNTAX);
        }
        at += 1;
    }
    if source == target && from == to {
        return Err(SAME);
    }
    let copied = match context.keys.value(from).cloned() {
        None => false,
        Some(value) => {
            let expiry = life(context, from);
            context.keys.select(target);
            let wanted = replace || !context.keys.contains(to);
            if wanted {
                context.keys.set(to, value, expiry);
            }
            context.keys.select(source);
            wanted
        }
    };
    reply.flag(copied);
    Ok(())
}

pub(super) fn move_key(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let key = args.at(1);
    let (source, target) = (context.keys.db(), database(args.integer(2)?)?);
    if source == target {
        return Err(SAME);
    }
    context.keys.select(target);
    let free = !context.keys.contains(key);
    context.keys.select(source);
    let expiry = life(context, key);
    let value = if free { context.keys.take(key) } else { None };
    let moved = value.is_some();
    if let Some(value) = value {
        context.keys.select(target);
        context.keys.set(key, value, expiry);
        context.keys.select(source);
    }
    reply.flag(moved);
    Ok(())
}

fn database(number: i64) -> Result<u8, Error> {
    i32::try_from(number).map_err(|_| BEYOND_INT)?;
    u8::try_from(number).ok().filter(|db| *db < DATABASES).ok_or(Error::new("ERR DB index is out of range"))
}

const BEYOND_INT: Error =
    Error::new("ERR value is out of range, value must between -2147483648 and 2147483647");
const SAME: Error = Error::new("ERR source and destination objects are the same");
