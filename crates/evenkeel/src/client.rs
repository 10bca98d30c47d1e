//! A client for the admin address: one request, one answer, one connection, with patience that ends.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// An answer larger than this is none of ours.
const LARGEST_ANSWER: u64 = 64 << 20;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether it says that Evenkeel made it.
    pub(crate) is_ours: bool,
    pub(crate) body: String,
}

/// Asks `address` (`host:port`) and waits up to `patience` for the answer.
///
/// # Errors
/// Nothing answers there, or no HTTP does.
pub(crate) fn ask(address: &str, method: &str, path: &str, patience: Duration) -> io::Result<Answer> {
    let until = Instant::now() + patience;
    let mut stream = connect(address)?;
    stream.set_write_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    let mut request = String::new();
    // Writing to a string cannot fail.
    let _ = write!(request, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    request.push_str(if method == "GET" { "\r\n" } else { "Content-Length: 0\r\n\r\n" });
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 > LARGEST_ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer does not end"));
        }
    }
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not whole HTTP"))
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads an answer that ended with its connection. `None` when it is not whole, or chunked, which ours never are.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = bytes.split_at(end);
    let body = body.get(4..)?;
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let mut is_ours = false;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "server" => is_ours = value == "evenkeel",
            "content-length" if value.parse() != Ok(body.len()) => return None,
            "transfer-encoding" => return None,
            _ => {}
        }
    }
    Some(Answer { status, is_ours, body: String::from_utf8_lossy(body).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nServer: evenkeel\r\nContent-Length: 3\r\n\r\nhi\n").unwrap();
        assert_eq!(answer, Answer { status: 200, is_ours: true, body: "hi\n".into() });
        let foreign = parse(b"HTTP/1.0 404 Not Found\r\nserver: nginx\r\n\r\n").unwrap();
        assert_eq!(foreign, Answer { status: 404, is_ours: false, body: String::new() });
        for broken in [
            &b""[..],
            b"SSH-2.0-OpenSSH_9\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
            b"HTTP/1.1 200 OK\r\nContent-Length",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 huge\r\n\r\n",
        ] {
            assert_eq!(parse(broken), None, "{}", String::from_utf8_lossy(broken));
        }
    }
}
