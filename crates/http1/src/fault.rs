//! [`Fault`]: why a message was refused, in words for the one who sent it.

use std::fmt;

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The class, which decides the status of an answer.
    pub kind: FaultKind,
    /// What exactly, as the end of a sentence: "a line ends with LF alone".
    pub what: &'static str,
}

/// Classes of [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The grammar is violated.
    Malformed,
    /// Two parsers could disagree about where the message ends.
    Ambiguous,
    /// `Host` is missing, repeated or no host.
    BadHost,
    /// An HTTP version that is not spoken here.
    Version,
    /// A transfer coding other than chunked.
    TransferCoding,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// A method that a reverse proxy does not serve.
    Method,
    /// The start line alone is over the limit.
    StartLineTooLong,
    /// The head is over the limit.
    HeadTooLarge,
}

impl Fault {
    pub(crate) const fn malformed(what: &'static str) -> Self {
        Self { kind: FaultKind::Malformed, what }
    }

    pub(crate) const fn ambiguous(what: &'static str) -> Self {
        Self { kind: FaultKind::Ambiguous, what }
    }

    pub(crate) const fn of(kind: FaultKind, what: &'static str) -> Self {
        Self { kind, what }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for Fault {}
