//! [`Hole`]: a part at which packets vanish, made without any privilege.
//!
//! The process is stopped and its listener's queue filled with connections that nobody will accept. Linux then drops the
//! first packet of any further one without a word, as a network does that has lost the host; what comes on connections
//! that stand is taken and never answered.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use super::Part;

/// A connection on loopback is made at once, or not at all.
const AT_ONCE: Duration = Duration::from_millis(100);

/// A part in a black hole, until [`Hole::fill`].
#[derive(Debug)]
pub struct Hole {
    waiting: Vec<TcpStream>,
}

impl Hole {
    /// Stops the part and fills the queue of its listener, which has room for `backlog` connections. That takes some
    /// milliseconds, and one more attempt that is given up after 100 ms.
    ///
    /// # Errors
    /// The part is gone, descriptors are missing, or the queue does not get full: then it is thawed again.
    pub fn dig(part: &Part, backlog: u32) -> io::Result<Self> {
        part.freeze()?;
        let mut waiting = Vec::new();
        let mut connect = || -> io::Result<()> {
            // The kernel lets one more wait; others that connect at the same time take room, too.
            while waiting.len() <= backlog as usize + 1 {
                match TcpStream::connect_timeout(&part.address(), AT_ONCE) {
                    Ok(stream) => waiting.push(stream),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            Err(io::Error::other(format!("{} takes more connections than {backlog}", part.name())))
        };
        match connect() {
            Ok(()) => Ok(Self { waiting }),
            Err(error) => {
                part.thaw()?;
                Err(error)
            }
        }
    }

    /// Gives the queue back and lets the part go on.
    ///
    /// # Errors
    /// The part is gone.
    pub fn fill(self, part: &Part) -> io::Result<()> {
        drop(self.waiting);
        part.thaw()
    }
}
