//! Fields that are numbers: `HINCRBY`, `HINCRBYFLOAT`.

use crate::command::{Context, decimal};
use crate::error::Error;
use crate::resp::{Args, Reply, parse_float, parse_integer};
use crate::store::{Edited, Hash, Text};

pub(super) fn hincrby(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let (field, amount) = (args.at(2), args.integer(3)?);
    let sum = context.keys.edit_or_new(args.at(1), |hash: &mut Hash| {
        let old = hash.get(field).map_or(Some(0), parse_integer);
        let sum = old
            .ok_or(Error::new("ERR hash value is not an integer"))
            .and_then(|number| number.checked_add(amount).ok_or(Error::OVERFLOW));
        if let Ok(sum) = sum {
            hash.insert(field, Text::from(sum));
        }
        Edited::when(sum.is_ok(), sum)
    })??;
    reply.integer(sum);
    Ok(())
}

pub(super) fn hincrbyfloat(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let (key, field, amount) = (args.at(1), args.at(2), args.at(3));
    if args.float(3)?.is_infinite() {
        return Err(Error::new("ERR value is NaN or Infinity"));
    }
    let sum = context.keys.edit_or_new(key, |hash: &mut Hash| {
        let old = hash.get(field).unwrap_or(b"0");
        let sum = match parse_float(old) {
            Some(_) => decimal::sum(old, amount).ok_or(INFINITE),
            None => Err(Error::new("ERR hash value is not a float")),
        };
        if let Ok(sum) = &sum {
            hash.insert(field, &**sum);
        }
        Edited::when(sum.is_ok(), sum)
    })??;
    reply.bulk(&sum);
    context.instead(&[b"HSET", key, field, &sum]);
    Ok(())
}

const INFINITE: Error = Error::new("ERR increment would produce NaN or Infinity");
