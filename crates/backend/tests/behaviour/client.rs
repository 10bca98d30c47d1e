//! A client of one connection, and raw bytes for what a well-behaved client would not send.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client(SendRequest<Full<Bytes>>);

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client(sender)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        self.request(Request::builder().method(method).uri(path).body(body.into()).unwrap()).await
    }

    pub(crate) async fn request(&mut self, request: Request<Bytes>) -> Answer {
        let (parts, body) = self.open(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The head of the answer, with the body still to come; or how the connection failed.
    pub(crate) async fn open(&mut self, request: Request<Bytes>) -> hyper::Result<Response<Incoming>> {
        self.0.ready().await?;
        let mut request = request.map(Full::new);
        request.headers_mut().entry("host").or_insert("toy".parse().unwrap());
        self.0.send_request(request).await
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }
}

/// One GET on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    Client::connect(address).await.get(path).await
}

/// One POST without a body on a connection of its own.
pub(crate) async fn post(address: SocketAddr, path: &str) -> Answer {
    Client::connect(address).await.send(Method::POST, path, "").await
}

/// Sends bytes, closes the sending half, and returns all that comes back.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Asks again until the metric has that value: the event a test waits for.
pub(crate) async fn until_metric(address: SocketAddr, metric: &str, value: u64) {
    let line = format!("toy_backend_{metric} {value}");
    let mut client = Client::connect(address).await;
    while !client.get("/metrics").await.text().lines().any(|l| l == line) {
        tokio::task::yield_now().await;
    }
}
