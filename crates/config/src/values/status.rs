//! Statuses: what a probe expects, what a redirect answers, what is retried.

use toml::de::DeValue;

use crate::codes::{self, BAD_STATUS};
use crate::setting::{Format, Reader, Setting, Shape, Value, Wrong, nearest};

/// Status codes from the first to the last, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statuses(pub(crate) u16, pub(crate) u16);

impl Setting for Statuses {
    fn shape() -> Shape {
        Shape::Either(vec![
            Shape::Integer { least: 100, most: 599 },
            Shape::Text(Format {
                name: "a range of statuses",
                pattern: Some("^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"),
                forms: "A status, `204`, or a range of them, `\"200-399\"`.",
                example: "\"200-399\"",
            }),
        ])
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        let written = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            _ => {
                reader.wrong_type(value, "a status or a range of them");
                return None;
            }
        };
        let (first, last) = written.split_once('-').unwrap_or((&written, &written));
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Some(Self(first, last)),
            (Some(first), Some(last)) => {
                let wrong = Wrong::new(BAD_STATUS, format!("{written:?} runs backwards"));
                reader.wrong(value, wrong.help(format!("write \"{last}-{first}\"")));
                None
            }
            _ => {
                let wrong = Wrong::new(BAD_STATUS, format!("{written:?} is not a status or a range of them"));
                reader.wrong(value, wrong.help("such as 204, or \"200-399\"; a status is 100 to 599"));
                None
            }
        }
    }

    fn show(&self) -> String {
        if self.0 == self.1 { self.0.to_string() } else { format!("\"{}-{}\"", self.0, self.1) }
    }
}

/// The status of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RedirectStatus(pub(crate) u16);

const REDIRECTS: &[u16] = &[301, 302, 303, 307, 308];

impl Setting for RedirectStatus {
    fn shape() -> Shape {
        Shape::Integer { least: 301, most: 308 }
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        let DeValue::Integer(number) = value.get_ref() else {
            reader.wrong_type(value, "an integer");
            return None;
        };
        let status = status(number.as_str()).filter(|status| REDIRECTS.contains(status));
        if status.is_none() {
            let wrong = Wrong::new(BAD_STATUS, format!("{number} does not redirect"));
            reader.wrong(value, wrong.help("301, 302, 303, 307 or 308"));
        }
        status.map(Self)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// A reason to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryWord {
    Connect,
    Reset,
    Status(u16),
}

impl RetryWord {
    const FORMAT: Format = Format {
        name: "a reason to retry",
        pattern: Some("^(connect|reset|[45][0-9]{2})$"),
        forms: "`\"connect\"` (no connection could be opened), `\"reset\"` (it died, or the time of the attempt ran out, before a byte of the answer), or a status, `\"503\"`; `\"504\"` is also an attempt whose time ran out.",
        example: "\"connect\"",
    };
}

impl Setting for RetryWord {
    fn shape() -> Shape {
        Shape::Either(vec![Shape::Text(Self::FORMAT), Shape::Integer { least: 400, most: 599 }])
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        let written = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            _ => {
                reader.wrong_type(value, Self::FORMAT.name);
                return None;
            }
        };
        match (written.as_str(), status(&written)) {
            ("connect", _) => Some(Self::Connect),
            ("reset", _) => Some(Self::Reset),
            (_, Some(status @ 400..=599)) => Some(Self::Status(status)),
            (_, Some(status)) => {
                let wrong = Wrong::new(BAD_STATUS, format!("{status} is no failure"));
                reader.wrong(value, wrong.help("statuses from 400 to 599 can be retried"));
                None
            }
            (word, None) => {
                let help = match nearest(word, ["connect", "reset"]) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => "\"connect\", \"reset\", or a status such as \"503\"".to_owned(),
                };
                let wrong = Wrong::new(codes::UNKNOWN_WORD, format!("{word:?} is not a reason to retry"));
                reader.wrong(value, wrong.help(help));
                None
            }
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Connect => "\"connect\"".to_owned(),
            Self::Reset => "\"reset\"".to_owned(),
            Self::Status(status) => format!("\"{status}\""),
        }
    }
}

fn status(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|status| digits && (100..=599).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_three_digits() {
        assert_eq!(status("204"), Some(204));
        for bad in ["99", "600", "0204", "+204", "2xx", "", "204 "] {
            assert_eq!(status(bad), None, "{bad}");
        }
    }
}
