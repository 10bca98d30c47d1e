//! `SLOWLOG`: the commands that took long.

use crate::error::Error;
use crate::server::commands::Call;
use crate::server::dispatch::Next;

/// Entries shown when no number is given.
const SHOWN: usize = 10;

/// `SLOWLOG GET [count]|LEN|RESET|HELP`
pub(super) fn slowlog(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let slowlog = &call.executor.shared.slowlog;
    if call.args.is(1, "GET") {
        if call.args.len() > 3 {
            return Err(call.misused_subcommand());
        }
        const RANGE: Error = Error::new("ERR count should be greater than or equal to -1");
        let count = match call.args.get(2) {
            None => SHOWN,
            Some(_) => match call.args.integer(2) {
                Ok(-1) => usize::MAX,
                Ok(count) => usize::try_from(count).map_err(|_| RANGE)?,
                Err(_) => return Err(RANGE),
            },
        };
        let entries = slowlog.newest(count);
        call.reply.array(entries.len());
        for entry in entries {
            call.reply.array(6);
            call.reply.integer(entry.id as i64);
            call.reply.integer(entry.at as i64);
            call.reply.integer(entry.micros as i64);
            call.reply.array(entry.words.len());
            entry.words.iter().for_each(|word| call.reply.bulk(word));
            call.reply.bulk(entry.address.as_bytes());
            call.reply.bulk(&entry.name);
        }
    } else if call.args.is(1, "LEN") {
        call.expect(2..=2)?;
        call.reply.count(slowlog.len());
    } else if call.args.is(1, "RESET") {
        call.expect(2..=2)?;
        slowlog.clear();
        call.reply.ok();
    } else if call.args.is(1, "HELP") {
        return call.help(&[
            "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "GET [<count>]",
            "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
            "    Entries are made of:",
            "    id, timestamp, time in microseconds, arguments array, client IP and port,",
            "    client name",
            "LEN",
            "    Return the length of the slowlog.",
            "RESET",
            "    Reset the slowlog.",
            "HELP",
            "    Print this help.",
        ]);
    } else {
        return Err(call.unknown_subcommand());
    }
    Ok(Next::Go)
}
