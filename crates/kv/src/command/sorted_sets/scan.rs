//! `ZSCAN`: goes through a sorted set in steps.

use crate::command::{Context, scan};
use crate::error::Error;
use crate::resp::{Args, Reply, write_float};
use crate::store::SortedSet;

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn zscan(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let cursor = scan::cursor(args.at(2))?;
    let Some(set) = context.keys.view::<SortedSet>(args.at(1))? else {
        scan::answer_nothing(reply);
        return Ok(());
    };
    let options = scan::Options::parse(args, 3, false)?;
    scan::answer(reply, |reply| {
        let (mut words, mut text) = (0, Vec::new());
        let next = set.scan(cursor, options.count, |member, score| {
            if options.wants(member) {
                reply.bulk(member);
                // Scores are bytes here in RESP3 as well.
                text.clear();
                write_float(&mut text, score);
                reply.bulk(&text);
                words += 2;
            }
        });
        (next, words)
    });
    Ok(())
}
