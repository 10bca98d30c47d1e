//! What is committed is what the source says: reference, schema, shipped file, examples. `UPDATE=1` rewrites the first two.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may fail this way

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel_config::{json_schema, load, parse, reference};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fresh(path: &Path, generated: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, generated).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is stale: run UPDATE=1 cargo test -p evenkeel-config --test fresh",
        path.display()
    );
}

#[test]
fn the_reference_is_fresh() {
    fresh(&root().join("config/reference.md"), &reference());
}

#[test]
fn the_schema_is_fresh() {
    let schema = serde_json::to_string_pretty(&json_schema()).unwrap();
    fresh(&root().join("config/schema.json"), &format!("{schema}\n"));
}

#[test]
fn the_shipped_file_and_every_example_are_good_and_without_warning() {
    let mut files = vec![root().join("config/evenkeel.toml")];
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        files.push(entry.unwrap().path());
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    assert!(files.len() > 14, "{files:?}");
    for path in files {
        let checked = load(&path).unwrap_or_else(|report| panic!("{report}"));
        assert!(checked.warnings.is_empty(), "{}", checked.warnings);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{} does not begin with what it shows", path.display());
    }
}

/// The shipped file says that what it has behind `#` are the defaults: so they are.
#[test]
fn the_shipped_file_shows_the_defaults() {
    let text = fs::read_to_string(root().join("config/evenkeel.toml")).unwrap();
    let commented: String = text
        .lines()
        .map(|line| match line.strip_prefix("#") {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(text, commented);
    let shown = parse(&commented, "shown").unwrap_or_else(|report| panic!("{report}")).plan;
    assert_eq!(shown, parse(&text, "shipped").unwrap_or_else(|report| panic!("{report}")).plan);
}
