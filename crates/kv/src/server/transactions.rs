//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`: several commands that nobody comes between.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

use crate::command::{Action, Context, Effect, Flags, Keys, ServerCommand};
use crate::error::Error;
use crate::replication::Appender;
use crate::server::blocking::answer_nothing;
use crate::server::commands::{self, Call};
use crate::server::dispatch::Next;
use crate::server::execute::{Held, tell};
use crate::server::room;
use crate::server::session::{Queued, Transaction, Watching};
use crate::store::{Keyspace, Store};

/// `MULTI`
pub(crate) fn multi(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    if call.session.transaction.is_some() {
        return Err(Error::new("ERR MULTI calls can not be nested"));
    }
    call.session.set_transaction(Some(Box::<Transaction>::default()));
    call.reply.ok();
    Ok(Next::Go)
}

/// `DISCARD`
pub(crate) fn discard(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    if call.session.transaction.is_none() {
        return Err(Error::new("ERR DISCARD without MULTI"));
    }
    call.session.set_transaction(None);
    call.session.unwatch(&call.executor.shared);
    call.reply.ok();
    Ok(Next::Go)
}

/// `WATCH key …`
pub(crate) fn watch(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    if call.session.transaction.is_some() {
        return Err(Error::new("ERR WATCH inside MULTI is not allowed"));
    }
    let db = call.session.db;
    let shared = call.executor.shared.clone();
    let watching = call.session.watching.get_or_insert_with(Box::default);
    for key in call.args.iter().skip(1) {
        if !watching.keys.iter().any(|(at, other, _)| *at == db && other == key) {
            let mut held = Held::new(shared.store.hold_key(db, key, call.executor.now));
            // One that has expired is gone already, and its removal no change.
            held.keys.settle(key);
            held.keys.watch(key, &watching.changed);
            watching.keys.push((db, key.to_vec(), held.keys.contains(key)));
            call.executor.unreported += held.settle(&shared, |_| ());
        }
    }
    call.reply.ok();
    Ok(Next::Go)
}

/// `UNWATCH`
pub(crate) fn unwatch(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    // Within a transaction nothing is watched any more.
    if call.held.is_none() {
        call.session.unwatch(&call.executor.shared);
    }
    call.reply.ok();
    Ok(Next::Go)
}

/// `EXEC`
pub(crate) fn exec(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let Some(transaction) = call.session.transaction.take() else {
        return Err(Error::new("ERR EXEC without MULTI"));
    };
    call.session.set_transaction(None);
    let queued = transaction.queued;
    let refusal = match transaction.is_spoiled {
        true => Some(Error::new("EXECABORT Transaction discarded because of previous errors.")),
        false => room_for(call, &queued)
            .err()
            .map(|error| Error::told(format!("EXECABORT Transaction discarded because of: {error}"))),
    };
    if let Some(refusal) = refusal {
        call.session.unwatch(&call.executor.shared);
        return Err(refusal);
    }
    let watching = call.session.watching.take();
    let shared = call.executor.shared.clone();
    let now = call.executor.now;
    let mut held = Held::new(hold(&shared.store, call.session.db, &queued, watching.as_deref(), now));
    if watching.is_some_and(|watching| has_changed(&watching, &mut held.keys)) {
        call.executor.unreported += held.settle(&shared, |_| ());
        call.reply.null_array();
        return Ok(Next::Go);
    }
    // As a command on its own: the server may have become a replica since they were queued.
    if queued.iter().any(|queued| queued.spec.flags.has(Flags::WRITE))
        && let Err(error) = shared.replication.may_write(&call.executor.config)
    {
        call.executor.unreported += held.settle(&shared, |_| ());
        return Err(Error::told(format!("EXECABORT Transaction discarded because of: {error}")));
    }
    held.keys.select(call.session.db);
    run(call, &queued, held)
}

/// Makes room before anything is held, if one of the commands may need it.
fn room_for(call: &mut Call<'_, '_, '_>, queued: &[Queued]) -> Result<(), Error> {
    match queued.iter().find(|queued| queued.spec.flags.has(Flags::GROWS)) {
        Some(queued) => room::make(call.executor, call.session.db, queued.spec, &queued.words.args()),
        None => Ok(()),
    }
}

/// Holds all that the commands touch, and what was watched: whether that has changed is only known then.
fn hold<'s>(
    store: &'s Store,
    db: u8,
    queued: &[Queued],
    watching: Option<&Watching>,
    now: u64,
) -> Keyspace<'s> {
    let watched = watching.map(|watching| watching.keys.as_slice()).unwrap_or_default();
    let needs_all = queued.iter().any(|queued| match queued.spec.action {
        Action::Data(_) => queued.spec.keys == Keys::All,
        Action::Server(command) => commands::touches_data(command),
    });
    if needs_all || watched.iter().any(|(at, ..)| *at != db) {
        return store.hold_all(db, now);
    }
    let words: Vec<_> = queued.iter().map(|queued| (queued.spec, queued.words.args())).collect();
    let named = words.iter().flat_map(|(spec, args)| spec.keys.positions(args).map(|at| args.at(at)));
    store.hold_keys(db, named.chain(watched.iter().map(|(_, key, _)| key.as_slice())), now)
}

/// Ends the watching; whether one of the keys has changed, or has expired meanwhile.
fn has_changed(watching: &Watching, keys: &mut Keyspace<'_>) -> bool {
    let mut changed = watching.changed.load(Relaxed);
    for (db, key, existed) in &watching.keys {
        keys.select(*db);
        changed |= *existed && !keys.contains(key);
        keys.unwatch(key, &watching.changed);
    }
    changed
}

fn run(call: &mut Call<'_, '_, '_>, queued: &[Queued], held: Held<'_>) -> Result<Next, Error> {
    let (shared, config) = (call.executor.shared.clone(), call.executor.config.clone());
    let mut rng = call.executor.rng.fork();
    let mut told: Vec<(u8, Effect, &Queued)> = Vec::new();
    let mut fed = VecDeque::new();
    let mut next = Next::Go;
    let start = call.reply.mark();
    let most = match config.output_limit(call.session.client.kind()).hard {
        0 => usize::MAX,
        limit => limit,
    };
    let mut is_too_long = false;
    call.reply.array(queued.len());
    let Held { keys, before } = held;
    let is_told = shared.primary.backlog.is_on();
    let mut context = Context {
        keys,
        rng: &mut rng,
        settings: &config.settings,
        is_told,
        effect: Effect::Same,
        wait: None,
    };
    for command in queued {
        let args = command.words.args();
        let mark = call.reply.mark();
        let changes = context.keys.changes();
        let db = call.session.db;
        let client = call.session.client.clone();
        let (session, reply) = (&mut *call.session, &mut *call.reply);
        let result = call.executor.timed(command.number, command.spec, &args, &client, |executor| {
            match command.spec.action {
                Action::Data(function) => {
                    context.keys.select(db);
                    function(&mut context, &args, reply).map(|()| Next::Go)
                }
                Action::Server(server) => {
                    let held = Some(&mut context.keys);
                    let mut call = Call { executor, session, spec: command.spec, args, reply, held };
                    commands::run(server, &mut call)
                }
            }
        });
        match result {
            Ok(Next::Go) => {}
            Ok(other) => next = other,
            Err(error) => {
                call.reply.withdraw(mark);
                call.reply.error(&error);
                call.executor.failed(&error);
                if let Some(counts) = call.executor.counters.command(command.number) {
                    counts.failed.add(1);
                }
            }
        }
        if let Some(wait) = context.wait.take() {
            answer_nothing(wait.null_array, call.reply);
        }
        // It is carried out to its end all the same.
        is_too_long |= call.reply.mark() - start > most;
        if is_too_long {
            call.reply.withdraw(start);
        }
        let effect = std::mem::take(&mut context.effect);
        let changed = context.keys.changes() > changes;
        let publishes = matches!(command.spec.action, Action::Server(ServerCommand::Publish));
        if changed || publishes {
            if command.spec.flags.has(Flags::FEEDS) && shared.blocking.count() > 0 {
                fed.extend(shared.blocking.fed_by(command.spec, db, &args));
            }
            if shared.primary.backlog.is_on() {
                told.push((db, effect, command));
            }
        }
    }
    let held = Held { keys: context.keys, before };
    call.executor.counters.changes.add(held.keys.changes());
    let has_changed = held.keys.changes() > 0;
    call.executor.unreported += held.settle(&shared, |stream| tell_all(stream, &told));
    if !has_changed && !told.is_empty() {
        // What was published concerns no key.
        tell_all(&mut shared.primary.backlog.hold(), &told);
    }
    call.executor.serve(fed);
    if is_too_long {
        let client = &call.session.client;
        shared.slow_reader(client.id, client.address, "answers to a transaction");
        call.reply.error(&Error::new(
            "ERR the transaction was carried out, but its answers are longer than client-output-buffer-limit",
        ));
        next = Next::Close;
    }
    call.deliver_messages();
    Ok(next)
}

/// Tells replicas of all commands as one.
fn tell_all(stream: &mut Appender<'_>, told: &[(u8, Effect, &Queued)]) {
    let is_several = told.len() > 1;
    for (at, (db, effect, command)) in told.iter().enumerate() {
        if is_several && at == 0 {
            stream.append(*db, [b"MULTI".as_slice()].into_iter());
        }
        tell(stream, *db, effect, &command.words.args());
    }
    if is_several {
        stream.command([b"EXEC".as_slice()].into_iter());
    }
}
