//! Dialling: opening a connection to an endpoint.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::{TcpStream, UnixStream};

use crate::stream::Stream;

/// Where to connect: an address, never a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// TCP.
    Tcp(SocketAddr),
    /// The path of a UNIX socket.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Opens a connection. Waits as long as the system does: the caller keeps the time.
///
/// # Errors
/// What the system says: refused, unreachable, no file descriptors.
pub async fn dial(target: &Target) -> io::Result<Stream> {
    match target {
        Target::Tcp(address) => Stream::tcp(TcpStream::connect(address).await?),
        Target::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
    }
}

/// Whether an error says that this machine, not the peer, lacks something: file descriptors or memory. Ports run
/// out for one destination, not for all, so that their lack counts as the destination's.
pub fn is_local_shortage(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOMEM: i32 = 12;
    const ENOBUFS: i32 = 105;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOMEM | ENOBUFS))
}
