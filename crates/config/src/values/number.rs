//! Whole numbers within a range, and true or false.

use toml::de::{DeInteger, DeValue};

use crate::codes;
use crate::setting::{Reader, Setting, Shape, Value};

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number<const LEAST: u64, const MOST: u64>(pub(crate) u64);

impl<const LEAST: u64, const MOST: u64> Setting for Number<LEAST, MOST> {
    fn shape() -> Shape {
        Shape::Integer { least: LEAST, most: MOST }
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        let DeValue::Integer(written) = value.get_ref() else {
            let help = match value.get_ref() {
                DeValue::String(text) if text.parse::<u64>().is_ok() => {
                    Some("write it without quotes".to_owned())
                }
                _ => None,
            };
            reader.wrong_type(value, "an integer").maybe_help(help);
            return None;
        };
        let number = integer(written).filter(|number| (LEAST..=MOST).contains(number));
        if number.is_none() {
            let message = format!("`{}`: {written} is not between {LEAST} and {MOST}", reader.key());
            let help =
                (reader.key() == "attempts").then(|| "1 never retries: the first try counts".to_owned());
            reader.problems.error(codes::OUT_OF_RANGE, value.span(), message).maybe_help(help);
        }
        number.map(Self)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl Setting for bool {
    fn shape() -> Shape {
        Shape::Boolean
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        if let DeValue::Boolean(yes) = value.get_ref() {
            return Some(*yes);
        }
        let help = match value.get_ref() {
            DeValue::String(_) => Some("write it without quotes".to_owned()),
            _ => None,
        };
        reader.wrong_type(value, "true or false").maybe_help(help);
        None
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// The number, when it is not negative and fits.
pub(crate) fn integer(written: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(written.as_str(), written.radix()).ok()
}
