//! Why the cache could not be used: a closed list of words for headers, metrics and the log.

use std::io;

use redis::{ErrorKind, RedisError};

/// What was wrong with the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The first connection is not there yet.
    Connecting,
    /// Nobody listens.
    Refused,
    /// No way there, or no such name.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The connection ended.
    Closed,
    /// The answer is not that of a Redis server, or not one to this question.
    Garbage,
    /// `-LOADING`: it reads its data still.
    Loading,
    /// `-NOAUTH`, `-WRONGPASS`, `-NOPERM`: the URL's user and password are missing, wrong or not enough.
    Auth,
    /// `-OOM`: its memory is full and it evicts nothing.
    Oom,
    /// `-READONLY`: it is a replica.
    ReadOnly,
    /// `-MASTERDOWN`: it is a replica that has lost its primary, and gives nothing old.
    MasterDown,
    /// Another error reply.
    Error,
}

impl Fault {
    /// All of them, in the order of their discriminants.
    pub(super) const ALL: [Fault; 12] = [
        Fault::Connecting,
        Fault::Refused,
        Fault::Unreachable,
        Fault::Timeout,
        Fault::Closed,
        Fault::Garbage,
        Fault::Loading,
        Fault::Auth,
        Fault::Oom,
        Fault::ReadOnly,
        Fault::MasterDown,
        Fault::Error,
    ];

    /// One word, as in `Server-Timing` and in the metrics' label `reason`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Fault::Connecting => "connecting",
            Fault::Refused => "refused",
            Fault::Unreachable => "unreachable",
            Fault::Timeout => "timeout",
            Fault::Closed => "closed",
            Fault::Garbage => "garbage",
            Fault::Loading => "loading",
            Fault::Auth => "auth",
            Fault::Oom => "oom",
            Fault::ReadOnly => "readonly",
            Fault::MasterDown => "masterdown",
            Fault::Error => "error",
        }
    }

    /// By the first word of an error reply.
    pub(super) fn of_reply(code: &str) -> Fault {
        match code {
            "LOADING" => Fault::Loading,
            "NOAUTH" | "WRONGPASS" | "NOPERM" => Fault::Auth,
            "OOM" => Fault::Oom,
            "READONLY" => Fault::ReadOnly,
            "MASTERDOWN" => Fault::MasterDown,
            _ => Fault::Error,
        }
    }

    /// Why no connection could be made.
    pub(super) fn of_dial(error: &io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Fault::Refused,
            io::ErrorKind::ConnectionReset => Fault::Closed,
            io::ErrorKind::TimedOut => Fault::Timeout,
            _ => Fault::Unreachable,
        }
    }

    /// What the client crate reports of a connection that was made.
    pub(super) fn of_client(error: &RedisError) -> Fault {
        match error.kind() {
            ErrorKind::Io if error.is_timeout() => Fault::Timeout,
            ErrorKind::Io => Fault::Closed,
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Fault::Garbage,
            ErrorKind::AuthenticationFailed => Fault::Auth,
            _ => error.code().map_or(Fault::Error, Fault::of_reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        for (place, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, place, "{}", fault.word());
        }
        assert_eq!(Fault::Error as usize + 1, Fault::ALL.len());
    }

    #[test]
    fn error_replies_have_their_words() {
        for (code, word) in [
            ("LOADING", "loading"),
            ("NOAUTH", "auth"),
            ("OOM", "oom"),
            ("READONLY", "readonly"),
            ("MASTERDOWN", "masterdown"),
            ("MOVED", "error"),
        ] {
            assert_eq!(Fault::of_reply(code).word(), word);
        }
    }
}
