//! HTTP/1.1 message framing (RFC 9112) without I/O, clocks or allocation per field.
//!
//! Bytes go in, spans and decisions come out; the caller owns every buffer. Requests are read strictly:
//! whatever two parsers could read differently is a [`Fault`], so that an endpoint never sees a message
//! that means something else to it than it did to us. Responses are read as strictly where framing is
//! concerned and more kindly about line ends.
//!
//! - [`HeadParser`] finds the start line and fields of a head, resumable at any byte;
//! - [`request`] and [`response`] check start lines and decide how the body is framed;
//! - [`BodyReader`] takes a body apart, [`write_chunk_size`] and [`LAST_CHUNK`] put one together again.

mod body;
mod chunked;
mod fault;
mod field;
mod head;
mod options;
pub mod request;
pub mod response;

pub use body::{BodyReader, Piece};
pub use chunked::{Chunked, LAST_CHUNK, write_chunk_size};
pub use fault::{Fault, FaultKind};
pub use field::{Known, is_token, list_items, trim};
pub use head::{Field, HeadParser, LineEnds};

/// The two versions spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How a message's body is delimited (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body at all.
    None,
    /// `Content-Length` bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the connection closes (responses only).
    UntilClose,
}
