//! Listening sockets. One socket per address, shared by all workers, so that no connection that the kernel
//! has queued is lost when workers come and go.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::stream::Stream;

/// Connections the kernel may queue before they are accepted; the system's `somaxconn` may lower it.
const BACKLOG: i32 = 4096;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a UNIX socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP client.
    Tcp(SocketAddr),
    /// A client of a UNIX socket.
    Unix,
}

/// A listening socket, not yet part of any runtime.
#[derive(Debug)]
pub struct Listener {
    /// `None` once closed.
    socket: Mutex<Option<Listening>>,
    address: Address,
}

#[derive(Debug)]
enum Listening {
    Tcp(std::net::TcpListener),
    Unix { listener: std::os::unix::net::UnixListener, _path: Remove },
}

/// Removes a UNIX socket's path when the listener is gone.
#[derive(Debug)]
struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Binds and listens. A UNIX socket left behind by a process that is gone is replaced.
    ///
    /// # Errors
    /// The address is in use, not ours, or not permitted.
    pub fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let socket = Socket::new(
                    Domain::for_address(*address),
                    Type::STREAM.nonblocking().cloexec(),
                    Some(Protocol::TCP),
                )?;
                socket.set_reuse_address(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                let listener = std::net::TcpListener::from(socket);
                let address = Address::Tcp(listener.local_addr()?);
                Ok(Self { socket: Mutex::new(Some(Listening::Tcp(listener))), address })
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let listener = std::os::unix::net::UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                let socket = Listening::Unix { listener, _path: Remove(path.clone()) };
                Ok(Self { socket: Mutex::new(Some(socket)), address: address.clone() })
            }
        }
    }

    /// The address really listened on, with the port that the system chose.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Another handle on the same socket for the runtime of the calling thread.
    ///
    /// # Errors
    /// There are no file descriptors left, or the listener was closed.
    pub fn acceptor(&self) -> io::Result<Acceptor> {
        Ok(match &*self.socket.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Listening::Tcp(listener)) => Acceptor::Tcp(TcpListener::from_std(listener.try_clone()?)?),
            Some(Listening::Unix { listener, .. }) => {
                Acceptor::Unix(UnixListener::from_std(listener.try_clone()?)?)
            }
            None => return Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// Gives up this handle. The socket is closed once the last acceptor is gone, too.
    pub fn close(&self) {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Removes the socket at `path` if nobody listens on it any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path exists and is no socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

/// Accepts connections for one worker.
#[derive(Debug)]
pub enum Acceptor {
    /// TCP.
    Tcp(TcpListener),
    /// A UNIX socket.
    Unix(UnixListener),
}

impl Acceptor {
    /// Waits for the next connection.
    ///
    /// # Errors
    /// Of the connection (it was reset before it was accepted) or of the process (no file descriptors).
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::tcp(stream)?, Peer::Tcp(peer)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_an_error_and_port_zero_is_chosen() {
        let any = Address::Tcp("127.0.0.1:0".parse().unwrap());
        let first = Listener::bind(&any).unwrap();
        let Address::Tcp(bound) = first.address() else { panic!("bound to {}", first.address()) };
        assert_ne!(bound.port(), 0);
        assert_eq!(Listener::bind(first.address()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_unix_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let directory = std::env::temp_dir().join(format!("evenkeel-net-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let address = Address::Unix(path.clone());
        let listener = Listener::bind(&address).unwrap();
        assert_eq!(Listener::bind(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(Listener::bind(&address).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
