//! The command line: what it accepts, what it prints, how it ends.

use std::process::Command;

use evenkeel_testkit::{Exit, Origin, Process, RawClient, TempDir, app_config, binary, run_evenkeel};

const GOOD: &str = r#"
[listener.web]
address = "127.0.0.1:0"
upstream = "app"
[[route]]
name = "api"
match = { host = "api.example.com", path = "/v1/*" }
upstream = "api"
[upstream.app]
endpoints = ["127.0.0.1:9001"]
[upstream.api]
endpoints = ["127.0.0.1:9002", "127.0.0.1:9003"]
"#;

const BAD: &str = r#"
[listener.web]
addres = "127.0.0.1:0"
upstream = "ap"
[upstream.app]
endpoints = ["127.0.0.1:9001"]
balance = "round-robbin"
[upstream.app.timeouts]
connect = 5
"#;

fn evenkeel(dir: &TempDir, arguments: &[&str]) -> Exit {
    run_evenkeel(dir.path(), arguments)
}

#[test]
fn help_and_version() {
    let dir = TempDir::new();
    let help = evenkeel(&dir, &["--help"]).expect_code(0);
    for word in ["run", "check", "proxy", "explain", "demo"] {
        assert!(help.stdout.contains(word), "no {word}:\n{help}");
    }
    assert!(help.stderr.is_empty(), "{help}");
    let version = evenkeel(&dir, &["--version"]).expect_code(0);
    assert!(version.stdout.starts_with("evenkeel ") && version.stdout.contains('.'), "{version}");
    for command in ["run", "check", "proxy", "explain"] {
        let help = evenkeel(&dir, &[command, "--help"]).expect_code(0);
        assert!(help.stdout.contains("Usage"), "{help}");
    }
}

#[test]
fn nonsense_is_an_error_that_says_so() {
    let dir = TempDir::new();
    for arguments in [&["chek"][..], &["run", "--fast"], &["proxy", "--listen", "nowhere", "--to", "x"]] {
        let exit = evenkeel(&dir, arguments);
        assert!(exit.code().is_some_and(|code| code != 0), "{arguments:?}: {exit}");
        assert!(!exit.stderr.trim().is_empty() && exit.stdout.is_empty(), "{arguments:?}: {exit}");
        assert!(!exit.stderr.contains("panicked"), "{exit}");
    }
}

#[test]
fn check_accepts_a_good_file() {
    let dir = TempDir::new();
    dir.write("evenkeel.toml", GOOD);
    evenkeel(&dir, &["check"]).expect_code(0);
    dir.write("other.toml", GOOD);
    evenkeel(&dir, &["check", "-c", "other.toml"]).expect_code(0);
}

#[test]
fn check_names_every_error_at_once() {
    let dir = TempDir::new();
    dir.write("evenkeel.toml", BAD);
    let exit = evenkeel(&dir, &["check"]).expect_code(1);
    for word in ["addres", "ap", "round-robbin", "connect", "evenkeel.toml:3", "help"] {
        assert!(exit.stderr.contains(word), "no {word}:\n{exit}");
    }
    assert!(exit.stderr.contains('^'), "no caret:\n{exit}");
    assert!(!exit.stderr.contains('\u{1b}'), "colour in a pipe:\n{exit}");
}

#[test]
fn a_missing_file_says_what_to_do() {
    let dir = TempDir::new();
    for command in ["check", "run"] {
        let exit = evenkeel(&dir, &[command, "-c", "nowhere.toml"]).expect_code(1);
        assert!(exit.stderr.contains("nowhere.toml"), "{exit}");
    }
}

#[test]
fn run_refuses_a_bad_file_like_check() {
    let dir = TempDir::new();
    dir.write("evenkeel.toml", BAD);
    let exit = evenkeel(&dir, &["run"]).expect_code(1);
    assert!(exit.stderr.contains("round-robbin") && exit.stderr.contains('^'), "{exit}");
}

#[test]
fn a_port_in_use_says_which_and_by_what_setting() {
    let dir = TempDir::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let origin = Origin::named("origin");
    let free_admin = "[admin]\naddress = \"127.0.0.1:0\"\n";
    let config = app_config(&[origin.address()], free_admin);
    dir.write("evenkeel.toml", &config.replacen("127.0.0.1:0", &address, 1));
    let exit = evenkeel(&dir, &["run"]).expect_code(1);
    assert!(exit.stderr.contains(&address), "{exit}");
    assert!(exit.stderr.contains("listener.web") || exit.stderr.contains("[listener.web]"), "{exit}");

    dir.write(
        "evenkeel.toml",
        &app_config(&[origin.address()], &format!("[admin]\naddress = \"{address}\"\n")),
    );
    let exit = evenkeel(&dir, &["run"]).expect_code(1);
    assert!(exit.stderr.contains(&address) && exit.stderr.contains("admin"), "{exit}");
}

#[test]
fn explain_says_where_a_request_would_go() {
    let dir = TempDir::new();
    dir.write("evenkeel.toml", GOOD);
    let exit = evenkeel(&dir, &["explain", "GET", "http://api.example.com/v1/x"]).expect_code(0);
    for word in ["web", "api", "127.0.0.1:900"] {
        assert!(exit.stdout.contains(word), "no {word}:\n{exit}");
    }
    let exit = evenkeel(&dir, &["explain", "-H", "x-a: b", "POST", "http://other/"]).expect_code(0);
    assert!(exit.stdout.contains("app") && exit.stdout.contains("127.0.0.1:9001"), "{exit}");
    let without = GOOD.replacen("upstream = \"app\"\n", "", 1);
    dir.write("evenkeel.toml", &without);
    let exit = evenkeel(&dir, &["explain", "GET", "http://other/"]).expect_code(2);
    assert!(format!("{}{}", exit.stdout, exit.stderr).contains("404"), "{exit}");
}

#[test]
fn proxy_serves_without_a_file() {
    let dir = TempDir::new();
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let mut command = Command::new(binary("evenkeel"));
    command.current_dir(dir.path()).args([
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--to",
        &a.address().to_string(),
        "--to",
        &b.address().to_string(),
        "--balance",
        "least-connections",
        "--admin",
        "127.0.0.1:0",
    ]);
    let mut process = Process::spawn("evenkeel proxy", &mut command);
    let address = process.wait_for_line("where it listens", |line| {
        let rest = line.split_once("listener ")?.1.split_once(" listening on ")?.1;
        rest.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
    });
    let mut client = RawClient::connect(address);
    for _ in 0..10 {
        client.exchange("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    }
    assert!(a.request_count() > 0 && b.request_count() > 0);
    process.signal("INT");
    process.wait().expect_code(0);
}
