//! Commands on all keys of a database: `KEYS`, `SCAN`, `RANDOMKEY`, `DBSIZE`, `FLUSHDB`, `FLUSHALL`.

use crate::command::{Context, glob, scan};
use crate::error::Error;
use crate::resp::{Args, Reply};

/// Keys visited at a time where all are.
const STRIDE: usize = 1024;

pub(super) fn dbsize(context: &mut Context<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.count(context.keys.len());
    Ok(())
}

pub(super) fn keys(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let pattern = args.at(1);
    reply.array_of(|reply| {
        let (mut found, mut cursor) = (0, 0);
        loop {
            cursor = context.keys.scan(cursor, STRIDE, |key, _| {
                if glob::matches(pattern, key) {
                    found += 1;
                    reply.bulk(key);
                }
            });
            if cursor == 0 {
                return found;
            }
        }
    });
    Ok(())
}

pub(super) fn scan(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let cursor = scan::cursor(args.at(1))?;
    let options = scan::Options::parse(args, 2, true)?;
    scan::answer(reply, |reply| {
        let mut found = 0;
        let next = context.keys.scan(cursor, options.count, |key, value| {
            let kind = value.type_name().as_bytes();
            if options.kind.is_none_or(|wanted| wanted.eq_ignore_ascii_case(kind)) && options.wants(key) {
                found += 1;
                reply.bulk(key);
            }
        });
        (next, found)
    });
    Ok(())
}

pub(super) fn randomkey(context: &mut Context<'_>, _: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let key = context.keys.random_key(context.rng);
    reply.bulk_or_null(key.as_deref());
    Ok(())
}

pub(super) fn flushdb(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let db = context.keys.db();
    flush(context, args, Some(db), reply)
}

pub(super) fn flushall(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    flush(context, args, None, reply)
}

/// `ASYNC` and `SYNC` are the same: the memory is freed elsewhere in both cases.
fn flush(
    context: &mut Context<'_>,
    args: &Args<'_>,
    db: Option<u8>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    if args.len() > 2 || (args.len() == 2 && !args.is(1, "ASYNC") && !args.is(1, "SYNC")) {
        return Err(Error::SYNTAX);
    }
    context.keys.flush(db);
    reply.ok();
    Ok(())
}
