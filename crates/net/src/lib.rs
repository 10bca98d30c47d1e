//! Sockets: listening, dialling, and one [`Stream`] type over TCP and UNIX sockets.
//!
//! Nothing here knows HTTP.

mod dial;
mod listen;
mod stream;

pub use dial::{Target, dial, is_local_shortage};
pub use listen::{Acceptor, Address, Listener, Peer};
pub use stream::{Detached, Stream};
