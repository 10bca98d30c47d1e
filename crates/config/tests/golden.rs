//! Good files and their plans, bad files and what is said about them. `UPDATE=1` rewrites what is expected.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may fail this way

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel_config::{Checked, Report, Severity, codes, parse};

#[test]
fn good_files_become_their_plans() {
    for path in files("good") {
        let shown = match check(&path) {
            Ok(Checked { plan, warnings }) if warnings.is_empty() => format!("{plan:#?}\n"),
            Ok(Checked { plan, warnings }) => format!("{plan:#?}\n\n{warnings}"),
            Err(report) => panic!("{report}"),
        };
        compare(&path.with_extension("plan"), &shown);
    }
}

#[test]
fn bad_files_are_told_everything_at_once() {
    let files = files("bad");
    assert!(files.len() >= 20, "only {} bad files", files.len());
    for path in files {
        let Err(report) = check(&path) else { panic!("{} was accepted", path.display()) };
        assert!(report.diagnostics().iter().all(|d| d.severity == Severity::Error));
        compare(&path.with_extension("stderr"), &report.to_string());
    }
}

#[test]
fn every_code_is_shown_by_a_golden_file() {
    // These are about bytes on the disk or amounts no golden file should have: see `load.rs`.
    let elsewhere = ["E0001", "E0002", "E0003", "E0006"];
    let mut shown = String::new();
    for path in files("good").iter().chain(&files("bad")) {
        shown += &match check(path) {
            Ok(checked) => checked.warnings.to_string(),
            Err(report) => report.to_string(),
        };
    }
    for code in codes::CODES {
        let found = shown.contains(&format!("[{}]", code.code));
        assert!(found || elsewhere.contains(&code.code), "{} {} is not shown", code.code, code.title);
    }
}

fn check(path: &Path) -> Result<Checked, Report> {
    let name = path.file_name().unwrap().to_string_lossy();
    parse(&fs::read_to_string(path).unwrap(), &name)
}

fn files(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(kind);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn compare(expected: &Path, shown: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(expected, shown).unwrap();
    }
    let written = fs::read_to_string(expected).unwrap_or_default();
    assert_eq!(shown, written, "\n{} is not what is said now; UPDATE=1 rewrites it", expected.display());
}
