//! [`Relay`]: a body on its way from one connection to the other, in one direction.
//!
//! Input is taken apart by the framing it came with and put together by the framing it leaves with. What
//! the receiver does not take at once is kept, and nothing more is read until it has gone: a slow receiver
//! slows the sender, and a body costs at most one read of memory.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use evenkeel_http1::{BodyReader, Fault, Framing, Known, LAST_CHUNK, Piece, trim, write_chunk_size};
use evenkeel_net::Stream;

/// Input below this is copied behind the head rather than written as a piece of its own.
const SMALL: usize = 4096;

/// How much is read at once at first, at least, and at most. A body that flows is moved in larger pieces, which
/// costs less CPU per byte; one whose receiver is slow in smaller ones, since what it does not take is kept.
const WINDOW: usize = 64 * 1024;
const SMALLEST_WINDOW: usize = 16 * 1024;
/// What the kernel may hold of a large body that the network has not taken.
const UNSENT: u32 = 256 * 1024;
/// The size of a worker's read buffer.
pub(crate) const LARGEST_WINDOW: usize = 128 * 1024;

/// One direction of an exchange.
pub(crate) struct Relay {
    reader: BodyReader,
    chunked_out: bool,
    /// Bytes for the receiver that it has not taken yet, from `sent` on.
    pending: Vec<u8>,
    sent: usize,
    /// Whether the end, too, is in `pending` or has gone.
    ended: bool,
    window: usize,
    /// Whether the receiver's kernel was told to hold no more than [`UNSENT`].
    is_bounded: bool,
    /// Bytes that the receiver took late, after they had been kept.
    late: u64,
    /// Bytes of the body itself that came through.
    pub(crate) bytes: u64,
}

/// Where to read a head to, and what comes with it of the body.
pub(crate) fn first_room(buffer: &mut [u8]) -> &mut [u8] {
    buffer.get_mut(..WINDOW).unwrap_or_default()
}

/// Why a piece could not be passed on.
#[derive(Debug)]
pub(crate) enum Blocked {
    /// The sender violates its framing.
    Sender(Fault),
    /// The receiver is gone.
    Receiver(io::Error),
}

impl Relay {
    /// A body framed by `framing` where it comes from; `chunked_out` says how it leaves.
    pub(crate) fn new(framing: Framing, chunked_out: bool) -> Self {
        let reader = BodyReader::new(framing);
        let ended = reader.is_done();
        Self {
            reader,
            chunked_out,
            pending: Vec::new(),
            sent: 0,
            ended,
            window: WINDOW,
            is_bounded: false,
            late: 0,
            bytes: 0,
        }
    }

    /// Whether all of it was read from the sender.
    pub(crate) fn is_read(&self) -> bool {
        self.ended
    }

    /// Whether all of it, end included, has gone to the receiver.
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.is_flushed()
    }

    /// Whether the receiver has taken everything so far.
    pub(crate) fn is_flushed(&self) -> bool {
        self.sent == self.pending.len()
    }

    /// Changes whenever something moves, and when it turns from one side to the other to move it.
    pub(crate) fn progress(&self) -> u64 {
        2 * (self.bytes + self.late) + u64::from(self.is_flushed())
    }

    /// Where to read the next piece of the body to.
    pub(crate) fn room<'b>(&self, buffer: &'b mut [u8]) -> &'b mut [u8] {
        let window = self.window.min(buffer.len());
        buffer.get_mut(..window).unwrap_or_default()
    }

    /// Learns from a piece that was read and passed on whether to read more at once.
    fn adapt(&mut self, read: usize, to: &Stream) {
        if !self.is_bounded && self.bytes >= u64::from(UNSENT) {
            self.is_bounded = true;
            // It is a large one. Without this a slow receiver would look like a stalled one.
            let _ = to.bound_unsent(UNSENT);
        }
        if !self.is_flushed() {
            self.window = SMALLEST_WINDOW;
        } else if read >= self.window {
            self.window = (self.window * 2).min(LARGEST_WINDOW);
        }
    }

    /// Goes out behind what another relay to the same receiver has not sent yet.
    pub(crate) fn follow(&mut self, mut other: Self) {
        if !other.is_flushed() {
            self.pending = other.pending.split_off(other.sent);
        }
    }

    /// Passes on what `output` holds already (a head, or nothing), then what `input` holds of the body; says
    /// how many bytes of `input` it took: all but what follows the body.
    pub(crate) fn feed(&mut self, output: &mut Vec<u8>, input: &[u8], to: &Stream) -> Result<usize, Blocked> {
        if self.chunked_out || matches!(self.reader, BodyReader::Chunked(_)) || input.len() < SMALL {
            let taken = self.encode(input, output).map_err(Blocked::Sender)?;
            self.send(&[output], to).map_err(Blocked::Receiver)?;
            self.adapt(input.len(), to);
            return Ok(taken);
        }
        let (mut taken, mut head) = (0, output.as_slice());
        while !self.ended {
            let rest = input.get(taken..).unwrap_or_default();
            let (used, piece) = self.reader.next(rest).map_err(Blocked::Sender)?;
            taken += used;
            match piece {
                Piece::Data(data) => {
                    self.bytes += data.len() as u64;
                    self.ended = self.reader.is_done();
                    self.send(&[std::mem::take(&mut head), data], to).map_err(Blocked::Receiver)?;
                }
                Piece::End => self.ended = true,
                Piece::More => break,
            }
        }
        self.send(&[head], to).map_err(Blocked::Receiver)?;
        self.adapt(input.len(), to);
        Ok(taken)
    }

    /// Appends what `input` holds of the body to `output`, in the framing it leaves with.
    pub(crate) fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Fault> {
        let mut taken = 0;
        while !self.ended {
            let (used, piece) = self.reader.next(input.get(taken..).unwrap_or_default())?;
            taken += used;
            match piece {
                Piece::Data(data) => {
                    self.bytes += data.len() as u64;
                    if self.chunked_out {
                        write_chunk_size(output, data.len());
                        output.extend_from_slice(data);
                        output.extend_from_slice(b"\r\n");
                    } else {
                        output.extend_from_slice(data);
                    }
                    // A length ends with its last byte, without another look.
                    self.ended = !self.chunked_out && self.reader.is_done();
                }
                Piece::End => {
                    self.ended = true;
                    if self.chunked_out {
                        end_chunks(self.reader.trailers(), output);
                    }
                }
                Piece::More => break,
            }
        }
        Ok(taken)
    }

    /// The sender's connection has ended. `true` if that ends the body as it should.
    pub(crate) fn end_of_input(&mut self, to: &Stream) -> bool {
        if !self.reader.may_end_here() {
            return false;
        }
        if !std::mem::replace(&mut self.ended, true) && self.chunked_out {
            // What cannot be sent now is found out by the flush that follows.
            return self.send(&[LAST_CHUNK], to).is_ok();
        }
        true
    }

    /// Writes pieces in one go; keeps what does not fit.
    pub(crate) fn send(&mut self, pieces: &[&[u8]], to: &Stream) -> io::Result<()> {
        let mut written = 0;
        if self.is_flushed() {
            let outcome = match pieces {
                [] => return Ok(()),
                [[]] => return Ok(()),
                [piece] => to.try_write(piece),
                [[], second, ..] => to.try_write(second),
                [first, second, ..] => to.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
            };
            written = match outcome {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            self.pending.clear();
            self.sent = 0;
        }
        for piece in pieces {
            let (_, rest) = piece.split_at(written.min(piece.len()));
            written = written.saturating_sub(piece.len());
            self.pending.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Waits until the receiver has taken everything so far.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>, to: &Stream) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.pending.get(self.sent..) {
            match ready!(to.poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => {
                    self.sent += written;
                    self.late += written as u64;
                }
            }
        }
        if !self.pending.is_empty() {
            // Given back, not kept: most bodies never wait.
            self.pending = Vec::new();
            self.sent = 0;
        }
        Poll::Ready(Ok(()))
    }
}

/// Writes the last chunk and the trailers that may travel: none that frames, routes or vouches.
fn end_chunks(trailers: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(b"0\r\n");
    for line in trailers.split_inclusive(|&byte| byte == b'\n') {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        if may_trail(trim(name)) {
            output.extend_from_slice(line);
        }
    }
    output.extend_from_slice(b"\r\n");
}

/// Whether a field may come after the body (RFC 9110 §6.5.1): none that frames, routes, vouches or says how to read.
fn may_trail(name: &[u8]) -> bool {
    const NEVER: [&[u8]; 10] = [
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"cookie",
        b"set-cookie",
        b"max-forwards",
        b"range",
        b"www-authenticate",
    ];
    Known::of(name) == Known::Other && !NEVER.iter().any(|never| name.eq_ignore_ascii_case(never))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(framing: Framing, chunked_out: bool, parts: &[&[u8]]) -> (String, bool) {
        let mut relay = Relay::new(framing, chunked_out);
        let mut output = Vec::new();
        for part in parts {
            relay.encode(part, &mut output).unwrap();
        }
        (String::from_utf8(output).unwrap(), relay.is_read())
    }

    #[test]
    fn chunks_are_framed_anew_without_extensions() {
        let (wire, ended) = encode(Framing::Chunked, true, &[b"3;x=y\r\nab", b"c\r\n0\r\n\r\n"]);
        assert_eq!((wire.as_str(), ended), ("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", true));
    }

    #[test]
    fn trailers_travel_but_none_that_frames_or_vouches() {
        let (wire, _) =
            encode(Framing::Chunked, true, &[b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\nHost: a\r\n\r\n"]);
        assert_eq!(wire, "0\r\nX-Sum: 1\r\n\r\n");
    }

    #[test]
    fn chunks_leave_plain_where_the_receiver_knows_none() {
        assert_eq!(encode(Framing::Chunked, false, &[b"3\r\nabc\r\n0\r\n\r\n"]), ("abc".into(), true));
    }

    #[test]
    fn a_length_ends_with_its_last_byte() {
        assert_eq!(encode(Framing::Length(3), false, &[b"ab", b"cGET"]), ("abc".into(), true));
    }
}
