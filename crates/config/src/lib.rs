//! What the operator wants: TOML text to a checked [`Plan`], with every error at once.
//!
//! The way of a file: text → TOML document with spans (`document`) → tables and keys (`schema`, read by
//! `table` and `setting`, single values in `values`) → [`Plan`] (`lower`). What is wrong is collected as
//! [`Diagnostic`]s with stable [`codes`] and shown together by a [`Report`].
//!
//! `schema` is the one source of the keys: their types, defaults and meanings become the reader, the
//! [`reference()`] and the [`json_schema()`].
//!
//! Nothing here opens anything but the file that [`load`] is given.

pub mod codes;
mod collection;
mod command_line;
mod diagnostic;
mod document;
mod json_schema;
mod later;
mod lower;
mod mask;
pub mod plan;
mod reference;
mod render;
mod schema;
mod setting;
mod source;
mod table;
mod values;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use toml::de::DeTable;

pub use diagnostic::{Diagnostic, Note, Report, Severity};
pub use json_schema::json_schema;
pub use plan::Plan;
pub use reference::reference;
pub use source::Place;

use diagnostic::Problems;
use setting::{Reader, Table as _};
use source::Source;

/// A file larger than this is refused.
pub const LARGEST_FILE: u64 = 16 << 20;

/// A plan, and what is odd about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The plan.
    pub plan: Plan,
    /// Warnings; may be empty.
    pub warnings: Report,
}

/// Reads and checks a configuration file.
///
/// # Errors
///
/// Everything that is wrong with it, in one report.
pub fn load(path: &Path) -> Result<Checked, Report> {
    let name = path.display().to_string();
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("cannot read the configuration {name}: {}", reason(&error));
            let help = match error.kind() {
                io::ErrorKind::NotFound => {
                    "name a file with `-c FILE`, or start without one: evenkeel proxy --listen 127.0.0.1:8080 --to HOST:PORT"
                }
                io::ErrorKind::PermissionDenied => "let the user that evenkeel runs as read it",
                _ => "name a readable file with `-c FILE`",
            };
            return Err(refused(codes::UNREADABLE, &name, message, help));
        }
    };
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST_FILE) {
        return Err(too_large(&name));
    }
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text, &name),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
            let message = format!("{name} is not UTF-8 text: the first byte that is not is on line {line}");
            Err(refused(codes::NOT_UTF8, &name, message, "save it as UTF-8"))
        }
    }
}

/// Checks a configuration that is at hand as text; `name` is what reports call it.
///
/// # Errors
///
/// Everything that is wrong with it, in one report.
pub fn parse(text: &str, name: &str) -> Result<Checked, Report> {
    if u64::try_from(text.len()).is_ok_and(|length| length > LARGEST_FILE) {
        return Err(too_large(name));
    }
    let mut problems = Problems::new(Source::new(name, text));
    match document::parse(text, &mut problems) {
        Some(document) => check(document.get_ref(), problems),
        None => match problems.finish() {
            Err(report) => Err(report),
            Ok(_) => Err(refused(codes::SYNTAX, name, format!("{name} is not TOML"), "see https://toml.io")),
        },
    }
}

/// The part that does not care where the document came from.
fn check(document: &DeTable<'_>, problems: Problems) -> Result<Checked, Report> {
    let mut reader = Reader::new(problems);
    let file = schema::File::read_keys(document, 0..0, &mut reader);
    let mut problems = reader.problems;
    let plan = lower::lower(file, &mut problems);
    problems.finish().map(|warnings| Checked { plan, warnings })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

fn too_large(name: &str) -> Report {
    let message = format!("{name} is larger than 16 MiB");
    refused(codes::TOO_LARGE, name, message, "check that it is the right file")
}

fn refused(code: &'static str, name: &str, message: String, help: &str) -> Report {
    Report::new(vec![Diagnostic::of_file(code, name, message, help)], Source::new(name, ""))
}
