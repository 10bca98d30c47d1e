//! Load from outside: `wrk` for closed loops when it is installed, the built-in client otherwise and for open loops.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::program::find;

/// What sends requests in closed loops.
#[derive(Debug, Clone)]
pub(super) enum Client {
    /// `wrk`, one thread.
    Wrk(PathBuf),
    /// This program's own, one thread too.
    BuiltIn,
}

/// A closed loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closed<'a> {
    /// Whom to ask.
    pub(super) address: SocketAddr,
    /// For what.
    pub(super) path: &'a str,
    /// Over how many connections.
    pub(super) connections: u32,
    /// For how many seconds.
    pub(super) seconds: u32,
    /// The client's cores.
    pub(super) cores: &'a str,
}

impl Client {
    /// `wrk` when it is here.
    pub(super) fn find() -> Self {
        find("wrk").map_or(Self::BuiltIn, Self::Wrk)
    }

    /// For the report.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Wrk(_) => "wrk",
            Self::BuiltIn => "the built-in client",
        }
    }

    /// Starts a closed loop.
    pub(super) fn start(&self, closed: &Closed<'_>) -> Result<Loop, String> {
        let Closed { address, path, connections, seconds, cores } = closed;
        let mut command = Command::new("taskset");
        command.args(["-c", cores]);
        match self {
            Self::Wrk(program) => {
                command.arg(program).args([
                    "-t1",
                    &format!("-c{connections}"),
                    &format!("-d{seconds}s"),
                    "--timeout",
                    "10s",
                ]);
                command.arg(format!("http://{address}{path}"));
            }
            Self::BuiltIn => built_in(&mut command, *address, path, *connections, f64::from(*seconds))?,
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Ok(Loop { child: child.map_err(|error| format!("cannot start the client: {error}"))? })
    }

    /// Runs a closed loop to its end; how many requests were answered.
    pub(super) fn run(&self, closed: &Closed<'_>) -> Result<u64, String> {
        self.start(closed)?.finish()
    }
}

/// A closed loop that runs.
pub(super) struct Loop {
    child: Child,
}

impl Loop {
    /// Whether it is over.
    pub(super) fn is_over(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; how many requests were answered, all of them 200.
    pub(super) fn finish(self) -> Result<u64, String> {
        let output = self.child.wait_with_output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let answered = if text.starts_with('{') { built_in_answers(&text) } else { wrk_answers(&text) };
        answered.map_err(|problem| format!("{problem}\n{text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// An open loop: the 99th percentile of the latency.
pub(super) fn open_loop(
    address: SocketAddr,
    path: &str,
    connections: u32,
    seconds: f64,
    rate: f64,
) -> Result<Duration, String> {
    let mut command = Command::new("env");
    built_in(&mut command, address, path, connections, seconds)?;
    let output = command.args(["--rate", &rate.to_string()]).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    built_in_answers(&text)?;
    let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let p99 = value
        .get("p99_us")
        .and_then(Value::as_f64)
        .ok_or_else(|| format!("the client said no p99: {text}"))?;
    Ok(Duration::from_secs_f64(p99 / 1e6))
}

fn built_in(
    command: &mut Command,
    address: SocketAddr,
    path: &str,
    connections: u32,
    seconds: f64,
) -> Result<(), String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    command.arg(program).args(["load", "--address", &address.to_string(), "--path", path]);
    command.args(["--connections", &connections.to_string(), "--seconds", &seconds.to_string()]);
    Ok(())
}

fn built_in_answers(text: &str) -> Result<u64, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("the client failed: {error}"))?;
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    match (number("requests"), number("failed")) {
        (Some(answered), Some(0)) if answered > 0 => Ok(answered),
        _ => Err(format!("requests failed: {text}")),
    }
}

fn wrk_answers(text: &str) -> Result<u64, String> {
    if let Some(line) = text.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
        return Err(format!("requests failed: {}", line.trim()));
    }
    let count = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let count = count.and_then(|(count, _)| count.parse().ok()).filter(|count| *count > 0);
    count.ok_or_else(|| "wrk did not say how many requests were answered".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_and_failures_are_not_hidden() {
        let text = "Running 2s test @ http://a/\n  1 threads and 64 connections\n  52117 requests in 2.00s, 10.1MB read\nRequests/sec:  1\n";
        assert_eq!(wrk_answers(text), Ok(52117));
        wrk_answers(&format!("{text}  Non-2xx or 3xx responses: 5\n")).unwrap_err();
        wrk_answers(&format!("{text}  Socket errors: connect 0, read 3, write 0, timeout 0\n")).unwrap_err();
        wrk_answers("").unwrap_err();
        assert_eq!(built_in_answers("{\"requests\": 7, \"failed\": 0}"), Ok(7));
        built_in_answers("{\"requests\": 7, \"failed\": 1}").unwrap_err();
        built_in_answers("").unwrap_err();
    }
}
