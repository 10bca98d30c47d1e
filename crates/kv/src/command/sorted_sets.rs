//! Commands on sorted sets.

mod add;
mod combine;
mod interval;
mod look;
mod pop;
mod range;
mod scan;
#[cfg(test)]
mod tests;

use crate::command::{Flags, Keys, Spec};
use crate::resp::{Protocol, Reply};

pub(super) const COMMANDS: &[Spec] = {
    const READ: Flags = Flags::READ;
    const LOOK: Flags = Flags::READ.and(Flags::FAST);
    const ADD: Flags = Flags::WRITE.and(Flags::GROWS).and(Flags::FEEDS);
    const REMOVE: Flags = Flags::WRITE;
    const POP: Flags = Flags::WRITE.and(Flags::FAST);
    const AWAIT: Flags = Flags::WRITE.and(Flags::BLOCKING);
    const SOURCES: Keys = Keys::Counted { count: 1, also: None };
    const STORED: Keys = Keys::Counted { count: 2, also: Some(1) };
    &[
        Spec::data("BZMPOP", -5, AWAIT, Keys::Counted { count: 2, also: None }, pop::bzmpop),
        Spec::data("BZPOPMAX", -3, AWAIT.and(Flags::FAST), Keys::BUT_LAST, pop::bzpopmax),
        Spec::data("BZPOPMIN", -3, AWAIT.and(Flags::FAST), Keys::BUT_LAST, pop::bzpopmin),
        Spec::data("ZADD", -4, ADD.and(Flags::FAST), Keys::FIRST, add::zadd),
        Spec::data("ZCARD", 2, LOOK, Keys::FIRST, look::zcard),
        Spec::data("ZCOUNT", 4, LOOK, Keys::FIRST, look::zcount),
        Spec::data("ZDIFF", -3, READ, SOURCES, combine::zdiff),
        Spec::data("ZDIFFSTORE", -4, ADD, STORED, combine::zdiffstore),
        Spec::data("ZINCRBY", 4, ADD.and(Flags::FAST), Keys::FIRST, add::zincrby),
        Spec::data("ZINTER", -3, READ, SOURCES, combine::zinter),
        Spec::data("ZINTERCARD", -3, READ, SOURCES, combine::zintercard),
        Spec::data("ZINTERSTORE", -4, ADD, STORED, combine::zinterstore),
        Spec::data("ZLEXCOUNT", 4, LOOK, Keys::FIRST, look::zlexcount),
        Spec::data("ZMPOP", -4, REMOVE, SOURCES, pop::zmpop),
        Spec::data("ZMSCORE", -3, LOOK, Keys::FIRST, look::zmscore),
        Spec::data("ZPOPMAX", -2, POP, Keys::FIRST, pop::zpopmax),
        Spec::data("ZPOPMIN", -2, POP, Keys::FIRST, pop::zpopmin),
        Spec::data("ZRANDMEMBER", -2, READ, Keys::FIRST, look::zrandmember),
        Spec::data("ZRANGE", -4, READ, Keys::FIRST, range::zrange),
        Spec::data("ZRANGEBYLEX", -4, READ, Keys::FIRST, range::zrangebylex),
        Spec::data("ZRANGEBYSCORE", -4, READ, Keys::FIRST, range::zrangebyscore),
        Spec::data("ZRANGESTORE", -5, ADD, Keys::TWO, range::zrangestore),
        Spec::data("ZRANK", -3, LOOK, Keys::FIRST, look::zrank),
        Spec::data("ZREM", -3, POP, Keys::FIRST, add::zrem),
        Spec::data("ZREMRANGEBYLEX", 4, REMOVE, Keys::FIRST, range::zremrangebylex),
        Spec::data("ZREMRANGEBYRANK", 4, REMOVE, Keys::FIRST, range::zremrangebyrank),
        Spec::data("ZREMRANGEBYSCORE", 4, REMOVE, Keys::FIRST, range::zremrangebyscore),
        Spec::data("ZREVRANGE", -4, READ, Keys::FIRST, range::zrevrange),
        Spec::data("ZREVRANGEBYLEX", -4, READ, Keys::FIRST, range::zrevrangebylex),
        Spec::data("ZREVRANGEBYSCORE", -4, READ, Keys::FIRST, range::zrevrangebyscore),
        Spec::data("ZREVRANK", -3, LOOK, Keys::FIRST, look::zrevrank),
        Spec::data("ZSCAN", -3, READ, Keys::FIRST, scan::zscan),
        Spec::data("ZSCORE", 3, LOOK, Keys::FIRST, look::zscore),
        Spec::data("ZUNION", -3, READ, SOURCES, combine::zunion),
        Spec::data("ZUNIONSTORE", -4, ADD, STORED, combine::zunionstore),
    ]
};

/// Writes members, alone or with their scores: alternating in RESP2, as pairs in RESP3.
fn write<M: AsRef<[u8]>>(
    reply: &mut Reply<'_>,
    members: impl ExactSizeIterator<Item = (M, f64)>,
    with_scores: bool,
) {
    match (with_scores, reply.protocol()) {
        (true, Protocol::Resp3) => write_pairs(reply, members),
        (true, Protocol::Resp2) => {
            reply.array(members.len() * 2);
            write_each(reply, members);
        }
        (false, _) => {
            reply.array(members.len());
            members.for_each(|(member, _)| reply.bulk(member.as_ref()));
        }
    }
}

/// Writes members with their scores as pairs.
fn write_pairs<M: AsRef<[u8]>>(reply: &mut Reply<'_>, members: impl ExactSizeIterator<Item = (M, f64)>) {
    reply.array(members.len());
    for (member, score) in members {
        reply.array(2);
        reply.bulk(member.as_ref());
        reply.double(score);
    }
}

/// Writes members and scores in turn, into an array that was begun.
fn write_each<M: AsRef<[u8]>>(reply: &mut Reply<'_>, members: impl Iterator<Item = (M, f64)>) {
    for (member, score) in members {
        reply.bulk(member.as_ref());
        reply.double(score);
    }
}
