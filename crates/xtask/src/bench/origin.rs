//! The built-in origin: three addresses, 80 bytes to every request, one thread with epoll.
//!
//! It costs so little that a client on the same core keeps to its schedule: for latencies, where a busy core on the
//! client's side would be all there is to see.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use rustix::event::epoll;

/// How many addresses.
const ADDRESSES: u64 = 3;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 80\r\n\r\n\
    0123456789012345678901234567890123456789012345678901234567890123456789012345678\n";

/// Prints its addresses, one a line, and serves until it is killed.
pub(crate) fn run() -> Result<(), String> {
    serve(|address| println!("listening on {address}")).map_err(|error| format!("the origin: {error}"))
}

/// A connection, and how much of the empty line that ends a request's head has arrived.
struct Connection {
    stream: TcpStream,
    matched: usize,
}

fn serve(mut tell: impl FnMut(std::net::SocketAddr)) -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let watch = |socket: &dyn std::os::fd::AsFd, number| {
        epoll::add(&epoll, socket.as_fd(), epoll::EventData::new_u64(number), epoll::EventFlags::IN)
    };
    let mut listeners = HashMap::new();
    for number in 0..ADDRESSES {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        watch(&listener, number)?;
        tell(listener.local_addr()?);
        listeners.insert(number, listener);
    }
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut next = ADDRESSES;
    let mut buffer = vec![0; 64 << 10];
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for number in events.iter().map(|event| event.data.u64()) {
            if let Some(listener) = listeners.get(&number) {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    watch(&stream, next)?;
                    connections.insert(next, Connection { stream, matched: 0 });
                    next += 1;
                }
            } else if let Some(connection) = connections.get_mut(&number)
                && !connection.answer(&mut buffer)
            {
                // Closing it takes it out of epoll, too.
                connections.remove(&number);
            }
        }
    }
}

impl Connection {
    /// Answers every request whose head has arrived whole; false when the connection is over.
    fn answer(&mut self, buffer: &mut [u8]) -> bool {
        let read = match self.stream.read(buffer) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        };
        let heads = ends(&mut self.matched, buffer.get(..read).unwrap_or_default());
        (0..heads).all(|_| self.stream.write(ANSWER).is_ok_and(|sent| sent == ANSWER.len()))
    }
}

/// How many heads end in these bytes; `matched` goes on from one piece to the next.
fn ends(matched: &mut usize, bytes: &[u8]) -> usize {
    let mut count = 0;
    for byte in bytes {
        *matched = match (byte, *matched) {
            (b'\r', 2) => 3,
            (b'\r', _) => 1,
            (b'\n', 1) => 2,
            (b'\n', 3) => {
                count += 1;
                0
            }
            _ => 0,
        };
    }
    count
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn heads_are_counted_however_they_arrive() {
        let bytes = b"GET / HTTP/1.1\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\nGET";
        for cut in 0..bytes.len() {
            let mut matched = 0;
            let (first, second) = bytes.split_at(cut);
            assert_eq!(ends(&mut matched, first) + ends(&mut matched, second), 2, "{cut}");
        }
    }

    #[test]
    fn every_address_answers_again_and_again() {
        let (sender, addresses) = mpsc::channel();
        thread::spawn(move || serve(|address| sender.send(address).unwrap()));
        for address in addresses.iter().take(ADDRESSES as usize) {
            let mut stream = TcpStream::connect(address).unwrap();
            for _ in 0..3 {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
                let mut answer = vec![0; ANSWER.len()];
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(answer, ANSWER);
            }
        }
    }

    #[test]
    fn the_length_is_what_the_head_says() {
        let text = String::from_utf8_lossy(ANSWER);
        assert_eq!(text.split_once("\r\n\r\n").unwrap().1.len(), 80);
    }
}
