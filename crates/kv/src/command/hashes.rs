//! Commands on hashes.

mod numbers;
mod random;
#[cfg(test)]
mod tests;

use crate::command::{Context, Flags, Keys, Spec, scan};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, Hash};

pub(super) const COMMANDS: &[Spec] = {
    const READ: Flags = Flags::READ.and(Flags::FAST);
    const FREES: Flags = Flags::WRITE.and(Flags::FAST);
    const WRITE: Flags = FREES.and(Flags::GROWS);
    &[
        Spec::data("HDEL", -3, FREES, Keys::FIRST, hdel),
        Spec::data("HEXISTS", 3, READ, Keys::FIRST, hexists),
        Spec::data("HGET", 3, READ, Keys::FIRST, hget),
        Spec::data("HGETALL", 2, Flags::READ, Keys::FIRST, hgetall),
        Spec::data("HINCRBY", 4, WRITE, Keys::FIRST, numbers::hincrby),
        Spec::data("HINCRBYFLOAT", 4, WRITE, Keys::FIRST, numbers::hincrbyfloat),
        Spec::data("HKEYS", 2, Flags::READ, Keys::FIRST, hkeys),
        Spec::data("HLEN", 2, READ, Keys::FIRST, hlen),
        Spec::data("HMGET", -3, READ, Keys::FIRST, hmget),
        Spec::data("HMSET", -4, WRITE, Keys::FIRST, hmset),
        Spec::data("HRANDFIELD", -2, Flags::READ, Keys::FIRST, random::hrandfield),
        Spec::data("HSCAN", -3, Flags::READ, Keys::FIRST, hscan),
        Spec::data("HSET", -4, WRITE, Keys::FIRST, hset),
        Spec::data("HSETNX", 4, WRITE, Keys::FIRST, hsetnx),
        Spec::data("HSTRLEN", 3, READ, Keys::FIRST, hstrlen),
        Spec::data("HVALS", 2, Flags::READ, Keys::FIRST, hvals),
    ]
};

fn hdel(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let removed = context.keys.edit(args.at(1), |hash: &mut Hash| {
        let removed = args.from(2).iter().filter(|field| hash.remove(field)).count();
        Edited::when(removed > 0, removed)
    })?;
    reply.count(removed.unwrap_or(0));
    Ok(())
}

fn hexists(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.flag(value(context, args)?.is_some());
    Ok(())
}

fn hget(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.bulk_or_null(value(context, args)?);
    Ok(())
}

fn hstrlen(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.count(value(context, args)?.map_or(0, <[u8]>::len));
    Ok(())
}

/// The value of the field that the second word names, of the hash that the first names.
fn value<'c>(context: &'c mut Context<'_>, args: &Args<'_>) -> Result<Option<&'c [u8]>, Error> {
    Ok(context.keys.view::<Hash>(args.at(1))?.and_then(|hash| hash.get(args.at(2))))
}

fn hgetall(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let hash = context.keys.view::<Hash>(args.at(1))?;
    reply.map(hash.map_or(0, Hash::len));
    for (field, value) in hash.into_iter().flat_map(Hash::iter) {
        reply.bulk(field);
        reply.bulk(value);
    }
    Ok(())
}

fn hkeys(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let hash = context.keys.view::<Hash>(args.at(1))?;
    reply.array(hash.map_or(0, Hash::len));
    hash.into_iter().flat_map(Hash::iter).for_each(|(field, _)| reply.bulk(field));
    Ok(())
}

fn hvals(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let hash = context.keys.view::<Hash>(args.at(1))?;
    reply.array(hash.map_or(0, Hash::len));
    hash.into_iter().flat_map(Hash::iter).for_each(|(_, value)| reply.bulk(value));
    Ok(())
}

fn hlen(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.count(context.keys.view::<Hash>(args.at(1))?.map_or(0, Hash::len));
    Ok(())
}

fn hmget(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let hash = context.keys.view::<Hash>(args.at(1))?;
    let fields = args.from(2);
    reply.array(fields.len());
    fields.iter().for_each(|field| reply.bulk_or_null(hash.and_then(|hash| hash.get(field))));
    Ok(())
}

fn hset(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.count(set_pairs(context, args, "HSET")?);
    Ok(())
}

fn hmset(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    set_pairs(context, args, "HMSET")?;
    reply.ok();
    Ok(())
}

/// Returns how many of the fields are new.
fn set_pairs(context: &mut Context<'_>, args: &Args<'_>, name: &str) -> Result<usize, Error> {
    let pairs = args.from(2);
    if !pairs.len().is_multiple_of(2) {
        return Err(Error::arity(name));
    }
    context.keys.edit_or_new(args.at(1), |hash: &mut Hash| {
        let places = (0..pairs.len()).step_by(2);
        Edited::Changed(places.filter(|at| hash.insert(pairs.at(*at), pairs.at(at + 1))).count())
    })
}

fn hsetnx(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (field, value) = (args.at(2), args.at(3));
    let set = context.keys.edit_or_new(args.at(1), |hash: &mut Hash| {
        let free = !hash.contains(field);
        if free {
            hash.insert(field, value);
        }
        Edited::when(free, free)
    })?;
    reply.flag(set);
    Ok(())
}

fn hscan(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let cursor = scan::cursor(args.at(2))?;
    let Some(hash) = context.keys.view::<Hash>(args.at(1))? else {
        scan::answer_nothing(reply);
        return Ok(());
    };
    let options = scan::Options::parse(args, 3, false)?;
    scan::answer(reply, |reply| {
        let mut length = 0;
        let next = hash.scan(cursor, options.count, |field, value| {
            if options.wants(field) {
                length += 2;
                reply.bulk(field);
                reply.bulk(value);
            }
        });
        (next, length)
    });
    Ok(())
}
