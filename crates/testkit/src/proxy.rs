//! The built proxy as a child process, on ports the system chose, with a configuration of the test's own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use serde_json::Value;

use crate::binaries::binary;
use crate::client::RawClient;
use crate::message::Response;
use crate::metrics::Metrics;
use crate::process::{Exit, Process};
use crate::temp_dir::TempDir;
use crate::wait::eventually;

/// How a proxy is started.
pub struct ProxyBuilder {
    config: String,
    await_ready: bool,
    limits: Vec<String>,
}

impl ProxyBuilder {
    /// With this configuration. Tables it does not have are added: `[server]` (two workers), `[admin]`
    /// (any port), `[log]` (JSON to a file). `$DIR` stands for the proxy's temporary directory.
    pub fn new(config: &str) -> Self {
        Self { config: config.to_owned(), await_ready: true, limits: Vec::new() }
    }

    /// Does not wait for `/readyz`.
    pub fn without_ready(mut self) -> Self {
        self.await_ready = false;
        self
    }

    /// Gives it no more than `count` file descriptors.
    pub fn open_files(mut self, count: usize) -> Self {
        self.limits.push(format!("ulimit -n {count}"));
        self
    }

    /// Starts it and waits until it listens, and is ready.
    #[track_caller]
    pub fn start(self) -> Proxy {
        let dir = TempDir::new();
        let config = complete(&self.config, &dir);
        let path = dir.write("evenkeel.toml", &config);
        let mut command = if self.limits.is_empty() {
            Command::new(binary("evenkeel"))
        } else {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("{}; exec \"$0\" \"$@\"", self.limits.join("; ")));
            shell.arg(binary("evenkeel"));
            shell
        };
        let process = Process::spawn("evenkeel", command.arg("run").arg("-c").arg(&path));
        let admin = process.wait_for_line("where the admin address is", |line| address_after(line, "admin"));
        let proxy = Proxy { process, admin, dir };
        for name in listeners(&config) {
            proxy.process.wait_for_line(&format!("where listener {name} is"), |line| {
                line.contains(&format!("listener {name} listening on")).then_some(())
            });
        }
        if self.await_ready {
            proxy.wait_ready();
        }
        proxy
    }
}

/// A running proxy; killed when dropped. A failing test prints its configuration and output.
pub struct Proxy {
    process: Process,
    admin: SocketAddr,
    dir: TempDir,
}

impl Proxy {
    /// Starts one with this configuration and waits until it is ready; see [`ProxyBuilder::new`].
    #[track_caller]
    pub fn start(config: &str) -> Self {
        ProxyBuilder::new(config).start()
    }

    /// Starts one with a listener `web` whose upstream `app` has these endpoints.
    #[track_caller]
    pub fn before(endpoints: &[SocketAddr]) -> Self {
        Self::start(&app_config(endpoints, ""))
    }

    /// The same, with more configuration; see [`app_config`].
    #[track_caller]
    pub fn before_with(endpoints: &[SocketAddr], rest: &str) -> Self {
        Self::start(&app_config(endpoints, rest))
    }

    /// Where a listener is; waits for it when it is about to be opened.
    #[track_caller]
    pub fn address(&self, listener: &str) -> SocketAddr {
        let owner = format!("listener {listener}");
        self.process.wait_for_line(&format!("where {owner} is"), |line| address_after(line, &owner))
    }

    /// Where metrics and health are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A connection to listener `web`.
    #[track_caller]
    pub fn client(&self) -> RawClient {
        RawClient::connect(self.address("web"))
    }

    /// Asks listener `web` for a path, on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.client().exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
    }

    /// Asks listener `web` for a path until the answer has this status.
    #[track_caller]
    pub fn wait_for_status(&self, path: &str, status: u16) -> Response {
        eventually(&format!("a {status} for {path}"), || match self.get(path) {
            response if response.status == status => Ok(response),
            response => Err(response.to_string()),
        })
    }

    /// Asks the admin address for a path.
    #[track_caller]
    pub fn admin_get(&self, path: &str) -> Response {
        match self.try_admin_get(path) {
            Ok(response) => response,
            Err(failure) => panic!("the admin address did not answer {path}: {failure}"),
        }
    }

    /// One page of metrics.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let page = self.admin_get("/metrics").expect_status(200).text();
        match Metrics::parse(&page) {
            Ok(metrics) => metrics,
            Err(error) => panic!("the metrics page is broken: {error}\n{page}"),
        }
    }

    /// Waits until a metric (summed over what matches the labels) satisfies `wanted`; gives the page.
    #[track_caller]
    pub fn wait_for_metric(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        wanted: impl Fn(f64) -> bool,
    ) -> Metrics {
        eventually(&format!("the wanted value of {name}{labels:?}"), || {
            let metrics = self.metrics();
            let value = metrics.value(name, labels);
            if wanted(value) { Ok(metrics) } else { Err(format!("{value} in\n{metrics}")) }
        })
    }

    /// Waits until exactly `count` requests are in flight at all endpoints together.
    ///
    /// An answer may reach its client a moment before the proxy has closed its books on it.
    #[track_caller]
    pub fn wait_in_flight(&self, count: u32) -> Metrics {
        self.wait_for_metric("evenkeel_upstream_in_flight", &[], |now| now == f64::from(count))
    }

    /// Waits until the proxy counts an endpoint of `app` as up or down.
    #[track_caller]
    pub fn wait_for_endpoint(&self, endpoint: SocketAddr, up: bool) {
        let wanted = if up { 1.0 } else { 0.0 };
        let endpoint = endpoint.to_string();
        eventually(&format!("{endpoint} to be {}", if up { "up" } else { "down" }), || {
            let metrics = self.metrics();
            let labels = [("endpoint", endpoint.as_str())];
            let there = metrics.has("evenkeel_endpoint_up", &labels);
            if there && metrics.value("evenkeel_endpoint_up", &labels) == wanted {
                return Ok(());
            }
            Err(metrics)
        });
    }

    /// Waits until `/readyz` is 200.
    #[track_caller]
    pub fn wait_ready(&self) {
        eventually("/readyz to be 200", || match self.try_admin_get("/readyz") {
            Ok(response) if response.status == 200 => Ok(()),
            Ok(response) => Err(format!("{response}\n{}", self.output())),
            Err(failure) => Err(format!("{failure}\n{}", self.output())),
        });
    }

    /// Sends a signal by name.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Replaces the configuration file, completed as at the start.
    pub fn rewrite_config(&self, config: &str) {
        // By renaming, so that a reload never sees half a file.
        let fresh = self.dir.write("evenkeel.toml.new", &complete(config, &self.dir));
        fs::rename(fresh, self.dir.join("evenkeel.toml")).expect("to replace the configuration");
    }

    /// Replaces the configuration, sends HUP, and waits until the reload has succeeded.
    #[track_caller]
    pub fn reload(&self, config: &str) {
        let name = "evenkeel_config_last_reload_success_timestamp_seconds";
        let before = self.metrics().value(name, &[]);
        self.rewrite_config(config);
        self.signal("HUP");
        self.wait_for_metric(name, &[], |value| value > before);
    }

    /// The access log so far, as JSON.
    pub fn access_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.join("access.log")).unwrap_or_default();
        // The last line may still be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| match serde_json::from_str(line) {
                Ok(value) => value,
                Err(error) => panic!("a line of the access log is no JSON ({error}): {line}"),
            })
            .collect()
    }

    /// Waits for a line of the access log that satisfies `wanted`.
    #[track_caller]
    pub fn wait_for_log(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("a line of the access log: {what}"), || {
            let lines = self.access_log();
            match lines.iter().find(|line| wanted(line)) {
                Some(line) => Ok(line.clone()),
                None => Err(lines.iter().map(|line| format!("{line}\n")).collect::<String>()),
            }
        })
    }

    /// Waits for the access log's line of this path (with query).
    #[track_caller]
    pub fn wait_for_log_of(&self, path: &str) -> Value {
        self.wait_for_log(path, |line| line["path"] == path)
    }

    /// All the proxy said so far.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Bytes of memory it has resident.
    #[track_caller]
    pub fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes()
    }

    /// Changes how many files it may have open from now on; those that are open stay open.
    #[track_caller]
    pub fn limit_open_files(&self, count: usize) {
        self.process.limit_open_files(count);
    }

    /// How many file descriptors it has open.
    pub fn open_files(&self) -> usize {
        self.process.open_files()
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait_exit(&mut self) -> Exit {
        self.process.wait()
    }

    /// Asks it to stop gracefully, and waits for its end.
    #[track_caller]
    pub fn stop(mut self) -> Exit {
        self.signal("TERM");
        self.process.wait()
    }

    /// Its directory, with `evenkeel.toml` and `access.log`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn try_admin_get(&self, path: &str) -> Result<Response, String> {
        let mut client = RawClient::try_connect(self.admin).map_err(|error| error.to_string())?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin);
        client.try_send(request).map_err(|end| end.to_string())?;
        client.try_response().map_err(|failure| failure.to_string())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if thread::panicking() {
            let read = |name: &str| fs::read_to_string(self.dir.join(name)).unwrap_or_default();
            eprintln!(
                "--- configuration:\n{}--- access log:\n{}",
                read("evenkeel.toml"),
                read("access.log").lines().rev().take(20).map(|line| format!("{line}\n")).collect::<String>()
            );
        }
    }
}

/// A configuration with a listener `web` whose upstream `app` has these endpoints, and `rest` after that:
/// more keys of `[upstream.app]`, then more tables.
pub fn app_config(endpoints: &[SocketAddr], rest: &str) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    format!(
        "[listener.web]\naddress = \"127.0.0.1:0\"\nupstream = \"app\"\n\n[upstream.app]\nendpoints = {endpoints:?}\n{rest}\n"
    )
}

/// Runs `evenkeel` with these arguments in a directory until it ends by itself.
#[track_caller]
pub fn run_evenkeel(directory: &Path, arguments: &[&str]) -> Exit {
    let mut command = Command::new(binary("evenkeel"));
    Process::spawn("evenkeel", command.current_dir(directory).args(arguments)).wait()
}

fn complete(config: &str, dir: &TempDir) -> String {
    let mut text = config.replace("$DIR", &dir.path().display().to_string());
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let has = |table: &str| config.lines().any(|line| line.trim() == table);
    if !has("[server]") {
        text.push_str("[server]\nworkers = 2\nshutdown_timeout = \"20s\"\n");
    }
    if !has("[admin]") {
        text.push_str("[admin]\naddress = \"127.0.0.1:0\"\n");
    }
    if !has("[log]") {
        let log = dir.join("access.log");
        text.push_str(&format!("[log]\nformat = \"json\"\naccess = \"{}\"\n", log.display()));
    }
    text
}

fn listeners(config: &str) -> Vec<String> {
    let names = config.lines().filter_map(|line| line.trim().strip_prefix("[listener.")?.strip_suffix(']'));
    names.filter(|name| !name.contains('.')).map(str::to_owned).collect()
}

/// The address in `OWNER listening on ADDRESS`, wherever in the line that is.
fn address_after(line: &str, owner: &str) -> Option<SocketAddr> {
    let marker = format!("{owner} listening on ");
    let rest = &line[line.find(&marker)? + marker.len()..];
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_any_log_line() {
        let plain = "2026-01-01T00:00:00Z  INFO listener web listening on 127.0.0.1:4711";
        let json = r#"{"level":"INFO","message":"listener web listening on [::1]:80"}"#;
        assert_eq!(address_after(plain, "listener web"), Some(([127, 0, 0, 1], 4711).into()));
        assert_eq!(address_after(json, "listener web"), Some("[::1]:80".parse().unwrap()));
        assert_eq!(address_after(plain, "admin"), None);
    }

    #[test]
    fn a_configuration_is_completed_with_what_it_lacks() {
        let dir = TempDir::new();
        let text = complete("[listener.a]\n[listener.a.limits]\n[admin]\naddress = \"x\"", &dir);
        assert_eq!(text.matches("[admin]").count(), 1);
        assert!(text.contains("workers = 2") && text.contains("access.log"));
        assert_eq!(listeners(&text), ["a"]);
    }
}
