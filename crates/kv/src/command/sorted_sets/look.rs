//! Commands that look at a sorted set: scores, ranks, counts, and members drawn by chance.

use std::collections::HashSet;

use crate::command::Context;
use crate::command::sorted_sets::{interval::Interval, write};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::SortedSet;

/// `ZCARD key`
pub(super) fn zcard(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.count(context.keys.view::<SortedSet>(args.at(1))?.map_or(0, SortedSet::len));
    Ok(())
}

/// `ZSCORE key member`
pub(super) fn zscore(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let set = context.keys.view::<SortedSet>(args.at(1))?;
    write_score(reply, set.and_then(|set| set.score(args.at(2))));
    Ok(())
}

/// `ZMSCORE key member [member …]`
pub(super) fn zmscore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let set = context.keys.view::<SortedSet>(args.at(1))?;
    let members = args.from(2);
    reply.array(members.len());
    members.iter().for_each(|member| write_score(reply, set.and_then(|set| set.score(member))));
    Ok(())
}

/// `ZCOUNT key min max`
pub(super) fn zcount(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    count(context, args, reply, Interval::of_scores(args.at(2), args.at(3))?)
}

/// `ZLEXCOUNT key min max`
pub(super) fn zlexcount(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    count(context, args, reply, Interval::of_members(args.at(2), args.at(3))?)
}

/// `ZRANK key member [WITHSCORE]`
pub(super) fn zrank(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    rank(context, args, reply, false)
}

/// `ZREVRANK key member [WITHSCORE]`
pub(super) fn zrevrank(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    rank(context, args, reply, true)
}

/// `ZRANDMEMBER key [count [WITHSCORES]]`: distinct members, or with a negative count each by itself.
pub(super) fn zrandmember(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let Context { keys, rng, .. } = context;
    if args.len() == 2 {
        let set = keys.view::<SortedSet>(args.at(1))?;
        let member = set.and_then(|set| set.nth(rng.usize(0..set.len().max(1))));
        reply.bulk_or_null(member.map(|(member, _)| member));
        return Ok(());
    }
    let count = args.integer(2)?;
    if count == i64::MIN {
        return Err(OUTSIDE);
    }
    let with_scores = match args.len() {
        3 => false,
        4 if args.is(3, "WITHSCORES") => true,
        _ => return Err(Error::SYNTAX),
    };
    if with_scores && count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
        return Err(TOO_MANY);
    }
    let Some(set) = keys.view::<SortedSet>(args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    if count < -MOST_DRAWN {
        return Err(TOO_MANY);
    }
    let (len, wanted) = (set.len(), usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
    if count >= 0 && wanted >= len {
        write(reply, set.iter(), with_scores);
        return Ok(());
    }
    let numbers = match count {
        ..0 => (0..wanted).map(|_| rng.usize(0..len)).collect(),
        // Going through all of them is less work than drawing again and again what was drawn before.
        _ if wanted > len / 4 => rng.choose_multiple(0..len, wanted),
        _ => {
            let mut drawn = HashSet::with_capacity(wanted);
            let fresh = std::iter::repeat_with(|| rng.usize(0..len)).filter(|number| drawn.insert(*number));
            fresh.take(wanted).collect()
        }
    };
    let members: Vec<_> = numbers.into_iter().filter_map(|number| set.nth(number)).collect();
    write(reply, members.into_iter(), with_scores);
    Ok(())
}

fn write_score(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn count(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    interval: Interval<'_>,
) -> Result<(), Error> {
    let set = context.keys.view::<SortedSet>(args.at(1))?;
    reply.count(set.map_or(0, |set| interval.ranks(set, false).len()));
    Ok(())
}

fn rank(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    reversed: bool,
) -> Result<(), Error> {
    let with_score = match args.len() {
        3 => false,
        4 if args.is(3, "WITHSCORE") => true,
        4 => return Err(Error::SYNTAX),
        _ => return Err(Error::arity(if reversed { "zrevrank" } else { "zrank" })),
    };
    let set = context.keys.view::<SortedSet>(args.at(1))?;
    let found = set.and_then(|set| {
        let rank = set.rank(args.at(2))?;
        let rank = if reversed { set.len() - 1 - rank } else { rank };
        // Only looked up if asked for.
        Some((rank, if with_score { set.score(args.at(2)) } else { None }))
    });
    match found {
        Some((rank, Some(score))) => {
            reply.array(2);
            reply.count(rank);
            reply.double(score);
        }
        Some((rank, None)) => reply.count(rank),
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}

/// Most members that are drawn one by one, so that one short command cannot ask for an answer without end.
const MOST_DRAWN: i64 = 1 << 24;
const TOO_MANY: Error = Error::new("ERR value is out of range");
const OUTSIDE: Error =
    Error::new("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
