//! Single values: what a string or number in the file may be.

pub(crate) mod address;
pub(crate) mod amount;
pub(crate) mod duration;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod name;
pub(crate) mod number;
pub(crate) mod status;
pub(crate) mod word;

use toml::de::DeValue;

use crate::codes;
use crate::setting::{Format, Reader, Value, Wrong};

/// A type that is written as a string: gives it `Setting` from `FORMAT`, `parse` and `show`.
macro_rules! text_setting {
    ($ty:ty) => {
        impl $crate::setting::Setting for $ty {
            fn shape() -> $crate::setting::Shape {
                $crate::setting::Shape::Text(Self::FORMAT)
            }

            fn read(
                value: &$crate::setting::Value<'_>,
                reader: &mut $crate::setting::Reader,
            ) -> Option<Self> {
                let toml::de::DeValue::String(text) = value.get_ref() else {
                    $crate::values::not_text(value, Self::FORMAT, Self::help_for(value.get_ref()), reader);
                    return None;
                };
                match Self::parse(text) {
                    Ok(good) => Some(good),
                    Err(wrong) => {
                        reader.wrong(value, wrong);
                        None
                    }
                }
            }

            fn show(&self) -> String {
                format!("{:?}", self.text())
            }
        }
    };
}

pub(crate) use text_setting;

/// Reports a value that should have been text: numbers of units that lack them apart from the rest.
pub(crate) fn not_text(value: &Value<'_>, format: Format, help: Option<String>, reader: &mut Reader) {
    let help = help.unwrap_or_else(|| format!("such as {}", format.example));
    match value.get_ref() {
        DeValue::Integer(number) if UNITS.contains(&format.name) => {
            let wrong = Wrong::new(codes::NO_UNIT, format!("{number} has no unit"));
            reader.wrong(value, wrong.help(help));
        }
        _ => {
            reader.wrong_type(value, format.name).help(help);
        }
    }
}

/// What carries a unit.
const UNITS: &[&str] = &["a duration", "a size", "a percentage", "a percentage of a share"];
