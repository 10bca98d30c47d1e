//! What is wrong with a configuration: diagnostics, collected and shown all at once.

use std::fmt;
use std::ops::Range;

use crate::codes;
use crate::source::{Place, Source};

/// More than this in one file are not collected.
const MOST: usize = 500;

/// Whether a diagnostic refuses the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its stable code, see [`codes::CODES`].
    pub code: &'static str,
    /// Whether it refuses the configuration.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// The file it is in, as it was named.
    pub file: String,
    /// Where in the file; `None` when it is about the whole file.
    pub place: Option<Place>,
    /// Stands beside the caret; may be empty.
    pub label: String,
    /// Other places that matter, each with what it shows.
    pub notes: Vec<Note>,
    /// What to do about it.
    pub help: Option<String>,
}

/// Another place that explains a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What is to be seen there.
    pub message: String,
}

impl Diagnostic {
    /// A diagnostic about the whole of a file.
    pub(crate) fn of_file(code: &'static str, file: &str, message: String, help: &str) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message,
            file: file.to_owned(),
            place: None,
            label: String::new(),
            notes: Vec::new(),
            help: Some(help.to_owned()),
        }
    }
}

/// Everything found in one text, in its order: the errors or, when there are none, the warnings.
///
/// `Display` renders it without colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    source: Source,
}

impl Report {
    pub(crate) fn new(diagnostics: Vec<Diagnostic>, source: Source) -> Self {
        Self { diagnostics, source }
    }

    /// The diagnostics, in the text's order.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// True when there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// The name of the file it is about.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// For people: source lines, carets, help. With `colour`, in ANSI colours.
    pub fn render(&self, colour: bool) -> String {
        crate::render::render(&self.diagnostics, &self.source, colour)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

/// Collects diagnostics while a configuration is read.
#[derive(Debug)]
pub(crate) struct Problems {
    source: Source,
    list: Vec<Diagnostic>,
    overflowed: bool,
}

impl Problems {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, list: Vec::new(), overflowed: false }
    }

    /// Adds an error; details are added to what is returned.
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Details<'_> {
        self.add(Severity::Error, code, Some(span), message.into())
    }

    /// Adds an error about the whole file.
    pub(crate) fn whole(&mut self, code: &'static str, message: impl Into<String>) -> Details<'_> {
        self.add(Severity::Error, code, None, message.into())
    }

    /// Adds a warning; details are added to what is returned.
    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Details<'_> {
        self.add(Severity::Warning, code, Some(span), message.into())
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: Option<Range<usize>>,
        message: String,
    ) -> Details<'_> {
        if self.list.len() >= MOST {
            self.overflowed = true;
            return Details { source: &self.source, diagnostic: None };
        }
        self.list.push(Diagnostic {
            code,
            severity,
            message: short(message),
            file: self.source.name.clone(),
            place: span.map(|span| self.source.place(span)),
            label: String::new(),
            notes: Vec::new(),
            help: None,
        });
        Details { source: &self.source, diagnostic: self.list.last_mut() }
    }

    /// True when no more are collected; whoever goes on looking wastes time. Remembers that there was more.
    pub(crate) fn is_full(&mut self) -> bool {
        self.overflowed |= self.list.len() >= MOST;
        self.overflowed
    }

    /// The line a byte of the text is on, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.source.line_of(at)
    }

    /// Errors found up to now.
    pub(crate) fn errors(&self) -> usize {
        self.list.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// `Err` with the errors when there are any, else a report of the warnings.
    ///
    /// Beside an error no warning is given: too many would only follow from what was misread.
    pub(crate) fn finish(mut self) -> Result<Report, Report> {
        let bad = self.errors() > 0;
        if bad {
            self.list.retain(|d| d.severity == Severity::Error);
        }
        self.list.sort_by_key(|d| d.place.as_ref().map_or(usize::MAX, |place| place.span.start));
        if self.overflowed {
            let message = format!("there are more than {MOST} problems; the rest is not shown");
            let mut last = Diagnostic::of_file(
                codes::TOO_MANY,
                &self.source.name,
                message,
                "correct these and check again",
            );
            last.severity = if bad { Severity::Error } else { Severity::Warning };
            self.list.push(last);
        }
        let report = Report::new(self.list, self.source);
        if bad { Err(report) } else { Ok(report) }
    }
}

/// Adds details to a diagnostic just made.
pub(crate) struct Details<'a> {
    source: &'a Source,
    diagnostic: Option<&'a mut Diagnostic>,
}

impl Details<'_> {
    /// What to do about it.
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        self.maybe_help(Some(help.into()))
    }

    /// What to do about it, where there is something to say.
    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        if let (Some(diagnostic), Some(help)) = (self.diagnostic.as_mut(), help) {
            diagnostic.help = Some(short(help));
        }
        self
    }

    /// Text beside the caret.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        if let Some(diagnostic) = self.diagnostic.as_mut() {
            diagnostic.label = label.into();
        }
        self
    }

    /// Another place that explains it.
    pub(crate) fn note(mut self, span: Range<usize>, message: impl Into<String>) -> Self {
        if let Some(diagnostic) = self.diagnostic.as_mut() {
            diagnostic.notes.push(Note { place: self.source.place(span), message: message.into() });
        }
        self
    }
}

/// What is said quotes the file; a value of megabytes is not worth quoting whole.
fn short(text: String) -> String {
    const LONGEST: usize = 400;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_bounded_and_says_so() {
        let mut problems = Problems::new(Source::new("f", "x"));
        for _ in 0..MOST + 10 {
            problems.error(codes::UNKNOWN_KEY, 0..1, "wrong").help("do").note(0..1, "here");
        }
        let report = problems.finish().unwrap_err();
        assert_eq!(report.diagnostics().len(), MOST + 1);
        assert_eq!(report.diagnostics().last().map(|d| d.code), Some(codes::TOO_MANY));
    }

    #[test]
    fn messages_are_bounded_too() {
        let mut problems = Problems::new(Source::new("f", "x"));
        problems.error(codes::BAD_TEXT, 0..1, "ü".repeat(1_000_000)).help("ö".repeat(1_000_000));
        assert!(problems.finish().unwrap_err().to_string().len() < 2000);
    }

    #[test]
    fn warnings_alone_are_no_error() {
        let mut problems = Problems::new(Source::new("f", "x"));
        problems.warning(codes::UNUSED_UPSTREAM, 0..1, "idle");
        assert_eq!(problems.finish().map(|report| report.diagnostics().len()), Ok(1));
    }
}
