//! The load: `redis-benchmark`, and a client of our own for what it cannot do.

use std::io::{BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::program::find;
use crate::processes::ended_children_cpu;

/// The key that `redis-benchmark` uses when keys are not drawn.
pub(super) const BENCHMARK_KEY: &[u8] = b"key:__rand_int__";
/// How many keys are drawn from: `key:000000000000` and so on.
pub(super) const DRAWN: usize = 100_000;
/// The length of such a key, in bytes.
pub(super) const DRAWN_KEY: usize = 16;

/// One run of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) test: &'a str,
    /// Many keys, not one.
    pub(super) draws: bool,
    pub(super) clients: u32,
    pub(super) pipeline: u32,
    pub(super) requests: u64,
}

/// `redis-benchmark`, where it is installed.
pub(super) struct Benchmark(PathBuf);

impl Benchmark {
    /// Finds it.
    pub(super) fn find() -> Result<Self, String> {
        find("redis-benchmark").map(Self).ok_or_else(|| {
            "redis-benchmark is not installed; on Debian: apt-get install redis-tools redis-server haproxy".to_owned()
        })
    }

    /// Runs one test; requests per second, and how busy it was itself, in cores.
    pub(super) fn run(&self, address: SocketAddr, run: Run<'_>) -> Result<(f64, f64), String> {
        let Run { test, draws, clients, pipeline, requests } = run;
        let mut command = Command::new(&self.0);
        command.args([
            "-h",
            &address.ip().to_string(),
            "-p",
            &address.port().to_string(),
            "--csv",
            "-t",
            test,
        ]);
        command.args([
            "-c",
            &clients.to_string(),
            "-P",
            &pipeline.to_string(),
            "-n",
            &requests.max(1).to_string(),
        ]);
        if draws {
            command.args(["-r", &DRAWN.to_string()]);
        }
        let (before, started) = (ended_children_cpu(), Instant::now());
        let output = command.output().map_err(|error| format!("redis-benchmark: {error}"))?;
        let busy = (ended_children_cpu() - before).as_secs_f64() / started.elapsed().as_secs_f64();
        let text = String::from_utf8_lossy(&output.stdout);
        rate(&text)
            .map(|rate| (rate, busy))
            .ok_or_else(|| format!("redis-benchmark said: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The second field of the last line of its CSV.
fn rate(csv: &str) -> Option<f64> {
    let line = csv.lines().rfind(|line| line.starts_with('"') && !line.contains("rps"))?;
    line.split("\",\"").nth(1)?.parse().ok()
}

/// Sets distinct keys of the given lengths, named as `redis-benchmark` names them.
///
/// With `due`, all of them expire at that time.
pub(super) fn fill(
    address: SocketAddr,
    keys: usize,
    key: usize,
    value: usize,
    due: Option<SystemTime>,
) -> Result<(), String> {
    let due = due.and_then(|due| due.duration_since(UNIX_EPOCH).ok()).map(|due| due.as_millis().to_string());
    let words = if due.is_some() { 5 } else { 3 };
    let expiry = due.map(|due| format!("$4\r\nPXAT\r\n${}\r\n{due}\r\n", due.len())).unwrap_or_default();
    let fill = || {
        let mut answers = TcpStream::connect(address)?;
        answers.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut requests = BufWriter::with_capacity(1 << 16, answers.try_clone()?);
        let value = "v".repeat(value);
        let digits = key.saturating_sub(b"key:".len());
        let sender = thread::spawn(move || {
            for number in 0..keys {
                write!(requests, "*{words}\r\n$3\r\nSET\r\n${key}\r\nkey:{number:0>digits$}\r\n")?;
                write!(requests, "${}\r\n{value}\r\n{expiry}", value.len())?;
            }
            requests.flush()
        });
        let mut wanted = keys * b"+OK\r\n".len();
        let mut buffer = [0; 1 << 14];
        while wanted > 0 {
            match answers.read(&mut buffer)? {
                0 => return Err(std::io::Error::other("the server closed the connection")),
                length => wanted = wanted.saturating_sub(length),
            }
        }
        sender.join().map_err(|_| std::io::Error::other("the sender failed"))?
    };
    fill().map_err(|error: std::io::Error| format!("filling {address}: {error}"))
}

/// Sets one key.
pub(super) fn set(address: SocketAddr, key: &[u8], value: &[u8]) -> Result<(), String> {
    let set = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "*3\r\n$3\r\nSET\r\n${}\r\n", key.len())?;
        stream.write_all(key)?;
        write!(stream, "\r\n${}\r\n", value.len())?;
        stream.write_all(value)?;
        stream.write_all(b"\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        if &answer == b"+OK\r\n" { Ok(()) } else { Err(std::io::Error::other("SET was refused")) }
    };
    set().map_err(|error: std::io::Error| format!("setting a key at {address}: {error}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rate_is_found() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET\",\"88888.80\",\"0.3\"\n";
        assert_eq!(super::rate(csv), Some(88888.80));
        assert_eq!(super::rate("\"test\",\"rps\"\n"), None);
        assert_eq!(super::rate("ERROR: no"), None);
    }
}
