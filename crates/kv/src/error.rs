//! [`Error`]: what a command answers when it cannot do what it was asked, in the texts that clients know from Redis.

use std::borrow::Cow;
use std::fmt;

/// An error reply without its leading `-`: a code in capitals, a space, a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Cow<'static, str>);

impl Error {
    /// The key holds another type.
    pub const WRONG_TYPE: Self =
        Self::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// An argument or a value is no 64-bit integer.
    pub const NOT_INTEGER: Self = Self::new("ERR value is not an integer or out of range");
    /// An argument or a value is no floating-point number.
    pub const NOT_FLOAT: Self = Self::new("ERR value is not a valid float");
    /// Options that do not exist, contradict each other or miss their value.
    pub const SYNTAX: Self = Self::new("ERR syntax error");
    /// The command needs the key to exist.
    pub const NO_SUCH_KEY: Self = Self::new("ERR no such key");
    /// An index beyond the ends of a list.
    pub const INDEX_OUT_OF_RANGE: Self = Self::new("ERR index out of range");
    /// Adding would leave the 64-bit range.
    pub const OVERFLOW: Self = Self::new("ERR increment or decrement would overflow");
    /// Nothing could be evicted for what should be stored.
    pub const OUT_OF_MEMORY: Self = Self::new("OOM command not allowed when used memory > 'maxmemory'.");

    /// An error whose text is known when compiling.
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// An error whose text depends on what was asked. Line ends in it become spaces, as they would end the reply.
    pub fn told(text: String) -> Self {
        Self(Cow::Owned(match text.contains(['\r', '\n']) {
            true => text.replace(['\r', '\n'], " "),
            false => text,
        }))
    }

    /// `ERR wrong number of arguments for 'get' command`; for a subcommand `name` is `client|kill`.
    pub fn arity(name: &str) -> Self {
        Self::told(format!("ERR wrong number of arguments for '{}' command", name.to_ascii_lowercase()))
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
