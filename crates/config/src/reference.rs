//! The manual of the configuration, in Markdown: made from the schema's declarations.

use std::fmt::Write as _;

use crate::codes::CODES;
use crate::schema::File;
use crate::setting::{Format, Key, Presence, Shape, Table as _, TableShape, ticked};
use crate::table::all_tables;

/// Every table and key with its type, default and meaning, the forms of values, and the codes of errors.
pub fn reference() -> String {
    let mut out = String::new();
    out.push_str(
        "# Configuration\n\n\
         Generated from the source; `UPDATE=1 cargo test -p evenkeel-config` writes it anew.\n\n\
         A configuration is one [TOML](https://toml.io) file. `evenkeel check -c FILE` reports everything that is \
         wrong with it. A key that is not listed here is an error, and so is a number without its unit.\n",
    );
    tables(&mut out);
    forms(&mut out);
    codes(&mut out);
    out
}

fn tables(out: &mut String) {
    let tables = all_tables();
    out.push_str("\n## Tables\n");
    let _ = writeln!(out, "\n{}\n", ticked(tables.iter().map(|(header, _)| header.as_str())));
    for key in File::shape().keys.iter().filter(|key| !matches!(key.presence, Presence::Table)) {
        let _ = writeln!(out, "- `{}`: {} Without it: {}.", key.name, key.about, absent(key));
    }
    for (header, table) in tables {
        section(out, &header, &table);
    }
}

fn section(out: &mut String, header: &str, table: &TableShape) {
    let _ = writeln!(out, "\n### `{header}`\n\n{}\n", table.about);
    out.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    for key in table.keys.iter().filter(|key| !matches!(key.presence, Presence::Table)) {
        let row = [format!("`{}`", key.name), kind(&key.shape), absent(key), key.about.clone()];
        let row: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    let below: Vec<&str> =
        table.keys.iter().filter(|key| matches!(key.presence, Presence::Table)).map(|key| key.name).collect();
    if !below.is_empty() {
        let _ = writeln!(out, "\nTables below it: {}.", ticked(below));
    }
    if !table.later.is_empty() {
        let later = ticked(table.later.iter().map(|(key, _)| *key));
        let _ = writeln!(out, "\nNot supported yet, and refused: {later}.");
    }
}

fn absent(key: &Key) -> String {
    match &key.presence {
        Presence::Required => "required".to_owned(),
        Presence::Default(value) => format!("`{value}`"),
        Presence::Optional(what) => (*what).to_owned(),
        Presence::Table => "a table of defaults".to_owned(),
    }
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Integer { least, most: 4_294_967_295 } => format!("integer from {least}"),
        Shape::Integer { least, most } => format!("integer, {least} to {most}"),
        Shape::Text(format) => bare(format.name).to_owned(),
        Shape::Words { words } => {
            words.iter().map(|word| format!("`{word:?}`")).collect::<Vec<_>>().join(", ")
        }
        Shape::Either(shapes) => match shapes.as_slice() {
            [one, Shape::List(many)] if kind(one) == kind(many) => format!("{}, or array of them", kind(one)),
            shapes => shapes.iter().map(kind).collect::<Vec<_>>().join(" or "),
        },
        Shape::List(of) => format!("array of: {}", kind(of)),
        Shape::Table(_) => "table, see below".to_owned(),
        Shape::Named(of) => match of.as_ref() {
            Shape::Table(_) => "tables with names of your choice".to_owned(),
            of => format!("table of names, each with {}", of.describe()),
        },
    }
}

fn bare(name: &str) -> &str {
    name.strip_prefix("a ").or_else(|| name.strip_prefix("an ")).unwrap_or(name)
}

fn forms(out: &mut String) {
    let mut formats: Vec<Format> = Vec::new();
    for (_, table) in all_tables() {
        for key in &table.keys {
            formats_of(&key.shape, &mut formats);
        }
    }
    formats.sort_by_key(|format| bare(format.name));
    formats.dedup_by_key(|format| (format.name, format.forms));
    out.push_str("\n## Values\n\n| type | what is written |\n|---|---|\n");
    for format in formats {
        let forms = format.forms.replace('|', "\\|");
        let _ = writeln!(out, "| {} | {forms} |", bare(format.name));
    }
}

fn formats_of(shape: &Shape, formats: &mut Vec<Format>) {
    match shape {
        Shape::Text(format) => formats.push(*format),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| formats_of(shape, formats)),
        Shape::List(of) | Shape::Named(of) => formats_of(of, formats),
        _ => {}
    }
}

fn codes(out: &mut String) {
    out.push_str("\n## Codes\n\nA code keeps its meaning. `E` refuses the file, `W` does not.\n\n");
    out.push_str("| code | means | remedy |\n|---|---|---|\n");
    for code in CODES {
        let _ = writeln!(out, "| {} | {} | {} |", code.code, code.title, code.remedy);
    }
}
