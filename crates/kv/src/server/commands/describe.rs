//! `COMMAND`: what commands there are and what they are like.

use crate::command::{Action, Flags, Keys, Spec, glob};
use crate::error::Error;
use crate::resp::Reply;
use crate::server::commands::Call;
use crate::server::dispatch::Next;

/// `COMMAND [COUNT|LIST|INFO|DOCS|GETKEYS|HELP …]`
pub(super) fn command(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let (args, table) = (call.args, call.executor.table);
    if args.len() == 1 {
        call.reply.array(table.len());
        table.iter().for_each(|spec| describe(spec, call.reply));
    } else if args.is(1, "COUNT") {
        call.expect(2..=2)?;
        call.reply.count(table.len());
    } else if args.is(1, "INFO") {
        if args.len() == 2 {
            call.reply.array(table.len());
            table.iter().for_each(|spec| describe(spec, call.reply));
        } else {
            call.reply.array(args.len() - 2);
            for name in args.iter().skip(2) {
                match table.find(name) {
                    Some((_, spec)) => describe(spec, call.reply),
                    None => call.reply.null(),
                }
            }
        }
    } else if args.is(1, "LIST") {
        list(call)?;
    } else if args.is(1, "DOCS") {
        // Clients take these for hints, and do without.
        call.reply.map(0);
    } else if args.is(1, "GETKEYS") {
        call.expect(4..)?;
        let words = args.from(2);
        let (_, spec) = table.find(words.at(0)).ok_or(Error::new("ERR Invalid command specified"))?;
        if matches!(spec.named, Keys::None | Keys::All) {
            return Err(Error::new("ERR The command has no key arguments"));
        }
        let positions: Vec<usize> = spec.named.positions(&words).collect();
        if !spec.takes(words.len()) {
            return Err(Error::new("ERR Invalid number of arguments specified for command"));
        }
        if positions.is_empty() {
            return Err(Error::new("ERR Invalid arguments specified for command"));
        }
        call.reply.array(positions.len());
        positions.iter().for_each(|at| call.reply.bulk(words.at(*at)));
    } else if args.is(1, "HELP") {
        return call.help(&[
            "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "(no subcommand)",
            "    Return details about all Redis commands.",
            "COUNT",
            "    Return the total number of commands in this Redis server.",
            "LIST",
            "    Return a list of all commands in this Redis server.",
            "INFO [<command-name> ...]",
            "    Return details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "GETKEYS <full-command>",
            "    Return the keys from a full Redis command.",
            "HELP",
            "    Print this help.",
        ]);
    } else {
        return Err(call.unknown_subcommand());
    }
    Ok(Next::Go)
}

fn list(call: &mut Call<'_, '_, '_>) -> Result<(), Error> {
    let (args, table) = (call.args, call.executor.table);
    let matches = |spec: &Spec, name: &str| -> Result<bool, Error> {
        Ok(match args.len() {
            2 => true,
            5 if args.is(2, "FILTERBY") && args.is(3, "PATTERN") => {
                glob::matches_any_case(args.at(4), name.as_bytes())
            }
            5 if args.is(2, "FILTERBY") && args.is(3, "ACLCAT") => {
                let wanted = String::from_utf8_lossy(args.at(4)).to_ascii_lowercase();
                categories(spec).iter().any(|category| category.trim_start_matches('@') == wanted)
            }
            5 if args.is(2, "FILTERBY") && args.is(3, "MODULE") => false,
            _ => return Err(Error::SYNTAX),
        })
    };
    let mut names = Vec::new();
    for spec in table.iter() {
        let name = spec.name.to_ascii_lowercase();
        if matches(spec, &name)? {
            names.push(name);
        }
    }
    call.reply.array(names.len());
    names.iter().for_each(|name| call.reply.bulk(name.as_bytes()));
    Ok(())
}

/// Name, arity, flags, positions of the keys, categories, and three lists that are empty here: tips, key specifications,
/// subcommands.
fn describe(spec: &Spec, reply: &mut Reply<'_>) {
    reply.array(10);
    reply.bulk(spec.name.to_ascii_lowercase().as_bytes());
    reply.integer(i64::from(spec.arity));
    let flags = flags(spec);
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.status(flag));
    let (first, last, step) = match spec.named {
        Keys::Range { first, last, step } => (first as i64, i64::from(last), step as i64),
        Keys::Counted { also: Some(also), .. } => (also as i64, also as i64, 1),
        Keys::None | Keys::All | Keys::Counted { .. } => (0, 0, 0),
    };
    [first, last, step].iter().for_each(|position| reply.integer(*position));
    let categories = categories(spec);
    reply.set(categories.len());
    categories.iter().for_each(|category| reply.status(category));
    (0..3).for_each(|_| reply.array(0));
}

fn flags(spec: &Spec) -> Vec<&'static str> {
    let names = [
        (Flags::WRITE, "write"),
        (Flags::READ, "readonly"),
        (Flags::GROWS, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::BLOCKING, "blocking"),
        (Flags::LOADING, "loading"),
        (Flags::LOADING, "stale"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::NOT_IN_MULTI, "no_multi"),
    ];
    let mut flags: Vec<_> =
        names.iter().filter(|(flag, _)| spec.flags.has(*flag)).map(|(_, name)| *name).collect();
    if matches!(spec.named, Keys::Counted { .. }) {
        flags.push("movablekeys");
    }
    flags
}

fn categories(spec: &Spec) -> Vec<&'static str> {
    let mut categories = Vec::new();
    if spec.flags.has(Flags::WRITE) {
        categories.push("@write");
    }
    if spec.flags.has(Flags::READ) {
        categories.push("@read");
    }
    if spec.flags.has(Flags::ADMIN) {
        categories.extend(["@admin", "@dangerous"]);
    }
    if spec.flags.has(Flags::PUBSUB) {
        categories.push("@pubsub");
    }
    if spec.flags.has(Flags::BLOCKING) {
        categories.push("@blocking");
    }
    if matches!(spec.action, Action::Server(_)) && !spec.flags.has(Flags::ADMIN) {
        categories.push("@connection");
    }
    categories.push(if spec.flags.has(Flags::FAST) { "@fast" } else { "@slow" });
    categories
}
