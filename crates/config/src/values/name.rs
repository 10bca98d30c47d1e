//! Names that the operator gives and refers to.

use toml::de::DeValue;

use super::text_setting;
use crate::codes;
use crate::setting::{Format, Wrong};

/// The name of a listener, route or upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) String);

impl Name {
    const FORMAT: Format = Format {
        name: "a name",
        pattern: Some("^[A-Za-z0-9_.-]{1,64}$"),
        forms: "Letters, digits, `-`, `_` and `.`, at most 64 of them.",
        example: "\"web\"",
    };

    fn parse(text: &str) -> Result<Self, Wrong> {
        check_name(text)?;
        Ok(Self(text.to_owned()))
    }

    fn help_for(_: &DeValue<'_>) -> Option<String> {
        None
    }

    fn text(&self) -> &str {
        &self.0
    }
}

text_setting!(Name);

/// Whether a name can stand in a metric's label, a log line and a URL as it is.
pub(crate) fn check_name(name: &str) -> Result<(), Wrong> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 64 && name.chars().all(good) {
        return Ok(());
    }
    let message = match name.len() {
        0 => "a name cannot be empty".to_owned(),
        1..=64 => format!("{name:?} cannot be a name"),
        _ => "a name has at most 64 letters".to_owned(),
    };
    Err(Wrong::new(codes::BAD_NAME, message).help("letters, digits, `-`, `_` and `.`"))
}
