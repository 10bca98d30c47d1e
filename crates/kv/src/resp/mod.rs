//! The protocol, RESP2 and RESP3, without I/O: requests out of bytes, replies into bytes.

mod args;
mod number;
mod reply;
mod request;

pub use args::Args;
pub use number::{parse_float, parse_integer, write_float};
pub use reply::{Protocol, Reply};
pub(crate) use request::UNAUTHENTICATED;
pub use request::{Limits, Parsed, ProtocolError, Requests};
