//! Idle connections to one endpoint, owned by one worker.
//!
//! The youngest is used first: it is the least likely to be closed by the endpoint, and the surplus grows
//! old at the bottom and is swept away.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_net::Stream;
use evenkeel_telemetry::EndpointSeries;

/// A connection to an endpoint; counted as open while it lives.
pub(crate) struct EndpointConnection {
    pub(crate) stream: Stream,
    /// Whether it has served a request before, so that the endpoint may have closed it unnoticed.
    pub(crate) reused: bool,
    series: Arc<EndpointSeries>,
}

impl EndpointConnection {
    pub(crate) fn new(stream: Stream, series: Arc<EndpointSeries>) -> Self {
        series.connection_opened();
        Self { stream, reused: false, series }
    }
}

impl Drop for EndpointConnection {
    fn drop(&mut self) {
        self.series.connection_closed();
    }
}

/// The idle connections.
#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<Vec<(EndpointConnection, Instant)>>,
    is_closed: Cell<bool>,
}

impl Pool {
    /// Takes a connection that shows no sign of being closed. Costs no system call.
    pub(crate) fn take(&self) -> Option<EndpointConnection> {
        loop {
            let (connection, _) = self.idle.borrow_mut().pop()?;
            // Whatever an idle endpoint sends, it ends the connection: nothing was asked.
            if !connection.stream.has_event() || connection.stream.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request, unless there are `limit` already.
    pub(crate) fn put(&self, mut connection: EndpointConnection, now: Instant, limit: usize) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < limit && !self.is_closed.get() {
            connection.reused = true;
            idle.push((connection, now));
        }
    }

    /// Drops what was closed by the endpoint and what has been idle for longer than `keep`.
    pub(crate) fn sweep(&self, now: Instant, keep: Duration) {
        self.idle.borrow_mut().retain(|(connection, since)| {
            now.saturating_duration_since(*since) < keep
                && (!connection.stream.has_event() || connection.stream.is_idle())
        });
    }

    /// Drops them all, and whatever comes back: the endpoint has left the configuration.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        self.clear();
    }

    /// Drops them all.
    pub(crate) fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}
