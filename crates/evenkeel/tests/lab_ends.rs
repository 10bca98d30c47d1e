//! `evenkeel lab` that cannot go on: no process of it is left, and a directory for reports that is none is told at once.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use evenkeel_testkit::{TempDir, eventually};

fn lab(temporary: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["lab", "availability", "--quick", "--out"]).arg(temporary.join("reports"));
    command.env("TMPDIR", temporary.join("")).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Starts one and waits until it measures.
fn measuring(temporary: &TempDir) -> Child {
    let mut lab = lab(temporary).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(lab.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("kill -9 of one server"), "{line}");
    // Somebody has to listen to the rest.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    lab
}

/// Those that run and whose parent it is; a dead one that nobody has asked for does not run.
fn parts(lab: &Child) -> Vec<PathBuf> {
    let running = |stat: &PathBuf| fields(stat).is_some_and(|fields| fields[1] == lab.id().to_string());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.map(|entry| entry.path().join("stat")).filter(running).collect()
}

/// State and parent of a process, after its name in parentheses.
fn fields(stat: &PathBuf) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(stat).ok()?;
    let fields: Vec<String> = text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect();
    (fields[0] != "Z").then_some(fields)
}

fn ends(signal: &str) -> (TempDir, Option<i32>) {
    let temporary = TempDir::new();
    let mut lab = measuring(&temporary);
    let parts = parts(&lab);
    // Of five, two are being killed right now by the experiment itself.
    assert!((3..=5).contains(&parts.len()), "{parts:?}");
    assert!(Command::new("kill").args([signal, &lab.id().to_string()]).status().unwrap().success());
    let status = lab.wait().unwrap();
    eventually("no part", || {
        let left: Vec<_> = parts.iter().filter(|part| fields(part).is_some()).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    (temporary, status.code())
}

#[test]
fn no_part_outlives_it() {
    let (_, code) = ends("-KILL");
    assert_eq!(code, None);
}

#[test]
fn interrupted_it_removes_what_its_parts_wrote() {
    for signal in ["-INT", "-TERM"] {
        let (temporary, code) = ends(signal);
        assert_eq!(code, Some(130));
        let left: Vec<_> = std::fs::read_dir(temporary.join("")).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "the reports' directory alone: {left:?}");
    }
}

#[test]
fn a_directory_that_is_none_is_told_before_anything_is_measured() {
    let temporary = TempDir::new();
    std::fs::write(temporary.join("reports"), "a file").unwrap();
    let output = lab(&temporary).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("is not a directory") && text.contains("--out") && text.lines().count() == 1,
        "{text}"
    );
}
