//! The address for Prometheus and for whoever wants to know whether the server lives: `/metrics`, `/livez`, `/readyz`.

mod page;

use std::convert::Infallible;
use std::sync::Arc;
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
use tokio::sync::Semaphore;

use crate::server::shared::Shared;

/// Connections served at once; more wait in the system's queue.
const CONNECTIONS: usize = 64;
/// For a request's head to arrive, and for an idle connection to be used again.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// After this time a connection is closed, so that none is held for ever.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long accepting rests when the process is out of file descriptors.
const REST: Duration = Duration::from_millis(100);

/// Serves the address until it is dropped.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Fails only when the semaphore is closed, which nobody does.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let _place = place;
                    // How it ends is the client's business.
                    let _ = tokio::time::timeout(LIFETIME, serve_connection(stream, shared)).await;
                });
            }
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answer = answer(&shared, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

fn answer(shared: &Shared, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, HeaderValue::from_static(page::CONTENT_TYPE), page::render(shared))
        }
        (&Method::GET | &Method::HEAD, "/livez") => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") => match unready(shared) {
            None => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{reason}\n")),
        },
        (_, "/metrics" | "/livez" | "/readyz") => {
            (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, TEXT, "there is /metrics, /livez and /readyz\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// Why clients had better go elsewhere.
fn unready(shared: &Shared) -> Option<&'static str> {
    if shared.is_stopping() {
        return Some("stopping");
    }
    (shared.is_replica() && !shared.replication.is_linked()).then_some("a replica without its primary")
}
