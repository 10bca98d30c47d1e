//! One attempt at one endpoint: a connection, old or new, and the exchange on it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_http1::Fault;
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::retry::Failure;

use crate::connect::{Unconnected, connect};
use crate::connection::{Connection, Next};
use crate::flight::Flight;
use crate::forward::{Retries, Upload};
use crate::pool::EndpointConnection;
use crate::record::Record;
use crate::room::WaitingRoom;
use crate::upstream::{EndpointState, UpstreamState};
use crate::wait::Wait;

/// A request counted at an endpoint for as long as the attempt lasts. The count itself was made by the pick.
pub(crate) struct InFlight {
    pub(crate) endpoint: Rc<EndpointState>,
    pub(crate) began: Instant,
    /// When it ended, if somebody looked at the clock then.
    pub(crate) ended: Option<Instant>,
    pub(crate) status: Option<u16>,
    wait: Option<Wait>,
    /// Who is told that there is a free place again.
    room: Option<Arc<WaitingRoom>>,
}

impl InFlight {
    pub(crate) fn begin(endpoint: Rc<EndpointState>, upstream: &UpstreamState, began: Instant) -> Self {
        endpoint.series.begin();
        let wait = Wait::begin(&endpoint, upstream.memory, began);
        Self { endpoint, began, ended: None, status: None, wait, room: upstream.room.clone() }
    }

    /// Its answer begins. One that the endpoint failed with says nothing of the time that answers take.
    pub(crate) fn answered(&mut self, status: u16, now: Instant) {
        self.status = Some(status);
        if let (Some(wait), ..500) = (self.wait.take(), status) {
            wait.answered(now);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.shared.load.end();
        let ended = self.ended.unwrap_or_else(Instant::now);
        if let Some(room) = &self.room {
            room.release(ended);
        }
        self.endpoint.series.end(self.status, ended.saturating_duration_since(self.began));
    }
}

/// How an attempt ended.
pub(crate) enum Ended {
    /// The client has an answer, or as much of one as could be had.
    Answered(Next),
    /// The endpoint failed before the client saw anything; `true` if some of the request had been sent.
    Failed(Failure, Rejection, bool),
    /// It is to be tried elsewhere, which has been decided and paid for.
    Elsewhere,
    /// The request is answered by us; no other endpoint would do better.
    Rejected(Rejection, Option<&'static str>),
    /// The client violates its framing.
    Faulty(Fault),
    /// The client is gone: nobody is answered.
    Client(Rejection),
}

/// One attempt, to be run.
pub(crate) struct Attempt<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) record: &'a mut Record,
    pub(crate) upload: &'a mut Upload,
    pub(crate) in_flight: InFlight,
    pub(crate) retries: Retries<'a>,
}

impl Attempt<'_> {
    pub(crate) async fn run(mut self) -> Ended {
        loop {
            let endpoint = match self.connect().await {
                Ok(endpoint) => endpoint,
                Err(ended) => return ended,
            };
            let is_reused = endpoint.reused;
            let mut flight = Flight::new(self, endpoint);
            let outcome = flight.run().await;
            let reusable;
            (self, reusable) = flight.land();
            if let (Some(endpoint), Ended::Answered(_)) = (reusable, &outcome) {
                let limit = self.retries.upstream().settings.pool.idle_connections;
                let now = self.in_flight.ended.unwrap_or_else(Instant::now);
                self.in_flight.endpoint.pool.put(endpoint, now, limit);
            }
            match outcome {
                // The endpoint had closed a connection that was kept: replace it, nobody needs to know.
                Ended::Failed(Failure::Reset, _, sent)
                    if is_reused && !self.upload.is_begun && (!sent || self.record.request.idempotent) => {}
                outcome => return outcome,
            }
        }
    }

    /// An idle connection, or a new one.
    async fn connect(&mut self) -> Result<EndpointConnection, Ended> {
        let endpoint = &self.in_flight.endpoint;
        while let Some(connection) = endpoint.pool.take() {
            // What may not be repeated is worth a system call to see whether the endpoint is still there.
            if self.record.request.idempotent || connection.stream.is_idle() {
                return Ok(connection);
            }
        }
        let began = Instant::now();
        let timeouts = &self.retries.upstream().settings.timeouts;
        let patience = timeouts.attempt.unwrap_or(Duration::MAX).min(timeouts.connect);
        let by = began + patience;
        self.connection.deadline.set(self.upload.answer_by.map_or(by, |overall| overall.min(by)));
        match connect(&self.connection.worker, endpoint, &self.connection.deadline).await {
            Ok(connection) => {
                self.record.connect = Some(began.elapsed());
                Ok(connection)
            }
            Err(Unconnected::Failed(failure, rejection)) => Err(Ended::Failed(failure, rejection, false)),
            Err(Unconnected::OutOfResources) => Err(Ended::Rejected(Rejection::OutOfResources, None)),
        }
    }
}
