//! [`Ring`]: the last bytes of a stream that never ends.

use std::collections::VecDeque;

/// Bytes are kept in pieces of this size, which are used again.
const PIECE: usize = 64 * 1024;

/// The last bytes of a stream, by their offset from its beginning.
///
/// Invariant: every piece but the last is full, so that an offset tells the piece.
#[derive(Debug, Default)]
pub(super) struct Ring {
    pieces: VecDeque<Vec<u8>>,
    /// Offset of the first byte kept.
    start: u64,
    /// Offset behind the last byte.
    end: u64,
}

impl Ring {
    /// Nothing is kept of what came before `offset`.
    pub(super) fn starting_at(offset: u64) -> Self {
        Self { pieces: VecDeque::new(), start: offset, end: offset }
    }

    /// Offset of the first byte kept.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Offset behind the last byte: how long the stream is.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes allocated.
    pub(super) fn memory(&self) -> usize {
        self.pieces.len() * PIECE
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        self.end += bytes.len() as u64;
        while !bytes.is_empty() {
            let piece = match self.pieces.back_mut() {
                Some(piece) if piece.len() < PIECE => piece,
                _ => {
                    self.pieces.push_back(Vec::with_capacity(PIECE));
                    continue;
                }
            };
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - piece.len()));
            piece.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Forgets what lies before `offset`, in whole pieces.
    pub(super) fn forget_before(&mut self, offset: u64) {
        while self.start + PIECE as u64 <= offset && self.pieces.len() > 1 {
            let Some(mut piece) = self.pieces.pop_front() else { return };
            self.start += PIECE as u64;
            // The end will need one soon: at most one is kept empty, behind the last.
            if self.pieces.back().is_some_and(|last| last.len() == PIECE) {
                piece.clear();
                self.pieces.push_back(piece);
            }
        }
    }

    /// Copies up to `most` bytes from `offset` on; whether the ring has what lies there (nothing yet, at its end).
    pub(super) fn copy(&self, offset: u64, most: usize, out: &mut Vec<u8>) -> bool {
        if !(self.start..=self.end).contains(&offset) {
            return false;
        }
        let from = (offset - self.start) as usize;
        let (mut left, mut skipped) = (most, from % PIECE);
        for piece in self.pieces.iter().skip(from / PIECE) {
            let piece = piece.get(skipped..).unwrap_or_default();
            let piece = piece.get(..left).unwrap_or(piece);
            out.extend_from_slice(piece);
            left -= piece.len();
            skipped = 0;
            if left == 0 {
                break;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_there_and_older_ones_are_not() {
        let byte = |offset: u64| (offset % 251) as u8;
        let mut ring = Ring::starting_at(1000);
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..2000 {
            let length = rng.u64(0..5000);
            let bytes: Vec<u8> = (ring.end()..ring.end() + length).map(byte).collect();
            ring.push(&bytes);
            ring.forget_before(ring.end().saturating_sub(300_000));
            assert!(ring.start() + 300_000 + PIECE as u64 * 2 > ring.end());
            let (from, most) = (rng.u64(ring.start()..=ring.end()), rng.usize(0..200_000));
            let mut out = Vec::new();
            assert!(ring.copy(from, most, &mut out));
            assert_eq!(out.len() as u64, (most as u64).min(ring.end() - from));
            assert!(out.iter().zip(from..).all(|(have, offset)| *have == byte(offset)));
        }
        assert!(ring.memory() <= 300_000 + PIECE * 3);
        assert!(ring.start() > 1000 && !ring.copy(ring.start() - 1, 1, &mut Vec::new()));
        assert!(!ring.copy(ring.end() + 1, 1, &mut Vec::new()));
    }
}
