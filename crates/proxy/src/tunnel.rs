//! A session: a client's connection to a TCP listener, passed through to one endpoint.
//!
//! Pick an endpoint, connect, on failure try another one; then move bytes both ways until both sides have
//! ended. An end of one side is passed on as such (the other direction goes on), a reset as a reset: whoever
//! reads must not take a stream that was cut for a whole one. Only TCP has resets: on a UNIX socket the peer of a
//! session that was cut reads an end.
//!
//! Invariant: every session is recorded exactly once, when it is dropped, however it ended.

use std::cell::Cell;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use evenkeel_config::plan::OnDown;
use evenkeel_net::{Peer, Stream};
use evenkeel_policy::affinity;
use evenkeel_policy::latency::Memory;
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::retry::Attempted;
use evenkeel_telemetry::Client;

use crate::connect::{Unconnected, connect};
use crate::flow::{Broken, Flow};
use crate::heads::UNIX_PEER;
use crate::pool::EndpointConnection;
use crate::presence::Presence;
use crate::state::{ListenerState, Tunnel, Worker};
use crate::timers::Deadline;
use crate::upstream::EndpointState;
use crate::wait::Wait;
use crate::worker::Place;

/// One session.
pub(crate) struct Session {
    worker: Rc<Worker>,
    /// The listener as it was when the session began: a session keeps its settings.
    listener: Rc<ListenerState>,
    tunnel: Tunnel,
    /// The client's side.
    stream: Stream,
    /// The endpoint's side, once there is one.
    endpoint: Option<EndpointConnection>,
    /// The place taken at the endpoint of the last attempt.
    seat: Option<Seat>,
    deadline: Deadline,
    /// The peer's address; `None` on a UNIX socket.
    client: Option<IpAddr>,
    started: Instant,
    attempts: u32,
    connect: Option<Duration>,
    first_byte: Cell<Option<Duration>>,
    /// Bytes received from the client, and bytes that the client has taken.
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    ending: Ending,
    _presence: Presence,
}

/// How a session ended.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// It has not, or was ended from outside.
    None,
    /// Both sides have closed it.
    Completed,
    /// For a reason.
    Cut(Rejection),
}

/// A session counted at an endpoint for as long as it lasts. The count itself was made by the pick.
struct Seat {
    endpoint: Rc<EndpointState>,
    /// Until it is connected.
    wait: Option<Wait>,
}

impl Seat {
    fn take(endpoint: &Rc<EndpointState>, memory: Option<Memory>, now: Instant) -> Self {
        endpoint.series.begin();
        Self { endpoint: endpoint.clone(), wait: Wait::begin(endpoint, memory, now) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.endpoint.shared.load.end();
        self.endpoint.series.end_session();
    }
}

/// One of the two connections, and what comes from it.
struct Side<'a> {
    stream: &'a Stream,
    flow: Flow,
    /// Waits for a reset; made when it is first needed, which for most sessions is never.
    reset: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
}

impl<'a> Side<'a> {
    fn new(stream: &'a Stream) -> Self {
        Self { stream, flow: Flow::new(), reset: None }
    }

    /// Ready when its peer has reset the connection while nothing is read from it; reading finds out by itself.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.flow.awaits_sender() {
            return Poll::Pending;
        }
        let stream = self.stream;
        self.reset.get_or_insert_with(|| Box::pin(stream.reset())).as_mut().poll(cx)
    }
}

impl Session {
    /// Takes up a connection, counted already in its listener's total and in `place`.
    pub(crate) fn new(
        worker: Rc<Worker>,
        listener: Rc<ListenerState>,
        tunnel: Tunnel,
        stream: Stream,
        peer: Peer,
        place: Place,
    ) -> Self {
        Self {
            _presence: Presence::begin(&worker, &listener, place),
            deadline: worker.timers.deadline(),
            worker,
            listener,
            tunnel,
            stream,
            endpoint: None,
            seat: None,
            client: match peer {
                Peer::Tcp(address) => Some(address.ip().to_canonical()),
                Peer::Unix => None,
            },
            started: Instant::now(),
            attempts: 0,
            connect: None,
            first_byte: Cell::default(),
            bytes_in: Cell::default(),
            bytes_out: Cell::default(),
            ending: Ending::None,
        }
    }

    /// Serves the connection until it ends. By reference: a future holds its arguments twice, and there are many.
    pub(crate) async fn serve(&mut self) {
        // On the heap, and gone again once connected.
        let connected = Box::pin(self.connect()).await;
        self.ending = match connected {
            Ok(()) => self.pass().await,
            Err(rejection) => Ending::Cut(rejection),
        };
    }

    /// Connects to an endpoint, to several in turn if need be.
    async fn connect(&mut self) -> Result<(), Rejection> {
        let upstream = self.tunnel.upstream.clone();
        upstream.budget.borrow_mut().deposit(self.started);
        // A session has nothing else that would tell one from another.
        let hash = upstream.key().and(self.client).map(affinity::of_client);
        let mut tried = Vec::new();
        let mut last: Option<Rejection> = None;
        loop {
            let began = Instant::now();
            let (id, endpoint) = upstream.pick(&self.worker, &tried, hash, began).map_err(|ineligible| {
                // What the last endpoint did says more than that there was no other one.
                last.unwrap_or_else(|| upstream.rejection(&ineligible))
            })?;
            self.attempts += 1;
            self.seat = Some(Seat::take(&endpoint, upstream.memory, began));
            self.deadline.set(began + upstream.settings.timeouts.connect);
            let connected = tokio::select! {
                biased;
                connected = connect(&self.worker, &endpoint, &self.deadline) => connected,
                () = self.stream.reset() => return Err(Rejection::ClientClosed),
            };
            let (failure, rejection) = match connected {
                Ok(connection) => {
                    let now = Instant::now();
                    self.connect = Some(now.saturating_duration_since(began));
                    if let Some(wait) = self.seat.as_mut().and_then(|seat| seat.wait.take()) {
                        wait.answered(now);
                    }
                    upstream.connected(id, began, now);
                    self.endpoint = Some(connection);
                    return Ok(());
                }
                Err(Unconnected::OutOfResources) => return Err(Rejection::OutOfResources),
                Err(Unconnected::Failed(failure, rejection)) => (failure, rejection),
            };
            endpoint.shared.suspect();
            upstream.failed(id, failure, began, Instant::now());
            last = Some(rejection);
            tried.push(id);
            // No endpoint has seen a byte.
            let attempted = Attempted {
                repeatable: true,
                body_replayable: true,
                response_started: false,
                attempts: self.attempts,
            };
            if self.worker.is_over.get() {
                return Err(Rejection::ShuttingDown);
            }
            if !upstream.may_retry(&self.worker, &tried, failure, &attempted) {
                return Err(rejection);
            }
        }
    }

    /// Passes bytes both ways until the session ends.
    async fn pass(&self) -> Ending {
        let (Some(endpoint), Some(Seat { endpoint: seat, .. })) = (&self.endpoint, &self.seat) else {
            return Ending::Cut(Rejection::InternalError);
        };
        self.deadline.set(Instant::now() + self.listener.settings.timeouts.idle);
        let mut client = Side::new(&self.stream);
        let mut endpoint = Side::new(&endpoint.stream);
        let ended = std::future::poll_fn(|cx| self.poll_pass(cx, &mut client, &mut endpoint, seat)).await;
        match ended {
            Ok(()) => Ending::Completed,
            Err(rejection) => {
                if rejection == Rejection::UpstreamReset {
                    seat.shared.suspect();
                }
                Ending::Cut(rejection)
            }
        }
    }

    fn poll_pass(
        &self,
        cx: &mut Context<'_>,
        client: &mut Side<'_>,
        endpoint: &mut Side<'_>,
        seat: &EndpointState,
    ) -> Poll<Result<(), Rejection>> {
        let before = client.flow.progress() + endpoint.flow.progress();
        let (sent, answered) = {
            let buffer = &mut *self.worker.scratch.borrow_mut().input;
            let sent = client.flow.poll(cx, client.stream, endpoint.stream, buffer);
            (sent, endpoint.flow.poll(cx, endpoint.stream, client.stream, buffer))
        };
        if client.flow.progress() + endpoint.flow.progress() != before {
            self.account(&client.flow, &endpoint.flow);
        }
        Poll::Ready(Err(match (sent, answered) {
            (Poll::Ready(Err(Broken::Sender)), _) | (_, Poll::Ready(Err(Broken::Receiver))) => {
                Rejection::ClientClosed
            }
            (Poll::Ready(Err(Broken::Receiver)), _) | (_, Poll::Ready(Err(Broken::Sender))) => {
                Rejection::UpstreamReset
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ok(())),
            _ if client.poll_reset(cx).is_ready() => Rejection::ClientClosed,
            _ if endpoint.poll_reset(cx).is_ready() => Rejection::UpstreamReset,
            _ if self.worker.is_over.get() => Rejection::ShuttingDown,
            _ if self.tunnel.closes_when_down() && !seat.shared.status.is_up() => Rejection::EndpointDown,
            _ if self.deadline.poll(cx).is_ready() => Rejection::IdleTimeout,
            _ => return Poll::Pending,
        }))
    }

    /// Counts what has passed, and waits anew for more.
    fn account(&self, up: &Flow, down: &Flow) {
        let now = Instant::now();
        let timeouts = &self.listener.settings.timeouts;
        let is_half_closed = up.has_ended() || down.has_ended();
        let patience = if is_half_closed { timeouts.half_close.min(timeouts.idle) } else { timeouts.idle };
        self.deadline.set(now + patience);
        let (bytes_in, bytes_out) = (up.received, down.delivered());
        self.tunnel.series.passed(
            bytes_in - self.bytes_in.replace(bytes_in),
            bytes_out - self.bytes_out.replace(bytes_out),
        );
        if down.received > 0 && self.first_byte.get().is_none() {
            self.first_byte.set(Some(now - self.started));
        }
    }

    /// Why it ended, if not by both sides' closing it.
    fn reason(&self) -> Option<Rejection> {
        match self.ending {
            Ending::Completed => None,
            Ending::Cut(rejection) => Some(rejection),
            // The task was ended from outside: the worker stopped, or a bug ended it.
            Ending::None if std::thread::panicking() => Some(Rejection::InternalError),
            Ending::None => Some(Rejection::ShuttingDown),
        }
    }
}

impl Tunnel {
    /// Whether a session ends when its endpoint is found down.
    fn closes_when_down(&self) -> bool {
        self.upstream.settings.on_down == OnDown::Close
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let reason = self.reason();
        if let Some(reason) = reason {
            // Neither side may take what it has for everything. They are gone already if this fails.
            let _ = self.stream.reset_on_close();
            if let Some(endpoint) = &self.endpoint {
                let _ = endpoint.stream.reset_on_close();
            }
            self.listener.series.rejection(reason);
        }
        let duration = self.started.elapsed();
        self.tunnel.series.ended(reason, duration);

        let mut access = self.worker.access.borrow_mut();
        if !access.is_on() {
            return;
        }
        access.record(&evenkeel_telemetry::Record {
            time: SystemTime::now() - duration,
            request_id: b"",
            client: self.client.map_or(Client::Text(UNIX_PEER), Client::Ip),
            listener: &self.listener.settings.name,
            route: "",
            method: b"",
            host: b"",
            path: b"",
            status: 0,
            reason,
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            duration,
            upstream: &self.tunnel.upstream.settings.name,
            endpoint: self.seat.as_ref().map_or("", |seat| &seat.endpoint.shared.label),
            attempts: self.attempts,
            connect: self.connect,
            first_byte: self.first_byte.get(),
            tls: None,
        });
    }
}
