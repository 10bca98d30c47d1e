//! Golden: what `--help` says, command by command. After a wanted change: `UPDATE=1 cargo test -p evenkeel --test help`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(arguments)
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the help names.
fn commands() -> Vec<String> {
    let text = help(&["--help"]);
    let listed =
        text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    names.map(|line| line.split(' ').next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help").join(format!("{name}.txt"))
}

#[test]
fn help_is_as_agreed() {
    let mut names = BTreeSet::from(["evenkeel.txt".to_owned()]);
    let mut wrong = Vec::new();
    let mut compare = |name: &str, text: String| {
        let path = golden(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let agreed = std::fs::read_to_string(&path).unwrap_or_default();
        if agreed != text {
            wrong.push(format!("--- {} says\n{agreed}--- {name} --help says\n{text}", path.display()));
        }
    };
    compare("evenkeel", help(&["--help"]));
    for command in commands() {
        names.insert(format!("{command}.txt"));
        compare(&command, help(&[&command, "--help"]));
    }
    assert!(wrong.is_empty(), "{}\nif that is wanted: UPDATE=1", wrong.join("\n"));
    let files = std::fs::read_dir(golden("x").parent().unwrap()).unwrap();
    let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, names, "a command without a file, or a file without a command");
}

#[test]
fn no_line_is_too_long_and_nothing_is_coloured() {
    for command in commands() {
        let text = help(&[&command, "--help"]);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
