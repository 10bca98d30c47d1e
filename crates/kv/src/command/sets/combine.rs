//! `SINTER`, `SUNION`, `SDIFF`, their `STORE` forms and `SINTERCARD`: several sets at once.

use crate::command::Context;
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Expiry, Keyspace, Kind, Member, Set};

/// `SINTER key [key …]`
pub(super) fn sinter(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let sets = sets(&mut context.keys, args.from(1).iter())?;
    write(reply, &common(&sets).collect::<Vec<_>>());
    Ok(())
}

/// `SINTERSTORE destination key [key …]`
pub(super) fn sinterstore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let result = common(&sets(&mut context.keys, args.from(2).iter())?).collect();
    store(context, args.at(1), result, reply);
    Ok(())
}

/// `SINTERCARD numkeys key [key …] [LIMIT limit]`
pub(super) fn sintercard(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let natural = |at| args.integer(at).ok().and_then(|number| usize::try_from(number).ok());
    let keys = natural(1).filter(|keys| *keys > 0).ok_or(NO_KEYS)?;
    let mut at = keys.checked_add(2).filter(|at| *at <= args.len()).ok_or(TOO_MANY_KEYS)?;
    let mut limit = usize::MAX;
    while at < args.len() {
        if !args.is(at, "LIMIT") || at + 1 == args.len() {
            return Err(Error::SYNTAX);
        }
        limit = match natural(at + 1).ok_or(NEGATIVE_LIMIT)? {
            0 => usize::MAX,
            limit => limit,
        };
        at += 2;
    }
    let sets = sets(&mut context.keys, args.from(2).iter().take(keys))?;
    reply.count(common(&sets).take(limit).count());
    Ok(())
}

/// `SUNION key [key …]`
pub(super) fn sunion(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let sets = sets(&mut context.keys, args.from(1).iter())?;
    let all = united(&sets);
    write(reply, &all.iter().collect::<Vec<_>>());
    Ok(())
}

/// `SUNIONSTORE destination key [key …]`
pub(super) fn sunionstore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let result = united(&sets(&mut context.keys, args.from(2).iter())?);
    store(context, args.at(1), result, reply);
    Ok(())
}

/// `SDIFF key [key …]`
pub(super) fn sdiff(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let sets = sets(&mut context.keys, args.from(1).iter())?;
    write(reply, &of_first_only(&sets).collect::<Vec<_>>());
    Ok(())
}

/// `SDIFFSTORE destination key [key …]`
pub(super) fn sdiffstore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let result = of_first_only(&sets(&mut context.keys, args.from(2).iter())?).collect();
    store(context, args.at(1), result, reply);
    Ok(())
}

/// The sets of some keys; `None` where there is no key.
fn sets<'k, 'n>(
    keys: &'k mut Keyspace<'_>,
    names: impl Iterator<Item = &'n [u8]>,
) -> Result<Vec<Option<&'k Set>>, Error> {
    let names: Vec<&[u8]> = names.collect();
    // As used, one after the other; then all together.
    for name in &names {
        keys.view::<Set>(name)?;
    }
    let keys = &*keys;
    names.into_iter().map(|name| keys.get::<Set>(name)).collect()
}

/// Members of all of the sets.
fn common<'s>(sets: &[Option<&'s Set>]) -> impl Iterator<Item = Member<'s>> + use<'s> {
    let mut sets: Vec<&Set> = sets.iter().copied().collect::<Option<_>>().unwrap_or_default();
    sets.sort_by_key(|set| set.len());
    let mut sets = sets.into_iter();
    let smallest = sets.next();
    let members = smallest.into_iter().flat_map(Set::iter);
    members.filter(move |member| sets.as_slice().iter().all(|set| set.contains(member)))
}

/// Members of any of the sets.
fn united(sets: &[Option<&Set>]) -> Set {
    sets.iter().copied().flatten().flat_map(Set::iter).collect()
}

/// Members of the first set that are in none of the others.
fn of_first_only<'s>(sets: &[Option<&'s Set>]) -> impl Iterator<Item = Member<'s>> + use<'s> {
    let (first, others) = sets.split_first().map_or((None, Vec::new()), |(first, others)| {
        let mut others: Vec<&Set> = others.iter().copied().flatten().collect();
        // What is in a large one is found soonest.
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        (*first, others)
    });
    let members = first.into_iter().flat_map(Set::iter);
    members.filter(move |member| !others.iter().any(|set| set.contains(member)))
}

fn write(reply: &mut Reply<'_>, members: &[Member<'_>]) {
    reply.set(members.len());
    members.iter().for_each(|member| reply.bulk(member));
}

/// Puts the result under a key, whatever that held, or takes the key away if there is none.
fn store(context: &mut Context<'_>, key: &[u8], result: Set, reply: &mut Reply<'_>) {
    reply.count(result.len());
    if result.is_empty() {
        context.keys.delete(key);
    } else {
        context.keys.set(key, result.into_value(), Expiry::Never);
    }
}

const NO_KEYS: Error = Error::new("ERR numkeys should be greater than 0");
const TOO_MANY_KEYS: Error = Error::new("ERR Number of keys can't be greater than number of args");
const NEGATIVE_LIMIT: Error = Error::new("ERR LIMIT can't be negative");
