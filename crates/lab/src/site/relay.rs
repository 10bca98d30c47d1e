//! [`Relay`]: a link between two parts that can be cut as a network is: nothing arrives, and nobody is told.

use std::io;
use std::net::{self, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::{runtime, select};

/// What is taken from one side at once; as much is held back in each direction while the link is cut.
const BUFFER: usize = 16 << 10;
/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// After a connection that could not be accepted: its client is gone already, or descriptors are missing.
const PAUSE: Duration = Duration::from_millis(10);

/// Passes bytes of TCP connections on, both ways, while it is whole. Cut, it keeps connections and what they sent, and
/// accepts others without a word. It ends when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    /// Dropped, it ends the relay.
    whole: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens on a port of its own, for connections to `to`.
    ///
    /// # Errors
    /// Threads, ports or file descriptors are missing.
    pub fn start(to: SocketAddr) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (whole, is_whole) = watch::channel(true);
        let serve = move || {
            runtime.block_on(accept(listener, to, is_whole));
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("relay".into()).spawn(serve)?;
        Ok(Self { address, whole: Some(whole), thread: Some(thread) })
    }

    /// Where to connect instead.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing passes.
    pub fn cut(&self) {
        self.set(false);
    }

    /// From now on everything passes, beginning with what was held back.
    pub fn heal(&self) {
        self.set(true);
    }

    fn set(&self, is_whole: bool) {
        if let Some(whole) = &self.whole {
            whole.send_replace(is_whole);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.whole = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has been heard of.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, is_whole: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut dropped = is_whole.clone();
    loop {
        let next = async {
            // Fails only when the semaphore is closed, which nobody does.
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            Ok::<_, io::Error>((place, stream))
        };
        let (place, stream) = select! {
            next = next => match next {
                Ok(next) => next,
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            // An error: the sender is gone.
            _ = dropped.wait_for(|_| false) => return,
        };
        let is_whole = is_whole.clone();
        tokio::spawn(async move {
            // How a connection ends is what its sides see of each other.
            let _ = join(stream, to, is_whole).await;
            drop(place);
        });
    }
}

/// Until both sides have ended, or one of them is broken.
async fn join(near: TcpStream, to: SocketAddr, mut is_whole: watch::Receiver<bool>) -> io::Result<()> {
    is_whole.wait_for(|is_whole| *is_whole).await.map_err(io::Error::other)?;
    let far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_out, near_in), (far_out, far_in)) = (near.into_split(), far.into_split());
    tokio::try_join!(pass(near_out, far_in, is_whole.clone()), pass(far_out, near_in, is_whole)).map(drop)
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut is_whole: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        is_whole.wait_for(|is_whole| *is_whole).await.map_err(io::Error::other)?;
        match buffer.get(..read) {
            None | Some([]) => return to.shutdown().await,
            Some(bytes) => to.write_all(bytes).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_cut_link_says_nothing_and_loses_nothing() {
        let far = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::start(far.local_addr().unwrap()).unwrap();
        let mut near = net::TcpStream::connect(relay.address()).unwrap();
        let (mut far_end, _) = far.accept().unwrap();
        let mut got = [0; 3];
        near.write_all(b"one").unwrap();
        far_end.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"one");

        relay.cut();
        near.write_all(b"two").unwrap();
        far_end.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(far_end.read(&mut got).is_err(), "nothing arrives");
        let mut late = net::TcpStream::connect(relay.address()).unwrap();
        late.write_all(b"new").unwrap();

        relay.heal();
        far_end.set_read_timeout(None).unwrap();
        far_end.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"two");
        let (mut later_end, _) = far.accept().unwrap();
        later_end.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"new");

        drop(far_end);
        assert_eq!(near.read(&mut got).unwrap(), 0, "an end is passed on");
        drop(relay);
        assert_eq!(late.read(&mut got).unwrap_or(0), 0, "it ends with all its connections");
    }
}
