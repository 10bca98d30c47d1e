//! One connection of an origin, as its script sees it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Record;
use crate::message::{Body, Fields, Framing, Head, describe};
use crate::wait::Watched;
use crate::wire::{End, Wire};

/// A request as the origin received it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The number of its connection, from 0 in the order they were accepted.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// The target as sent.
    pub target: String,
    /// `HTTP/1.1`
    pub version: String,
    /// The fields in order.
    pub fields: Fields,
    /// The body without its framing; empty until it was read.
    pub body: Vec<u8>,
    /// Fields after a chunked body.
    pub trailers: Fields,
    /// The head's bytes.
    pub raw_head: Vec<u8>,
    /// The body's bytes with their framing.
    pub raw_body: Vec<u8>,
    /// Whether the body was read to its end.
    pub whole: bool,
    /// The proxy's end of the connection.
    pub peer: Option<SocketAddr>,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.raw_body[..self.raw_body.len().min(2000)];
        let whole = if self.whole { "" } else { "(not whole)" };
        write!(f, "[connection {}] {}{}{whole}", self.connection, describe(&self.raw_head), describe(shown))
    }
}

/// A connection, and the script's hands on it.
pub struct Conversation {
    number: usize,
    wire: Wire,
    shared: Arc<Watched<Record>>,
    is_dead: Arc<AtomicBool>,
    current: Option<usize>,
}

impl Conversation {
    pub(super) fn new(
        number: usize,
        wire: Wire,
        shared: Arc<Watched<Record>>,
        is_dead: Arc<AtomicBool>,
    ) -> Self {
        Self { number, wire, shared, is_dead, current: None }
    }

    /// The number of this connection, from 0 in the order they were accepted.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Reads and records one request whole; `None` when the connection ended instead.
    pub fn request(&mut self) -> Option<Request> {
        self.head()?;
        self.body()
    }

    /// Reads and records a request's head only; `None` when the connection ended instead.
    pub fn head(&mut self) -> Option<Request> {
        let head = match Head::read(&mut self.wire) {
            Ok(head) => head,
            Err(end) => {
                self.ended(end);
                return None;
            }
        };
        let [method, target, version] = head.line;
        let request = Request {
            connection: self.number,
            method,
            target,
            version,
            fields: head.fields,
            body: Vec::new(),
            trailers: Fields::default(),
            raw_head: head.raw,
            raw_body: Vec::new(),
            whole: false,
            peer: self.wire.peer_address(),
        };
        self.current = Some(self.shared.change(|record| {
            record.requests.push(request.clone());
            record.requests.len() - 1
        }));
        Some(request)
    }

    /// Reads the body of the request whose head was read last; `None` when the connection ended instead.
    pub fn body(&mut self) -> Option<Request> {
        let index = self.current?;
        let framing = self.shared.read(|record| Framing::of_request(&record.requests[index].fields));
        match framing.and_then(|framing| Body::read(&mut self.wire, framing)) {
            Ok(body) => Some(self.shared.change(|record| {
                let request = &mut record.requests[index];
                request.body = body.bytes;
                request.raw_body = body.raw;
                request.trailers = body.trailers;
                request.whole = true;
                request.clone()
            })),
            Err(end) => {
                self.ended(end);
                None
            }
        }
    }

    /// Marks the request whose head was read last as whole, its body having been read by hand.
    pub fn mark_whole(&mut self) {
        if let Some(index) = self.current {
            self.shared.change(|record| record.requests[index].whole = true);
        }
    }

    /// Reads and forgets exactly `count` raw bytes; `false` when the connection ended before.
    pub fn discard(&mut self, count: u64) -> bool {
        match self.wire.discard(count) {
            Ok(()) => true,
            Err(end) => {
                self.ended(end);
                false
            }
        }
    }

    /// Waits for whatever bytes come next; `None` when the connection ended instead.
    pub fn some(&mut self) -> Option<Vec<u8>> {
        match self.wire.some() {
            Ok(bytes) => Some(bytes),
            Err(end) => {
                self.ended(end);
                None
            }
        }
    }

    /// Sends bytes; `false` when the proxy is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        if self.is_dead.load(Ordering::SeqCst) {
            self.ended(End::Closed);
            return false;
        }
        match self.wire.send(bytes.as_ref()) {
            Ok(()) => true,
            Err(error) => {
                self.ended(End::of(&error));
                false
            }
        }
    }

    /// Sends each piece in a packet of its own; `false` when the proxy is gone.
    pub fn send_pieces<P: AsRef<[u8]>>(&mut self, pieces: impl IntoIterator<Item = P>) -> bool {
        pieces.into_iter().all(|piece| self.send(piece))
    }

    /// Sends what the socket takes; `None` when the proxy is gone or took nothing within the deadline.
    pub fn send_some(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.is_dead.load(Ordering::SeqCst) { None } else { self.wire.send_some(bytes).ok() }
    }

    /// Fixes how much the kernel receives ahead of the script, so that a slow reader is a slow receiver.
    pub fn bound_receive_buffer(&mut self, bytes: usize) {
        let _ = self.wire.bound_receive_buffer(bytes);
    }

    /// Says that no more will be sent.
    pub fn shutdown_write(&mut self) {
        let _ = self.wire.shutdown_write();
    }

    /// Makes the end of the script a reset instead of an orderly close.
    pub fn reset(&mut self) {
        let _ = self.wire.reset_on_close();
    }

    /// Reads and forgets until the proxy ends the connection; this is also how to hold it open unanswered.
    pub fn await_end(&mut self) -> End {
        loop {
            match self.wire.some() {
                // Somebody who holds a connection may hold it longer than one read may last.
                Ok(_) | Err(End::TimedOut) => continue,
                Err(end) => {
                    self.ended(end.clone());
                    return end;
                }
            }
        }
    }

    fn ended(&self, end: End) {
        self.shared.change(|record| {
            record.connections[self.number].end.get_or_insert(end);
        });
    }
}

/// A response with a Content-Length, as bytes.
pub fn reply(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    reply_with(status, &[], body)
}

/// A response with fields and a Content-Length, as bytes.
pub fn reply_with(status: u16, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status} Scripted\r\n").into_bytes();
    for (name, value) in fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Whether the origin closes after this answer.
pub(super) fn closes(request: &Request, answer: &[u8]) -> bool {
    let head_end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..head_end]).to_ascii_lowercase();
    let framed = head.contains("\r\ncontent-length:")
        || head.contains("\r\ntransfer-encoding:")
        || head.starts_with("http/1.1 204")
        || head.starts_with("http/1.1 304")
        || request.method == "HEAD";
    !framed || head.contains("\r\nconnection: close") || request.fields.has_token("connection", "close")
}
