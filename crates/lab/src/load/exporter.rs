//! [`Exporter`]: serves the figures of a load at `/metrics`, and `/livez`, on a thread of its own.

use std::convert::Infallible;
use std::io;
use std::net::{self, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::{runtime, select};

use crate::load::{Meter, exposition};

/// Connections served at once; more wait in the system's queue.
const CONNECTIONS: usize = 16;
/// For a request's head to arrive, and for an idle connection to be used again.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// After this time a connection is closed, so that none is held for ever.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long accepting rests when the process is out of file descriptors.
const REST: Duration = Duration::from_millis(100);

/// Listens before the load begins, so that a wrong address is known while nothing has been sent yet.
#[derive(Debug)]
pub struct Exporter {
    listener: net::TcpListener,
    address: SocketAddr,
}

/// An exporter that serves, until it is dropped.
#[derive(Debug)]
pub struct Exporting {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Listens there; port 0 takes a free one.
    ///
    /// # Errors
    /// It cannot listen there.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves what the meter reads.
    ///
    /// # Errors
    /// Threads or file descriptors are missing.
    pub fn serve(self, meter: Meter) -> io::Result<Exporting> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(self.listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                select! {
                    () = accept(listener, meter) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("load-metrics".into()).spawn(serve)?;
        Ok(Exporting { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has been heard of.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, meter: Meter) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Fails only when the semaphore is closed, which nobody does.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let meter = meter.clone();
                tokio::spawn(async move {
                    let _place = place;
                    // How it ends is the client's business.
                    let _ = tokio::time::timeout(LIFETIME, serve_connection(stream, meter)).await;
                });
            }
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, meter: Meter) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answer = answer(&meter, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

fn answer(meter: &Meter, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, HeaderValue::from_static(exposition::CONTENT_TYPE), exposition::render(meter))
        }
        (&Method::GET | &Method::HEAD, "/livez") => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        (_, "/metrics" | "/livez") => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, TEXT, "there is /metrics and /livez\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}
