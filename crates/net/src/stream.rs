//! [`Stream`]: a connected socket, of whatever family.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connected socket. Each direction wakes one task.
#[derive(Debug)]
pub enum Stream {
    /// TCP, without Nagle's delay.
    Tcp(TcpStream),
    /// A UNIX stream socket.
    Unix(UnixStream),
}

impl Stream {
    pub(crate) fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    /// Waits until there may be something to read, an end or an error among it.
    #[inline]
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Waits until something may be written.
    #[inline]
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Writes what fits without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits.
    #[inline]
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    /// Writes what fits of several pieces without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits.
    #[inline]
    pub fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(pieces),
            Self::Unix(stream) => stream.try_write_vectored(pieces),
        }
    }

    /// Reads once there is something to read; 0 is the end.
    ///
    /// A read that does not fill `buffer` has drained the socket: the next one waits without asking the kernel
    /// again. That is a system call saved for every message. (The runtime's own read does the same, but wants the
    /// stream to itself, and then nobody can wait for [`Stream::reset`].)
    #[inline]
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            let mut partial = 0;
            let read = || match (&*SockRef::from(self)).read(buffer) {
                Ok(read) if 0 < read && read < buffer.len() => {
                    partial = read;
                    // What makes the runtime wait for the next event.
                    Err(io::ErrorKind::WouldBlock.into())
                }
                outcome => outcome,
            };
            let outcome = match self {
                Self::Tcp(stream) => stream.try_io(Interest::READABLE, read),
                Self::Unix(stream) => stream.try_io(Interest::READABLE, read),
            };
            match outcome {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && partial == 0 => {}
                Err(_) if partial > 0 => return Poll::Ready(Ok(partial)),
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    /// Writes once something fits.
    #[inline]
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    /// Whether an event arrived that nobody has read yet: bytes, an end or an error. Costs no system call.
    #[inline]
    pub fn has_event(&self) -> bool {
        self.poll_read_ready(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Whether the peer can be written to as far as the kernel knows: no end, no error, and nothing unasked
    /// for in the receive buffer. One system call.
    pub fn is_idle(&self) -> bool {
        let mut buffer = [std::mem::MaybeUninit::new(0)];
        let blocks = |outcome: io::Result<usize>| matches!(outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        if !self.has_event() {
            return blocks(SockRef::from(self).peek(&mut buffer));
        }
        // Asked through the runtime, which thereby learns that the socket is drained.
        let mut byte = [0];
        blocks(match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
        })
    }

    /// Keeps what the kernel takes ahead of the peer small, so that a peer that reads slowly is seen to read: by
    /// default a socket takes megabytes and is writable again only when a third of them has gone.
    ///
    /// # Errors
    /// The connection is gone already.
    pub fn bound_unsent(&self, bytes: u32) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream).set_tcp_notsent_lowat(bytes),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Waits until the peer has reset the connection. Says nothing of a peer that has only closed its direction,
    /// and nothing of UNIX sockets, which know no resets.
    pub async fn reset(&self) {
        let failed = match self {
            Self::Tcp(stream) => stream.ready(Interest::ERROR).await,
            Self::Unix(_) => return std::future::pending().await,
        };
        if failed.is_err() {
            // The runtime is ending, and with it whoever waits here.
            std::future::pending().await
        }
    }

    /// Ends our direction: the peer reads an end after what was written.
    ///
    /// # Errors
    /// The connection is gone already.
    pub fn finish_writing(&self) -> io::Result<()> {
        SockRef::from(self).shutdown(Shutdown::Write)
    }

    /// Makes closing discard what was not sent and reset the connection, so that the peer cannot take a
    /// truncated message for a whole one.
    ///
    /// # Errors
    /// The connection is gone already.
    pub fn reset_on_close(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(std::time::Duration::ZERO))
    }

    /// Leaves this thread's runtime, to be handed to another one.
    ///
    /// # Errors
    /// The runtime refuses to let the socket go.
    pub fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Self::Tcp(stream) => Detached::Tcp(stream.into_std()?),
            Self::Unix(stream) => Detached::Unix(stream.into_std()?),
        })
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// A [`Stream`] between two runtimes.
#[derive(Debug)]
pub enum Detached {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A UNIX stream socket.
    Unix(std::os::unix::net::UnixStream),
}

impl Detached {
    /// Joins the runtime of the calling thread.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub fn attach(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        })
    }
}
