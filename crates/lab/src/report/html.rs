//! A report as a page that needs nothing else: style and pictures are in it.

use std::fmt::{self, Write as _};

use super::grid::{Side, Sides};
use super::{Block, Plot, Report, Table, svg};

/// Of all pages.
pub(super) const STYLE: &str = include_str!("style.css");

/// The page.
pub(super) fn page(report: &Report) -> String {
    let mut body = String::new();
    write_page(&mut body, report);
    document(&format!("Evenkeel lab: {}", report.name), &body)
}

/// A page around what is in its `main`.
pub(super) fn document(title: &str, main: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<link rel=\"icon\" href=\"data:,\"/>\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{main}</main>\n</body>\n</html>\n",
        Escaped(title)
    )
}

/// Whether promises were kept, in words and with a sign.
pub(super) fn outcome(report: &Report) -> String {
    let (class, sign) = if report.is_kept() { ("kept", '✓') } else { ("broken", '✗') };
    format!("<p class=\"outcome {class}\">{sign} {}</p>\n", Escaped(&report.outcome()))
}

/// The verdict, a paragraph for each sentence.
pub(super) fn verdict(report: &Report) -> String {
    let sentences = report.verdict.iter().map(|sentence| format!("<p>{}</p>\n", Escaped(sentence)));
    format!("<blockquote>\n{}</blockquote>\n", sentences.collect::<String>())
}

fn write_page(out: &mut String, report: &Report) {
    let name = Escaped(&report.name);
    _ = write!(
        out,
        "<header>\n<p class=\"word\">Evenkeel lab: {name}</p>\n<h1>{}</h1>\n</header>\n\
         <section class=\"verdict\" aria-label=\"Verdict\">\n{}{}</section>\n",
        Escaped(&report.question),
        outcome(report),
        verdict(report)
    );
    if !report.promises.is_empty() {
        write_promises(out, report);
    }
    for block in &report.blocks {
        match block {
            Block::Heading { text } => _ = writeln!(out, "<h2>{}</h2>", Escaped(text)),
            Block::Text { text } => _ = writeln!(out, "<p>{}</p>", Escaped(text)),
            Block::Table(table) => write_table(out, table),
            Block::Plot(plot) => write_plot(out, plot),
        }
    }
    if !report.method.is_empty() {
        out.push_str("<h2>How it was measured</h2>\n");
        report.method.iter().for_each(|text| _ = writeln!(out, "<p>{}</p>", Escaped(text)));
    }
    write_circumstances(out, report);
}

fn write_promises(out: &mut String, report: &Report) {
    out.push_str(
        "<h2>Promises</h2>\n<table class=\"promises\">\n<thead><tr><th scope=\"col\">Kept?</th><th scope=\"col\">What</th>\
         <th scope=\"col\">Promised</th><th scope=\"col\">Came out</th></tr></thead>\n<tbody>\n",
    );
    for promise in &report.promises {
        let (class, said) = if promise.kept { ("kept", "✓ kept") } else { ("broken", "✗ BROKEN") };
        _ = writeln!(
            out,
            "<tr><td class=\"{class}\">{said}</td><th scope=\"row\">{}</th><td data-head=\"Promised: \">{}</td>\
             <td data-head=\"Came out: \">{}</td></tr>",
            Escaped(&promise.what),
            Escaped(&promise.wanted),
            Escaped(&promise.got)
        );
    }
    out.push_str("</tbody>\n</table>\n");
}

fn write_table(out: &mut String, table: &Table) {
    let sides = Sides::of(table);
    let class = |side: Option<&Side>| if side == Some(&Side::Right) { " class=\"right\"" } else { "" };
    // Wider than the page it can be moved, with the keyboard too.
    _ = writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{}\">",
        Escaped(&table.title)
    );
    _ = writeln!(out, "<table>\n<caption>{}</caption>", Escaped(&table.title));
    if !table.head.is_empty() {
        out.push_str("<thead><tr>");
        for (index, heading) in table.head.iter().enumerate() {
            _ = write!(out, "<th scope=\"col\"{}>{}</th>", class(sides.head.get(index)), Escaped(heading));
        }
        out.push_str("</tr></thead>\n");
    }
    out.push_str("<tbody>\n");
    for (row, sides) in table.rows.iter().zip(&sides.rows) {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let (class, cell) = (class(sides.get(index)), Escaped(cell));
            match index {
                0 => _ = write!(out, "<th scope=\"row\"{class}>{cell}</th>"),
                _ => _ = write!(out, "<td{class}>{cell}</td>"),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn write_plot(out: &mut String, plot: &Plot) {
    _ = writeln!(out, "<figure>\n<figcaption>{}</figcaption>\n<ul class=\"legend\">", Escaped(&plot.title));
    for (index, line) in plot.lines.iter().enumerate() {
        _ = writeln!(out, "<li>{} {}</li>", svg::swatch(index, line.style), Escaped(&line.name));
    }
    if plot.lines.is_empty() {
        out.push_str("<li>no values</li>\n");
    }
    out.push_str("</ul>\n");
    out.push_str(&svg::draw(plot, svg::WIDE, "plot wide"));
    out.push_str(&svg::draw(plot, svg::NARROW, "plot narrow"));
    match svg::hidden(plot) {
        0 => {}
        1 => out
            .push_str("<p class=\"note\">1 point at or below zero has no place on a logarithmic axis.</p>\n"),
        hidden => {
            _ = writeln!(
                out,
                "<p class=\"note\">{hidden} points at or below zero have no place on a logarithmic axis.</p>"
            );
        }
    }
    out.push_str("</figure>\n");
}

fn write_circumstances(out: &mut String, report: &Report) {
    let circumstances = &report.circumstances;
    out.push_str("<h2>Circumstances</h2>\n<dl>\n");
    _ = writeln!(out, "<dt>Command</dt><dd><code>{}</code></dd>", Escaped(&circumstances.command));
    for (name, value) in [
        ("Machine", circumstances.machine.clone()),
        ("Evenkeel", circumstances.version.clone()),
        ("Seed", circumstances.seed.to_string()),
        ("Started", circumstances.started.clone()),
        ("Took", format!("{:.1} s", circumstances.seconds)),
    ] {
        _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", Escaped(&value));
    }
    let name = Escaped(&report.name);
    _ = writeln!(out, "<dt>Raw data</dt><dd><a href=\"{name}.json\">{name}.json</a></dd>\n</dl>");
}

/// Text that stands for itself in elements and in quoted attributes.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
