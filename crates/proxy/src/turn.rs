//! Turns: a connection that always has more to move leaves the worker to the others in between.

use std::pin::pin;
use std::task::Context;

/// Bytes moved in one direction before all others have their turn: what waits beside n bulk flows waits for n turns.
pub(crate) const TURN: u64 = 64 * 1024;

/// Has the task polled again once every other one and the sockets had their turn; it then returns `Pending`. Woken
/// directly it would be in the run queue at once, and the runtime looks at the sockets only when that is empty, or
/// after many polls.
pub(crate) fn end_turn(cx: &mut Context<'_>) {
    // Leaves the waker with the runtime; there is nothing else to wait for in it.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;
    use std::rc::Rc;
    use std::task::Poll;

    use tokio::net::UnixStream;
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    #[test]
    fn who_ends_a_turn_runs_again_only_after_the_sockets() {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let polls = Rc::new(Cell::new(0));
            let counted = polls.clone();
            tokio::task::spawn_local(std::future::poll_fn(move |cx| {
                counted.set(counted.get() + 1);
                end_turn(cx);
                Poll::<()>::Pending
            }));
            tokio::task::yield_now().await;
            let (mut writer, reader) = std::os::unix::net::UnixStream::pair().unwrap();
            reader.set_nonblocking(true).unwrap();
            let reader = UnixStream::from_std(reader).unwrap();
            writer.write_all(b"x").unwrap();
            let before = polls.get();
            reader.readable().await.unwrap();
            let turns = polls.get() - before;
            assert!(turns <= 2, "{turns} turns before somebody else's socket was looked at");
            tokio::task::yield_now().await;
            assert!(polls.get() > before, "it does run again");
        });
    }
}
