//! A connection's bytes: read, parsed, carried out, answered, in one go for all commands that have arrived.
//!
//! A read goes into the thread's buffer, and answers are gathered in the thread's output; only the beginning of a command
//! whose rest has not come, and answers that the client does not take, are kept by the connection. While there are
//! such answers nothing more is read.

mod input;
mod output;

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::resp::Requests;
use crate::server::blocking::Waiter;
use crate::server::clients::{Client, Mark};
use crate::server::connection::output::Unsent;
use crate::server::dispatch::TakeOver;
use crate::server::session::{Replies, Session};
use crate::server::shared::{Phase, wall_clock};
use crate::server::worker::Worker;
use crate::store::Millis;

/// Reads carried out before others have their turn.
const ROUNDS: u32 = 2;

/// Bytes read ahead for a client whose commands have to wait.
const AHEAD: usize = 64 * 1024;

/// One connection.
struct Connection {
    worker: Rc<Worker>,
    /// `None` once it was handed to somebody else.
    stream: Option<TcpStream>,
    session: Session,
    requests: Requests,
    /// Bytes of commands that were not carried out.
    input: Vec<u8>,
    /// There may be a whole command among them.
    has_more: bool,
    /// The words found so far of an incomplete command.
    ranges: Vec<(usize, usize)>,
    unsent: Unsent,
    suspended: Option<Suspended>,
    /// There may be something in the mailbox.
    has_mail: bool,
    is_open: bool,
    /// It closes once everything is sent.
    is_closing: bool,
}

/// What the next command has to wait for.
enum Suspended {
    Blocked(Arc<Waiter>, Option<Pin<Box<Sleep>>>),
    Paused(Pin<Box<Sleep>>),
    Later(Pin<Box<dyn Future<Output = Vec<u8>>>>),
    Handed(Box<TakeOver>),
}

/// How it ends.
enum Ending {
    Closed,
    Handed(Box<TakeOver>),
}

/// Serves a client until one of the two has enough.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream, client: Arc<Client>) {
    let config = worker.shared.configs.current();
    prepare(&stream, config.keepalive);
    let is_authenticated = config.password.is_empty();
    drop(config);
    worker.shared.clients.add(&client);
    let mut connection = Connection {
        worker,
        stream: Some(stream),
        session: Session::new(client, is_authenticated),
        requests: Requests::default(),
        input: Vec::new(),
        has_more: false,
        ranges: Vec::new(),
        unsent: Unsent::default(),
        suspended: None,
        has_mail: false,
        is_open: false,
        is_closing: false,
    };
    let ending = std::future::poll_fn(|cx| connection.poll(cx)).await;
    if let Ending::Handed(take_over) = ending
        && let Some(stream) = connection.stream.take()
    {
        let rest = std::mem::take(&mut connection.input);
        take_over(stream, rest).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let shared = &self.worker.shared;
        self.session.end(shared);
        shared.clients.remove(self.session.client.id);
    }
}

fn prepare(stream: &TcpStream, keepalive: u64) {
    // Both fail only when the client has gone already, which the first read will tell.
    let _ = stream.set_nodelay(true);
    if keepalive > 0 {
        let (time, interval) = (Duration::from_secs(keepalive), Duration::from_secs((keepalive / 3).max(1)));
        let probes = socket2::TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(3);
        let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&probes);
    }
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let client = self.session.client.clone();
        if !self.is_open {
            client.mailbox.open(cx.waker());
            self.is_open = true;
        }
        let mut rounds = 0;
        loop {
            self.has_mail |= client.mailbox.is_marked();
            if client.mailbox.is_closing() {
                return Poll::Ready(Ending::Closed);
            }
            if !self.unsent.bytes.is_empty() {
                let flushed = self.poll_flush(cx);
                client.unsent.store(self.unsent.bytes.len() - self.unsent.sent, Relaxed);
                match flushed {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Ending::Closed),
                    Poll::Pending => return self.waits(),
                }
            }
            if self.is_closing {
                return Poll::Ready(Ending::Closed);
            }
            if self.has_mail {
                self.has_mail = false;
                client.mailbox.take(&mut self.unsent.bytes);
                if let Some(Suspended::Paused(_)) = self.suspended {
                    self.suspended = None;
                }
                continue;
            }
            if self.suspended.is_some() {
                match self.poll_suspended(cx) {
                    Poll::Ready(None) => continue,
                    Poll::Ready(Some(ending)) => return Poll::Ready(ending),
                    Poll::Pending => {}
                }
                let is_blocked = matches!(self.suspended, Some(Suspended::Blocked(..)));
                let is_paused = matches!(self.suspended, Some(Suspended::Paused(_)));
                if (is_blocked || is_paused) && self.worker.shared.is_stopping() {
                    return Poll::Ready(Ending::Closed);
                }
                // Nothing is carried out, but it is seen if the client leaves. Who is blocked is read from as long as it
                // may be: what a client was given that has gone would be lost.
                if self.input.len() >= AHEAD {
                    if !is_blocked {
                        return self.waits();
                    }
                    if self.input.len() > self.worker.shared.configs.current().query_limit {
                        tracing::warn!(
                            client = client.id,
                            "closed: it sends too much while it is blocked (client-query-buffer-limit)"
                        );
                        return Poll::Ready(Ending::Closed);
                    }
                }
            }
            if rounds == ROUNDS {
                // To be polled again when the driver has looked at all sockets. One that wakes itself would be before it.
                return pin!(tokio::task::yield_now()).poll(cx).map(|()| Ending::Closed);
            }
            if self.has_more && self.suspended.is_none() {
                self.carry_on(cx);
                rounds += 1;
                continue;
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ending::Closed),
                Poll::Ready(Ok(_)) => rounds += 1,
                Poll::Pending if self.worker.shared.is_stopping() && self.suspended.is_none() => {
                    return Poll::Ready(Ending::Closed);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Pending, but nothing is left when everything ends.
    fn waits(&self) -> Poll<Ending> {
        match *self.worker.shared.phase.borrow() {
            Phase::Over => Poll::Ready(Ending::Closed),
            _ => Poll::Pending,
        }
    }

    /// Whether what the next command waits for has come; `Some` when the connection ends with it.
    fn poll_suspended(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ending>> {
        match self.suspended.take() {
            None => {}
            Some(Suspended::Blocked(waiter, mut timer)) => {
                let is_late = timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
                if is_late && waiter.end(None) {
                    self.worker.shared.blocking.leave(&waiter);
                }
                let Some(answer) = waiter.answer() else {
                    self.suspended = Some(Suspended::Blocked(waiter, timer));
                    return Poll::Pending;
                };
                self.session.client.wait_by(None);
                self.answer(&answer);
            }
            Some(Suspended::Paused(mut timer)) => {
                if timer.as_mut().poll(cx).is_pending() {
                    self.suspended = Some(Suspended::Paused(timer));
                    return Poll::Pending;
                }
            }
            Some(Suspended::Later(mut future)) => match future.as_mut().poll(cx) {
                Poll::Ready(answer) => {
                    self.session.client.set(Mark::Blocked, false);
                    self.answer(&answer);
                }
                Poll::Pending => {
                    self.suspended = Some(Suspended::Later(future));
                    return Poll::Pending;
                }
            },
            Some(Suspended::Handed(take_over)) => return Poll::Ready(Some(Ending::Handed(take_over))),
        }
        Poll::Ready(None)
    }

    /// An answer that comes after its command.
    fn answer(&mut self, answer: &[u8]) {
        match self.session.replies {
            Replies::On => self.unsent.bytes.extend_from_slice(answer),
            Replies::Skip => self.session.replies = Replies::On,
            Replies::Off | Replies::SkipNext => {}
        }
    }
}

/// Ends at that time.
fn timer(until: Millis) -> Pin<Box<Sleep>> {
    // A time far away is as good as any that is farther.
    const FOREVER: u64 = 30 * 365 * 24 * 3600 * 1000;
    let left = until.saturating_sub(wall_clock()).min(FOREVER);
    Box::pin(tokio::time::sleep_until(Instant::now() + Duration::from_millis(left)))
}
