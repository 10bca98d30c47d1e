//! Ports that do not answer: held without listening, or listening without room.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::wait::eventually;

/// A port of ours on which nobody listens: connects to it are refused, and nobody else can take it.
pub struct ReservedPort {
    socket: Socket,
    address: SocketAddr,
}

impl ReservedPort {
    /// Takes any free port.
    pub fn new() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Takes this port, as soon as whoever listened on it has let go.
    pub fn at(address: SocketAddr) -> Self {
        eventually("the port to be free", || -> std::io::Result<Self> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            let address = socket.local_addr()?.as_socket().expect("an IP address");
            Ok(Self { socket, address })
        })
    }

    /// Which port it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to listen on it.
    pub fn listen(self) -> TcpListener {
        self.socket.listen(1024).expect("to listen on a port of ours");
        self.socket.into()
    }
}

impl Default for ReservedPort {
    fn default() -> Self {
        Self::new()
    }
}

/// A port whose queue is full: connects to it get no answer at all.
pub struct Blackhole {
    listener: Socket,
    address: SocketAddr,
    _held: Vec<TcpStream>,
}

impl Blackhole {
    /// Takes any free port and fills its queue.
    pub fn new() -> Self {
        let port = ReservedPort::new();
        let (listener, address) = (port.socket, port.address);
        listener.listen(0).expect("to listen on a port of ours");
        let mut held = Vec::new();
        // The kernel takes one or two into the queue and drops what comes then.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            held.push(stream);
            assert!(held.len() < 64, "the queue of a listener with no backlog does not fill");
        }
        Self { listener, address, _held: held }
    }

    /// Where it does not answer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts and drops one waiting connection, which makes room for one connect.
    pub fn make_room(&self) {
        let _ = self.listener.accept();
    }
}

impl Default for Blackhole {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_reserved_port_refuses_until_it_listens() {
        let port = ReservedPort::new();
        let address = port.address();
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let _listener = port.listen();
        TcpStream::connect(address).unwrap();
    }

    #[test]
    fn a_blackhole_does_not_answer() {
        let hole = Blackhole::new();
        let error = TcpStream::connect_timeout(&hole.address(), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
