//! Commands about snapshots, and `SHUTDOWN`, which may make one.

use std::fmt::Write;
use std::sync::Arc;

use crate::error::Error;
use crate::persistence::Refused;
use crate::resp::Reply;
use crate::server::commands::Call;
use crate::server::dispatch::Next;
use crate::server::shared::{Phase, Shared};
use crate::server::snapshots;

/// `LASTSAVE`
pub(super) fn last_save(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let at = call.executor.shared.saver.status(0).last_success / 1000;
    call.reply.integer(at as i64);
    Ok(Next::Go)
}

/// `SAVE`, `BGSAVE [SCHEDULE]`. Neither stops anybody; `SAVE` is answered when it is done.
pub(super) fn save(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let in_background = call.spec.name == "BGSAVE";
    let is_known = match call.args.len() {
        1 => true,
        2 => in_background && call.args.is(1, "SCHEDULE"),
        _ => false,
    };
    if !is_known {
        return Err(Error::SYNTAX);
    }
    let attempt = call.executor.shared.saver.request().map_err(|refused| match refused {
        Refused::InProgress => Error::new("ERR Background save already in progress"),
        Refused::Off => Error::new("ERR the server was started without a file for snapshots (--snapshot)"),
    })?;
    if in_background || call.held.is_some() {
        call.reply.status("Background saving started");
        return Ok(Next::Go);
    }
    let (saver, protocol) = (Arc::clone(&call.executor.shared.saver), call.reply.protocol());
    Ok(Next::Later(Box::pin(async move {
        let mut answer = Vec::new();
        let mut reply = Reply::new(&mut answer, protocol);
        match saver.finished(attempt).await {
            true => reply.ok(),
            false => reply.error(&Error::new("ERR the snapshot could not be saved; the log says why")),
        }
        answer
    })))
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE]`. Saves first what has changed; if that fails it goes on, unless told `FORCE`.
pub(super) fn shutdown(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let (mut saves, mut skips, mut forces) = (false, false, false);
    for at in 1..call.args.len() {
        if call.args.is(at, "NOSAVE") {
            skips = true;
        } else if call.args.is(at, "SAVE") {
            saves = true;
        } else if call.args.is(at, "FORCE") {
            forces = true;
        } else if !call.args.is(at, "NOW") {
            return Err(Error::SYNTAX);
        }
    }
    if saves && skips {
        return Err(Error::SYNTAX);
    }
    let shared = &call.executor.shared;
    if saves && shared.saver.path().is_none() {
        return Err(Error::new("ERR the server was started without a file for snapshots (--snapshot)"));
    }
    shared.saver.set_last(!skips);
    let client = call.session.client.id;
    if skips || forces {
        tracing::info!(client, "stopping: a client said SHUTDOWN");
        shared.enter(Phase::Stopping);
        return Ok(Next::Close);
    }
    let (shared, protocol) = (Arc::clone(shared), call.reply.protocol());
    Ok(Next::Later(Box::pin(async move {
        let mut answer = Vec::new();
        match shared.saver.settle(|| snapshots::changes(&shared)).await {
            Ok(()) => {
                tracing::info!(client, "stopping: a client said SHUTDOWN");
                // Ends the connection as well; changes made meanwhile are saved at the very end.
                shared.enter(Phase::Stopping);
            }
            Err(error) => {
                tracing::error!(client, %error, "a client said SHUTDOWN: not stopping, as the data cannot be saved");
                let error = Error::new("ERR Errors trying to SHUTDOWN. Check logs.");
                Reply::new(&mut answer, protocol).error(&error);
            }
        }
        answer
    })))
}

/// The section `persistence` of `INFO`, without its headline.
pub(super) fn section(shared: &Shared) -> String {
    let changes = shared.stats.sum(|counters| counters.changes.now());
    let status = shared.saver.status(changes);
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{name}:{value}\r\n");
    };
    let seconds =
        |duration: Option<std::time::Duration>| duration.map_or(-1, |duration| duration.as_secs() as i64);
    line("loading", &0);
    line("async_loading", &0);
    line("current_cow_size", &0);
    line("rdb_changes_since_last_save", &status.unsaved_changes);
    line("rdb_bgsave_in_progress", &u8::from(status.running.is_some()));
    line("rdb_last_save_time", &(status.last_success / 1000));
    line("rdb_last_bgsave_status", &if status.last_ok { "ok" } else { "err" });
    line("rdb_last_bgsave_time_sec", &seconds(status.last_took));
    line("rdb_current_bgsave_time_sec", &seconds(status.running));
    line("rdb_saves", &status.saves);
    line("rdb_last_cow_size", &0);
    line("rdb_last_load_keys_expired", &status.loaded.expired);
    line("rdb_last_load_keys_loaded", &status.loaded.keys);
    line("aof_enabled", &0);
    text
}
