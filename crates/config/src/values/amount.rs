//! Amounts with a unit that are not durations: sizes in bytes and percentages.

use toml::de::DeValue;

use super::text_setting;
use crate::codes;
use crate::setting::{Format, Wrong};

const UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// A size from `LEAST` to `MOST` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size<const LEAST: u64, const MOST: u64>(pub(crate) u64);

/// Bytes of a request's head.
pub(crate) type HeadSize = Size<1024, 1_048_576>;
/// Bytes of a body.
pub(crate) type BodySize = Size<0, { u64::MAX }>;

impl<const LEAST: u64, const MOST: u64> Size<LEAST, MOST> {
    const FORMAT: Format = Format {
        name: "a size",
        pattern: Some("^[0-9]+(B|KB|KiB|MB|MiB|GB|GiB)$"),
        forms: "A whole number and its unit: `\"512B\"`, `\"64KiB\"`, `\"10MiB\"`, `\"1GB\"`; `KiB` is 1024 bytes, `KB` is 1000.",
        example: "\"64KiB\"",
    };

    fn parse(text: &str) -> Result<Self, Wrong> {
        let size = parse_size(text)?;
        if !(LEAST..=MOST).contains(&size) {
            let (least, most) = (show_size(LEAST), show_size(MOST));
            let message = format!("{text:?} is not between {least:?} and {most:?}");
            return Err(Wrong::new(codes::OUT_OF_RANGE, message));
        }
        Ok(Self(size))
    }

    fn help_for(value: &DeValue<'_>) -> Option<String> {
        match value {
            DeValue::Integer(number) => Some(format!("write the unit, in quotes: \"{}B\"", number.as_str())),
            _ => None,
        }
    }

    fn text(&self) -> String {
        show_size(self.0)
    }
}

text_setting!(HeadSize);
text_setting!(BodySize);

/// A percentage, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Percent(pub(crate) u8);

impl Percent {
    const FORMAT: Format = Format {
        name: "a percentage",
        pattern: Some("^[0-9]{1,3}%$"),
        forms: "A whole number from 0 to 100 and `%`: `\"20%\"`.",
        example: "\"20%\"",
    };

    fn parse(text: &str) -> Result<Self, Wrong> {
        match parse_percent(text, "write it such as \"20%\"")? {
            percent @ ..=100 => Ok(Self(percent as u8)),
            _ => Err(Wrong::new(codes::BAD_PERCENT, format!("{text:?} is not a percentage"))
                .help("a whole number from 0 to 100 and `%`, such as \"20%\"")),
        }
    }

    fn help_for(value: &DeValue<'_>) -> Option<String> {
        help_for_percent(value, Self::FORMAT)
    }

    fn text(&self) -> String {
        format!("{}%", self.0)
    }
}

text_setting!(Percent);

/// What somebody may have of his share, 100 to 1000 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareBound(pub(crate) u32);

impl ShareBound {
    const FORMAT: Format = Format {
        name: "a percentage of a share",
        pattern: Some("^[0-9]{3,4}%$"),
        forms: "A whole number from 100 to 1000 and `%`: `\"125%\"`.",
        example: "\"125%\"",
    };

    fn parse(text: &str) -> Result<Self, Wrong> {
        match parse_percent(text, "write it such as \"125%\"; \"unlimited\" is without a bound")? {
            percent @ 100..=1000 => Ok(Self(percent)),
            _ => {
                let message = format!("{text:?} is not between \"100%\" and \"1000%\"");
                Err(Wrong::new(codes::OUT_OF_RANGE, message).help("\"unlimited\" is without a bound"))
            }
        }
    }

    fn help_for(value: &DeValue<'_>) -> Option<String> {
        help_for_percent(value, Self::FORMAT)
    }

    fn text(&self) -> String {
        format!("{}%", self.0)
    }
}

text_setting!(ShareBound);

/// A whole number and `%`.
fn parse_percent(text: &str, such_as: &str) -> Result<u32, Wrong> {
    let wrong = || Wrong::new(codes::BAD_PERCENT, format!("{text:?} is not a percentage"));
    let Some(number) = text.strip_suffix('%') else {
        let wrong = match text.parse::<u32>() {
            Ok(_) => Wrong::new(codes::NO_UNIT, format!("{text:?} has no `%`")),
            Err(_) => wrong(),
        };
        return Err(wrong.help(such_as));
    };
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number.parse().ok().filter(|_| digits).ok_or_else(|| wrong().help(such_as))
}

fn help_for_percent(value: &DeValue<'_>, format: Format) -> Option<String> {
    match value {
        DeValue::Integer(number) => Some(format!("write the unit, in quotes: \"{}%\"", number.as_str())),
        DeValue::Float(_) => Some(format!("write it such as {}", format.example)),
        _ => None,
    }
}

fn parse_size(text: &str) -> Result<u64, Wrong> {
    let wrong = |help: String| Err(Wrong::new(codes::BAD_SIZE, format!("{text:?} is not a size")).help(help));
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return wrong("write a whole number and its unit, such as \"64KiB\"".to_owned());
    }
    if unit.is_empty() {
        let help = format!("write \"{number}B\", or \"KiB\", \"MiB\" …");
        return Err(Wrong::new(codes::NO_UNIT, format!("{text:?} has no unit")).help(help));
    }
    let Some((_, size)) = UNITS.iter().find(|(known, _)| *known == unit) else {
        let near = unit.trim().to_ascii_lowercase();
        let near = UNITS.iter().find(|(known, _)| {
            let known = known.to_ascii_lowercase();
            known == near || known.strip_suffix("ib").is_some_and(|prefix| prefix == near)
        });
        return match near {
            Some((known, _)) => wrong(format!("did you mean \"{number}{known}\"?")),
            None => wrong("the units are B, KB, KiB, MB, MiB, GB and GiB".to_owned()),
        };
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(*size)) {
        Some(bytes) => Ok(bytes),
        None => Err(Wrong::new(codes::OUT_OF_RANGE, format!("{text:?} is more than can be counted"))),
    }
}

fn show_size(bytes: u64) -> String {
    for (unit, size) in UNITS.iter().rev() {
        if bytes > 0 && bytes.is_multiple_of(*size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_understood_and_shown_again() {
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("10MiB", 10_485_760), ("1GB", 1_000_000_000)]
        {
            let size = BodySize::parse(text).unwrap();
            assert_eq!(size.0, bytes, "{text}");
            assert_eq!(size.text(), text);
        }
        assert_eq!(BodySize::parse("0B").map(|s| s.text()), Ok("0B".to_owned()));
    }

    #[test]
    fn wrong_sizes_say_what_is_meant() {
        assert_eq!(BodySize::parse("64k").unwrap_err().help.as_deref(), Some("did you mean \"64KiB\"?"));
        assert_eq!(BodySize::parse("64mb").unwrap_err().help.as_deref(), Some("did you mean \"64MB\"?"));
        assert_eq!(BodySize::parse("64").unwrap_err().code, codes::NO_UNIT);
        assert_eq!(BodySize::parse("99999999999GiB").unwrap_err().code, codes::OUT_OF_RANGE);
        assert_eq!(HeadSize::parse("512B").unwrap_err().code, codes::OUT_OF_RANGE);
        assert_eq!(HeadSize::parse("2MiB").unwrap_err().code, codes::OUT_OF_RANGE);
    }

    #[test]
    fn percentages_are_whole_and_bounded() {
        assert_eq!(Percent::parse("20%"), Ok(Percent(20)));
        assert_eq!(Percent::parse("20").unwrap_err().code, codes::NO_UNIT);
        for text in ["101%", "-1%", "+1%", "%", "1.5%", "x", "999%"] {
            assert_eq!(Percent::parse(text).unwrap_err().code, codes::BAD_PERCENT, "{text}");
        }
        assert_eq!(ShareBound::parse("125%"), Ok(ShareBound(125)));
        assert_eq!(ShareBound::parse("125").unwrap_err().code, codes::NO_UNIT);
        for text in ["99%", "1001%", "0%"] {
            assert_eq!(ShareBound::parse(text).unwrap_err().code, codes::OUT_OF_RANGE, "{text}");
        }
        assert_eq!(ShareBound::parse("1.25").unwrap_err().code, codes::BAD_PERCENT);
    }
}
