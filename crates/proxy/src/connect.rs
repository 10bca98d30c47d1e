//! Opening a connection to an endpoint, in time.

use std::io;
use std::pin::pin;
use std::task::Poll;

use evenkeel_net::{Stream, Target, dial, is_local_shortage};
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::retry::Failure;

use crate::pool::EndpointConnection;
use crate::state::Worker;
use crate::timers::Deadline;
use crate::upstream::EndpointState;

/// Why there is no connection.
pub(crate) enum Unconnected {
    /// The endpoint cannot be connected to; another one may.
    Failed(Failure, Rejection),
    /// It is this machine that cannot connect to anybody.
    OutOfResources,
}

/// Opens a connection to an endpoint, by `deadline` at the latest.
pub(crate) async fn connect(
    worker: &Worker,
    endpoint: &EndpointState,
    deadline: &Deadline,
) -> Result<EndpointConnection, Unconnected> {
    let Some(target) = endpoint.shared.target() else {
        endpoint.series.connect_failed();
        return Err(Unconnected::Failed(Failure::Connect, Rejection::UnresolvedName));
    };
    let (failure, rejection) = match dial_in_time(&target, deadline).await {
        Some(Ok(stream)) => return Ok(EndpointConnection::new(stream, endpoint.series.clone())),
        Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            (Failure::Connect, Rejection::ConnectRefused)
        }
        Some(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
            (Failure::ConnectTimeout, Rejection::ConnectTimeout)
        }
        Some(Err(error)) if is_local_shortage(&error) => {
            // Idle connections are what can be done without.
            worker.snapshot.borrow().release_idle();
            match dial_in_time(&target, deadline).await {
                Some(Ok(stream)) => return Ok(EndpointConnection::new(stream, endpoint.series.clone())),
                Some(Err(_)) => return Err(Unconnected::OutOfResources),
                None => (Failure::ConnectTimeout, Rejection::ConnectTimeout),
            }
        }
        Some(Err(_)) => (Failure::Connect, Rejection::ConnectFailed),
        None => (Failure::ConnectTimeout, Rejection::ConnectTimeout),
    };
    endpoint.series.connect_failed();
    Err(Unconnected::Failed(failure, rejection))
}

/// Dials; `None` when the deadline came first.
async fn dial_in_time(target: &Target, deadline: &Deadline) -> Option<io::Result<Stream>> {
    let mut dialing = pin!(dial(target));
    std::future::poll_fn(|cx| match dialing.as_mut().poll(cx) {
        Poll::Pending => deadline.poll(cx).map(|()| None),
        Poll::Ready(dialed) => Poll::Ready(Some(dialed)),
    })
    .await
}
