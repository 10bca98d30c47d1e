//! `OBJECT`: how a key's value is kept, as Redis would keep it, and how it is used.

use crate::command::{Context, Settings};
use crate::error::Error;
use crate::resp::{Args, Reply, parse_integer};
use crate::store::Value;

pub(super) fn object(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let name = args.at(1);
    if name.eq_ignore_ascii_case(b"HELP") && args.len() == 2 {
        reply.array(HELP.len());
        HELP.iter().for_each(|line| reply.status(line));
        return Ok(());
    }
    let subcommands = ["ENCODING", "FREQ", "HELP", "IDLETIME", "REFCOUNT"];
    let Some(subcommand) = subcommands.into_iter().find(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    else {
        let name = String::from_utf8_lossy(name);
        return Err(Error::told(format!("ERR unknown subcommand '{name}'. Try OBJECT HELP.")));
    };
    if subcommand == "HELP" || args.len() != 3 {
        return Err(Error::arity(&format!("object|{subcommand}")));
    }
    let key = args.at(2);
    let Some(value) = context.keys.peek(key) else {
        reply.null();
        return Ok(());
    };
    let (idle, frequency) = context.keys.usage(key).unwrap_or_default();
    match subcommand {
        "ENCODING" => reply.bulk(encoding(value, context.settings).as_bytes()),
        "FREQ" if !context.settings.counts_frequency => return Err(NO_FREQUENCY),
        "FREQ" => reply.integer(frequency.into()),
        "IDLETIME" if context.settings.counts_frequency => return Err(NO_IDLE_TIME),
        "IDLETIME" => reply.integer(i64::try_from(idle / 1000).unwrap_or(i64::MAX)),
        _ => reply.integer(1),
    }
    Ok(())
}

/// The name of the representation that Redis 7.0 would have chosen.
fn encoding(value: &Value, settings: &Settings) -> &'static str {
    // Redis keeps strings of so many bytes in one allocation with their head.
    const EMBEDDED: usize = 44;
    match value {
        Value::Text(text) if parse_integer(text.as_bytes()).is_some() => "int",
        Value::Text(text) if text.len() <= EMBEDDED => "embstr",
        Value::Text(_) => "raw",
        Value::List(_) => "quicklist",
        Value::Hash(hash) if hash.is_within(settings.hash_compact) => "listpack",
        Value::Hash(_) => "hashtable",
        Value::Set(set) => set.encoding(settings.intset),
        Value::SortedSet(sorted) if sorted.is_within(settings.sorted_set_compact) => "listpack",
        Value::SortedSet(_) => "skiplist",
    }
}

const NO_FREQUENCY: Error = Error::new(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
     between policies at runtime LRU and LFU data will take some time to adjust.",
);
const NO_IDLE_TIME: Error = Error::new(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
     policies at runtime LRU and LFU data will take some time to adjust.",
);

const HELP: [&str; 15] = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Prints this help.",
];
