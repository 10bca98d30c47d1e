//! Which ports the cluster listens on: those it likes, or the next free ones.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// How many ports after the one it likes are tried.
const TRIES: u16 = 100;

/// The ports a cluster would like to have, on loopback. Port 0 is whichever the system gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The proxy's.
    pub proxy: u16,
    /// Where the proxy passes on to the cache server.
    pub cache: u16,
    /// The cache server's own.
    pub cache_server: u16,
    /// The admin address's.
    pub admin: u16,
    /// The first toy backend's; the others follow.
    pub toys: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { proxy: 8080, cache: 6390, cache_server: 6380, admin: 9900, toys: 9001 }
    }
}

impl Ports {
    /// Whichever the system gives, for all of them.
    pub const ANY: Self = Self { proxy: 0, cache: 0, cache_server: 0, admin: 0, toys: 0 };
}

/// A port on which nobody listens yet, held for somebody in this process: it can be listened on by whoever sets
/// `SO_REUSEADDR`, and is given to nobody by the system.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) address: SocketAddr,
    _socket: TcpSocket,
}

impl Reserved {
    /// The first free port from `liked` on, or whichever the system gives.
    pub(crate) fn new(liked: u16, given: &[u16]) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, free(liked, given)?).into())?;
        Ok(Self { address: socket.local_addr()?, _socket: socket })
    }
}

/// The first free port from `liked` on that is none of the `given` ones; 0 for 0.
pub(crate) fn free(liked: u16, given: &[u16]) -> io::Result<u16> {
    if liked == 0 {
        return Ok(0);
    }
    let last = liked.saturating_add(TRIES - 1);
    for port in (liked..=last).filter(|port| !given.contains(port)) {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => {
                let sentence = format!("cannot listen on 127.0.0.1:{port}: {error}");
                return Err(io::Error::new(error.kind(), sentence));
            }
        }
    }
    let sentence =
        format!("no port from {liked} to {last} is free; `ss -ltnp` shows the programs that listen");
    Err(io::Error::new(io::ErrorKind::AddrInUse, sentence))
}

/// The port liked after `port` was taken.
pub(crate) fn following(port: u16) -> u16 {
    if port == 0 { 0 } else { port.saturating_add(1) }
}

/// What there is to say when it is on `port` instead of the one it likes.
pub(crate) fn moved(who: &str, liked: u16, port: u16) -> Option<String> {
    (liked != 0 && liked != port).then(|| format!("port {liked} is taken: {who} is on {port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_gives_way_to_the_next_and_says_so() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = holder.local_addr().unwrap().port();
        let port = free(taken, &[]).unwrap();
        assert!(port > taken);
        assert!(free(taken, &[port]).unwrap() > port, "a port is given once");
        let sentence = format!("port {taken} is taken: the proxy is on {port}");
        assert_eq!(moved("the proxy", taken, port), Some(sentence));
    }

    #[test]
    fn a_reserved_port_is_for_one_who_listens() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let reserved = Reserved::new(0, &[]).unwrap();
        // As std listens on Unix: with SO_REUSEADDR.
        let listener = TcpListener::bind(reserved.address).unwrap();
        drop(reserved);
        assert!(std::net::TcpStream::connect(listener.local_addr().unwrap()).is_ok());
    }

    #[test]
    fn any_port_is_any_port() {
        assert_eq!((free(0, &[]).unwrap(), following(0)), (0, 0));
        assert_eq!((moved("it", 0, 1234), moved("it", 9001, 9001)), (None, None));
        assert_eq!(following(9001), 9002);
    }
}
