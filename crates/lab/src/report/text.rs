//! A report on a terminal: at most 100 columns, no colours, the verdict last.

use std::fmt::{self, Formatter};

use super::grid::{Side, Sides};
use super::{Block, Report, Table};

/// Columns of the terminal that are used.
const WIDTH: usize = 100;

/// Between two columns of a table.
const GAP: usize = 2;

/// A column is made no narrower than this to fit.
const NARROWEST: usize = 10;

/// What stands before the lines of a table.
const INDENT: &str = "  ";

/// For a terminal: tables, promises, verdict; no plots.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        underlined(f, &format!("{}: {}", self.name, self.question), '=')?;
        for block in &self.blocks {
            match block {
                Block::Heading { text } => {
                    writeln!(f)?;
                    underlined(f, text, '-')?;
                }
                Block::Text { text } => {
                    writeln!(f)?;
                    paragraph(f, text, "")?;
                }
                Block::Table(table) => {
                    writeln!(f)?;
                    write_table(f, table)?;
                }
                Block::Plot(_) => {}
            }
        }
        if !self.promises.is_empty() {
            writeln!(f)?;
            write_table(f, &self.promised())?;
        }
        let circumstances = &self.circumstances;
        writeln!(f)?;
        paragraph(
            f,
            &format!(
                "{}; Evenkeel {}, {}; {}, {:.1} s",
                circumstances.command,
                circumstances.version,
                circumstances.machine,
                circumstances.started,
                circumstances.seconds
            ),
            "",
        )?;
        writeln!(f)?;
        underlined(f, &format!("Verdict: {}", self.outcome()), '=')?;
        self.verdict.iter().try_for_each(|sentence| paragraph(f, sentence, ""))
    }
}

impl Report {
    /// How many promises were kept, in words.
    pub(super) fn outcome(&self) -> String {
        let all = self.promises.len();
        let broken = self.promises.iter().filter(|promise| !promise.kept).count();
        match (all, broken) {
            (0, _) => "nothing was promised".to_owned(),
            (1, 0) => "the promise was kept".to_owned(),
            (1, _) => "THE PROMISE WAS BROKEN".to_owned(),
            (_, 0) => format!("all {all} promises were kept"),
            (_, 1) => format!("1 OF {all} PROMISES WAS BROKEN"),
            _ => format!("{broken} OF {all} PROMISES WERE BROKEN"),
        }
    }

    fn promised(&self) -> Table {
        let rows = self.promises.iter().map(|promise| {
            let kept = if promise.kept { "kept" } else { "BROKEN" };
            vec![kept.to_owned(), promise.what.clone(), promise.wanted.clone(), promise.got.clone()]
        });
        Table {
            title: "Promises".to_owned(),
            head: ["", "what", "promised", "came out"].map(str::to_owned).to_vec(),
            rows: rows.collect(),
        }
    }
}

fn write_table(f: &mut Formatter<'_>, table: &Table) -> fmt::Result {
    paragraph(f, &table.title, "")?;
    let widths = widths(table);
    let sides = Sides::of(table);
    if table.head.iter().any(|heading| !heading.is_empty()) {
        write_row(f, &table.head, &sides.head, &widths)?;
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        write_row(f, &rules, &sides.head, &widths)?;
    }
    table.rows.iter().zip(&sides.rows).try_for_each(|(row, sides)| write_row(f, row, sides, &widths))
}

/// The columns' widths: what they hold, the widest ones narrowed until the whole fits.
fn widths(table: &Table) -> Vec<usize> {
    let mut widths = vec![0; table.columns()];
    for row in table.rows.iter().chain([&table.head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let room = WIDTH.saturating_sub(INDENT.len() + GAP * widths.len().saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            _ => break,
        }
    }
    widths
}

/// A row, on as many lines as its tallest cell needs.
fn write_row(f: &mut Formatter<'_>, row: &[String], sides: &[Side], widths: &[usize]) -> fmt::Result {
    let cells: Vec<Vec<String>> = row.iter().zip(widths).map(|(cell, width)| wrapped(cell, *width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for index in 0..height {
        let mut line = INDENT.to_owned();
        for ((cell, side), width) in cells.iter().zip(sides).zip(widths) {
            let text = cell.get(index).map_or("", String::as_str);
            match side {
                Side::Left => line.push_str(&format!("{text:<width$}")),
                Side::Right => line.push_str(&format!("{text:>width$}")),
            }
            line.push_str(&" ".repeat(GAP));
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

fn underlined(f: &mut Formatter<'_>, text: &str, rule: char) -> fmt::Result {
    let lines = wrapped(text, WIDTH);
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
    writeln!(f, "{}", rule.to_string().repeat(width))
}

fn paragraph(f: &mut Formatter<'_>, text: &str, indent: &str) -> fmt::Result {
    let lines = wrapped(text, WIDTH - indent.len());
    lines.iter().filter(|line| !line.is_empty()).try_for_each(|line| writeln!(f, "{indent}{line}"))
}

/// Breaks text at spaces into lines of at most `width` characters; a word that is longer is broken anywhere.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let between = usize::from(used > 0);
            let Some(line) = lines.last_mut() else { break };
            if used + between + word.len() <= width {
                line.extend(std::iter::repeat_n(' ', between).chain(word.iter().copied()));
                used += between + word.len();
                break;
            }
            if used == 0 {
                line.extend(word.drain(..width));
            }
            lines.push(String::new());
            used = 0;
        }
    }
    lines
}

#[cfg(test)]
mod tests;
