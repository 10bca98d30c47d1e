//! The programs: caches, and balancers in front of them.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::super::cores::open_files;
use super::super::program::{free_address, version};
use crate::processes::Running;

/// A cache server that is here.
pub(super) struct Cache {
    path: PathBuf,
    is_ours: bool,
    version: String,
}

/// A balancer that is here.
pub(super) struct Balancer {
    path: PathBuf,
    is_ours: bool,
    version: String,
}

/// A program that answers.
pub(super) struct Server {
    pub(super) process: Running,
    pub(super) address: SocketAddr,
}

impl Cache {
    /// `evenkeel-kv` as it was built.
    pub(super) fn ours(path: PathBuf) -> Self {
        Self { version: version(&path, "--version"), path, is_ours: true }
    }

    /// Redis as it is installed.
    pub(super) fn redis(path: PathBuf) -> Self {
        Self { version: version(&path, "--version"), path, is_ours: false }
    }

    /// Starts it with one thread and nothing on disk, and waits until it answers.
    pub(super) fn start(&self, cores: &str, directory: &Path) -> Result<Server, String> {
        let address = free_address()?;
        let port = address.port().to_string();
        let listen = address.to_string();
        let arguments: &[&str] = match self.is_ours {
            true => &["--listen", &listen, "--threads", "1"],
            false => &["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"],
        };
        start(self.name(), &self.path, arguments, cores, directory, address)
    }

    fn name(&self) -> &'static str {
        if self.is_ours { "evenkeel-kv" } else { "Redis" }
    }
}

impl Balancer {
    /// Evenkeel as it was built.
    pub(super) fn ours(path: PathBuf) -> Self {
        Self { version: version(&path, "--version"), path, is_ours: true }
    }

    /// HAProxy as it is installed.
    pub(super) fn haproxy(path: PathBuf) -> Self {
        Self { version: version(&path, "-v"), path, is_ours: false }
    }

    /// Starts it in front of `caches` with one worker and checks on, and waits until one of them answers through it.
    pub(super) fn start(
        &self,
        cores: &str,
        caches: &[SocketAddr],
        directory: &Path,
    ) -> Result<Server, String> {
        let address = free_address()?;
        fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        let file = directory.join("configuration");
        let (text, flags) = match self.is_ours {
            true => (evenkeel(address, caches), ["run", "-c"]),
            false => (haproxy(address, caches), ["-db", "-f"]),
        };
        fs::write(&file, text).map_err(|error| error.to_string())?;
        let file = file.display().to_string();
        let [first, second] = flags;
        start(self.name(), &self.path, &[first, second, &file], cores, directory, address)
    }

    fn name(&self) -> &'static str {
        if self.is_ours { "Evenkeel" } else { "HAProxy" }
    }
}

fn start(
    name: &str,
    path: &Path,
    arguments: &[&str],
    cores: &str,
    directory: &Path,
    address: SocketAddr,
) -> Result<Server, String> {
    fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(path).args(arguments).current_dir(directory);
    let mut process = Running::start(name, &mut command, &directory.join("output"))?;
    process.wait_until("it answered PING", |_| answers(address).then_some(()))?;
    Ok(Server { process, address })
}

fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(&answer == b"+PONG\r\n")
    };
    ask().unwrap_or(false)
}

fn evenkeel(listen: SocketAddr, caches: &[SocketAddr]) -> String {
    let endpoints: Vec<String> = caches.iter().map(SocketAddr::to_string).collect();
    format!(
        r#"[server]
workers = 1

[admin]
address = "127.0.0.1:0"

[log]
access = "off"

[listener.cache]
address = "{listen}"
protocol = "tcp"
upstream = "caches"

[upstream.caches]
endpoints = {endpoints:?}

[upstream.caches.health]
kind = "redis"
interval = "2s"
"#
    )
}

/// HAProxy without `option splice-auto`, as it comes.
fn haproxy(listen: SocketAddr, caches: &[SocketAddr]) -> String {
    let maxconn = (open_files().saturating_sub(200) / 2).min(20_000);
    let servers: String = caches
        .iter()
        .enumerate()
        .map(|(index, cache)| format!("    server s{index} {cache} check inter 2s\n"))
        .collect();
    format!(
        r#"global
    nbthread 1
    maxconn {maxconn}

defaults
    mode tcp
    timeout connect 1s
    timeout client 600s
    timeout server 600s

frontend cache
    bind {listen}
    default_backend caches

backend caches
    balance roundrobin
    option redis-check
{servers}"#
    )
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.version)
    }
}

impl fmt::Display for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.version)
    }
}
