//! [`Wire`]: a connection to a primary, with what was read of it and not used yet.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// A connection to a primary.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    /// When something was received last.
    pub(super) heard: Instant,
    /// An empty line is sent each second while something is read: loading takes long, and the primary must see that we live.
    signs: Option<Instant>,
}

/// Longest line of the handshake.
const LONGEST_LINE: usize = 4096;

impl Wire {
    pub(super) fn connect(host: &str, port: u16, patience: Duration) -> io::Result<Self> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(patience))?;
                    stream.set_write_timeout(Some(patience))?;
                    return Ok(Self { stream, unread: Vec::new(), heard: Instant::now(), signs: None });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// What ends the connection from elsewhere.
    pub(super) fn handle(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    pub(super) fn close(handle: &TcpStream) {
        // Fails when it is closed already.
        let _ = handle.shutdown(Shutdown::Both);
    }

    pub(super) fn show_signs(&mut self, show: bool) {
        self.signs = show.then(Instant::now);
    }

    pub(super) fn send(&mut self, words: &[&[u8]]) -> io::Result<()> {
        let mut text = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            text.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            text.extend_from_slice(word);
            text.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&text)
    }

    /// The next line that is not empty, without its end.
    pub(super) fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.unread) {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = line.trim_ascii_end();
                if !line.is_empty() {
                    return Ok(String::from_utf8_lossy(line).into_owned());
                }
            } else if self.unread.len() > LONGEST_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
            } else {
                let mut buffer = [0; 1024];
                let read = self.receive(&mut buffer)?;
                self.unread.extend_from_slice(buffer.get(..read).unwrap_or_default());
            }
        }
    }

    /// Puts bytes back that were read and belong to what comes next.
    pub(super) fn put_back(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.unread);
        self.unread = bytes;
    }

    /// Appends what has arrived to `out`, waiting for at most `patience`; false if nothing came.
    pub(super) fn read_some(&mut self, out: &mut Vec<u8>, patience: Duration) -> io::Result<bool> {
        if !self.unread.is_empty() {
            out.append(&mut self.unread);
            return Ok(true);
        }
        self.stream.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let held = out.len();
        out.resize(held + STEP, 0);
        let read = self.receive(out.get_mut(held..).unwrap_or_default());
        out.truncate(held + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads from the connection; its end is an error.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the primary closed the connection",
                    ));
                }
                Ok(read) => {
                    self.heard = Instant::now();
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Read from the stream at a time.
const STEP: usize = 64 * 1024;

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(last) = &mut self.signs
            && last.elapsed() >= Duration::from_secs(1)
        {
            *last = Instant::now();
            self.stream.write_all(b"\n")?;
        }
        if self.unread.is_empty() {
            return self.receive(buffer);
        }
        let length = buffer.len().min(self.unread.len());
        for (place, byte) in buffer.iter_mut().zip(self.unread.drain(..length)) {
            *place = byte;
        }
        Ok(length)
    }
}
