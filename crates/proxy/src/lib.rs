//! The data path: what happens to a connection and to each request on it.
//!
//! Read in this order: `worker` (a thread and its runtime), `listener` (accept), `connection` (wait for
//! requests), `exchange` (one request, start to end), `forward` (pick, attempt, retry or give up),
//! `attempt` (one endpoint, with `flight` and `response`: what happens on its connection). A TCP listener's
//! connections are sessions instead: `tunnel`, with `flow` for each direction. Beside them: `state` (what a worker owns), `heads` and `body` (what travels),
//! `rejection` (what we answer ourselves), `record` (what is kept of an exchange), `pool`, `timers`.

mod attempt;
mod body;
mod connect;
mod connection;
pub mod deployment;
mod exchange;
mod flight;
mod flow;
mod forward;
mod heads;
mod listener;
mod outliers;
mod pool;
mod presence;
mod queue;
mod record;
mod rejection;
mod response;
mod room;
mod state;
mod timers;
mod tunnel;
mod turn;
mod upstream;
mod wait;
mod worker;

pub use deployment::{
    Deployment, Ejected, SharedEndpoint, SharedListener, SharedOutliers, SharedUpstream, endpoints,
};
pub use room::WaitingRoom;
pub use wait::moment;
pub use worker::Workers;
