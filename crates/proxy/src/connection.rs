//! A client's connection: waiting for the next request, serving it, ending well.
//!
//! Between two requests a connection is *parked*: it holds its socket, a deadline and little else. Buffers
//! and the state of an exchange exist only while there is one.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use evenkeel_net::{Peer, Stream};

use crate::exchange;
use crate::presence::Presence;
use crate::state::{ListenerState, Worker};
use crate::timers::Deadline;
use crate::turn::{TURN, end_turn};
use crate::worker::Place;

/// How long a client that still sends is listened to after the last answer, so that it reads that answer
/// before it learns that nobody listens (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);

/// How long a new connection may take to send its request when we are stopping already.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// Bytes of later requests that are read ahead while one is served.
const READ_AHEAD: usize = 16 * 1024;

/// A client's connection.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    /// The listener as the current request sees it.
    pub(crate) listener: Rc<ListenerState>,
    pub(crate) stream: Stream,
    /// The peer's address; `None` on a UNIX socket.
    pub(crate) client: Option<IpAddr>,
    generation: u32,
    pub(crate) deadline: Deadline,
    /// Bytes that were read and not used yet: the start of a body or of later requests.
    pub(crate) carry: Vec<u8>,
    /// Whether the client has said that it will send nothing more.
    pub(crate) half_closed: bool,
    /// When the last answer ended, if somebody looked at the clock then.
    pub(crate) quiet_since: Option<Instant>,
    has_served: bool,
    /// Whether the client has a part of an answer.
    pub(crate) is_answering: bool,
    /// Whether the listener is gone from the configuration, or speaks something else now.
    retired: bool,
    _presence: Presence,
}

/// What becomes of a connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It waits for the next request.
    Keep,
    /// It is closed.
    Close,
    /// It is closed once the client has had time to read the answer.
    Linger,
    /// It is reset, so that what was sent is not taken for a whole answer.
    Reset,
}

impl Connection {
    /// Takes up a connection, counted already in its listener's total and in `place`.
    pub(crate) fn new(
        worker: Rc<Worker>,
        listener: Rc<ListenerState>,
        stream: Stream,
        peer: Peer,
        place: Place,
    ) -> Self {
        let client = match peer {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::Unix => None,
        };
        Self {
            _presence: Presence::begin(&worker, &listener, place),
            deadline: worker.timers.deadline(),
            generation: worker.generation.get(),
            worker,
            listener,
            stream,
            client,
            carry: Vec::new(),
            half_closed: false,
            quiet_since: None,
            has_served: false,
            is_answering: false,
            retired: false,
        }
    }

    /// Whether the peer's word about clients counts.
    pub(crate) fn is_trusted(&self) -> bool {
        self.client.is_some_and(|client| self.listener.trust.trusts(client))
    }

    /// Whether no further request is taken after the current one.
    pub(crate) fn is_ending(&self) -> bool {
        (self.half_closed && self.carry.is_empty()) || self.retired || self.worker.draining.get()
    }

    /// Takes up the newest snapshot.
    fn refresh(&mut self) {
        if self.generation == self.worker.generation.get() {
            return;
        }
        self.generation = self.worker.generation.get();
        match self.worker.listener(&self.listener.shared) {
            Some(listener) if listener.tunnel.is_none() => self.listener = listener,
            _ => self.retired = true,
        }
    }

    /// Waits, parked, until something arrives. `false` when nothing will.
    async fn wait(&mut self) -> bool {
        if !self.carry.is_empty() {
            return true;
        }
        self.carry = Vec::new();
        let timeouts = &self.listener.settings.timeouts;
        let patience = if self.has_served { timeouts.idle } else { timeouts.header };
        self.deadline.set(self.quiet_since.take().unwrap_or_else(Instant::now) + patience);
        let mut is_last_chance = false;
        std::future::poll_fn(|cx| {
            if self.stream.poll_read_ready(cx).is_ready() {
                return Poll::Ready(true);
            }
            self.refresh();
            if self.is_ending() {
                if self.has_served || self.half_closed {
                    return Poll::Ready(false);
                }
                // It was let in to be served: its request may be on the way.
                if !std::mem::replace(&mut is_last_chance, true) {
                    self.deadline.set(Instant::now() + LAST_CHANCE);
                }
            }
            self.deadline.poll(cx).map(|()| false)
        })
        .await
    }

    /// Notices, while an endpoint works, whether the client is still there. Bytes of later requests are read
    /// ahead, up to a bound.
    ///
    /// # Errors
    /// The client has reset the connection.
    pub(crate) fn poll_watch(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.half_closed && self.carry.len() < READ_AHEAD {
            let input = &mut *self.worker.scratch.borrow_mut().input;
            let room = READ_AHEAD - self.carry.len();
            let input = input.get_mut(..room).unwrap_or_default();
            match self.stream.poll_read(cx, input) {
                Poll::Ready(Ok(0)) => self.half_closed = true,
                Poll::Ready(Ok(read)) => self.carry.extend_from_slice(input.get(..read).unwrap_or_default()),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Sends an answer of ours. `false` when the client did not take it.
    pub(crate) async fn send(&mut self, mut bytes: &[u8]) -> bool {
        self.deadline.set(Instant::now() + self.listener.settings.timeouts.stall);
        std::future::poll_fn(|cx| {
            while !bytes.is_empty() {
                match self.stream.poll_write(cx, bytes) {
                    Poll::Ready(Ok(written)) if written > 0 => {
                        bytes = bytes.get(written..).unwrap_or_default()
                    }
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending => return self.deadline.poll(cx).map(|()| false),
                }
            }
            Poll::Ready(true)
        })
        .await
    }

    /// Reads and discards for a while, so that closing does not destroy the answer on its way.
    async fn linger(&mut self) {
        if self.half_closed || self.stream.finish_writing().is_err() {
            return;
        }
        self.deadline.set(Instant::now() + LINGER);
        std::future::poll_fn(|cx| {
            let mut discarded = 0;
            loop {
                if self.deadline.poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                if discarded >= TURN {
                    end_turn(cx);
                    return Poll::Pending;
                }
                let input = &mut *self.worker.scratch.borrow_mut().input;
                match self.stream.poll_read(cx, input) {
                    Poll::Ready(Ok(read)) if read > 0 => discarded += read as u64,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }

    /// Serves the connection until it ends. By reference: a future holds its arguments twice, and there are many.
    pub(crate) async fn serve(&mut self) {
        while self.wait().await {
            self.refresh();
            // On the heap, and gone again before the connection is parked.
            match Box::pin(exchange::run(self)).await {
                Next::Keep => {}
                Next::Close if self.carry.is_empty() && self.stream.is_idle() => return,
                Next::Close | Next::Linger => return Box::pin(self.linger()).await,
                Next::Reset => {
                    // It is gone already if this fails.
                    let _ = self.stream.reset_on_close();
                    return;
                }
            }
            self.has_served = true;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_answering {
            // Ended from outside, in the middle of an answer. It is gone already if this fails.
            let _ = self.stream.reset_on_close();
        }
    }
}
