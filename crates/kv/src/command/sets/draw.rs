//! `SPOP` and `SRANDMEMBER`: members by chance.

use std::collections::HashSet;

use crate::command::Context;
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, Set, Text};

/// `SPOP key [count]`
pub(super) fn spop(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let count = match args.len() {
        2 => None,
        3 => Some(args.integer(2).ok().and_then(|count| usize::try_from(count).ok()).ok_or(NOT_POSITIVE)?),
        _ => return Err(Error::SYNTAX),
    };
    let rng = &mut *context.rng;
    let taken = context.keys.edit(key, |set: &mut Set| {
        let count = count.unwrap_or(1).min(set.len());
        let all = count == set.len();
        let taken: Vec<Text> = if all {
            std::mem::take(set).iter().map(|member| Text::new(&member)).collect()
        } else {
            (0..count).filter_map(|_| set.take_at(rng.usize(0..set.len()))).collect()
        };
        Edited::when(!taken.is_empty(), (taken, all))
    })?;
    let (taken, all) = taken.unwrap_or_default();
    match count {
        Some(_) => {
            reply.set(taken.len());
            taken.iter().for_each(|member| reply.bulk(member.as_bytes()));
        }
        None => reply.bulk_or_null(taken.first().map(Text::as_bytes)),
    }
    if all {
        context.instead(&[b"DEL", key]);
        return Ok(());
    }
    for members in taken.chunks(MOST_TOLD_AT_ONCE) {
        let words = [b"SREM".as_slice(), key].into_iter().chain(members.iter().map(Text::as_bytes));
        context.instead(&words.collect::<Vec<_>>());
    }
    Ok(())
}

/// `SRANDMEMBER key [count]`: distinct ones, or the same several times if negative.
pub(super) fn srandmember(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let count = match args.len() {
        2 => None,
        3 => match args.integer(2)? {
            i64::MIN => return Err(OUT_OF_RANGE),
            count => Some(count),
        },
        _ => return Err(Error::SYNTAX),
    };
    let (rng, longest) = (&mut *context.rng, context.settings.longest_string);
    let Some(set) = context.keys.view::<Set>(args.at(1))? else {
        if count.is_some() {
            reply.array(0);
        } else {
            reply.null();
        }
        return Ok(());
    };
    let write = |reply: &mut Reply<'_>, index| set.get(index).iter().for_each(|member| reply.bulk(member));
    let size = set.len();
    match count {
        None => write(reply, rng.usize(0..size)),
        Some(count) if count < 0 => {
            let (count, start) = (count.unsigned_abs() as usize, reply.mark());
            reply.array(count);
            for _ in 0..count {
                write(reply, rng.usize(0..size));
                if reply.mark() - start > longest {
                    return Err(ANSWER_TOO_LONG);
                }
            }
        }
        Some(count) => {
            let count = size.min(usize::try_from(count).unwrap_or(size));
            reply.array(count);
            if count == size {
                set.iter().for_each(|member| reply.bulk(&member));
            } else {
                distinct(count, size, rng).into_iter().for_each(|index| write(reply, index));
            }
        }
    }
    Ok(())
}

/// `count` distinct numbers below `size`, every choice of them equally likely (Floyd's algorithm: Bentley and Floyd, CACM
/// 1987).
fn distinct(count: usize, size: usize, rng: &mut fastrand::Rng) -> HashSet<usize> {
    let mut chosen = HashSet::with_capacity(count);
    for last in size - count..size {
        if !chosen.insert(rng.usize(0..=last)) {
            chosen.insert(last);
        }
    }
    chosen
}

/// Members in one command to replicas.
const MOST_TOLD_AT_ONCE: usize = 1024;

const NOT_POSITIVE: Error = Error::new("ERR value is out of range, must be positive");
const OUT_OF_RANGE: Error =
    Error::new("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
/// Redis would go on until it has no memory left.
const ANSWER_TOO_LONG: Error = Error::new("ERR the answer would exceed proto-max-bulk-len");
