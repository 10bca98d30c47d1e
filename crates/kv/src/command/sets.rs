//! Commands on sets.

mod combine;
mod draw;
#[cfg(test)]
mod tests;

use crate::command::{Context, Flags, Keys, Spec, scan};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, Set};

pub(super) const COMMANDS: &[Spec] = {
    const READ: Flags = Flags::READ;
    const WRITE: Flags = Flags::WRITE;
    const STORE: Flags = WRITE.and(Flags::GROWS);
    const FAST: Flags = Flags::FAST;
    const COUNTED: Keys = Keys::Counted { count: 1, also: None };
    &[
        Spec::data("SADD", -3, STORE.and(FAST), Keys::FIRST, sadd),
        Spec::data("SCARD", 2, READ.and(FAST), Keys::FIRST, scard),
        Spec::data("SDIFF", -2, READ, Keys::REST, combine::sdiff),
        Spec::data("SDIFFSTORE", -3, STORE, Keys::REST, combine::sdiffstore),
        Spec::data("SINTER", -2, READ, Keys::REST, combine::sinter),
        Spec::data("SINTERCARD", -3, READ, COUNTED, combine::sintercard),
        Spec::data("SINTERSTORE", -3, STORE, Keys::REST, combine::sinterstore),
        Spec::data("SISMEMBER", 3, READ.and(FAST), Keys::FIRST, sismember),
        Spec::data("SMEMBERS", 2, READ, Keys::FIRST, smembers),
        Spec::data("SMISMEMBER", -3, READ.and(FAST), Keys::FIRST, smismember),
        Spec::data("SMOVE", 4, WRITE.and(FAST), Keys::TWO, smove),
        Spec::data("SPOP", -2, WRITE.and(FAST), Keys::FIRST, draw::spop),
        Spec::data("SRANDMEMBER", -2, READ, Keys::FIRST, draw::srandmember),
        Spec::data("SREM", -3, WRITE.and(FAST), Keys::FIRST, srem),
        Spec::data("SSCAN", -3, READ, Keys::FIRST, sscan),
        Spec::data("SUNION", -2, READ, Keys::REST, combine::sunion),
        Spec::data("SUNIONSTORE", -3, STORE, Keys::REST, combine::sunionstore),
    ]
};

/// `SADD key member [member …]`
fn sadd(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let added = context.keys.edit_or_new(args.at(1), |set: &mut Set| {
        let added = args.from(2).iter().filter(|member| set.insert(member)).count();
        Edited::when(added > 0, added)
    })?;
    reply.count(added);
    Ok(())
}

/// `SREM key member [member …]`
fn srem(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let removed = context.keys.edit(args.at(1), |set: &mut Set| {
        let removed = args.from(2).iter().filter(|member| set.remove(member)).count();
        Edited::when(removed > 0, removed)
    })?;
    reply.count(removed.unwrap_or(0));
    Ok(())
}

/// `SCARD key`
fn scard(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.count(context.keys.view::<Set>(args.at(1))?.map_or(0, Set::len));
    Ok(())
}

/// `SISMEMBER key member`
fn sismember(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.flag(context.keys.view::<Set>(args.at(1))?.is_some_and(|set| set.contains(args.at(2))));
    Ok(())
}

/// `SMISMEMBER key member [member …]`
fn smismember(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (set, members) = (context.keys.view::<Set>(args.at(1))?, args.from(2));
    reply.array(members.len());
    members.iter().for_each(|member| reply.flag(set.is_some_and(|set| set.contains(member))));
    Ok(())
}

/// `SMEMBERS key`
fn smembers(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let set = context.keys.view::<Set>(args.at(1))?;
    reply.set(set.map_or(0, Set::len));
    set.into_iter().flat_map(Set::iter).for_each(|member| reply.bulk(&member));
    Ok(())
}

/// `SMOVE source destination member`
fn smove(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (source, destination, member) = (args.at(1), args.at(2), args.at(3));
    let moves = match context.keys.get::<Set>(source)? {
        None => false,
        Some(set) => {
            // Nothing is taken before it is sure that it can be put.
            context.keys.get::<Set>(destination)?;
            set.contains(member)
        }
    };
    if moves && source != destination {
        context.keys.edit(source, |set: &mut Set| Edited::when(set.remove(member), ()))?;
        context.keys.edit_or_new(destination, |set: &mut Set| Edited::when(set.insert(member), ()))?;
    }
    reply.flag(moves);
    Ok(())
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
fn sscan(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let cursor = scan::cursor(args.at(2))?;
    let Some(set) = context.keys.view::<Set>(args.at(1))? else {
        scan::answer_nothing(reply);
        return Ok(());
    };
    let options = scan::Options::parse(args, 3, false)?;
    scan::answer(reply, |reply| {
        let mut found = 0;
        let next = set.scan(cursor, options.count, |member| {
            if options.wants(member) {
                reply.bulk(member);
                found += 1;
            }
        });
        (next, found)
    });
    Ok(())
}
