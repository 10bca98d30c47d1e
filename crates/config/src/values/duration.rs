//! Durations: `"500ms"`, `"2s"`, `"1m"`, `"1h"`.

use std::time::Duration;

use toml::de::DeValue;

use super::text_setting;
use crate::codes;
use crate::setting::{Format, Wrong};

/// Longer than this is a slip: it also keeps every deadline far from the end of the clock.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// A duration of at least `LEAST` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time<const LEAST: u64>(pub(crate) Duration);

impl<const LEAST: u64> Time<LEAST> {
    const FORMAT: Format = Format {
        name: "a duration",
        pattern: Some("^[0-9]+(ms|s|m|h)$"),
        forms: "A whole number and its unit: `\"500ms\"`, `\"2s\"`, `\"1m\"`, `\"1h\"`; at most `\"720h\"`.",
        example: "\"2s\"",
    };

    /// Whole seconds.
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let time = parse(text)?;
        let least = Duration::from_millis(LEAST);
        if time < least || time > LONGEST {
            let (least, most) = (show(least), show(LONGEST));
            let message = format!("{text:?} is not between {least:?} and {most:?}");
            return Err(Wrong::new(codes::OUT_OF_RANGE, message));
        }
        Ok(Self(time))
    }

    fn help_for(value: &DeValue<'_>) -> Option<String> {
        match value {
            DeValue::Integer(number) => Some(format!("write the unit, in quotes: \"{}s\"", number.as_str())),
            DeValue::Float(_) => Some("write a whole number and its unit: \"1500ms\"".to_owned()),
            _ => None,
        }
    }

    fn text(&self) -> String {
        show(self.0)
    }
}

text_setting!(Time<0>);
text_setting!(Time<1>);
text_setting!(Time<10>);

/// The duration as it would be written.
pub(crate) fn show(time: Duration) -> String {
    let ms = time.as_millis();
    if ms == 60_000 {
        return "60s".to_owned(); // as everyone says it
    }
    for (unit, size) in UNITS.iter().rev() {
        let size = u128::from(*size);
        if ms > 0 && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    format!("{}s", ms / 1000)
}

fn parse(text: &str) -> Result<Duration, Wrong> {
    let wrong =
        |help: String| Err(Wrong::new(codes::BAD_DURATION, format!("{text:?} is not a duration")).help(help));
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return wrong("write a whole number and its unit, such as \"2s\"".to_owned());
    }
    if unit.is_empty() {
        let message = format!("{text:?} has no unit");
        return Err(
            Wrong::new(codes::NO_UNIT, message).help(format!("write \"{number}s\" or \"{number}ms\""))
        );
    }
    let Some((_, size)) = UNITS.iter().find(|(known, _)| *known == unit) else {
        let near = UNITS.iter().find(|(known, _)| known.eq_ignore_ascii_case(unit.trim()));
        return match (near, unit.starts_with('.')) {
            (Some((known, _)), _) => wrong(format!("did you mean \"{number}{known}\"?")),
            (None, true) => wrong("write a whole number: \"1500ms\" for one and a half seconds".to_owned()),
            (None, false) => wrong("the units are \"ms\", \"s\", \"m\" and \"h\"".to_owned()),
        };
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*size));
    Ok(Duration::from_millis(ms.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_shown_again() {
        for (text, ms) in [
            ("500ms", 500),
            ("2s", 2000),
            ("60s", 60_000),
            ("2m", 120_000),
            ("90m", 5_400_000),
            ("1h", 3_600_000),
        ] {
            let time = Time::<1>::parse(text).unwrap();
            assert_eq!(time.0, Duration::from_millis(ms), "{text}");
            assert_eq!(time.text(), text);
        }
        assert_eq!(Time::<0>::parse("0s").map(|t| t.text()), Ok("0s".to_owned()));
        assert_eq!(Time::<1>::parse("1m").map(|t| t.0), Ok(Duration::from_secs(60)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let code = |text: &str| Time::<1>::parse(text).unwrap_err().code;
        assert_eq!(code("5"), codes::NO_UNIT);
        assert_eq!(code(""), codes::BAD_DURATION);
        assert_eq!(code("-5s"), codes::BAD_DURATION);
        assert_eq!(code("1.5s"), codes::BAD_DURATION);
        assert_eq!(code("5 s"), codes::BAD_DURATION);
        assert_eq!(code("0s"), codes::OUT_OF_RANGE);
        assert_eq!(code("99999999999999999999h"), codes::OUT_OF_RANGE);
        let help = Time::<1>::parse("5S").unwrap_err().help;
        assert_eq!(help.as_deref(), Some("did you mean \"5s\"?"));
    }
}
