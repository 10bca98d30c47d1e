//! Waiting for a free place: the queue of an upstream as a request meets it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use evenkeel_policy::eligibility::Ineligible;
use evenkeel_policy::endpoint::EndpointId;
use evenkeel_policy::rejection::Rejection;

use crate::connection::Connection;
use crate::room::{Call, Waiting};
use crate::upstream::{EndpointState, UpstreamState};

/// How often somebody who waits looks for places that nobody told of: an endpoint that is up again, or may have more.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a request that was to wait has no endpoint.
pub(crate) enum Unserved {
    /// Nobody is eligible, and not for want of places.
    Ineligible(Ineligible),
    /// It is answered by us.
    Rejected(Rejection),
    /// The client is gone.
    Gone,
}

/// What happens to somebody who waits.
enum Event {
    Called(Call),
    /// The client has closed its sending side.
    HalfClosed,
    /// The client has reset the connection.
    Gone,
    /// The worker ends.
    Over,
    /// It is time to look.
    Due,
}

/// Waits until an endpoint that was not `tried` has a free place, and takes it; no longer than until `answer_by`.
///
/// Somebody who is first in line and has tried the endpoint that has a place leaves it unused, but not for longer than
/// the queue takes to be more than a burst: then the newest is first.
///
/// # Errors
/// There was none in time, or no room to wait in; or something else ended the wait.
pub(crate) async fn wait(
    connection: &mut Connection,
    upstream: &UpstreamState,
    tried: &[EndpointId],
    hash: Option<u64>,
    answer_by: Option<Instant>,
) -> Result<(EndpointId, Rc<EndpointState>), Unserved> {
    let (Some(rules), Some(room)) = (upstream.settings.queue, &upstream.room) else {
        return Err(Unserved::Rejected(Rejection::EndpointsBusy));
    };
    let worker = connection.worker.clone();
    let began = Instant::now();
    let Some(mut waiting) = room.join(rules.size, began) else {
        return Err(Unserved::Rejected(Rejection::QueueFull));
    };
    let until = answer_by.map_or(began + rules.timeout, |answer_by| answer_by.min(began + rules.timeout));
    let mut leave_by = until;
    let mut look_at = began;
    loop {
        connection.deadline.set(leave_by.min(look_at));
        match next(connection, &mut waiting).await {
            Event::Called(Call::YourTurn) => {
                let now = Instant::now();
                match upstream.pick(&worker, tried, hash, now) {
                    Ok(picked) => {
                        waiting.served();
                        upstream.series.queued(now.saturating_duration_since(began));
                        return Ok(picked);
                    }
                    Err(ineligible) if ineligible.busy > 0 => {
                        waiting.again(now);
                        look_at = now;
                    }
                    Err(ineligible) => return Err(Unserved::Ineligible(ineligible)),
                }
            }
            Event::Called(Call::MakeRoom) => {
                waiting.served();
                return Err(Unserved::Rejected(Rejection::QueueFull));
            }
            Event::HalfClosed => {
                leave_by = until.min(Instant::now() + connection.listener.settings.timeouts.half_close);
            }
            Event::Gone => return Err(Unserved::Gone),
            Event::Over => return Err(Unserved::Rejected(Rejection::ShuttingDown)),
            Event::Due => {
                let now = Instant::now();
                if answer_by.is_some_and(|answer_by| now >= answer_by) {
                    return Err(Unserved::Rejected(Rejection::ResponseTimeout));
                }
                if now >= until {
                    return Err(Unserved::Rejected(Rejection::QueueTimeout));
                }
                if now >= leave_by {
                    return Err(Unserved::Gone);
                }
                match upstream.has_another(&worker, &[], now) {
                    // For whoever is first in line, perhaps for us.
                    Ok(()) => room.release(now),
                    Err(ineligible) if ineligible.busy == 0 => return Err(Unserved::Ineligible(ineligible)),
                    Err(_) => {}
                }
                look_at = now + LOOK_EVERY;
            }
        }
    }
}

/// Waits for something to happen.
async fn next(connection: &mut Connection, waiting: &mut Waiting<'_>) -> Event {
    let was_half_closed = connection.half_closed;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(call) = Pin::new(&mut waiting.call).poll(cx) {
            // Nobody drops a sender without a word.
            return Poll::Ready(Event::Called(call.unwrap_or(Call::MakeRoom)));
        }
        if connection.poll_watch(cx).is_err() {
            return Poll::Ready(Event::Gone);
        }
        if connection.half_closed && !was_half_closed {
            return Poll::Ready(Event::HalfClosed);
        }
        if connection.worker.is_over.get() {
            return Poll::Ready(Event::Over);
        }
        connection.deadline.poll(cx).map(|()| Event::Due)
    })
    .await
}
