//! [`Record`]: what is kept of one exchange, for metrics and the access log.
//!
//! Invariant: every exchange is recorded exactly once, when its record is dropped, however it ended.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use evenkeel_policy::rejection::Rejection;
use evenkeel_telemetry::{Client, Method, RouteSeries};

use crate::connection::Connection;
use crate::exchange::Request;
use crate::heads::UNIX_PEER;
use crate::state::{ListenerState, RouteState, Worker};
use crate::upstream::{EndpointState, UpstreamState};

/// One exchange, while it runs.
pub(crate) struct Record {
    worker: Rc<Worker>,
    listener: Rc<ListenerState>,
    client: Option<IpAddr>,
    pub(crate) started: Instant,
    /// When it ended, if somebody looked at the clock then.
    pub(crate) ended: Option<Instant>,
    /// Empty until a request was understood.
    pub(crate) request: Request,
    pub(crate) route: Option<Rc<RouteState>>,
    pub(crate) series: Option<Arc<RouteSeries>>,
    pub(crate) upstream: Option<Rc<UpstreamState>>,
    /// The endpoint of the last attempt.
    pub(crate) endpoint: Option<Rc<EndpointState>>,
    pub(crate) attempts: u32,
    /// The status that went to the client; 0 when none did.
    pub(crate) status: u16,
    pub(crate) rejection: Option<Rejection>,
    /// Heads and bodies, without the framing of chunks.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) connect: Option<Duration>,
    pub(crate) first_byte: Option<Instant>,
    /// Whether the client has the whole answer.
    pub(crate) is_complete: bool,
}

impl Record {
    pub(crate) fn new(connection: &Connection, started: Instant, request: Request) -> Self {
        Self {
            worker: connection.worker.clone(),
            listener: connection.listener.clone(),
            client: connection.client,
            started,
            ended: None,
            bytes_in: request.received as u64,
            request,
            route: None,
            series: None,
            upstream: None,
            endpoint: None,
            attempts: 0,
            status: 0,
            rejection: None,
            bytes_out: 0,
            connect: None,
            first_byte: None,
            is_complete: false,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_complete && self.rejection.is_none() {
            // The task was ended from outside: the worker stopped, or a bug ended it.
            self.rejection = Some(if std::thread::panicking() {
                Rejection::InternalError
            } else {
                Rejection::ShuttingDown
            });
        }
        if let Some(rejection) = self.rejection {
            self.listener.series.rejection(rejection);
        }
        let logged = if self.status != 0 { self.status } else { self.rejection.map_or(0, Rejection::status) };
        let ended = self.ended.unwrap_or_else(Instant::now);
        let duration = ended.saturating_duration_since(self.started);
        let method = Method::from_bytes(self.request.method());
        let series = self.series.as_ref().unwrap_or(&self.listener.unrouted);
        series.request(method, logged, duration, self.bytes_in, self.bytes_out);

        let mut access = self.worker.access.borrow_mut();
        if !access.is_on() {
            return;
        }
        access.record(&evenkeel_telemetry::Record {
            time: SystemTime::now() - duration,
            request_id: self.request.id(),
            client: self.client.map_or(Client::Text(UNIX_PEER), Client::Ip),
            listener: &self.listener.settings.name,
            route: self.route.as_ref().map_or("", |route| &route.name),
            method: self.request.method(),
            host: self.request.host(),
            path: self.request.target(),
            status: logged,
            reason: self.rejection,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            duration,
            upstream: self.upstream.as_ref().map_or("", |upstream| &upstream.settings.name),
            endpoint: self.endpoint.as_ref().map_or("", |endpoint| &endpoint.shared.label),
            attempts: self.attempts,
            connect: self.connect,
            first_byte: self.first_byte.map(|at| at.saturating_duration_since(self.started)),
            tls: None,
        });
    }
}
