//! The programs that are measured: which of them are here, in which version, and how they are started.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use super::configuration::{self, Setting};
use super::cores::open_files;
use crate::processes::Running;

/// A program that is here.
#[derive(Debug, Clone)]
pub(super) struct Program {
    kind: Kind,
    path: PathBuf,
    version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Evenkeel,
    Nginx,
    Haproxy,
}

impl Program {
    /// Evenkeel as it was built.
    pub(super) fn evenkeel(path: PathBuf) -> Self {
        let version = version(&path, "--version");
        Self { kind: Kind::Evenkeel, path, version }
    }

    /// The peers that are installed.
    pub(super) fn peers() -> Vec<Self> {
        let found = [(Kind::Nginx, "nginx"), (Kind::Haproxy, "haproxy")].map(|(kind, name)| {
            let path = find(name)?;
            let version = version(&path, "-v");
            Some(Self { kind, path, version })
        });
        found.into_iter().flatten().collect()
    }

    /// One that is not started.
    #[cfg(test)]
    pub(super) fn stub(kind: Kind) -> Self {
        Self { kind, path: PathBuf::new(), version: "1.0".to_owned() }
    }

    /// Which of them it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Starts it and waits until a request through it is answered 200.
    pub(super) fn start(&self, place: &Place<'_>) -> Result<Proxy, String> {
        let listen = free_address()?;
        let setting = Setting {
            listen,
            origins: place.origins,
            directory: place.directory,
            access_log: place.access_log,
            workers: place.workers,
            open_files: open_files(),
        };
        fs::create_dir_all(place.directory).map_err(|error| error.to_string())?;
        let (text, arguments): (_, &[&str]) = match self.kind {
            Kind::Evenkeel => (configuration::evenkeel(&setting), &["run", "-c"]),
            Kind::Nginx => (configuration::nginx(&setting), &["-e", "stderr", "-p", ".", "-c"]),
            Kind::Haproxy => (configuration::haproxy(&setting), &["-db", "-f"]),
        };
        let config = place.directory.join(format!("{}.conf", self.name()));
        fs::write(&config, text).map_err(|error| error.to_string())?;
        let mut command = Command::new("taskset");
        command.args(["-c", place.cores]).arg(&self.path).args(arguments).arg(&config);
        command.current_dir(place.directory);
        let started = Instant::now();
        let mut process = Running::start(self.name(), &mut command, &place.directory.join("output"))?;
        process.wait_until("it served", |_| serves(listen).then_some(()))?;
        Ok(Proxy { process, address: listen, starting: started.elapsed() })
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Evenkeel => "evenkeel",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            Kind::Evenkeel => "Evenkeel",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "HAProxy",
        };
        write!(f, "{name} {}", self.version)
    }
}

/// Where and how a program is started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// Its origins.
    pub(super) origins: &'a [SocketAddr],
    /// A directory of its own.
    pub(super) directory: &'a Path,
    /// Its cores, for `taskset`.
    pub(super) cores: &'a str,
    /// How many workers.
    pub(super) workers: usize,
    /// Whether it logs every request.
    pub(super) access_log: bool,
}

/// A program that serves.
pub(super) struct Proxy {
    /// It.
    pub(super) process: Running,
    /// Where.
    pub(super) address: SocketAddr,
    /// From the start of the process to the first answer.
    pub(super) starting: Duration,
}

/// An address nobody listens on now.
pub(super) fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_err(|error| format!("no free port: {error}"))
}

/// Whether a GET is answered 200.
fn serves(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /bytes/80 HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200 "))
}

/// Where an installed program is; Debian keeps daemons in `sbin`, which is not in everyone's path.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    places.map(|place| place.join(name)).find(|path| path.is_file())
}

/// The first number with a dot in what a program says of its version.
pub(super) fn version(path: &Path, flag: &str) -> String {
    let Ok(output) = Command::new(path).arg(flag).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    number(&String::from_utf8_lossy(&text)).unwrap_or_default()
}

fn number(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || c == '/' || c == '=');
    let found = words
        .into_iter()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))?;
    let end = found.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(found.len());
    found.get(..end).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        for (text, version) in [
            ("nginx version: nginx/1.22.1\n", Some("1.22.1")),
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", Some("2.6.12")),
            ("evenkeel 0.1.0 (abc)", Some("0.1.0")),
            ("Redis server v=7.0.15 sha=00000000:0", Some("7.0.15")),
            ("", None),
        ] {
            assert_eq!(number(text).as_deref(), version);
        }
    }
}
