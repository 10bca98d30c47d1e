//! Settings of the logs: what is written, and where.

use std::path::PathBuf;

use toml::de::DeValue;

use super::text_setting;
use crate::codes;
use crate::plan::AccessTarget;
use crate::setting::{Format, Wrong, nearest, quoted};

const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace", "off"];

/// A filter: a level, or levels for parts of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level(pub(crate) String);

impl Level {
    const FORMAT: Format = Format {
        name: "a log level",
        pattern: None,
        forms: "`\"error\"`, `\"warn\"`, `\"info\"`, `\"debug\"`, `\"trace\"` or `\"off\"`; with levels for parts: `\"info,evenkeel_control=debug\"`.",
        example: "\"info\"",
    };

    fn parse(text: &str) -> Result<Self, Wrong> {
        for directive in text.split(',') {
            let (target, level) = directive.split_once('=').unwrap_or(("x", directive));
            let good_target =
                !target.is_empty() && target.chars().all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c));
            if !good_target {
                let message = format!("{target:?} is not a part of the program");
                return Err(
                    Wrong::new(codes::UNKNOWN_WORD, message).help("such as \"evenkeel_control=debug\"")
                );
            }
            if !LEVELS.contains(&level) {
                let help = match nearest(level, LEVELS.iter().copied()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("the levels are {}", quoted(LEVELS.iter().copied())),
                };
                let message = format!("{level:?} is not a log level");
                return Err(Wrong::new(codes::UNKNOWN_WORD, message).help(help));
            }
        }
        Ok(Self(text.to_owned()))
    }

    fn help_for(_: &DeValue<'_>) -> Option<String> {
        None
    }

    fn text(&self) -> &str {
        &self.0
    }
}

text_setting!(Level);

impl AccessTarget {
    const FORMAT: Format = Format {
        name: "\"stdout\", \"off\" or a file",
        pattern: None,
        forms: "`\"stdout\"`, `\"off\"`, or the path of a file, with a `/` or `.` in it; it is appended to.",
        example: "\"stdout\"",
    };

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text {
            "stdout" => Ok(Self::Stdout),
            "off" => Ok(Self::Off),
            path if path.contains('\0') => {
                Err(Wrong::new(codes::BAD_TEXT, "a path cannot contain a NUL character"))
            }
            path if path.contains(['/', '.']) => Ok(Self::File(PathBuf::from(path))),
            word => {
                let help = match nearest(word, ["stdout", "off"]) {
                    Some(near) => format!("did you mean {near:?}? a file is written such as \"./{word}\""),
                    None => format!("write \"stdout\", \"off\", or a path: \"./{word}\""),
                };
                let message = format!("{word:?} is neither \"stdout\" nor \"off\" nor a path");
                Err(Wrong::new(codes::UNKNOWN_WORD, message).help(help))
            }
        }
    }

    fn help_for(value: &DeValue<'_>) -> Option<String> {
        match value {
            DeValue::Boolean(false) => Some("write \"off\"".to_owned()),
            DeValue::Boolean(true) => Some("write \"stdout\"".to_owned()),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Stdout => "stdout".to_owned(),
            Self::Off => "off".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

text_setting!(AccessTarget);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_word_by_word() {
        assert!(Level::parse("info").is_ok());
        assert!(Level::parse("warn,evenkeel_control=debug,hyper::proto=trace").is_ok());
        assert_eq!(Level::parse("inof").unwrap_err().help.as_deref(), Some("did you mean \"info\"?"));
        assert!(Level::parse("").is_err());
        assert!(Level::parse("info,").is_err());
        assert!(Level::parse("=debug").is_err());
    }

    #[test]
    fn a_slip_does_not_become_a_file() {
        assert_eq!(AccessTarget::parse("access.log"), Ok(AccessTarget::File("access.log".into())));
        let wrong = AccessTarget::parse("stdot").unwrap_err();
        assert!(wrong.help.is_some_and(|help| help.contains("\"stdout\"")));
    }
}
