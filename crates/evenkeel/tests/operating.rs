//! The commands that talk to a running proxy, against one that runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use evenkeel_testkit::{Exit, Origin, Process, RawClient, TempDir, eventually};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_evenkeel");

/// Two upstreams that share an endpoint; one has another one.
struct Running {
    process: Process,
    dir: TempDir,
    admin: SocketAddr,
    web: SocketAddr,
    shared: SocketAddr,
    other: SocketAddr,
    _origins: [Origin; 2],
}

fn config(shared: SocketAddr, other: SocketAddr, admin: &str) -> String {
    format!(
        r#"[server]
workers = 1
[admin]
address = "{admin}"
[log]
access = "off"
[listener.web]
address = "127.0.0.1:0"
upstream = "app"
[[route]]
name = "api"
match = {{ path = "/api/*" }}
upstream = "api"
[upstream.app]
endpoints = ["{shared}", "{other}"]
[upstream.api]
endpoints = ["{shared}"]
"#
    )
}

impl Running {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(prepare: impl FnOnce(&mut Command)) -> Self {
        let origins = [Origin::named("shared"), Origin::named("other")];
        let (shared, other) = (origins[0].address(), origins[1].address());
        let dir = TempDir::new();
        let file = dir.write("running.toml", &config(shared, other, "127.0.0.1:0"));
        let mut command = Command::new(BINARY);
        command.arg("run").arg("-c").arg(&file);
        prepare(&mut command);
        let process = Process::spawn("evenkeel", &mut command);
        let after = |line: &str, marker: &str| -> Option<SocketAddr> {
            line.split_once(marker)?.1.trim().parse().ok()
        };
        let web = process.wait_for_line("where it listens", |line| after(line, "listener web listening on "));
        let admin =
            process.wait_for_line("where the admin address is", |line| after(line, "admin listening on "));
        // What an operator's file says, who has the port in it.
        dir.write("evenkeel.toml", &config(shared, other, &admin.to_string()));
        Self { process, dir, admin, web, shared, other, _origins: origins }
    }

    /// Runs a command where the configuration lies.
    fn evenkeel(&self, arguments: &[&str]) -> Exit {
        let mut command = Command::new(BINARY);
        Process::spawn("evenkeel", command.current_dir(self.dir.path()).args(arguments)).wait()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.evenkeel(&["status", "--json"]).expect_code(0).stdout).unwrap()
    }
}

/// An error is one on standard error that says what to do, and nothing else.
fn expect_error(exit: Exit, parts: &[&str]) {
    let exit = exit.expect_code(1);
    assert!(exit.stdout.is_empty() && exit.stderr.starts_with("error: "), "{exit}");
    assert!(!exit.stderr.contains("panicked"), "{exit}");
    for part in parts {
        assert!(exit.stderr.contains(part), "no {part:?}: {exit}");
    }
}

#[test]
fn status_is_a_table_or_json() {
    let running = Running::start();
    let exit = running.evenkeel(&["status"]).expect_code(0);
    let lines: Vec<_> = exit.stdout.lines().collect();
    assert!(lines[0].starts_with("evenkeel ") && lines[0].contains("ready"), "{exit}");
    assert!(lines[1].starts_with(&format!("listener web on {}: ", running.web)), "{exit}");
    assert!(lines[3].starts_with("UPSTREAM  BALANCE"), "{exit}");
    assert_eq!(lines.len(), 7, "{exit}");
    assert!(
        lines.iter().any(|line| line.starts_with("api") && line.contains(&running.shared.to_string())),
        "{exit}"
    );
    assert!(!exit.stdout.contains('\u{1b}'), "colour in a pipe: {exit}");
    assert_eq!(running.status()["listeners"][0]["name"], "web");
}

#[test]
fn endpoints_are_operated_by_name() {
    let running = Running::start();
    let (shared, other) = (running.shared.to_string(), running.other.to_string());
    let exit = running.evenkeel(&["drain", &other]).expect_code(0);
    assert_eq!(exit.stdout, format!("app/{other} is drained, weight 1, 0 in flight\n"));
    let exit = running.evenkeel(&["undrain", &format!("app/{other}")]).expect_code(0);
    assert_eq!(exit.stdout, format!("app/{other} is up, weight 1, 0 in flight\n"));
    let exit = running.evenkeel(&["weight", &format!("api/{shared}"), "7"]).expect_code(0);
    assert_eq!(exit.stdout, format!("api/{shared} is up, weight 7, 0 in flight\n"));
    let status = running.status();
    assert_eq!(status["upstreams"][1]["endpoints"][0]["weight"], 7, "{status}");
    assert_eq!(status["upstreams"][0]["endpoints"][0]["weight"], 1, "{status}");

    expect_error(
        running.evenkeel(&["drain", &shared]),
        &["say which", &format!("app/{shared}"), &format!("api/{shared}")],
    );
    expect_error(
        running.evenkeel(&["drain", "nowhere:1"]),
        &["no endpoint nowhere:1", &format!("app/{other}")],
    );
    running.evenkeel(&["weight", &other, "65536"]).expect_code(2);
}

#[test]
fn a_reload_reports_like_check() {
    let running = Running::start();
    let good = std::fs::read_to_string(running.dir.join("running.toml")).unwrap();
    let admin = running.admin.to_string();
    assert_eq!(running.evenkeel(&["reload"]).expect_code(0).stdout, "the configuration was reloaded\n");
    running.dir.write("running.toml", &good.replace("endpoints", "endpoint"));
    expect_error(running.evenkeel(&["reload", "--admin", &admin]), &["did you mean", "running.toml:", "^^^"]);
    running.dir.write("running.toml", &good.replace("workers = 1", "workers = 2"));
    expect_error(running.evenkeel(&["reload"]), &["server.workers", "restart"]);
    for command in [&["status"][..], &["top", "-n", "1"]] {
        let exit = running.evenkeel(command).expect_code(0);
        let refused =
            |line: &str| line.contains("was refused: server.workers") && line.contains("evenkeel check");
        assert!(exit.stdout.lines().any(refused), "{exit}");
    }
    running.dir.write("running.toml", &good);
    running.evenkeel(&["reload"]).expect_code(0);
    let exit = running.evenkeel(&["status"]).expect_code(0);
    assert!(!exit.stdout.contains("refused"), "{exit}");
}

#[test]
fn without_a_file_both_places_are_named() {
    if std::path::Path::new("/etc/evenkeel/evenkeel.toml").exists() {
        return;
    }
    let dir = TempDir::new();
    for arguments in [&["run"][..], &["check"], &["explain", "GET", "/"]] {
        let mut command = Command::new(BINARY);
        let exit = Process::spawn("evenkeel", command.current_dir(dir.path()).args(arguments)).wait();
        expect_error(exit, &["./evenkeel.toml", "/etc/evenkeel/evenkeel.toml", "-c FILE", "evenkeel proxy"]);
    }
}

#[test]
fn explain_asks_the_file_or_the_running_proxy() {
    let running = Running::start();
    let url = format!("http://{}/api/x", running.web);
    let exit = running.evenkeel(&["explain", "GET", &url]).expect_code(0);
    assert!(exit.stdout.contains("route api") && exit.stdout.contains("--live"), "{exit}");
    let exit = running.evenkeel(&["explain", "GET", "/api/x"]).expect_code(0);
    assert!(exit.stdout.starts_with("GET /api/x\n"), "{exit}");
    running.evenkeel(&["drain", &format!("api/{}", running.shared)]).expect_code(0);
    let exit = running.evenkeel(&["explain", "--live", "GET", &url]).expect_code(2);
    assert!(exit.stdout.contains("answered 503 endpoints_drained"), "{exit}");
    assert!(exit.stdout.contains(&format!("listener web ({})", running.web)), "the port that runs: {exit}");
    let exit = running.evenkeel(&["explain", "--json", "--admin", &running.admin.to_string(), "GET", &url]);
    let json: Value = serde_json::from_str(&exit.expect_code(2).stdout).unwrap();
    assert_eq!((&json["live"], &json["routed"]), (&true.into(), &false.into()));
    let exit = running.evenkeel(&["explain", "--json", "-H", "x-a: b", "GET", &url]).expect_code(0);
    let json: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!((&json["live"], &json["routed"]), (&false.into(), &true.into()));

    expect_error(running.evenkeel(&["explain", "GET", "ftp://x/"]), &["ftp://x/", "http://host/path"]);
    expect_error(running.evenkeel(&["explain", "-H", "x", "GET", &url]), &["name: value"]);
    expect_error(
        running.evenkeel(&["explain", "--listener", "wab", "GET", &url]),
        &["no listener wab", "web"],
    );
    expect_error(
        running.evenkeel(&["explain", "--live", "--listener", "wab", "GET", &url]),
        &["no listener wab"],
    );
}

#[test]
fn top_counts_and_ends_cleanly() {
    let running = Running::start();
    let exit = running.evenkeel(&["top", "-n", "2"]).expect_code(0);
    assert_eq!(exit.stdout.matches("UPSTREAM  ENDPOINT").count(), 2, "{exit}");
    assert!(exit.stdout.contains("0 requests/s") && !exit.stdout.contains('\u{1b}'), "{exit}");

    let mut command = Command::new(BINARY);
    let mut top = Process::spawn("top", command.current_dir(running.dir.path()).arg("top"));
    let client = &mut RawClient::connect(running.web);
    top.wait_for_line("requests", |line| {
        client.exchange("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
        (line.contains("requests/s") && !line.starts_with("0 requests/s")).then_some(())
    });
    top.signal("INT");
    top.wait().expect_code(0);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let running = Running::start();
    for arguments in [&["status"][..], &["top"], &["check"], &["explain", "GET", "http://a/"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(BINARY);
        command.current_dir(running.dir.path()).args(arguments).stdout(writer).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{arguments:?}: {:?} {said}", output.status);
    }
}

#[test]
fn nobody_there_says_what_to_do() {
    let running = Running::start();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for arguments in [&["status"][..], &["top"], &["drain", "x"], &["weight", "x", "1"], &["reload"]] {
        let exit = running.evenkeel(&[&arguments[..1], &["--admin", &nobody], &arguments[1..]].concat());
        expect_error(exit, &["nothing answers at", &nobody, "--admin"]);
    }
    // The proxy's own port is no admin address, whatever the endpoint says of itself.
    expect_error(
        running.evenkeel(&["status", "--admin", &running.web.to_string()]),
        &["is not evenkeel's admin address"],
    );
    expect_error(running.evenkeel(&["status", "-c", "running.toml"]), &["running.toml", "--admin"]);
    running.dir.write("off.toml", &config(running.shared, running.other, "off"));
    expect_error(running.evenkeel(&["status", "-c", "off.toml"]), &["switched off"]);
    expect_error(running.evenkeel(&["status", "-c", "none.toml"]), &["none.toml", "--admin"]);
}

#[test]
fn systemd_hears_how_far_it_is() {
    let dir = TempDir::new();
    let systemd = UnixDatagram::bind(dir.join("notify")).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = || {
        let mut buffer = [0; 1024];
        let length = systemd.recv(&mut buffer).expect("a notification");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let mut running = Running::start_with(|command| {
        command.env("NOTIFY_SOCKET", dir.join("notify"));
    });
    assert_eq!(heard(), format!("READY=1\nSTATUS=serving on {}\n", running.web));
    running.process.signal("HUP");
    assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(heard().starts_with("READY=1\nSTATUS=serving on "));
    running.dir.write("running.toml", "nonsense");
    running.process.signal("HUP");
    assert!(heard().starts_with("RELOADING=1\n"));
    assert_eq!(heard(), "READY=1\nSTATUS=reload refused: the configuration is wrong\n");
    running.process.signal("TERM");
    assert!(heard().starts_with("STOPPING=1\n"));
    running.process.wait().expect_code(0);
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let origin = Origin::named("origin");
    let dir = TempDir::new();
    let socket = dir.join("web.sock");
    let config = config(origin.address(), "127.0.0.1:1".parse().unwrap(), "off");
    let config = config.replacen("127.0.0.1:0", &format!("unix:{}", socket.display()), 1);
    dir.write("evenkeel.toml", &config);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(BINARY);
    let mut child =
        command.current_dir(dir.path()).arg("run").stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    eventually("its socket", || if socket.exists() { Ok(()) } else { Err("not there") });
    let request = "GET /api/x HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    RawClient::connect_unix(&socket).exchange(request).expect_status(200);
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
