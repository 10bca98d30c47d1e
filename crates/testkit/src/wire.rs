//! One end of a connection: bytes out, buffered bytes in, and how it ended.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::message::describe;
use crate::wait::DEADLINE;

/// How much of what was received is kept for failure messages.
const TRANSCRIPT: usize = 8 * 1024;

/// Why no more bytes came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The peer closed in an orderly way.
    Closed,
    /// The peer reset the connection.
    Reset,
    /// Nothing came within the deadline.
    TimedOut,
    /// What came was not HTTP; with the reason.
    Malformed(String),
    /// Another error of the socket.
    Failed(String),
}

impl End {
    /// Whether the connection is gone, in whatever way.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Closed | Self::Reset)
    }

    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Self::Reset,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the peer closed the connection"),
            Self::Reset => f.write_str("the peer reset the connection"),
            Self::TimedOut => f.write_str("nothing came within the deadline"),
            Self::Malformed(why) => write!(f, "what came was not HTTP: {why}"),
            Self::Failed(why) => write!(f, "the socket failed: {why}"),
        }
    }
}

/// A TCP or Unix stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A stream with a read buffer and a memory of what it received.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    transcript: Vec<u8>,
    received: Arc<AtomicU64>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        Self::tcp(stream)
    }

    /// From an address of ours.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect_timeout(&address.into(), DEADLINE)?;
        Self::tcp(socket.into())
    }

    pub(crate) fn connect_unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self::over(Stream::Unix(stream)))
    }

    pub(crate) fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self::over(Stream::Tcp(stream)))
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            start: 0,
            transcript: Vec::new(),
            received: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Counts every byte that arrives, for whoever watches.
    pub(crate) fn meter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }

    /// A second handle of the TCP stream, to end it from elsewhere.
    pub(crate) fn second_handle(&self) -> io::Result<TcpStream> {
        match &self.stream {
            Stream::Tcp(stream) => stream.try_clone(),
            Stream::Unix(_) => Err(io::Error::new(ErrorKind::Unsupported, "not a TCP stream")),
        }
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    pub(crate) fn set_timeout(&self, limit: Duration) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))
            }
        }
    }

    /// Writes all of it.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// Writes what the socket takes, at least one byte, within the timeout.
    pub(crate) fn send_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Fixes how much the kernel receives ahead of the reader; by itself it grows to megabytes.
    pub(crate) fn bound_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => SockRef::from(stream).set_recv_buffer_size(bytes),
            Stream::Unix(_) => Ok(()),
        }
    }

    /// Makes the coming close a reset.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            Stream::Unix(_) => Ok(()),
        }
    }

    /// Everything received so far, for messages; long ones are cut.
    pub(crate) fn transcript(&self) -> String {
        let total = self.received.load(Ordering::Relaxed);
        let mut text = describe(&self.transcript);
        if total > self.transcript.len() as u64 {
            text.push_str(&format!("… ({total} bytes in all)"));
        }
        text
    }

    /// Bytes received and not yet taken.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads at least one byte more.
    pub(crate) fn fill(&mut self) -> Result<(), End> {
        let mut piece = [0_u8; 64 * 1024];
        let got = loop {
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut piece),
                Stream::Unix(stream) => stream.read(&mut piece),
            };
            match read {
                Ok(0) => return Err(End::Closed),
                Ok(got) => break got,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(End::of(&error)),
            }
        };
        self.received.fetch_add(got as u64, Ordering::SeqCst);
        let room = TRANSCRIPT.saturating_sub(self.transcript.len());
        self.transcript.extend_from_slice(&piece[..got.min(room)]);
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        self.buffer.extend_from_slice(&piece[..got]);
        Ok(())
    }

    /// Takes the bytes up to and including `delimiter`.
    pub(crate) fn through(&mut self, delimiter: &[u8]) -> Result<Vec<u8>, End> {
        let mut searched = 0;
        loop {
            let pending = self.pending();
            let from = searched.min(pending.len());
            if let Some(at) = pending[from..].windows(delimiter.len()).position(|window| window == delimiter)
            {
                return Ok(self.take(from + at + delimiter.len()));
            }
            searched = pending.len().saturating_sub(delimiter.len() - 1);
            self.fill()?;
        }
    }

    /// Takes exactly `count` bytes.
    pub(crate) fn exactly(&mut self, count: usize) -> Result<Vec<u8>, End> {
        while self.pending().len() < count {
            self.fill()?;
        }
        Ok(self.take(count))
    }

    /// Takes and forgets exactly `count` bytes, however many.
    pub(crate) fn discard(&mut self, mut count: u64) -> Result<(), End> {
        while count > 0 {
            if self.pending().is_empty() {
                self.fill()?;
            }
            let now = (self.pending().len() as u64).min(count);
            self.start += now as usize;
            count -= now;
        }
        Ok(())
    }

    /// Takes whatever is there, waiting for at least one byte.
    pub(crate) fn some(&mut self) -> Result<Vec<u8>, End> {
        if self.pending().is_empty() {
            self.fill()?;
        }
        let all = self.pending().len();
        Ok(self.take(all))
    }

    /// Takes everything until the connection ends, and how it ended.
    pub(crate) fn until_end(&mut self) -> (Vec<u8>, End) {
        let end = loop {
            if let Err(end) = self.fill() {
                break end;
            }
        };
        let all = self.pending().len();
        (self.take(all), end)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.buffer[self.start..self.start + count].to_vec();
        self.start += count;
        taken
    }
}
