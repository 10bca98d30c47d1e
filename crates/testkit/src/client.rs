//! A client that sends exactly the bytes it is told to, and says exactly what came back.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::message::{Head, Response, describe};
use crate::wait::DEADLINE;
use crate::wire::{End, Wire};

/// One connection to a server.
#[derive(Debug)]
pub struct RawClient {
    wire: Wire,
}

impl RawClient {
    /// Connects over TCP.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        match Wire::connect(address) {
            Ok(wire) => Self { wire },
            Err(error) => panic!("cannot connect to {address}: {error}"),
        }
    }

    /// Connects over TCP from an address of this machine's, such as any of 127.0.0.0/8.
    #[track_caller]
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        match Wire::connect_from(source, address) {
            Ok(wire) => Self { wire },
            Err(error) => panic!("cannot connect to {address} from {source}: {error}"),
        }
    }

    /// Connects over TCP, or says how it failed.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        Wire::connect(address).map(|wire| Self { wire })
    }

    /// Connects to a Unix socket.
    #[track_caller]
    pub fn connect_unix(path: &Path) -> Self {
        match Wire::connect_unix(path) {
            Ok(wire) => Self { wire },
            Err(error) => panic!("cannot connect to {}: {error}", path.display()),
        }
    }

    /// Our own address, as the server sees it.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.wire.local_address()
    }

    /// Sends all bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        if let Err(error) = self.wire.send(bytes.as_ref()) {
            panic!(
                "cannot send {}: {error}; received so far:\n{}",
                describe(&bytes.as_ref()[..bytes.as_ref().len().min(400)]),
                self.wire.transcript()
            );
        }
        self
    }

    /// Sends all bytes; `Err` says how the connection ended instead.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), End> {
        self.wire.send(bytes.as_ref()).map_err(|error| End::of(&error))
    }

    /// Sends each piece in a packet of its own (Nagle's algorithm is off).
    #[track_caller]
    pub fn send_pieces<P: AsRef<[u8]>>(&mut self, pieces: impl IntoIterator<Item = P>) -> &mut Self {
        for piece in pieces {
            self.send(piece);
        }
        self
    }

    /// Sends one byte at a time.
    #[track_caller]
    pub fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.send_pieces(bytes.as_ref().chunks(1))
    }

    /// Sends copies of `bytes` until the server stops taking them for `quiet`; gives how many bytes it took.
    ///
    /// At most `limit` bytes are sent.
    pub fn send_until_full(&mut self, bytes: &[u8], limit: u64, quiet: Duration) -> Result<u64, End> {
        self.wire.set_timeout(quiet).map_err(|error| End::of(&error))?;
        let mut sent = 0;
        let result = loop {
            if sent >= limit {
                break Ok(sent);
            }
            match self.wire.send_some(bytes).map_err(|error| End::of(&error)) {
                Ok(count) => sent += count as u64,
                Err(End::TimedOut) => break Ok(sent),
                Err(end) => break Err(end),
            }
        };
        self.wire.set_timeout(DEADLINE).map_err(|error| End::of(&error))?;
        result
    }

    /// Says that no more will be sent (half-close).
    #[track_caller]
    pub fn shutdown_write(&mut self) -> &mut Self {
        if let Err(error) = self.wire.shutdown_write() {
            panic!("cannot half-close: {error}; received so far:\n{}", self.wire.transcript());
        }
        self
    }

    /// Fixes how much the kernel receives ahead of the reader, so that a slow reader is a slow receiver.
    #[track_caller]
    pub fn bound_receive_buffer(&mut self, bytes: usize) -> &mut Self {
        if let Err(error) = self.wire.bound_receive_buffer(bytes) {
            panic!("cannot bound the receive buffer: {error}");
        }
        self
    }

    /// Closes with a reset instead of an orderly end.
    #[track_caller]
    pub fn reset(self) {
        if let Err(error) = self.wire.reset_on_close() {
            panic!("cannot reset: {error}");
        }
    }

    /// Reads one response to anything but HEAD; 1xx heads before it are collected.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads one response to a request of this method.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        match self.try_response_to(method) {
            Ok(response) => response,
            Err(failure) => panic!("no whole response to {method}: {failure}"),
        }
    }

    /// Reads one response, or says why there was none.
    pub fn try_response(&mut self) -> Result<Response, Failure> {
        self.try_response_to("GET")
    }

    /// Reads one response to a request of this method, or says why there was none.
    pub fn try_response_to(&mut self, method: &str) -> Result<Response, Failure> {
        Response::read(&mut self.wire, method).map_err(|end| self.failure(end))
    }

    /// Reads a response's head (1xx heads before it are collected) and leaves its body unread.
    #[track_caller]
    pub fn response_head(&mut self) -> Response {
        match Response::read_head(&mut self.wire) {
            Ok(response) => response,
            Err(end) => panic!("no head of a response: {}", self.failure(end)),
        }
    }

    /// Reads the next head, 1xx or not.
    #[track_caller]
    pub fn any_head(&mut self) -> Head {
        match Head::read(&mut self.wire) {
            Ok(head) => head,
            Err(end) => panic!("no head of a response: {}", self.failure(end)),
        }
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Response {
        let method = request.as_ref().split(|byte| *byte == b' ').next().unwrap_or_default();
        let method = String::from_utf8_lossy(method).into_owned();
        self.send(request).response_to(&method)
    }

    /// Reads exactly `count` raw bytes.
    #[track_caller]
    pub fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        match self.wire.exactly(count) {
            Ok(bytes) => bytes,
            Err(end) => panic!("no {count} bytes: {}", self.failure(end)),
        }
    }

    /// Reads and forgets exactly `count` raw bytes.
    #[track_caller]
    pub fn discard(&mut self, count: u64) {
        if let Err(end) = self.wire.discard(count) {
            panic!("no {count} bytes: {}", self.failure(end));
        }
    }

    /// Waits for whatever comes next, at least one byte.
    #[track_caller]
    pub fn read_some(&mut self) -> Vec<u8> {
        match self.wire.some() {
            Ok(bytes) => bytes,
            Err(end) => panic!("not a byte: {}", self.failure(end)),
        }
    }

    /// Reads everything until the connection ends, and how it ended.
    pub fn until_end(&mut self) -> (Vec<u8>, End) {
        self.wire.until_end()
    }

    /// Fails the test unless the server now closes, in an orderly way and without another byte.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let (rest, end) = self.until_end();
        assert!(
            rest.is_empty() && end == End::Closed,
            "expected an orderly close; {end} after {} more bytes; all that was received:\n{}",
            rest.len(),
            self.wire.transcript()
        );
    }

    /// Fails the test unless the connection is now ended, orderly or by a reset, without another byte.
    #[track_caller]
    pub fn expect_gone(&mut self) {
        let (rest, end) = self.until_end();
        assert!(
            rest.is_empty() && end.is_gone(),
            "expected the connection to end; {end} after {} more bytes; all that was received:\n{}",
            rest.len(),
            self.wire.transcript()
        );
    }

    /// Fails the test unless nothing arrives for `quiet` and the connection stays open.
    #[track_caller]
    pub fn expect_silence(&mut self, quiet: Duration) {
        let started = Instant::now();
        self.wire.set_timeout(quiet).expect("a timeout");
        let end = self.wire.some();
        self.wire.set_timeout(DEADLINE).expect("a timeout");
        assert!(
            end == Err(End::TimedOut),
            "expected silence for {quiet:?}; after {:?}: {end:?}; all that was received:\n{}",
            started.elapsed(),
            self.wire.transcript()
        );
    }

    /// Everything received on this connection, for messages.
    pub fn transcript(&self) -> String {
        self.wire.transcript()
    }

    fn failure(&self, end: End) -> Failure {
        Failure { end, received: self.wire.transcript() }
    }
}

/// Why no whole response came.
#[derive(Debug, Clone)]
pub struct Failure {
    /// How the connection ended.
    pub end: End,
    /// What came before that.
    pub received: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; all that was received:\n{}", self.end, self.received)
    }
}
