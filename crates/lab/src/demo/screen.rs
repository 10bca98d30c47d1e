//! The terminal while the live view has it: lines drawn in place, everything put back at the end.
//!
//! Only what changed is written, so that a command on the screen can be marked and copied while numbers move.

use std::io::{self, IsTerminal, Stdout, Write};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

/// What a piece of a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
}

/// A line of styled pieces. One longer than the terminal is wide goes on in the next row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line(Vec<(Style, String)>);

/// A terminal taken over; dropped, it is as it was.
#[derive(Debug)]
pub(crate) struct Screen {
    out: Stdout,
    colour: bool,
    /// The input's modes before; `None` when it is not a terminal.
    before: Option<Termios>,
    size: (usize, usize),
    /// Each line drawn, with its first row.
    drawn: Vec<(usize, String)>,
}

impl Line {
    /// A line of one piece.
    pub(crate) fn of(style: Style, text: impl Into<String>) -> Self {
        Self::default().and(style, text)
    }

    /// With one more piece.
    pub(crate) fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// How many columns it takes: every character that is used here is one wide.
    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// How many rows it takes.
    pub(crate) fn rows(&self, columns: usize) -> usize {
        self.width().div_ceil(columns.max(1)).max(1)
    }

    /// Its beginning, in one row.
    pub(crate) fn cut(mut self, columns: usize) -> Self {
        let mut left = columns;
        for (_, text) in &mut self.0 {
            let (end, width) = text
                .char_indices()
                .map(|(at, c)| at + c.len_utf8())
                .take(left)
                .enumerate()
                .last()
                .map_or((0, 0), |(n, end)| (end, n + 1));
            text.truncate(end);
            left -= width;
        }
        self
    }

    /// Its text, with escape sequences for the styles if there is to be colour. Control characters are not let out.
    pub(crate) fn paint(&self, colour: bool) -> String {
        let mut painted = String::new();
        for (style, text) in &self.0 {
            let code = match style {
                Style::Plain => None,
                Style::Bold => Some("1"),
                Style::Dim => Some("2"),
                Style::Green => Some("32"),
                Style::Yellow => Some("33"),
                Style::Red => Some("1;31"),
            }
            .filter(|_| colour);
            if let Some(code) = code {
                painted.push_str(&format!("\x1b[{code}m"));
            }
            painted.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
            if code.is_some() {
                painted.push_str("\x1b[0m");
            }
        }
        painted
    }
}

impl Screen {
    /// Takes the terminal over; `None` when standard output is none that can be drawn on.
    pub(crate) fn open() -> io::Result<Option<Self>> {
        let out = io::stdout();
        let is_able = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        if !out.is_terminal() || !is_able {
            return Ok(None);
        }
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let mut screen = Self { out, colour, before: None, size: (0, 0), drawn: Vec::new() };
        if let Ok(before) = termios::tcgetattr(io::stdin()) {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHO);
            termios::tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
            screen.before = Some(before);
        }
        // The other buffer, without cursor: what was on the screen comes back with the first.
        screen.write("\x1b[?1049h\x1b[?25l\x1b[2J")?;
        Ok(Some(screen))
    }

    /// Columns and rows.
    pub(crate) fn size(&self) -> (usize, usize) {
        match termios::tcgetwinsize(&self.out) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            _ => (80, 24),
        }
    }

    /// Shows these lines, as far as there is room.
    pub(crate) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let size = self.size();
        let mut text = String::new();
        if size != self.size {
            text.push_str("\x1b[2J");
            self.drawn.clear();
            self.size = size;
        }
        let (drawn, changes) = changes(&self.drawn, lines, size, self.colour);
        self.drawn = drawn;
        text.push_str(&changes);
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = self.write("\x1b[0m\x1b[?25h\x1b[?1049l");
        if let Some(before) = &self.before {
            // What was typed meanwhile is not for the shell.
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

/// What is on the screen afterwards, and what to write to get there.
fn changes(
    before: &[(usize, String)],
    lines: &[Line],
    (columns, rows): (usize, usize),
    colour: bool,
) -> (Vec<(usize, String)>, String) {
    let mut drawn = Vec::new();
    let mut text = String::new();
    let mut row = 0;
    for line in lines {
        let taken = line.rows(columns);
        if row + taken > rows {
            break;
        }
        let next = (row, line.paint(colour));
        if !before.contains(&next) {
            // Erased first: erasing behind a line that fills its row would take its last character.
            for erased in (row..row + taken).rev() {
                text.push_str(&format!("\x1b[{};1H\x1b[2K", erased + 1));
            }
            text.push_str(&next.1);
        }
        drawn.push(next);
        row += taken;
    }
    let same_length = before.last().map(|(row, _)| row) == drawn.last().map(|(row, _)| row);
    if row < rows && !(same_length && text.is_empty()) {
        text.push_str(&format!("\x1b[{};1H\x1b[J", row + 1));
    }
    (drawn, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_by_characters_and_control_characters_stay_in() {
        let line = Line::of(Style::Plain, "ab▁▂").and(Style::Red, "cd\x1b[2J");
        assert_eq!(line.clone().cut(3).paint(false), "ab▁");
        assert_eq!(line.clone().cut(5).paint(true), "ab▁▂\x1b[1;31mc\x1b[0m");
        assert_eq!(line.cut(80).paint(false), "ab▁▂cd [2J");
    }

    #[test]
    fn only_what_changed_is_written() {
        let lines = |number: u8| {
            [Line::of(Style::Plain, "a command"), Line::of(Style::Plain, format!("number {number}"))]
        };
        let (drawn, first) = changes(&[], &lines(1), (20, 5), false);
        assert_eq!(first, "\x1b[1;1H\x1b[2Ka command\x1b[2;1H\x1b[2Knumber 1\x1b[3;1H\x1b[J");
        let (drawn, second) = changes(&drawn, &lines(2), (20, 5), false);
        assert_eq!(second, "\x1b[2;1H\x1b[2Knumber 2\x1b[3;1H\x1b[J");
        assert_eq!(changes(&drawn, &lines(2), (20, 5), false).1, "");
        assert_eq!(changes(&drawn, &lines(2)[..1], (20, 5), false).1, "\x1b[2;1H\x1b[J");
    }

    #[test]
    fn long_lines_take_more_rows_and_the_rest_goes() {
        let long = Line::of(Style::Plain, "x".repeat(21));
        let lines = [long, Line::of(Style::Plain, "y"), Line::of(Style::Plain, "z")];
        let (drawn, text) = changes(&[], &lines, (20, 3), false);
        assert_eq!(drawn.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0, 2]);
        assert!(text.starts_with("\x1b[2;1H\x1b[2K\x1b[1;1H\x1b[2Kxxx"), "{text:?}");
        assert!(text.ends_with('y'), "{text:?}");
    }
}
