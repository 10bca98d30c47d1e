//! `ZADD`, `ZINCRBY` and `ZREM`: members come, move and go one by one.

use crate::command::Context;
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, Placed, SortedSet};

/// When `ZADD` does what it is told.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    /// `NX`: only with members that are new.
    only_new: bool,
    /// `XX`: only with members that are not.
    only_known: bool,
    /// `GT`: a known member only gets a greater score.
    only_greater: bool,
    /// `LT`: a known member only gets a lower score.
    only_lower: bool,
    /// `CH`: the answer counts moved members too.
    count_moved: bool,
    /// `INCR`: as `ZINCRBY`.
    increment: bool,
}

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member …]`
pub(super) fn zadd(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (options, first) = options(args);
    let pairs = args.from(first);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(Error::SYNTAX);
    }
    if options.only_new && options.only_known {
        return Err(NX_AND_XX);
    }
    if [options.only_new, options.only_greater, options.only_lower].iter().filter(|is| **is).count() > 1 {
        return Err(NX_GT_LT);
    }
    if options.increment && pairs.len() > 2 {
        return Err(ONE_INCREMENT);
    }
    let pairs = || (0..pairs.len()).step_by(2).map(|at| (pairs.float(at), pairs.at(at + 1)));
    if let Some(error) = pairs().find_map(|(score, _)| score.err()) {
        return Err(error);
    }
    if options.increment {
        let (increment, member) = pairs().next().ok_or(Error::SYNTAX)?;
        return add_to_score(context, args.at(1), member, increment?, options, reply);
    }
    let key = args.at(1);
    let change = |set: &mut SortedSet| {
        let (mut added, mut moved) = (0, 0);
        for (score, member) in pairs() {
            // That they are all numbers was seen above.
            match score.ok().and_then(|score| place(set, member, score, options)) {
                Some(Placed::Added) => added += 1,
                Some(Placed::Moved) => moved += 1,
                Some(Placed::Same) | None => {}
            }
        }
        let answer = if options.count_moved { added + moved } else { added };
        Edited::when(added + moved > 0, answer)
    };
    let answer = if options.only_known {
        context.keys.edit(key, change)?.unwrap_or(0)
    } else {
        context.keys.edit_or_new(key, change)?
    };
    reply.count(answer);
    Ok(())
}

/// `ZINCRBY key increment member`
pub(super) fn zincrby(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    add_to_score(context, args.at(1), args.at(3), args.float(2)?, Options::default(), reply)
}

/// `ZREM key member [member …]`
pub(super) fn zrem(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let removed = context.keys.edit(args.at(1), |set: &mut SortedSet| {
        let removed = args.from(2).iter().filter(|member| set.remove(member).is_some()).count();
        Edited::when(removed > 0, removed)
    })?;
    reply.count(removed.unwrap_or(0));
    Ok(())
}

/// The options, and where the first score stands.
fn options(args: &Args<'_>) -> (Options, usize) {
    let mut options = Options::default();
    for at in 2.. {
        if args.is(at, "NX") {
            options.only_new = true;
        } else if args.is(at, "XX") {
            options.only_known = true;
        } else if args.is(at, "GT") {
            options.only_greater = true;
        } else if args.is(at, "LT") {
            options.only_lower = true;
        } else if args.is(at, "CH") {
            options.count_moved = true;
        } else if args.is(at, "INCR") {
            options.increment = true;
        } else {
            return (options, at);
        }
    }
    (options, args.len())
}

/// Gives a member a score, unless the options are against it.
fn place(set: &mut SortedSet, member: &[u8], score: f64, options: Options) -> Option<Placed> {
    let Options { only_new, only_known, only_greater, only_lower, .. } = options;
    if only_new || only_known || only_greater || only_lower {
        let allowed = match set.score(member) {
            Some(old) => !(only_new || (only_greater && score <= old) || (only_lower && score >= old)),
            None => !only_known,
        };
        if !allowed {
            return None;
        }
    }
    Some(set.insert(member, score))
}

/// Answers the score that the member has then, or null if the options are against it.
fn add_to_score(
    context: &mut Context<'_>,
    key: &[u8],
    member: &[u8],
    increment: f64,
    options: Options,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let change = |set: &mut SortedSet| {
        let old = set.score(member);
        // Never -0, since a new member begins at 0.
        let score = old.unwrap_or(0.0) + increment;
        // A member that is not to be touched needs no sum.
        if score.is_nan() && !options.only_new {
            return Edited::Unchanged(Err(NOT_A_NUMBER));
        }
        match place(set, member, score, options) {
            Some(placed) => Edited::when(placed != Placed::Same, Ok(Some(score))),
            None => Edited::Unchanged(Ok(None)),
        }
    };
    let score = if options.only_known {
        context.keys.edit(key, change)?.unwrap_or(Ok(None))?
    } else {
        context.keys.edit_or_new(key, change)??
    };
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
    Ok(())
}

const NX_AND_XX: Error = Error::new("ERR XX and NX options at the same time are not compatible");
const NX_GT_LT: Error = Error::new("ERR GT, LT, and/or NX options at the same time are not compatible");
const ONE_INCREMENT: Error = Error::new("ERR INCR option supports a single increment-element pair");
const NOT_A_NUMBER: Error = Error::new("ERR resulting score is not a number (NaN)");
