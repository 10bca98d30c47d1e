//! Accepting: take connections, limit them, spread them over the workers.
//!
//! All workers accept from one socket, so no connection is lost with a worker's own queue. One that gets
//! more than its share hands the connection over.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use evenkeel_net::{Peer, Stream};
use evenkeel_policy::rejection::Rejection;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::connection::Connection;
use crate::deployment::SharedListener;
use crate::rejection;
use crate::state::{ListenerState, Worker};
use crate::tunnel::Session;
use crate::worker::{Handover, Place};

/// How long accepting rests when the process is out of file descriptors or memory.
const REST: Duration = Duration::from_millis(100);
/// Connections that may wait for their listener to become known.
const EARLY_LIMIT: usize = 1024;
/// How often that is said.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Accepts on one listener until told to stop, and then what the kernel has queued: those clients were let in.
pub(crate) async fn accept(worker: Rc<Worker>, shared: Arc<SharedListener>, stop: Rc<Notify>) {
    let acceptor = loop {
        match shared.listener.acceptor() {
            Ok(acceptor) => break acceptor,
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return,
            Err(error) => {
                error!(listener = %shared.listener.address(), %error, "cannot listen yet, trying again");
                tokio::time::sleep(REST).await;
            }
        }
    };
    let mut said: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            // Those who wait come before the order to stop.
            biased;
            accepted = acceptor.accept() => accepted,
            () = stop.notified() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                if said.take().is_some() {
                    info!(listener = %shared.listener.address(), "accepting again");
                }
                admit(&worker, &shared, stream, peer);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                worker.snapshot.borrow().release_idle();
                if let Some(listener) = worker.listener(&shared) {
                    listener.series.accept_error();
                    listener.series.accept_paused();
                }
                if said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
                    said = Some(Instant::now());
                    warn!(
                        listener = %shared.listener.address(), %error,
                        "cannot accept connections, trying again every {REST:?}; \
                         raise the limit of open files (ulimit -n, LimitNOFILE) if this goes on"
                    );
                }
                tokio::select! {
                    () = tokio::time::sleep(REST) => {}
                    () = stop.notified() => return,
                }
            }
        }
    }
}

/// Whether the error says nothing about the next connection (accept(2)).
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
            | Kind::WouldBlock
            | Kind::PermissionDenied
            | Kind::InvalidInput
            | Kind::NotConnected
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::TimedOut
    )
}

/// Serves a connection here, or hands it to a worker with fewer, or refuses it.
fn admit(worker: &Rc<Worker>, shared: &Arc<SharedListener>, stream: Stream, peer: Peer) {
    let Some(listener) = worker.listener(shared) else { return };
    let open = shared.open.fetch_add(1, Relaxed);
    if open >= listener.settings.limits.connections || worker.peers.is_full() {
        shared.open.fetch_sub(1, Relaxed);
        listener.series.connection_refused();
        listener.series.rejection(Rejection::ConnectionLimit);
        return refuse(&listener, &stream);
    }
    let Some(other) = worker.peers.less_busy_than(worker.index) else {
        let place = worker.peers.place(worker.index);
        return start(worker, listener, stream, peer, place);
    };
    let place = worker.peers.place(other);
    let handed = stream.detach().map(|stream| {
        worker.peers.hand_over(other, Handover { stream, peer, listener: shared.clone(), place })
    });
    match handed {
        Ok(Ok(())) => {}
        Ok(Err(handover)) => {
            take_over(worker, Handover { place: worker.peers.place(worker.index), ..handover })
        }
        Err(_) => {
            shared.open.fetch_sub(1, Relaxed);
        }
    }
}

/// Serves a connection that another worker accepted.
pub(crate) fn take_over(worker: &Rc<Worker>, handover: Handover) {
    let Some(listener) = worker.listener(&handover.listener) else {
        // Two workers learn of a new listener at different moments. One that stays unknown was removed meanwhile.
        let mut early = worker.early.borrow_mut();
        if early.len() < EARLY_LIMIT && !worker.draining.get() {
            early.push(handover);
        } else {
            handover.listener.open.fetch_sub(1, Relaxed);
        }
        return;
    };
    match handover.stream.attach() {
        Ok(stream) => start(worker, listener, stream, handover.peer, handover.place),
        Err(_) => {
            handover.listener.open.fetch_sub(1, Relaxed);
        }
    }
}

/// Tells a client that there is no room for it.
fn refuse(listener: &ListenerState, stream: &Stream) {
    if listener.tunnel.is_none() {
        return rejection::refuse(stream, Rejection::ConnectionLimit);
    }
    // There are no words that it would understand. It is gone already if this fails.
    let _ = stream.reset_on_close();
}

fn start(worker: &Rc<Worker>, listener: Rc<ListenerState>, stream: Stream, peer: Peer, place: Place) {
    if let Some(tunnel) = listener.tunnel.clone() {
        let mut session = Session::new(worker.clone(), listener, tunnel, stream, peer, place);
        tokio::task::spawn_local(async move { session.serve().await });
        return;
    }
    let mut connection = Connection::new(worker.clone(), listener, stream, peer, place);
    tokio::task::spawn_local(async move { connection.serve().await });
}
