//! Replication: the stream of changes, serving it to replicas, and following a primary.

mod backlog;
mod id;
mod primary;
mod replica;
mod ring;
mod serve;
mod stream;
mod wire;

pub use backlog::{Appender, Backlog, Figures, Gone, Keep, Position, Reader};
pub use id::ReplicationId;
pub use primary::{Phase, Primary, Replica, ReplicaStatus, Timing, Totals};
pub use replica::{Link, LinkState, LinkStatus, Source};
pub use serve::{Ended, Greeting, Wanted, serve};
pub use stream::{Apply, Owned};
