//! [`ReplicationId`]: the name of one history of changes.

use std::fmt;

/// Which history of changes an offset belongs to: 40 hexadecimal digits. Two servers with the same id and offset hold the
/// same data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReplicationId([u8; 40]);

impl ReplicationId {
    /// A new one, of a history that begins now.
    pub fn random(rng: &mut fastrand::Rng) -> Self {
        let mut digits = [0; 40];
        digits.fill_with(|| b"0123456789abcdef".get(rng.usize(0..16)).copied().unwrap_or(b'0'));
        Self(digits)
    }

    /// As it stands in the protocol; `None` if it has not 40 bytes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        text.try_into().ok().map(Self)
    }

    /// Its digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
