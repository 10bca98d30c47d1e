//! `SET` with all its options, the older commands it has replaced, and `GETEX`.

use crate::command::Context;
use crate::command::expiry::Clock;
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Expiry, Text};

/// What `SET` and `GETEX` may be told.
#[derive(Debug)]
struct Options<'a> {
    /// `XX`: only if the key exists; `NX`: only if not.
    existing: Option<bool>,
    /// `GET`: the old value is the answer.
    old: bool,
    life: Life<'a>,
}

/// What becomes of the time to live.
#[derive(Debug, PartialEq, Eq)]
enum Life<'a> {
    Unsaid,
    /// `KEEPTTL`
    Keep,
    /// `PERSIST`
    Endless,
    Until(Clock, &'a [u8]),
}

/// Which of the two commands the options belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Set,
    Getex,
}

impl<'a> Options<'a> {
    fn parse(args: &Args<'a>, of: Of) -> Result<Self, Error> {
        let mut options = Options { existing: None, old: false, life: Life::Unsaid };
        let mut at = if of == Of::Set { 3 } else { 2 };
        while at < args.len() {
            let unsaid = options.life == Life::Unsaid;
            if of == Of::Set && args.is(at, "NX") && options.existing != Some(true) {
                options.existing = Some(false);
            } else if of == Of::Set && args.is(at, "XX") && options.existing != Some(false) {
                options.existing = Some(true);
            } else if of == Of::Set && args.is(at, "GET") {
                options.old = true;
            } else if of == Of::Set && args.is(at, "KEEPTTL") && (unsaid || options.life == Life::Keep) {
                options.life = Life::Keep;
            } else if of == Of::Getex && args.is(at, "PERSIST") && (unsaid || options.life == Life::Endless) {
                options.life = Life::Endless;
            } else {
                let clock = clock(args.at(at)).ok_or(Error::SYNTAX)?;
                at += 1;
                let number = args.get(at).ok_or(Error::SYNTAX)?;
                // The same option again is no contradiction; the last counts.
                if !unsaid && !matches!(options.life, Life::Until(other, _) if other == clock) {
                    return Err(Error::SYNTAX);
                }
                options.life = Life::Until(clock, number);
            }
            at += 1;
        }
        Ok(options)
    }
}

fn clock(option: &[u8]) -> Option<Clock> {
    let options = [
        ("EX", Clock::SECONDS),
        ("PX", Clock::MILLIS),
        ("EXAT", Clock::SECONDS_AT),
        ("PXAT", Clock::MILLIS_AT),
    ];
    options.into_iter().find(|(name, _)| option.eq_ignore_ascii_case(name.as_bytes())).map(|(_, clock)| clock)
}

pub(super) fn set(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (key, value) = (args.at(1), args.at(2));
    if args.len() == 3 {
        context.keys.set(key, Text::new(value), Expiry::Never);
        reply.ok();
        return Ok(());
    }
    let options = Options::parse(args, Of::Set)?;
    let expiry = match options.life {
        Life::Keep => Expiry::Keep,
        Life::Until(clock, number) => Expiry::At(clock.time_ahead(number, context.now(), "SET")?),
        Life::Unsaid | Life::Endless => Expiry::Never,
    };
    if options.old {
        reply.bulk_or_null(context.keys.view::<Text>(key)?.map(Text::as_bytes));
    }
    if options.existing.is_some_and(|wanted| wanted != context.keys.contains(key)) {
        if !options.old {
            reply.null();
        }
        return Ok(());
    }
    put(context, key, value, expiry);
    if !options.old {
        reply.ok();
    }
    Ok(())
}

/// Sets a key, and tells replicas when it expires instead of how long it lives. What is over already is not set: it would
/// be gone when it is looked at next, but stay at replicas that are told of it too late.
fn put(context: &mut Context<'_>, key: &[u8], value: &[u8], expiry: Expiry) {
    if let Expiry::At(time) = expiry
        && context.keys.is_over(time)
    {
        context.keys.delete(key);
        context.instead(&[b"DEL", key]);
        return;
    }
    context.keys.set(key, Text::new(value), expiry);
    if let Expiry::At(time) = expiry {
        context.instead(&[b"SET", key, value, b"PXAT", itoa::Buffer::new().format(time).as_bytes()]);
    }
}

pub(super) fn setex(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    set_for(context, args, Clock::SECONDS, "SETEX", reply)
}

pub(super) fn psetex(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    set_for(context, args, Clock::MILLIS, "PSETEX", reply)
}

fn set_for(
    context: &mut Context<'_>,
    args: &Args<'_>,
    clock: Clock,
    name: &str,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let time = clock.time_ahead(args.at(2), context.now(), name)?;
    put(context, args.at(1), args.at(3), Expiry::At(time));
    reply.ok();
    Ok(())
}

pub(super) fn setnx(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let free = !context.keys.contains(args.at(1));
    if free {
        context.keys.set(args.at(1), Text::new(args.at(2)), Expiry::Never);
    }
    reply.flag(free);
    Ok(())
}

pub(super) fn getset(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let key = args.at(1);
    reply.bulk_or_null(context.keys.view::<Text>(key)?.map(Text::as_bytes));
    context.keys.set(key, Text::new(args.at(2)), Expiry::Never);
    Ok(())
}

pub(super) fn getex(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let options = Options::parse(args, Of::Getex)?;
    let now = context.now();
    let Some(text) = context.keys.view::<Text>(key)? else {
        reply.null();
        return Ok(());
    };
    reply.bulk(text.as_bytes());
    match options.life {
        Life::Until(clock, number) => {
            let time = clock.time_ahead(number, now, "GETEX")?;
            if context.keys.is_over(time) {
                context.keys.delete(key);
                context.instead(&[b"DEL", key]);
            } else {
                context.keys.set_expiry(key, Some(time));
                context.instead(&[b"PEXPIREAT", key, itoa::Buffer::new().format(time).as_bytes()]);
            }
        }
        Life::Endless if context.keys.expiry(key).flatten().is_some() => {
            context.keys.set_expiry(key, None);
            context.instead(&[b"PERSIST", key]);
        }
        Life::Unsaid | Life::Keep | Life::Endless => {}
    }
    Ok(())
}
