//! The command as a process: what it says without a terminal, how it ends, what it leaves.

use std::net::TcpListener;
use std::process::Command;

use evenkeel_testkit::{Process, TempDir, binary};

#[test]
fn it_serves_says_how_it_goes_and_ends_cleanly() {
    let scratch = TempDir::new();
    // Taken now, whether by this test or by somebody else.
    let _taken = TcpListener::bind("127.0.0.1:8080");
    let mut demo = Process::spawn(
        "evenkeel demo",
        Command::new(binary("evenkeel")).args(["demo", "--rate", "100"]).env("TMPDIR", scratch.path()),
    );
    demo.wait_for_line("that a port is taken", |line| {
        line.strip_prefix("note: port 8080 is taken: ").map(drop)
    });
    demo.wait_for_line("what to try", |line| line.contains("chaos?mode=dead").then_some(()));
    demo.wait_for_line("that all backends serve", |line| {
        (line.contains("requests/s") && line.matches(" up ").count() == 3).then_some(())
    });
    demo.wait_for_line("that the cache is used", |line| {
        let (_, cache) = line.split_once(" | cache used, ")?;
        (cache.contains("hits: ") && !cache.contains(" 0 keys")).then_some(())
    });
    demo.signal("INT");
    let exit = demo.wait().expect_code(0);
    assert_eq!(exit.stderr, "", "{exit}");
    assert!(exit.stdout.contains("\nEnded after 0:") && exit.stdout.contains(": 0 of "), "{exit}");
    assert!(
        exit.stdout.contains("\nThe cache answered ") && exit.stdout.contains(" went past it.\n"),
        "{exit}"
    );
    assert!(!exit.stdout.contains('\x1b'), "{exit}");
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn without_load_it_sends_nothing_and_ends_when_its_time_is_over() {
    let arguments = ["demo", "--no-load", "--duration", "1"];
    let mut demo = Process::spawn("evenkeel demo", Command::new(binary("evenkeel")).args(arguments));
    let exit = demo.wait().expect_code(0);
    assert!(exit.stdout.contains(": 0 requests, 0 were retried."), "{exit}");
}

#[test]
fn its_configuration_is_shown_and_good() {
    let directory = TempDir::new();
    let show = Command::new(binary("evenkeel")).args(["demo", "--show-config"]).output().unwrap();
    let file = directory.write("demo.toml", &String::from_utf8(show.stdout).unwrap());
    let check = ["check", "-c", file.to_str().unwrap()];
    Process::spawn("evenkeel check", Command::new(binary("evenkeel")).args(check)).wait().expect_code(0);
}
