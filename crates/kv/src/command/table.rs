//! The table of commands: name, arity, flags, where the keys are, what to do.

use std::collections::HashMap;
use std::ops::BitOr;
use std::sync::OnceLock;

use crate::command::{Function, hashes, keys, lists, sets, sorted_sets, strings};
use crate::resp::Args;

/// One command.
#[derive(Debug)]
pub struct Spec {
    /// In capitals.
    pub name: &'static str,
    /// Words, the name included; negative: at least so many.
    pub arity: i32,
    /// What it is like.
    pub flags: Flags,
    /// Which keys it holds while it runs.
    pub keys: Keys,
    /// Which of its words are keys: those that it holds, unless it reaches others as well.
    pub named: Keys,
    /// What it does.
    pub action: Action,
}

/// What a command does.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Something with data.
    Data(Function),
    /// Something with the server.
    Server(ServerCommand),
}

/// Commands that the server itself carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are named as the commands are")]
pub enum ServerCommand {
    Auth,
    Client,
    Command,
    Config,
    Debug,
    Discard,
    Echo,
    Exec,
    Hello,
    Info,
    LastSave,
    Memory,
    Multi,
    Ping,
    Psubscribe,
    Psync,
    Publish,
    Pubsub,
    Punsubscribe,
    Quit,
    Replconf,
    Replicaof,
    Reset,
    Role,
    Save,
    Select,
    Shutdown,
    Slowlog,
    Subscribe,
    SwapDb,
    Time,
    Unsubscribe,
    Unwatch,
    Wait,
    Watch,
}

/// Which words of a command are keys; positions count from the name, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// None, and no data is touched but by the server.
    None,
    /// None, but all of the data is touched.
    All,
    /// From `first` to `last` (negative: from the end), each `step`th.
    Range {
        /// The first.
        first: usize,
        /// The last; -1 is the last word.
        last: i32,
        /// From one to the next.
        step: usize,
    },
    /// The word at `count` says how many follow. With `also`, the word there is one too.
    Counted {
        /// Where the number stands.
        count: usize,
        /// Another key, such as a destination.
        also: Option<usize>,
    },
}

impl Keys {
    /// One key, behind the name.
    pub const FIRST: Self = Self::Range { first: 1, last: 1, step: 1 };
    /// Two keys, behind the name.
    pub const TWO: Self = Self::Range { first: 1, last: 2, step: 1 };
    /// All words behind the name.
    pub const REST: Self = Self::Range { first: 1, last: -1, step: 1 };
    /// All words behind the name but the last.
    pub const BUT_LAST: Self = Self::Range { first: 1, last: -2, step: 1 };

    /// The positions of the keys in `args`. A count that is no number has none: the command will say so.
    pub fn positions(&self, args: &Args<'_>) -> impl Iterator<Item = usize> + use<> {
        let length = args.len();
        let (range, step, also) = match *self {
            Self::None | Self::All => (0..0, 1, None),
            Self::Range { first, last, step } => {
                let end = match usize::try_from(last) {
                    Ok(last) => last + 1,
                    Err(_) => (length + 1).saturating_sub(last.unsigned_abs() as usize),
                };
                (first..end.min(length), step, None)
            }
            Self::Counted { count, also } => {
                let number = args.integer(count).ok().and_then(|number| usize::try_from(number).ok());
                let start = count + 1;
                (start..start.saturating_add(number.unwrap_or(0)).min(length), 1, also)
            }
        };
        also.into_iter().chain(range.step_by(step.max(1)))
    }
}

/// What a command is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Nothing in particular.
    pub const NONE: Self = Self(0);
    /// May change data; refused by a replica.
    pub const WRITE: Self = Self(1);
    /// Reads data.
    pub const READ: Self = Self(1 << 1);
    /// May take more memory; refused when there is none and nothing can be evicted.
    pub const GROWS: Self = Self(1 << 2);
    /// May wait for a key.
    pub const BLOCKING: Self = Self(1 << 3);
    /// May add elements to a key that somebody waits for.
    pub const FEEDS: Self = Self(1 << 4);
    /// Takes the same short time whatever the size of the data.
    pub const FAST: Self = Self(1 << 5);
    /// Of subscriptions: allowed while subscribed with RESP2.
    pub const PUBSUB: Self = Self(1 << 6);
    /// For operators.
    pub const ADMIN: Self = Self(1 << 7);
    /// Allowed before a password was given.
    pub const NO_AUTH: Self = Self(1 << 8);
    /// Carried out at once between `MULTI` and `EXEC` as well.
    pub const NOT_QUEUED: Self = Self(1 << 9);
    /// Not allowed between `MULTI` and `EXEC`.
    pub const NOT_IN_MULTI: Self = Self(1 << 10);
    /// Allowed while the data are being loaded.
    pub const LOADING: Self = Self(1 << 11);

    /// Whether all of `other` is in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both, where a constant is needed.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

impl Spec {
    /// A command on data.
    pub(super) const fn data(
        name: &'static str,
        arity: i32,
        flags: Flags,
        keys: Keys,
        function: Function,
    ) -> Self {
        Self { name, arity, flags, keys, named: keys, action: Action::Data(function) }
    }

    /// Of its words, only these are keys, though it holds more.
    pub(super) const fn naming(mut self, named: Keys) -> Self {
        self.named = named;
        self
    }

    /// Whether a command of so many words can be this one.
    pub fn takes(&self, words: usize) -> bool {
        match usize::try_from(self.arity) {
            Ok(exact) => words == exact,
            Err(_) => words >= self.arity.unsigned_abs() as usize,
        }
    }
}

/// The command of that name, in whatever case.
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    static INDEX: OnceLock<HashMap<&'static [u8], &'static Spec>> = OnceLock::new();
    let index = INDEX.get_or_init(|| all().map(|spec| (spec.name.as_bytes(), spec)).collect());
    let mut capitals = [0; LONGEST_NAME];
    let capitals = capitals.get_mut(..name.len())?;
    capitals.copy_from_slice(name);
    capitals.make_ascii_uppercase();
    index.get(&*capitals).copied()
}

/// All commands.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    [
        strings::COMMANDS,
        keys::COMMANDS,
        lists::COMMANDS,
        sets::COMMANDS,
        hashes::COMMANDS,
        sorted_sets::COMMANDS,
        SERVER,
    ]
    .into_iter()
    .flatten()
}

const LONGEST_NAME: usize = 20;

const SERVER: &[Spec] = {
    use ServerCommand as S;
    const fn server(name: &'static str, arity: i32, flags: Flags, command: ServerCommand) -> Spec {
        Spec { name, arity, flags, keys: Keys::None, named: Keys::None, action: Action::Server(command) }
    }
    const CONNECTION: Flags = Flags::FAST.and(Flags::LOADING);
    const SUBSCRIBING: Flags = Flags::PUBSUB.and(Flags::LOADING).and(Flags::NOT_IN_MULTI);
    const ADMIN: Flags = Flags::ADMIN.and(Flags::LOADING);
    const TRANSACTION: Flags = Flags::FAST.and(Flags::LOADING).and(Flags::NOT_QUEUED);
    &[
        server("AUTH", -2, CONNECTION.and(Flags::NO_AUTH), S::Auth),
        server("CLIENT", -2, Flags::ADMIN.and(Flags::LOADING), S::Client),
        server("COMMAND", -1, Flags::LOADING, S::Command),
        server("CONFIG", -2, ADMIN, S::Config),
        server("DEBUG", -2, ADMIN, S::Debug),
        server("DISCARD", 1, TRANSACTION, S::Discard),
        server("ECHO", 2, CONNECTION, S::Echo),
        server("EXEC", 1, TRANSACTION, S::Exec),
        server("HELLO", -1, CONNECTION.and(Flags::NO_AUTH), S::Hello),
        server("INFO", -1, Flags::LOADING, S::Info),
        server("LASTSAVE", 1, CONNECTION, S::LastSave),
        server("MEMORY", -2, Flags::READ, S::Memory),
        server("MULTI", 1, TRANSACTION, S::Multi),
        server("PING", -1, CONNECTION.and(Flags::PUBSUB), S::Ping),
        server("PSUBSCRIBE", -2, SUBSCRIBING, S::Psubscribe),
        server("PSYNC", -3, Flags::ADMIN.and(Flags::NOT_IN_MULTI), S::Psync),
        server("PUBLISH", 3, Flags::FAST.and(Flags::LOADING), S::Publish),
        server("PUBSUB", -2, Flags::LOADING, S::Pubsub),
        server("PUNSUBSCRIBE", -1, SUBSCRIBING, S::Punsubscribe),
        server("QUIT", -1, CONNECTION.and(Flags::NO_AUTH).and(Flags::PUBSUB).and(Flags::NOT_QUEUED), S::Quit),
        server("REPLCONF", -1, ADMIN, S::Replconf),
        server("REPLICAOF", 3, ADMIN.and(Flags::NOT_IN_MULTI), S::Replicaof),
        server("SLAVEOF", 3, ADMIN.and(Flags::NOT_IN_MULTI), S::Replicaof),
        server(
            "RESET",
            1,
            CONNECTION.and(Flags::NO_AUTH).and(Flags::PUBSUB).and(Flags::NOT_QUEUED),
            S::Reset,
        ),
        server("ROLE", 1, CONNECTION, S::Role),
        server("SAVE", 1, Flags::ADMIN.and(Flags::NOT_IN_MULTI), S::Save),
        server("BGSAVE", -1, Flags::ADMIN, S::Save),
        server("SELECT", 2, CONNECTION, S::Select),
        server("SHUTDOWN", -1, ADMIN.and(Flags::NOT_IN_MULTI), S::Shutdown),
        server("SLOWLOG", -2, ADMIN, S::Slowlog),
        server("SUBSCRIBE", -2, SUBSCRIBING, S::Subscribe),
        server("SWAPDB", 3, Flags::WRITE, S::SwapDb),
        server("TIME", 1, CONNECTION, S::Time),
        server("UNSUBSCRIBE", -1, SUBSCRIBING, S::Unsubscribe),
        server("UNWATCH", 1, CONNECTION, S::Unwatch),
        server("WAIT", 3, Flags::NONE, S::Wait),
        server("WATCH", -2, TRANSACTION, S::Watch),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let mut names: Vec<_> = all().map(|spec| spec.name).collect();
        for name in &names {
            assert!(name.len() <= LONGEST_NAME, "{name}");
            assert_eq!(find(name.to_ascii_lowercase().as_bytes()).map(|spec| spec.name), Some(*name));
        }
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(find(b"EVAL").is_none());
        assert!(find(&[b'a'; 100]).is_none());
    }

    #[test]
    fn keys_are_where_they_should_be() {
        let positions = |keys: Keys, words: &[&str]| {
            let text = words.concat();
            let mut start = 0;
            let ranges: Vec<_> = words
                .iter()
                .map(|word| {
                    start += word.len();
                    (start - word.len(), start)
                })
                .collect();
            keys.positions(&Args::new(text.as_bytes(), &ranges)).collect::<Vec<_>>()
        };
        assert_eq!(positions(Keys::FIRST, &["GET", "a"]), [1]);
        assert_eq!(positions(Keys::REST, &["DEL", "a", "b"]), [1, 2]);
        assert_eq!(positions(Keys::BUT_LAST, &["BLPOP", "a", "b", "0"]), [1, 2]);
        assert_eq!(
            positions(Keys::Range { first: 1, last: -1, step: 2 }, &["MSET", "a", "1", "b", "2"]),
            [1, 3]
        );
        let union = Keys::Counted { count: 2, also: Some(1) };
        assert_eq!(positions(union, &["ZUNIONSTORE", "d", "2", "a", "b", "WEIGHTS"]), [1, 3, 4]);
        assert_eq!(positions(union, &["ZUNIONSTORE", "d", "x", "a"]), [1]);
        assert_eq!(positions(union, &["ZUNIONSTORE", "d", "99", "a"]), [1, 3]);
    }
}
