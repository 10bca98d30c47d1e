//! [`Settings`]: parameters of `CONFIG SET` that commands on data depend on.

/// Sizes up to which a collection counts as compact. Here they decide nothing but what `OBJECT ENCODING` answers, since
/// tools and tests of clients look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `hash-max-listpack-entries`, `hash-max-listpack-value`
    pub hash_compact: (usize, usize),
    /// `zset-max-listpack-entries`, `zset-max-listpack-value`
    pub sorted_set_compact: (usize, usize),
    /// `set-max-intset-entries`
    pub intset: usize,
    /// `list-max-listpack-size` in bytes (-2 is 8 KiB)
    pub list_compact: usize,
    /// Longest string, in bytes (`proto-max-bulk-len`).
    pub longest_string: usize,
    /// Frequencies are kept (an LFU policy), so that `OBJECT FREQ` has an answer and `OBJECT IDLETIME` has none.
    pub counts_frequency: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hash_compact: (128, 64),
            sorted_set_compact: (128, 64),
            intset: 512,
            list_compact: 8192,
            longest_string: 512 << 20,
            counts_frequency: false,
        }
    }
}
