//! Sockets: listening, dialling, and one [`Stream`] type over TCP and UNIX sockets.
//!
//! Nothing here knows HTTP. A stream is read and written through `&self`, so that both directions of one
//! connection can be in motion in one task without a lock or a split.

mod dial;
mod listen;
mod stream;

pub use dial::{Target, dial};
pub use listen::{Acceptor, Address, Listener, Peer};
pub use stream::{Detached, Stream};
