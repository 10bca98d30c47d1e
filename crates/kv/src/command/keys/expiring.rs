//! How long keys live: the families of `EXPIRE` and `TTL`.

use crate::command::Context;
use crate::command::expiry::Clock;
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::Millis;

pub(super) fn expire(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    live_until(context, args, Clock::SECONDS, "EXPIRE", reply)
}

pub(super) fn pexpire(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    live_until(context, args, Clock::MILLIS, "PEXPIRE", reply)
}

pub(super) fn expireat(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    live_until(context, args, Clock::SECONDS_AT, "EXPIREAT", reply)
}

pub(super) fn pexpireat(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    live_until(context, args, Clock::MILLIS_AT, "PEXPIREAT", reply)
}

/// When an existing time to live may be replaced.
#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    /// `NX`: only if there is none.
    none: bool,
    /// `XX`: only if there is one.
    some: bool,
    /// `GT`: only by a later one; none is the latest.
    later: bool,
    /// `LT`: only by an earlier one.
    earlier: bool,
}

impl Condition {
    fn parse(args: &Args<'_>) -> Result<Self, Error> {
        let mut condition = Self::default();
        for at in 3..args.len() {
            let option = [
                ("NX", &mut condition.none),
                ("XX", &mut condition.some),
                ("GT", &mut condition.later),
                ("LT", &mut condition.earlier),
            ];
            match option.into_iter().find(|(name, _)| args.is(at, name)) {
                Some((_, flag)) => *flag = true,
                None => {
                    let option = String::from_utf8_lossy(args.at(at));
                    return Err(Error::told(format!("ERR Unsupported option {option}")));
                }
            }
        }
        let Self { none, some, later, earlier } = condition;
        if none && (some || later || earlier) {
            return Err(Error::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if later && earlier {
            return Err(Error::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    fn allows(self, old: Option<Millis>, new: i64) -> bool {
        let old = old.map(|old| i64::try_from(old).unwrap_or(i64::MAX));
        !(self.none && old.is_some()
            || self.some && old.is_none()
            || self.later && old.is_none_or(|old| new <= old)
            || self.earlier && old.is_some_and(|old| new >= old))
    }
}

fn live_until(
    context: &mut Context<'_>,
    args: &Args<'_>,
    clock: Clock,
    name: &str,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let key = args.at(1);
    let condition = Condition::parse(args)?;
    let time = clock.time(args.at(2), context.now(), name)?;
    let allowed = context.keys.expiry(key).is_some_and(|old| condition.allows(old, time));
    if allowed {
        match Millis::try_from(time).ok().filter(|time| !context.keys.is_over(*time)) {
            Some(time) => {
                context.keys.set_expiry(key, Some(time));
                context.instead(&[b"PEXPIREAT", key, itoa::Buffer::new().format(time).as_bytes()]);
            }
            None => {
                context.keys.delete(key);
                context.instead(&[b"DEL", key]);
            }
        }
    }
    reply.flag(allowed);
    Ok(())
}

pub(super) fn persist(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let volatile = context.keys.expiry(args.at(1)).flatten().is_some();
    if volatile {
        context.keys.set_expiry(args.at(1), None);
    }
    reply.flag(volatile);
    Ok(())
}

pub(super) fn ttl(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    life(context, args, Clock::SECONDS, reply)
}

pub(super) fn pttl(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    life(context, args, Clock::MILLIS, reply)
}

pub(super) fn expiretime(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    life(context, args, Clock::SECONDS_AT, reply)
}

pub(super) fn pexpiretime(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    life(context, args, Clock::MILLIS_AT, reply)
}

/// -2 without the key, -1 without a time to live, else the time in the unit asked for, rounded.
fn life(context: &Context<'_>, args: &Args<'_>, clock: Clock, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.integer(match context.keys.expiry(args.at(1)) {
        None => -2,
        Some(None) => -1,
        Some(Some(time)) => clock.shown(time, context.now()),
    });
    Ok(())
}
