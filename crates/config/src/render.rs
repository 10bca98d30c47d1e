//! Diagnostics as people read them: the source line (passwords masked), a caret under what is wrong, the remedy.

use std::fmt::Write as _;

use crate::diagnostic::{Diagnostic, Severity};
use crate::mask::masked;
use crate::source::{Place, Source};

/// Characters of a source line that are shown; longer lines are cut around the caret.
const WIDTH: usize = 160;

/// Renders all of them and, for several errors, how many they are.
pub(crate) fn render(diagnostics: &[Diagnostic], source: &Source, colour: bool) -> String {
    let paint = Paint { colour };
    let mut out = String::new();
    for diagnostic in diagnostics {
        one(&mut out, diagnostic, source, paint);
        out.push('\n');
    }
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    if let Some(total) = total(errors, warnings) {
        let _ = writeln!(out, "{}: {total}", clean(&source.name));
    }
    out
}

fn total(errors: usize, warnings: usize) -> Option<String> {
    let count = |n: usize, word: &str| match n {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    match (count(errors, "error"), count(warnings, "warning")) {
        (Some(errors), Some(warnings)) => Some(format!("{errors}, {warnings}")),
        (errors, warnings) => errors.or(warnings),
    }
}

fn one(out: &mut String, diagnostic: &Diagnostic, source: &Source, paint: Paint) {
    let (word, strong) = match diagnostic.severity {
        Severity::Error => ("error", Style::Error),
        Severity::Warning => ("warning", Style::Warning),
    };
    let head = paint.with(strong, &format!("{word}[{}]", diagnostic.code));
    let _ = writeln!(out, "{head}: {}", paint.with(Style::Bold, &clean(&diagnostic.message)));
    let Some(place) = &diagnostic.place else {
        if let Some(help) = &diagnostic.help {
            let _ = writeln!(out, "  {} help: {}", paint.with(Style::Gutter, "="), clean(help));
        }
        return;
    };

    let mut marks = vec![Mark { place, text: &diagnostic.label, primary: true }];
    marks.extend(diagnostic.notes.iter().map(|n| Mark { place: &n.place, text: &n.message, primary: false }));
    marks.sort_by_key(|mark| (mark.place.line, !mark.primary));
    let last = marks.iter().map(|mark| mark.place.line).max().unwrap_or(1);
    let pad = " ".repeat(last.to_string().len());
    let bar = paint.with(Style::Gutter, "|");

    let arrow = paint.with(Style::Gutter, "-->");
    let _ = writeln!(out, "{pad}{arrow} {}:{}:{}", clean(&diagnostic.file), place.line, place.column);
    let _ = writeln!(out, "{pad} {bar}");
    let mut shown = 0;
    for mark in marks {
        let window = Window::around(source, mark.place);
        if mark.place.line != shown {
            if shown != 0 && mark.place.line > shown + 1 {
                let _ = writeln!(out, "{}", paint.with(Style::Gutter, "..."));
            }
            shown = mark.place.line;
            let number = paint.with(Style::Gutter, &format!("{shown:>width$}", width = pad.len()));
            let _ = writeln!(out, "{number} {bar} {}", window.text);
        }
        let (sign, style) = if mark.primary { ("^", strong) } else { ("-", Style::Gutter) };
        let mut under = sign.repeat(window.length);
        if !mark.text.is_empty() {
            under.push(' ');
            under.push_str(&clean(mark.text));
        }
        let _ = writeln!(out, "{pad} {bar} {}{}", " ".repeat(window.offset), paint.with(style, &under));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "{pad} {bar}");
        let _ = writeln!(out, "{pad} {} help: {}", paint.with(Style::Gutter, "="), clean(help));
    }
}

struct Mark<'a> {
    place: &'a Place,
    text: &'a str,
    primary: bool,
}

/// The part of a line that is shown, and where in it the marked text stands.
struct Window {
    text: String,
    offset: usize,
    length: usize,
}

impl Window {
    fn around(source: &Source, place: &Place) -> Self {
        let line = &*masked(source.line(place.line));
        let marked = source.text().get(place.span.clone()).unwrap_or("");
        let marked = marked.lines().next().unwrap_or("").chars().count();
        let skip = (place.column - 1).saturating_sub(WIDTH / 2);
        let skip = if skip < WIDTH / 2 && line.chars().take(WIDTH + 1).count() <= WIDTH { 0 } else { skip };
        let visible: Vec<char> = line.chars().skip(skip).take(WIDTH).collect();
        let before = visible.iter().take(place.column - 1 - skip);
        let lead = if skip > 0 { "…" } else { "" };
        let trail = if line.chars().nth(skip + WIDTH).is_some() { "…" } else { "" };
        let offset = before.map(|c| cell(*c).chars().count()).sum::<usize>() + lead.chars().count();
        let under = visible.iter().skip(place.column - 1 - skip).take(marked);
        let length = under.map(|c| cell(*c).chars().count()).sum::<usize>();
        let text: String = visible.iter().map(|c| cell(*c)).collect();
        Self { text: format!("{lead}{text}{trail}"), offset, length: length.max(1) }
    }
}

/// What is shown for a character: nothing that could steer a terminal.
fn cell(c: char) -> String {
    match c {
        '\t' => "    ".to_owned(),
        c if c.is_control() => "\u{fffd}".to_owned(),
        c => c.to_string(),
    }
}

fn clean(text: &str) -> String {
    text.chars().map(cell).collect()
}

#[derive(Clone, Copy)]
enum Style {
    Error,
    Warning,
    Gutter,
    Bold,
}

#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match style {
            Style::Error => "1;31",
            Style::Warning => "1;33",
            Style::Gutter => "1;34",
            Style::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;
    use crate::diagnostic::Problems;

    fn shown(text: &str, build: impl FnOnce(&mut Problems)) -> String {
        let mut problems = Problems::new(Source::new("e.toml", text));
        build(&mut problems);
        problems.finish().unwrap_or_else(|report| report).render(false)
    }

    #[test]
    fn the_caret_stands_under_what_is_wrong() {
        let out = shown("[a]\n\tkey = \"välue\"\n", |p| {
            p.error(codes::WRONG_TYPE, 11..19, "no").label("here").note(1..2, "of this").help("yes");
        });
        let expected = "error[E0201]: no\n --> e.toml:2:8\n  |\n1 | [a]\n  |  - of this\n2 |     key = \"välue\"\n  |           ^^^^^^^ here\n  |\n  = help: yes\n\ne.toml: 1 error\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let text = format!("{}X{}", "a".repeat(5000), "b".repeat(5000));
        let out = shown(&text, |p| {
            p.error(codes::WRONG_TYPE, 5000..5001, "no");
        });
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() < 200), "{out}");
        let caret = lines[4].find('^').unwrap();
        let marked = lines[3].char_indices().map(|(_, c)| c).nth(caret);
        assert_eq!(marked, Some('X'), "{out}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let out = shown("a = \"\u{1b}[31m\"", |p| {
            p.error(codes::SYNTAX, 4..5, "bad \u{7}");
        });
        assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{out:?}");
    }

    #[test]
    fn colour_only_when_asked() {
        let mut problems = Problems::new(Source::new("e.toml", "x"));
        problems.error(codes::SYNTAX, 0..1, "bad");
        let report = problems.finish().unwrap_err();
        assert!(!report.to_string().contains('\u{1b}'));
        assert!(report.render(true).contains("\u{1b}[1;31merror[E0004]"));
    }
}
