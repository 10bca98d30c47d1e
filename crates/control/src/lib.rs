//! The slow side: what happens around the data path, never on it.
//!
//! [`Control`] starts the workers, opens listeners, watches endpoints, reloads and stops. [`Handle`] is what
//! the admin server, the command line and the demo hold of it.

mod admin;
mod control;
mod ejections;
mod errors;
mod explain;
mod handle;
mod journal;
mod listeners;
mod probe;
mod registry;
mod resolve;
mod stats;
mod watch;

pub use control::{Control, Source};
pub use errors::{ReloadError, StartError};
pub use explain::{
    Answer, BadQuestion, Branch, Candidate, Decision, Explanation, Judged, ListenerExplanation, Question,
    explain,
};
pub use handle::{EndpointStatus, Handle, ListenerStatus, NotFound, Status, UpstreamStatus};
pub use journal::{Change, ChangeKind};
pub use listeners::ListenError;
pub use stats::{Durations, EndpointStats, RejectionStats, ReloadStats, RouteStats, SessionStats, Stats};
