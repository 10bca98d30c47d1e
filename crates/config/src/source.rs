//! The text of a configuration and where in it something stands.

use std::ops::Range;

/// A place in the text, as people count: from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The same as bytes of the text.
    pub span: Range<usize>,
}

/// A named text with an index of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The file's name, as it was given.
    pub(crate) name: String,
    text: String,
    starts: Vec<usize>,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1))
            .collect();
        Self { name: name.to_owned(), text: text.to_owned(), starts }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where the span begins; any span gives a place, those beyond the text its end.
    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let line = self.line_of(start);
        let line_start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(line_start..start).map_or(0, |before| before.chars().count()) + 1;
        let end = span.end.clamp(start, self.text.len());
        Place { line, column, span: start..end }
    }

    /// The line a byte is on, from 1.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.starts.partition_point(|line_start| *line_start <= at).max(1)
    }

    /// The text of a line counted from 1, without its end; empty when there is no such line.
    pub(crate) fn line(&self, line: usize) -> &str {
        let Some(start) = self.starts.get(line.saturating_sub(1)).copied() else { return "" };
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let source = Source::new("f", "a = 1\nö = \"x\"\r\nlast");
        let place = |start: usize, end: usize| {
            let place = source.place(start..end);
            (place.line, place.column)
        };
        assert_eq!(place(0, 1), (1, 1));
        assert_eq!(place(6, 8), (2, 1));
        assert_eq!(place(11, 14), (2, 5), "two bytes of one letter are one column");
        assert_eq!(place(7, 8), (2, 1), "inside a letter counts as at it");
        assert_eq!(place(900, 999), (3, 5), "beyond the end is the end");
        assert_eq!(source.line(2), "ö = \"x\"");
        assert_eq!(source.line(3), "last");
        assert_eq!(source.line(4), "");
    }

    #[test]
    fn an_empty_text_has_one_line() {
        let source = Source::new("f", "");
        assert_eq!(source.place(0..0), Place { line: 1, column: 1, span: 0..0 });
        assert_eq!(source.line(1), "");
    }
}
