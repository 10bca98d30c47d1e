//! From text to a TOML document with spans; every syntax error the parser can recover from, in one run.

use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, Error};

use crate::codes;
use crate::diagnostic::Problems;

/// Parses the text. `None` when it cannot be read as TOML; what is wrong is then among the problems.
///
/// A key or table that is written twice is an error, but the rest of the document still means what it
/// says, so it is read on.
pub(crate) fn parse<'t>(text: &'t str, problems: &mut Problems) -> Option<Spanned<DeTable<'t>>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let (twice, broken): (Vec<Error>, Vec<Error>) =
        errors.into_iter().partition(|error| error.message() == "duplicate key");
    for error in twice {
        if problems.is_full() {
            break;
        }
        written_twice(text, error.span().unwrap_or(0..0), problems);
    }
    let readable = broken.is_empty();
    let mut lines = HashSet::new();
    for (message, span, help) in without_echoes(broken) {
        let span = if span.is_empty() { span.start..next_boundary(text, span.start) } else { span };
        // The second error of a line is most often an echo of the first.
        if lines.insert(problems.line(span.start)) {
            problems.error(codes::SYNTAX, span, message).maybe_help(help);
        }
    }
    readable.then_some(document)
}

type Broken = (String, Range<usize>, Option<String>);

/// The errors in our words. An array that is not closed makes an error of every line behind it: of those
/// only the first is kept.
fn without_echoes(mut errors: Vec<Error>) -> Vec<Broken> {
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let comma = errors.iter().position(|error| error.message().starts_with("missing comma between array"));
    let unclosed = errors.iter().rposition(|error| error.message().starts_with("unclosed array"));
    let echoes = match (comma, unclosed) {
        (Some(comma), Some(unclosed)) if comma < unclosed => comma + 1..unclosed + 1,
        _ => 0..0,
    };
    let mut kept = Vec::new();
    for (at, error) in errors.into_iter().enumerate() {
        if echoes.contains(&at) {
            continue;
        }
        let span = error.span().unwrap_or(0..0);
        kept.push(if at + 1 == echoes.start {
            let message = "expected `,` or `]`: an array that begins before this is not closed";
            (message.to_owned(), span, Some("close it with `]`".to_owned()))
        } else {
            let (message, help) = explain(error.message(), &span);
            (message, span, help)
        });
    }
    kept
}

fn explain(message: &str, span: &Range<usize>) -> (String, Option<String>) {
    if message.starts_with("string values must be quoted") {
        return match span.is_empty() {
            true => {
                ("a value is missing behind `=`".to_owned(), Some("write one, or remove the key".to_owned()))
            }
            false => (
                "this is no value: text is written in quotes".to_owned(),
                Some("so are addresses, and numbers with a unit: \"2s\"".to_owned()),
            ),
        };
    }
    let help = "https://toml.io tells how it is written; config/evenkeel.toml shows a whole file";
    (message.trim().replace('\n', ", "), Some(help.to_owned()))
}

fn written_twice(text: &str, span: Range<usize>, problems: &mut Problems) {
    let line_start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or("");
    let what = match statement(line) {
        header if header.starts_with('[') => header.to_owned(),
        _ => format!("`{}`", text.get(span.clone()).unwrap_or("").trim()),
    };
    let first = first_of(text, line_start, statement(line));
    let details = problems.error(codes::WRITTEN_TWICE, span, format!("{what} is written twice"));
    match first {
        Some(first) => details.note(first, "the first is here").help("keep one of the two"),
        None => details.help("keep one of the two"),
    };
}

/// The earlier line that has the same header, or the same key below the same header.
fn first_of(text: &str, line_start: usize, what: &str) -> Option<Range<usize>> {
    let before = text.get(..line_start)?;
    let header = what.starts_with('[');
    let mut end = before.len();
    for earlier in before.split_inclusive('\n').rev() {
        end -= earlier.len();
        let found = statement(earlier);
        if found == what {
            let indent = earlier.len() - earlier.trim_start().len();
            return Some(end + indent..end + indent + found.len());
        }
        if !header && found.starts_with('[') && found.ends_with(']') {
            return None;
        }
    }
    None
}

/// A line's header, or its key.
fn statement(line: &str) -> &str {
    let line = line.trim();
    match line.find(']') {
        Some(at) if line.starts_with('[') => line.get(..=at).unwrap_or(line),
        _ => line.split('=').next().unwrap_or(line).trim(),
    }
}

fn next_boundary(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(at, |c| at + c.len_utf8())
}
