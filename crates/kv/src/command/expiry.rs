//! Times to live as commands are given them: a number in some unit, from now on or since 1970.

use crate::error::Error;
use crate::resp::parse_integer;
use crate::store::Millis;

/// In what a command counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// Milliseconds in the unit: 1000 or 1.
    unit: i64,
    /// Since 1970, not from now on.
    absolute: bool,
}

impl Clock {
    /// Seconds from now on: `EX`.
    pub(super) const SECONDS: Self = Self { unit: 1000, absolute: false };
    /// Milliseconds from now on: `PX`.
    pub(super) const MILLIS: Self = Self { unit: 1, absolute: false };
    /// Seconds since 1970: `EXAT`.
    pub(super) const SECONDS_AT: Self = Self { unit: 1000, absolute: true };
    /// Milliseconds since 1970: `PXAT`.
    pub(super) const MILLIS_AT: Self = Self { unit: 1, absolute: true };

    /// A time as this clock shows it, rounded to its unit.
    pub(super) fn shown(self, time: Millis, now: Millis) -> i64 {
        let millis = if self.absolute { time } else { time.saturating_sub(now) };
        i64::try_from(millis).unwrap_or(i64::MAX).saturating_add(self.unit / 2) / self.unit
    }

    /// When that is, in milliseconds since 1970; may be past, even before 1970. `command` stands in the error.
    ///
    /// # Errors
    /// `word` is no number, or the time is too far away.
    pub(super) fn time(self, word: &[u8], now: Millis, command: &str) -> Result<i64, Error> {
        let number = parse_integer(word).ok_or(Error::NOT_INTEGER)?;
        let from = if self.absolute { 0 } else { i64::try_from(now).unwrap_or(i64::MAX) };
        let time = number.checked_mul(self.unit).and_then(|span| span.checked_add(from));
        time.ok_or_else(|| invalid(command))
    }

    /// The same for commands that refuse a number that is not positive.
    ///
    /// # Errors
    /// As [`Clock::time`].
    pub(super) fn time_ahead(self, word: &[u8], now: Millis, command: &str) -> Result<Millis, Error> {
        match parse_integer(word) {
            Some(..=0) => Err(invalid(command)),
            _ => Ok(self.time(word, now, command)?.unsigned_abs()),
        }
    }
}

fn invalid(command: &str) -> Error {
    Error::told(format!("ERR invalid expire time in '{}' command", command.to_ascii_lowercase()))
}
