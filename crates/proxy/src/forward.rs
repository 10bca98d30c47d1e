//! Forwarding: pick an endpoint, attempt, and on failure retry or give up.

use std::rc::Rc;
use std::time::Instant;

use evenkeel_http1::Framing;
use evenkeel_policy::endpoint::EndpointId;
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::retry::{Attempted, Failure};

use crate::attempt::{Attempt, Ended, InFlight};
use crate::body::Relay;
use crate::connection::{Connection, Next};
use crate::exchange::{reject, reject_fault};
use crate::queue::{self, Unserved};
use crate::record::Record;
use crate::state::{Destination, Worker};
use crate::upstream::UpstreamState;

/// The body of a request that did not arrive with its head.
pub(crate) struct Upload {
    pub(crate) relay: Relay,
    /// Whether some of it went to an endpoint, so that it cannot be sent again.
    pub(crate) is_begun: bool,
    /// Bytes it may have.
    pub(crate) limit: Option<u64>,
    /// By when an answer must begin, over all attempts; known once the request was sent whole.
    pub(crate) answer_by: Option<Instant>,
}

/// Forwards a request to an endpoint of `destination`, to several in turn if need be.
pub(crate) async fn run(connection: &mut Connection, mut record: Record, destination: &Destination) -> Next {
    let upstream = destination.upstream.clone();
    record.series = Some(destination.series.clone());
    record.upstream = Some(upstream.clone());
    upstream.budget.borrow_mut().deposit(record.started);
    let mut upload = match prepare_upload(connection, &mut record) {
        Ok(upload) => upload,
        Err(Unprepared::TooLarge) => return reject(connection, record, Rejection::BodyTooLarge, None).await,
        Err(Unprepared::Faulty(fault)) => return reject_fault(connection, record, fault).await,
    };
    let mut tried = Vec::new();
    let mut last: Option<Rejection> = None;
    loop {
        let worker = connection.worker.clone();
        // The clock is worth looking at only when time has passed.
        let mut began = if record.attempts == 0 { record.started } else { Instant::now() };
        let picked = match upstream.is_queueing() {
            true => None,
            false => match upstream.pick(&worker, &tried, record.request.hash, began) {
                Err(ineligible) if ineligible.busy > 0 && upstream.room.is_some() => None,
                picked => Some(picked.map_err(Unserved::Ineligible)),
            },
        };
        let picked = match picked {
            Some(picked) => picked,
            None => {
                let picked =
                    queue::wait(connection, &upstream, &tried, record.request.hash, upload.answer_by).await;
                began = Instant::now();
                picked
            }
        };
        let (id, endpoint) = match picked {
            Ok(picked) => picked,
            Err(Unserved::Ineligible(ineligible)) => {
                // What the last endpoint did says more than that there was no other one.
                let rejection = last.unwrap_or_else(|| upstream.rejection(&ineligible));
                let detail = last.is_none().then(|| ineligible.to_string());
                return reject(connection, record, rejection, detail.as_deref()).await;
            }
            Err(Unserved::Rejected(rejection)) => {
                return reject(connection, record, last.unwrap_or(rejection), None).await;
            }
            Err(Unserved::Gone) => {
                record.rejection = Some(Rejection::ClientClosed);
                return Next::Close;
            }
        };
        record.attempts += 1;
        record.endpoint = Some(endpoint.clone());
        let in_flight = InFlight::begin(endpoint.clone(), &upstream, began);
        let retries = Retries { worker: &worker, upstream: &upstream, tried: &mut tried, id };
        let attempt = Attempt { connection, record: &mut record, upload: &mut upload, in_flight, retries };
        let ended = attempt.run().await;
        if let Some(failure) = failure_of(&ended, &record) {
            upstream.failed(id, failure, began, Instant::now());
        }
        match ended {
            Ended::Answered(next) => return next,
            Ended::Client(rejection) => {
                record.rejection = Some(rejection);
                return Next::Close;
            }
            Ended::Faulty(fault) => return reject_fault(connection, record, fault).await,
            Ended::Rejected(rejection, detail) => return reject(connection, record, rejection, detail).await,
            Ended::Elsewhere => {}
            Ended::Failed(failure, rejection, sent) => {
                if matches!(failure, Failure::Connect | Failure::ConnectTimeout | Failure::Reset) {
                    endpoint.shared.suspect();
                }
                last = Some(rejection);
                let mut retries = Retries { worker: &worker, upstream: &upstream, tried: &mut tried, id };
                if !retries.allow(failure, &record, &upload, sent) {
                    return reject(connection, record, rejection, None).await;
                }
            }
        }
    }
}

/// What an endpoint did wrong, beyond the status of its answer.
fn failure_of(ended: &Ended, record: &Record) -> Option<Failure> {
    match ended {
        Ended::Failed(failure, ..) => Some(*failure),
        Ended::Answered(_) if record.rejection == Some(Rejection::ResponseIncomplete) => Some(Failure::Reset),
        Ended::Rejected(Rejection::ResponseMalformed | Rejection::ResponseHeaderTooLarge, _) => {
            Some(Failure::Reset)
        }
        // Where there were several attempts, the time that is over was not this endpoint's alone.
        Ended::Rejected(Rejection::ResponseTimeout, _) if record.attempts == 1 => {
            Some(Failure::AttemptTimeout)
        }
        _ => None,
    }
}

enum Unprepared {
    TooLarge,
    Faulty(evenkeel_http1::Fault),
}

/// Puts a body that is there already behind the head, so that both go out, and out again, together.
fn prepare_upload(connection: &mut Connection, record: &mut Record) -> Result<Upload, Unprepared> {
    let limit = connection.listener.settings.limits.body_bytes;
    let framing = record.request.framing.unwrap_or(Framing::None);
    let chunked = framing == Framing::Chunked;
    if matches!((framing, limit), (Framing::Length(length), Some(limit)) if length > limit) {
        return Err(Unprepared::TooLarge);
    }
    let mut relay = Relay::new(framing, chunked);
    if !relay.is_read() && !connection.carry.is_empty() {
        let head = record.request.bytes.len();
        let taken = relay.encode(&connection.carry, &mut record.request.bytes).map_err(Unprepared::Faulty)?;
        if limit.is_some_and(|limit| relay.bytes > limit) {
            return Err(Unprepared::TooLarge);
        }
        if relay.is_read() {
            connection.carry.drain(..taken);
            record.bytes_in += relay.bytes;
            record.request.framing = Some(Framing::None);
        } else {
            record.request.bytes.truncate(head);
            relay = Relay::new(framing, chunked);
        }
    }
    Ok(Upload { relay, is_begun: false, limit, answer_by: None })
}

/// What decides whether a request is tried again.
pub(crate) struct Retries<'a> {
    worker: &'a Rc<Worker>,
    upstream: &'a Rc<UpstreamState>,
    tried: &'a mut Vec<EndpointId>,
    id: EndpointId,
}

impl Retries<'_> {
    pub(crate) fn upstream(&self) -> &Rc<UpstreamState> {
        self.upstream
    }

    /// The attempt's answer begins.
    pub(crate) fn answered(&self, status: u16, began: Instant, now: Instant) {
        self.upstream.answered(self.id, status, began, now);
    }

    /// Whether to try again elsewhere after this failure; if so, it is paid for and counted.
    pub(crate) fn allow(&mut self, failure: Failure, record: &Record, upload: &Upload, sent: bool) -> bool {
        if !self.tried.contains(&self.id) {
            self.tried.push(self.id);
        }
        let attempted = Attempted {
            repeatable: !sent || record.request.idempotent,
            body_replayable: !upload.is_begun,
            response_started: false,
            attempts: record.attempts,
        };
        self.upstream.may_retry(self.worker, self.tried, failure, &attempted)
    }
}
