//! Commands on keys, whatever they hold.

mod expiring;
mod object;
mod places;
mod scanning;
mod sort;
#[cfg(test)]
mod tests;

use crate::command::{Context, Flags, Keys, Spec};
use crate::error::Error;
use crate::resp::{Args, Reply};

pub(super) const COMMANDS: &[Spec] = {
    const READ: Flags = Flags::READ.and(Flags::FAST);
    const WRITE: Flags = Flags::WRITE.and(Flags::FAST);
    // A list that comes to stand under another key is one that somebody may wait for there.
    const FEEDS: Flags = Flags::WRITE.and(Flags::FEEDS);
    &[
        Spec::data("COPY", -3, FEEDS.and(Flags::GROWS), Keys::All, places::copy).naming(Keys::TWO),
        Spec::data("DBSIZE", 1, READ, Keys::All, scanning::dbsize),
        Spec::data("DEL", -2, Flags::WRITE, Keys::REST, del),
        Spec::data("EXISTS", -2, READ, Keys::REST, exists),
        Spec::data("EXPIRE", -3, WRITE, Keys::FIRST, expiring::expire),
        Spec::data("EXPIREAT", -3, WRITE, Keys::FIRST, expiring::expireat),
        Spec::data("EXPIRETIME", 2, READ, Keys::FIRST, expiring::expiretime),
        Spec::data("FLUSHALL", -1, Flags::WRITE, Keys::All, scanning::flushall),
        Spec::data("FLUSHDB", -1, Flags::WRITE, Keys::All, scanning::flushdb),
        Spec::data("KEYS", 2, Flags::READ, Keys::All, scanning::keys),
        Spec::data("MOVE", 3, FEEDS.and(Flags::FAST), Keys::All, places::move_key).naming(Keys::FIRST),
        Spec::data("OBJECT", -2, Flags::READ, Keys::Range { first: 2, last: 2, step: 1 }, object::object),
        Spec::data("PERSIST", 2, WRITE, Keys::FIRST, expiring::persist),
        Spec::data("PEXPIRE", -3, WRITE, Keys::FIRST, expiring::pexpire),
        Spec::data("PEXPIREAT", -3, WRITE, Keys::FIRST, expiring::pexpireat),
        Spec::data("PEXPIRETIME", 2, READ, Keys::FIRST, expiring::pexpiretime),
        Spec::data("PTTL", 2, READ, Keys::FIRST, expiring::pttl),
        Spec::data("RANDOMKEY", 1, Flags::READ, Keys::All, scanning::randomkey),
        Spec::data("RENAME", 3, FEEDS, Keys::TWO, places::rename),
        Spec::data("RENAMENX", 3, FEEDS.and(Flags::FAST), Keys::TWO, places::renamenx),
        Spec::data("SCAN", -2, Flags::READ, Keys::All, scanning::scan),
        Spec::data("SORT", -2, FEEDS.and(Flags::GROWS), Keys::All, sort::sort).naming(Keys::FIRST),
        Spec::data("SORT_RO", -2, Flags::READ, Keys::All, sort::sort_ro).naming(Keys::FIRST),
        Spec::data("TOUCH", -2, READ, Keys::REST, touch),
        Spec::data("TTL", 2, READ, Keys::FIRST, expiring::ttl),
        Spec::data("TYPE", 2, READ, Keys::FIRST, type_name),
        Spec::data("UNLINK", -2, WRITE, Keys::REST, del),
    ]
};

/// `DEL` and `UNLINK`: what is large is freed elsewhere in both cases.
fn del(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let count = args.from(1).iter().filter(|key| context.keys.delete(key)).count();
    reply.count(count);
    Ok(())
}

fn exists(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.count(args.from(1).iter().filter(|key| context.keys.contains(key)).count());
    Ok(())
}

fn touch(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let count = args.from(1).iter().filter(|key| context.keys.value(key).is_some()).count();
    reply.count(count);
    Ok(())
}

fn type_name(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.status(context.keys.peek(args.at(1)).map_or("none", |value| value.type_name()));
    Ok(())
}
