//! Strings that are numbers: the `INCR` family.

use crate::command::{Context, decimal};
use crate::error::Error;
use crate::resp::{Args, Reply, parse_integer};
use crate::store::{Edited, Expiry, Text};

pub(super) fn incr(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    add(context, args.at(1), 1, reply)
}

pub(super) fn decr(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    add(context, args.at(1), -1, reply)
}

pub(super) fn incrby(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    add(context, args.at(1), args.integer(2)?, reply)
}

pub(super) fn decrby(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let amount = args.integer(2)?.checked_neg().ok_or(Error::new("ERR decrement would overflow"))?;
    add(context, args.at(1), amount, reply)
}

fn add(context: &mut Context<'_>, key: &[u8], amount: i64, reply: &mut Reply<'_>) -> Result<(), Error> {
    let sum = context.keys.edit(key, |text: &mut Text| {
        let sum = parse_integer(text.as_bytes())
            .ok_or(Error::NOT_INTEGER)
            .and_then(|number| number.checked_add(amount).ok_or(Error::OVERFLOW));
        if let Ok(sum) = sum {
            *text = Text::from(sum);
        }
        Edited::when(sum.is_ok(), sum)
    })?;
    let sum = match sum {
        Some(sum) => sum?,
        None => {
            context.keys.set(key, Text::from(amount), Expiry::Never);
            amount
        }
    };
    reply.integer(sum);
    Ok(())
}

pub(super) fn incrbyfloat(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let key = args.at(1);
    let old = context.keys.view::<Text>(key)?.map_or(&b"0"[..], Text::as_bytes);
    crate::resp::parse_float(old).ok_or(Error::NOT_FLOAT)?;
    args.float(2)?;
    let sum = decimal::sum(old, args.at(2)).ok_or(INFINITE)?;
    reply.bulk(&sum);
    context.instead(&[b"SET", key, &sum, b"KEEPTTL"]);
    context.keys.set(key, Text::from(sum), Expiry::Keep);
    Ok(())
}

const INFINITE: Error = Error::new("ERR increment would produce NaN or Infinity");
