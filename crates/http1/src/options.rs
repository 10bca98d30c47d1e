//! The options of `Connection` (RFC 9110 §7.6.1).

use crate::fault::Fault;
use crate::field::list_items;

/// More options than this have no honest use, and each is compared with each field.
const LIMIT: usize = 32;

/// What the `Connection` fields of a message say together.
#[derive(Debug, Default)]
pub(crate) struct Options {
    count: usize,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    /// Whether there are options that are names of fields, beyond those that never travel anyway.
    pub(crate) names_fields: bool,
}

impl Options {
    /// Reads one field.
    pub(crate) fn read(&mut self, value: &[u8]) -> Result<(), Fault> {
        // Empty items count: they, too, cost time.
        self.count += value.split(|&byte| byte == b',').count();
        if self.count > LIMIT {
            return Err(Fault::malformed("Connection has more than 32 options"));
        }
        for option in list_items(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if !option.eq_ignore_ascii_case(b"te") && !option.eq_ignore_ascii_case(b"upgrade") {
                self.names_fields = true;
            }
        }
        Ok(())
    }
}
