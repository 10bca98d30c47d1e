//! `CONFIG`: looks at parameters and changes them.

use std::sync::Arc;

use crate::error::Error;
use crate::server::commands::Call;
use crate::server::config::Config;
use crate::server::dispatch::Next;

/// `CONFIG GET|SET|RESETSTAT|REWRITE|HELP`
pub(super) fn config(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let args = call.args;
    if args.is(1, "GET") {
        call.expect(3..)?;
        let found = call.executor.config.matching((2..args.len()).map(|at| args.at(at)));
        call.reply.map(found.len());
        for (name, value) in found {
            call.reply.bulk(name.as_bytes());
            call.reply.bulk(value.as_bytes());
        }
    } else if args.is(1, "SET") {
        call.expect(4..)?;
        if !args.len().is_multiple_of(2) {
            return Err(Error::arity("config|set"));
        }
        let pairs: Vec<_> = (2..args.len()).step_by(2).map(|at| (args.at(at), args.at(at + 1))).collect();
        set(call, &pairs)?;
        call.reply.ok();
    } else if args.is(1, "RESETSTAT") {
        call.expect(2..=2)?;
        call.executor.shared.stats.reset();
        call.executor.shared.primary.reset_totals();
        call.each_shard(|shard| shard.reset_counters());
        call.reply.ok();
    } else if args.is(1, "REWRITE") {
        call.expect(2..=2)?;
        return Err(Error::new("ERR The server is running without a config file"));
    } else if args.is(1, "HELP") {
        return call.help(&[
            "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "GET <pattern>",
            "    Return parameters matching the glob-like <pattern> and their values.",
            "SET <directive> <value>",
            "    Set the configuration <directive> to <value>.",
            "RESETSTAT",
            "    Reset statistics reported by the INFO command.",
            "HELP",
            "    Print this help.",
        ]);
    } else {
        return Err(call.unknown_subcommand());
    }
    Ok(Next::Go)
}

fn set(call: &mut Call<'_, '_, '_>, pairs: &[(&[u8], &[u8])]) -> Result<(), Error> {
    let shared = Arc::clone(&call.executor.shared);
    let before = call.executor.config.clone();
    let after = shared.configs.change(|config| config.with(pairs))?;
    call.executor.refresh();
    shared.follow_config(&after);
    if before.policy != after.policy {
        let Config { policy, .. } = *after;
        let mut more = 0;
        call.each_shard(|shard| {
            let used = shard.used();
            shard.set_policy(policy);
            more += shard.used() as isize - used as isize;
        });
        // What a transaction has changed is counted at its end.
        if call.held.is_none() {
            call.executor.unreported += more;
        }
    }
    Ok(())
}
