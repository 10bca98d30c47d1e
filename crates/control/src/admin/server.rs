//! Accepting and serving admin connections, within bounds: whatever is done to this address, the data path goes on.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::api::{self, Asked};
use super::guard::Guard;
use crate::handle::Handle;

/// Connections served at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// For a request's head to arrive, and for an idle connection to be used again.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of a request's head.
const HEAD_LIMIT: usize = 64 * 1024;
/// After this time a connection is closed behind its current answer, so that none is held for ever.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long that answer may take; a report of what is wrong after a reload takes the longest.
const LAST_ANSWER: Duration = Duration::from_secs(30);
/// How long accepting rests when the process is out of file descriptors or memory.
const REST: Duration = Duration::from_millis(100);
/// How often that is said.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Serves the admin address until the runtime ends, for `hosts` beside loopback's own names ([`Guard`]).
///
/// # Errors
/// The socket cannot become part of the runtime.
pub(crate) fn serve(listener: std::net::TcpListener, hosts: Arc<[String]>, handle: Handle) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    tokio::spawn(accept(listener, hosts, handle));
    Ok(())
}

async fn accept(listener: TcpListener, hosts: Arc<[String]>, handle: Handle) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut said: Option<Instant> = None;
    loop {
        // Fails only when the semaphore is closed, which nobody does.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                if said.take().is_some() {
                    info!("the admin address accepts again");
                }
                let (hosts, handle) = (hosts.clone(), handle.clone());
                tokio::spawn(async move {
                    let _place = place;
                    serve_connection(stream, hosts, handle).await;
                });
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
                    said = Some(Instant::now());
                    warn!(
                        "the admin address cannot accept ({error}), trying again every {REST:?}; \
                         raise the limit of open files (ulimit -n, LimitNOFILE) if this goes on"
                    );
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, hosts: Arc<[String]>, handle: Handle) {
    let Ok(local) = stream.local_addr() else { return };
    // An answer goes out whole; there is nothing to gather.
    let _ = stream.set_nodelay(true);
    let asked = Arc::new(Asked { handle, guard: Guard::of(local, hosts) });
    let service = service_fn(move |request| {
        let asked = asked.clone();
        async move { Ok::<_, Infallible>(api::answer(&asked, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How it ended concerns nobody: what the client sent was answered, or it went away.
    if tokio::time::timeout(LIFETIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(LAST_ANSWER, connection).await;
    }
}

/// Whether the error says nothing about the next connection (accept(2)).
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused | Kind::Interrupted
    )
}
