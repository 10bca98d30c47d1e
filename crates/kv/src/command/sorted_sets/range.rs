//! The `ZRANGE` family: members between two ranks, scores or members are answered, stored or removed.

use std::ops::Range;

use crate::command::Context;
use crate::command::sorted_sets::{interval::Interval, write};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, Expiry, Kind, SortedSet};

/// What the two ends of a range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// A command's form: what its name leaves open can be chosen by options.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Where the key stands; both ends of the range follow.
    key: usize,
    by: Option<By>,
    reversed: Option<bool>,
    stores: bool,
}

/// What is asked for.
#[derive(Debug)]
struct Query<'a> {
    interval: Interval<'a>,
    reversed: bool,
    /// Those passed over, and those answered; a negative number is all of them.
    limit: (i64, i64),
    with_scores: bool,
}

/// `ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub(super) fn zrange(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    answer(context, args, reply, Form { key: 1, by: None, reversed: None, stores: false })
}

/// `ZREVRANGE key start stop [WITHSCORES]`
pub(super) fn zrevrange(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    answer(context, args, reply, Form { key: 1, by: Some(By::Rank), reversed: Some(true), stores: false })
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrangebyscore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    answer(context, args, reply, Form { key: 1, by: Some(By::Score), reversed: Some(false), stores: false })
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrevrangebyscore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    answer(context, args, reply, Form { key: 1, by: Some(By::Score), reversed: Some(true), stores: false })
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub(super) fn zrangebylex(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    answer(context, args, reply, Form { key: 1, by: Some(By::Member), reversed: Some(false), stores: false })
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub(super) fn zrevrangebylex(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    answer(context, args, reply, Form { key: 1, by: Some(By::Member), reversed: Some(true), stores: false })
}

/// `ZRANGESTORE destination source min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]`
pub(super) fn zrangestore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let query = Query::parse(args, Form { key: 2, by: None, reversed: None, stores: true })?;
    let found = context.keys.view::<SortedSet>(args.at(2))?.map(|set| {
        let mut found = SortedSet::default();
        for (member, score) in set.range(query.ranks(set)) {
            found.insert(member, score);
        }
        found
    });
    store(context, args.at(1), found.unwrap_or_default(), reply);
    Ok(())
}

/// `ZREMRANGEBYRANK key start stop`
pub(super) fn zremrangebyrank(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    remove(context, args, reply, By::Rank)
}

/// `ZREMRANGEBYSCORE key min max`
pub(super) fn zremrangebyscore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    remove(context, args, reply, By::Score)
}

/// `ZREMRANGEBYLEX key min max`
pub(super) fn zremrangebylex(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    remove(context, args, reply, By::Member)
}

/// Makes a sorted set the value of a key, which goes if the set is empty; answers its size.
pub(super) fn store(context: &mut Context<'_>, key: &[u8], set: SortedSet, reply: &mut Reply<'_>) {
    reply.count(set.len());
    if set.is_empty() {
        context.keys.delete(key);
    } else {
        context.keys.set(key, set.into_value(), Expiry::Never);
    }
}

fn answer(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    form: Form,
) -> Result<(), Error> {
    let query = Query::parse(args, form)?;
    let Some(set) = context.keys.view::<SortedSet>(args.at(form.key))? else {
        reply.array(0);
        return Ok(());
    };
    let members = set.range(query.ranks(set));
    match query.reversed {
        true => write(reply, members.rev(), query.with_scores),
        false => write(reply, members, query.with_scores),
    }
    Ok(())
}

fn remove(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, by: By) -> Result<(), Error> {
    let interval = interval(by, args, 2, 3)?;
    let removed = context.keys.edit(args.at(1), |set: &mut SortedSet| {
        let removed = set.remove_range(interval.ranks(set, false));
        Edited::when(removed > 0, removed)
    })?;
    reply.count(removed.unwrap_or(0));
    Ok(())
}

impl<'a> Query<'a> {
    fn parse(args: &Args<'a>, form: Form) -> Result<Self, Error> {
        let (mut by, mut reversed, mut limit, mut with_scores) = (form.by, form.reversed, (0, -1), false);
        let mut at = form.key + 3;
        while at < args.len() {
            if !form.stores && args.is(at, "WITHSCORES") {
                with_scores = true;
            } else if args.is(at, "LIMIT") && at + 2 < args.len() {
                limit = (args.integer(at + 1)?, args.integer(at + 2)?);
                at += 2;
            } else if form.reversed.is_none() && args.is(at, "REV") {
                reversed = Some(true);
            } else if by.is_none() && args.is(at, "BYLEX") {
                by = Some(By::Member);
            } else if by.is_none() && args.is(at, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(Error::SYNTAX);
            }
            at += 1;
        }
        let (by, reversed) = (by.unwrap_or(By::Rank), reversed.unwrap_or(false));
        if limit.1 != -1 && by == By::Rank {
            return Err(LIMITED_RANKS);
        }
        if with_scores && by == By::Member {
            return Err(SCORES_OF_MEMBERS);
        }
        // Scores and members are given as they are answered, the first first.
        let (first, last) = (form.key + 1, form.key + 2);
        let (low, high) = if reversed && by != By::Rank { (last, first) } else { (first, last) };
        Ok(Self { interval: interval(by, args, low, high)?, reversed, limit, with_scores })
    }

    /// The ranks of what is asked for.
    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let Range { start, end } = self.interval.ranks(set, self.reversed);
        if matches!(self.interval, Interval::Ranks(..)) {
            return start..end;
        }
        let all = end - start;
        let passed = usize::try_from(self.limit.0).map_or(all, |passed| passed.min(all));
        let most = usize::try_from(self.limit.1).map_or(all, |most| most.min(all - passed)).min(all - passed);
        match self.reversed {
            true => end - passed - most..end - passed,
            false => start + passed..start + passed + most,
        }
    }
}

/// The interval between the words at `low` and `high`.
fn interval<'a>(by: By, args: &Args<'a>, low: usize, high: usize) -> Result<Interval<'a>, Error> {
    match by {
        By::Rank => Ok(Interval::Ranks(args.integer(low)?, args.integer(high)?)),
        By::Score => Interval::of_scores(args.at(low), args.at(high)),
        By::Member => Interval::of_members(args.at(low), args.at(high)),
    }
}

const LIMITED_RANKS: Error =
    Error::new("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
const SCORES_OF_MEMBERS: Error =
    Error::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
