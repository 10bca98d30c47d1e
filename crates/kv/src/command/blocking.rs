//! What commands that wait for a key share: their time-out.

use crate::command::{Context, Wait};
use crate::error::Error;
use crate::resp::parse_float;
use crate::store::Millis;

/// Until when a command waits that was given `seconds`, a decimal number; 0 is for ever.
///
/// # Errors
/// It is no number, negative, or beyond all time.
pub(super) fn deadline(context: &Context<'_>, seconds: &[u8]) -> Result<Option<Millis>, Error> {
    let seconds = parse_float(seconds).ok_or(NO_TIMEOUT)?;
    // A wait that is not for ever must not become so by rounding.
    let millis = (seconds * 1000.0).ceil();
    if millis < 0.0 {
        return Err(NEGATIVE);
    }
    if millis >= i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    let millis = millis as Millis;
    Ok((millis > 0).then(|| context.now().saturating_add(millis)))
}

/// There is nothing yet: the command waits. What it answers if nothing comes is a null array, or a null.
pub(super) fn wait(context: &mut Context<'_>, until: Option<Millis>, null_array: bool) {
    context.wait = Some(Wait { until, null_array });
}

const NO_TIMEOUT: Error = Error::new("ERR timeout is not a float or out of range");
const NEGATIVE: Error = Error::new("ERR timeout is negative");
const OUT_OF_RANGE: Error = Error::new("ERR timeout is out of range");
