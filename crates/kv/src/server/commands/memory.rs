//! `MEMORY` and `SWAPDB`: what the data take, and all of two databases at once.

use crate::error::Error;
use crate::server::commands::Call;
use crate::server::commands::connection::database;
use crate::server::dispatch::Next;
use crate::server::process;
use crate::store::DATABASES;

/// `MEMORY USAGE key [SAMPLES count]|STATS|PURGE|DOCTOR|HELP`
pub(super) fn memory(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let args = call.args;
    if args.is(1, "USAGE") {
        call.expect(3..)?;
        match args.len() {
            3 => {}
            // Every value knows what it takes, so nothing has to be sampled.
            5 if args.is(3, "SAMPLES") => {
                if args.integer(4)? < 0 {
                    return Err(Error::SYNTAX);
                }
            }
            _ => return Err(Error::SYNTAX),
        }
        match call.with_key(args.at(2), |keys| keys.memory(args.at(2))) {
            Some(bytes) => call.reply.count(bytes),
            None => call.reply.null(),
        }
    } else if args.is(1, "STATS") {
        call.expect(2..=2)?;
        stats(call);
    } else if args.is(1, "PURGE") {
        call.expect(2..=2)?;
        // The allocator gives memory back by itself, in the background.
        call.reply.ok();
    } else if args.is(1, "DOCTOR") {
        call.expect(2..=2)?;
        call.reply.verbatim("Everything that is stored is counted when it is stored; see MEMORY STATS.\n");
    } else if args.is(1, "HELP") {
        return call.help(&[
            "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "PURGE",
            "    Attempt to purge dirty pages for reclamation by the allocator.",
            "STATS",
            "    Return information about the memory usage of the server.",
            "USAGE <key> [SAMPLES <count>]",
            "    Return memory in bytes used by <key> and its value.",
            "HELP",
            "    Print this help.",
        ]);
    } else {
        return Err(call.unknown_subcommand());
    }
    Ok(Next::Go)
}

fn stats(call: &mut Call<'_, '_, '_>) {
    let (mut used, mut slack, mut keys) = (0, 0, 0);
    call.each_shard(|shard| {
        used += shard.used();
        slack += shard.slack();
        keys += (0..DATABASES).map(|db| shard.len(db)).sum::<usize>();
    });
    let backlog = call.executor.shared.primary.backlog.figures().memory;
    let resident = process::resident();
    let peak = call.executor.shared.memory.peak().max(used);
    let figures = [
        ("peak.allocated", peak),
        ("total.allocated", used),
        ("replication.backlog", backlog),
        ("keys.count", keys),
        ("keys.bytes-per-key", used.checked_div(keys).unwrap_or(0)),
        ("dataset.bytes", used),
        ("allocator.slack", slack),
        ("resident", resident),
    ];
    call.reply.map(figures.len());
    for (name, figure) in figures {
        call.reply.bulk(name.as_bytes());
        call.reply.count(figure);
    }
}

/// `SWAPDB one other`
pub(super) fn swap_databases(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let index = |at: usize, which: &str| {
        let number =
            call.args.integer(at).map_err(|_| Error::told(format!("ERR invalid {which} DB index")))?;
        database(number).ok_or(Error::new("ERR DB index is out of range"))
    };
    let (one, other) = (index(1, "first")?, index(2, "second")?);
    let shared = call.executor.shared.clone();
    match &mut call.held {
        Some(keys) => keys.swap_databases(one, other),
        None => {
            let mut keys = shared.store.hold_all(one, call.executor.now);
            keys.swap_databases(one, other);
            shared.primary.backlog.append(call.session.db, call.args.iter());
            drop(keys);
            call.executor.counters.changes.add(1);
        }
    }
    call.reply.ok();
    if call.held.is_none() && shared.blocking.count() > 0 {
        // Those who wait in one of them may find something now.
        let keys = [one, other].into_iter();
        let fed = keys.flat_map(|db| shared.blocking.keys(db).into_iter().map(move |key| (db, key)));
        call.executor.serve(fed.collect());
    }
    Ok(Next::Go)
}
