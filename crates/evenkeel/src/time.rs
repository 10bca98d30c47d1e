//! Times on the command line: `500ms`, `30s`, `5m`, `1h`; a bare number is seconds.

use std::time::Duration;

/// More than this is a slip: it also keeps every deadline far from the end of the clock.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reads a time of at least a millisecond and at most 720 hours.
///
/// # Errors
/// It is none.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    if number.is_empty() || millis == 0 {
        return Err("expected a whole number and its unit, such as 500ms, 30s, 5m or 1h".to_owned());
    }
    let time = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
    match time.map(Duration::from_millis) {
        Some(time) if (Duration::from_millis(1)..=LONGEST).contains(&time) => Ok(time),
        _ => Err("expected a time from 1ms to 720h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bare_numbers_are_seconds() {
        for (text, millis) in
            [("250ms", 250), ("30s", 30_000), ("30", 30_000), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1.5s", "5 s", "1d"] {
            assert!(time(text).unwrap_err().contains("30s"), "{text}");
        }
        for text in ["0", "0ms", "721h", "99999999999999999999", "9999999999999999999h"] {
            assert!(time(text).unwrap_err().contains("720h"), "{text}");
        }
    }
}
