//! What a value in the file can be: how it is read, and what the manual and the schema say about it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::codes;
use crate::diagnostic::{Details, Problems};

/// A value as it stands in the file.
pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// A type of value. `read` reports what is wrong and returns `None`.
pub(crate) trait Setting: Sized {
    /// What may be written, for the reference and the JSON Schema.
    fn shape() -> Shape;
    /// Reads it.
    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self>;
    /// As it would be written; the reference prints defaults with it.
    fn show(&self) -> String {
        String::new()
    }
}

/// A table with known keys; made by the `tables!` macro.
pub(crate) trait Table: Sized {
    /// Its keys, defaults and meanings.
    fn shape() -> TableShape;
    /// Reads the keys that are there. `at` is what to point at for those that are missing.
    fn read_keys(table: &DeTable<'_>, at: Range<usize>, reader: &mut Reader) -> Self;
}

/// What may be written where.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Boolean,
    Integer {
        least: u64,
        most: u64,
    },
    Text(Format),
    Words {
        words: Vec<String>,
    },
    Either(Vec<Shape>),
    List(Box<Shape>),
    Table(TableShape),
    /// A table whose keys are names the operator chooses.
    Named(Box<Shape>),
}

/// Text of a certain form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// What it is called in messages, with its article: `a duration`.
    pub(crate) name: &'static str,
    /// A regular expression that every good value matches, for editors.
    pub(crate) pattern: Option<&'static str>,
    /// Its forms, in a sentence for the manual.
    pub(crate) forms: &'static str,
    /// A good value, as it is written in the file.
    pub(crate) example: &'static str,
}

/// A table and its keys.
#[derive(Debug, Clone)]
pub(crate) struct TableShape {
    /// A name that is unique among tables.
    pub(crate) name: &'static str,
    pub(crate) about: String,
    pub(crate) keys: Vec<Key>,
    /// Keys of features that are not there yet, each with what the feature is called.
    pub(crate) later: &'static [(&'static str, &'static str)],
}

/// One key of a table.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) about: String,
    pub(crate) shape: Shape,
    pub(crate) presence: Presence,
}

/// What it means that a key is not there.
#[derive(Debug, Clone)]
pub(crate) enum Presence {
    Required,
    Default(String),
    /// What happens without it.
    Optional(&'static str),
    /// A table of defaults.
    Table,
}

impl Shape {
    /// What it is called in messages: `a duration`, `an integer`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Boolean => "true or false".to_owned(),
            Self::Integer { .. } => "an integer".to_owned(),
            Self::Text(format) => format.name.to_owned(),
            Self::Words { words } => match words.as_slice() {
                [one] => format!("{one:?}"),
                words => format!("one of {}", quoted(words.iter().map(String::as_str))),
            },
            Self::Either(shapes) => {
                let names: Vec<String> = shapes.iter().map(Self::describe).collect();
                names.join(", or ")
            }
            Self::List(of) => match of.as_ref() {
                Self::Table(_) => "an array of tables".to_owned(),
                of => format!("an array of {}", plural(of)),
            },
            Self::Table(_) | Self::Named(_) => "a table".to_owned(),
        }
    }

    /// A good value, as it is written.
    pub(crate) fn example(&self) -> Option<String> {
        match self {
            Self::Boolean => Some("true".to_owned()),
            Self::Integer { least, .. } => Some(least.max(&1).to_string()),
            Self::Text(format) => Some(format.example.to_owned()),
            Self::Words { words } => words.first().map(|word| format!("{word:?}")),
            Self::Either(shapes) => shapes.first().and_then(Self::example),
            Self::List(of) => of.example().map(|one| format!("[{one}]")),
            Self::Table(_) | Self::Named(_) => None,
        }
    }
}

fn plural(shape: &Shape) -> String {
    let one = shape.describe();
    let bare = one.strip_prefix("a ").or_else(|| one.strip_prefix("an ")).unwrap_or(&one);
    match shape {
        Shape::Text(_) if bare.ends_with('s') => format!("{bare}es"),
        Shape::Text(_) => format!("{bare}s"),
        Shape::Either(shapes) => shapes.first().map_or_else(|| "values".to_owned(), plural),
        _ => "values".to_owned(),
    }
}

/// Reads values, knows where it is, and collects what is wrong.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) problems: Problems,
    path: Vec<String>,
}

impl Reader {
    pub(crate) fn new(problems: Problems) -> Self {
        Self { problems, path: Vec::new() }
    }

    /// Reads below a key.
    pub(crate) fn within<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let value = read(self);
        self.path.pop();
        value
    }

    /// The key that is being read; empty at the top.
    pub(crate) fn key(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// The table that is being read, as its header would be: `[listener.web]`.
    pub(crate) fn table(&self) -> String {
        match self.path.as_slice() {
            [] => "the file".to_owned(),
            [route, rest @ ..] if route == "route" => {
                rest.iter().fold("[[route]]".to_owned(), |all, key| format!("{all} {key}"))
            }
            path => format!("[{}]", path.join(".")),
        }
    }

    /// Where an unknown or misplaced key stands, for the label beside it.
    pub(crate) fn standing(&self) -> String {
        if self.path.is_empty() { "at the top level".to_owned() } else { format!("in {}", self.table()) }
    }

    /// Reports a value that is of the wrong type.
    pub(crate) fn wrong_type(&mut self, value: &Value<'_>, expected: &str) -> Details<'_> {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a decimal number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` must be {expected}, not {found}", self.key());
        self.problems.error(codes::WRONG_TYPE, value.span(), message)
    }

    /// Reports a value that is of the right type and still wrong.
    pub(crate) fn wrong(&mut self, value: &Value<'_>, wrong: Wrong) {
        let message = format!("`{}`: {}", self.key(), wrong.message);
        self.problems.error(wrong.code, value.span(), message).maybe_help(wrong.help);
    }
}

/// What is wrong with a text, before it is known where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Wrong {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The word most like the one written, if any is near.
pub(crate) fn nearest<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    let near = |word: &str| strsim::damerau_levenshtein(&written.to_lowercase(), &word.to_lowercase());
    let (distance, word) = words.into_iter().map(|word| (near(word), word)).min_by_key(|(d, _)| *d)?;
    let slips = (written.len().min(word.len()) / 3).max(1);
    (distance <= slips && distance < word.len()).then_some(word)
}

/// The words, each quoted, with commas: `"a", "b"`.
pub(crate) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

/// The words as code, with commas: `` `a`, `b` ``.
pub(crate) fn ticked<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let keys = ["address", "upstream", "limits"];
        assert_eq!(nearest("adress", keys), Some("address"));
        assert_eq!(nearest("Upstream", keys), Some("upstream"));
        assert_eq!(nearest("upstraem", keys), Some("upstream"), "two letters swapped are one slip");
        assert_eq!(nearest("certificates", keys), None);
        assert_eq!(nearest("code", ["body"]), None, "half of a word is no slip");
        assert_eq!(nearest("x", ["y"]), None, "every one-letter name is near every other");
    }
}
