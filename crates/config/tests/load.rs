//! Files as they are on a disk: missing, a directory, too large, not text.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may fail this way

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel_config::{LARGEST_FILE, load, parse};

#[test]
fn a_missing_file_says_what_to_do() {
    let report = load(Path::new("/nowhere/evenkeel.toml")).unwrap_err();
    let expected = "error[E0001]: cannot read the configuration /nowhere/evenkeel.toml: there is no such file\n  \
        = help: name a file with `-c FILE`, or start without one: evenkeel proxy --listen 127.0.0.1:8080 --to HOST:PORT\n\n\
        /nowhere/evenkeel.toml: 1 error\n";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn a_directory_is_no_file() {
    let report = load(&std::env::temp_dir()).unwrap_err();
    assert_eq!(report.diagnostics()[0].code, "E0001");
    assert!(report.to_string().contains("it is a directory"), "{report}");
}

#[test]
fn a_good_file_is_loaded() {
    let file = Temporary::new(
        "good.toml",
        b"[listener.a]\naddress = \"127.0.0.1:0\"\nupstream = \"b\"\n[upstream.b]\nendpoints = [\"c:1\"]\n",
    );
    let checked = load(&file.0).unwrap();
    assert_eq!(checked.plan.listeners.len(), 1);
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    let file = Temporary::new("latin1.toml", b"# one\n# caf\xe9\n");
    let report = load(&file.0).unwrap_err();
    assert_eq!(report.diagnostics()[0].code, "E0003");
    assert!(report.to_string().contains("line 2"), "{report}");
}

#[test]
fn a_huge_file_is_refused_unread() {
    let text = "#".repeat(usize::try_from(LARGEST_FILE).unwrap() + 1);
    assert_eq!(parse(&text, "huge").unwrap_err().diagnostics()[0].code, "E0002");
    let file = Temporary::new("huge.toml", text.as_bytes());
    assert_eq!(load(&file.0).unwrap_err().diagnostics()[0].code, "E0002");
}

/// A file that is gone when the test ends.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("evenkeel-config-{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
