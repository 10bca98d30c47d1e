//! `DEBUG`: what tests and their authors need.

use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::server::commands::Call;
use crate::server::dispatch::Next;

/// The longest `SLEEP`, and how often a sleeper looks whether the server is to stop.
const LONGEST: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(100);

/// `DEBUG SLEEP seconds|SET-ACTIVE-EXPIRE 0|1|HELP`
///
/// `SLEEP` stops the thread that serves this connection, and with it all other connections it has; those of other
/// threads go on. With one thread that is the whole server, as in Redis. It ends after a minute, or when the server is
/// going to stop.
pub(super) fn debug(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    if call.args.is(1, "SLEEP") {
        call.expect(3..=3)?;
        let seconds = call.args.float(2)?;
        // A negative time is none.
        let duration = Duration::try_from_secs_f64(seconds.min(LONGEST.as_secs_f64())).unwrap_or_default();
        let start = Instant::now();
        while !call.executor.shared.is_stopping()
            && let Some(left) = duration.checked_sub(start.elapsed()).filter(|left| !left.is_zero())
        {
            thread::sleep(left.min(STEP));
        }
        call.reply.ok();
    } else if call.args.is(1, "SET-ACTIVE-EXPIRE") {
        call.expect(3..=3)?;
        call.executor.shared.expires_actively.store(call.args.at(2) != b"0", Relaxed);
        call.reply.ok();
    } else if call.args.is(1, "HELP") {
        return call.help(&[
            "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "SLEEP <seconds>",
            "    Stop the thread of this connection for <seconds>. Decimals allowed.",
            "SET-ACTIVE-EXPIRE <0|1>",
            "    Setting it to 0 disables expiring keys in the background.",
            "HELP",
            "    Print this help.",
        ]);
    } else {
        return Err(call.unknown_subcommand());
    }
    Ok(Next::Go)
}
