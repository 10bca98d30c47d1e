//! `HRANDFIELD`.

use std::collections::HashSet;

use crate::command::Context;
use crate::error::Error;
use crate::resp::{Args, Protocol, Reply};
use crate::store::Hash;

/// Most fields that are drawn with repetition: more would be no answer but an attack.
const MOST: usize = 1 << 24;

pub(super) fn hrandfield(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    if args.len() == 2 {
        let hash = context.keys.view::<Hash>(args.at(1))?;
        let drawn = hash.and_then(|hash| hash.nth(context.rng.usize(0..hash.len())));
        reply.bulk_or_null(drawn.map(|(field, _)| field));
        return Ok(());
    }
    let count = args.integer(2)?;
    if count == i64::MIN {
        return Err(Error::new(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let values = args.len() > 3;
    if values && (args.len() > 4 || !args.is(3, "WITHVALUES")) {
        return Err(Error::SYNTAX);
    }
    let distinct = count >= 0;
    let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count > i64::MAX as usize / if values { 2 } else { 1 } || (!distinct && count > MOST) {
        return Err(Error::new("ERR value is out of range"));
    }
    let Some(hash) = context.keys.view::<Hash>(args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    let length = if distinct { count.min(hash.len()) } else { count };
    let nested = values && reply.protocol() == Protocol::Resp3;
    reply.array(if values && !nested { length * 2 } else { length });
    let mut write = |(field, value): (&[u8], &[u8])| {
        if nested {
            reply.array(2);
        }
        reply.bulk(field);
        if values {
            reply.bulk(value);
        }
    };
    if length == hash.len() && distinct {
        hash.iter().for_each(write);
    } else if distinct {
        let drawn = distinct_numbers(hash.len(), length, context.rng);
        drawn.into_iter().filter_map(|number| hash.nth(number)).for_each(write);
    } else {
        (0..length).filter_map(|_| hash.nth(context.rng.usize(0..hash.len()))).for_each(&mut write);
    }
    Ok(())
}

/// `count` different numbers below `end`, each choice equally likely (Floyd's algorithm, Communications of the ACM 30.9,
/// 1987), in time that depends on `count` alone.
fn distinct_numbers(end: usize, count: usize, rng: &mut fastrand::Rng) -> Vec<usize> {
    let (mut drawn, mut seen) = (Vec::with_capacity(count), HashSet::with_capacity(count));
    for last in end - count..end {
        let number = rng.usize(0..=last);
        let number = if seen.insert(number) { number } else { last };
        seen.insert(number);
        drawn.push(number);
    }
    rng.shuffle(&mut drawn);
    drawn
}
