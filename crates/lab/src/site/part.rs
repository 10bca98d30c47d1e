//! [`Part`]: a process that is started, watched, hurt and ended.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Kind, Metrics, Site, ask};
use crate::ports::Reserved;

/// How long it may take to get ready, and to end when asked to.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked whether it has.
const LOOK: Duration = Duration::from_millis(2);

/// A process. It is killed when dropped.
#[derive(Debug)]
pub struct Part {
    name: String,
    kind: Kind,
    program: PathBuf,
    words: Vec<String>,
    log: PathBuf,
    child: Child,
    address: SocketAddr,
    metrics: SocketAddr,
    /// Its port, kept for it while it is dead: the system may give a free one to any connection.
    _port: Option<Reserved>,
}

impl Part {
    pub(super) fn start(
        site: &Site,
        kind: Kind,
        name: &str,
        words: &[&str],
        port: Option<Reserved>,
    ) -> io::Result<Self> {
        let log = site.path().join(format!("{name}.log"));
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let child = spawn(&site.program, &words, &log)?;
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let program = site.program.clone();
        let mut part = Self {
            name: name.to_owned(),
            kind,
            program,
            words,
            log,
            child,
            address: nowhere,
            metrics: nowhere,
            _port: port,
        };
        part.wait_until_ready()?;
        Ok(part)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it serves; a proxy's listener `web`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where another listener of a proxy listens.
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        said(&self.log, &format!("listener {name} listening on "))
    }

    /// Where its `/metrics` are; a proxy's admin address.
    pub fn admin(&self) -> SocketAddr {
        self.metrics
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it counts.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metrics(&self) -> io::Result<Metrics> {
        let answer = ask(self.metrics, "GET", "/metrics", Duration::from_secs(2))?;
        Ok(Metrics::parse(&answer.body))
    }

    /// The processor time it has used, user and system.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        ticks(&text).ok_or_else(|| io::Error::other("what /proc says is not understood"))
    }

    /// Ends it at once, as `kill -9` does. It stays dead until [`Part::restart`].
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Stops it where it stands: connections stay, nothing answers.
    ///
    /// # Errors
    /// It is gone.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It is gone.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts a dead one anew where it was; a proxy gets new ports. It is ready when this returns.
    ///
    /// # Errors
    /// It does not start; the sentence has what it said.
    pub fn restart(&mut self) -> io::Result<()> {
        self.child = spawn(&self.program, &self.words, &self.log)?;
        self.wait_until_ready()
    }

    /// Has it end gracefully.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(mut self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(self.problem("does not end"));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.ok_or(io::ErrorKind::NotFound)?, signal)?)
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let (address, metrics, ready) = match self.kind {
            Kind::Proxy => ("listener web listening on ", "admin listening on ", "/readyz"),
            Kind::Toy => (" listening on ", " listening on ", "/healthz"),
            Kind::Kv => ("evenkeel-kv listening on ", "metrics on http://", "/readyz"),
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let (Some(address), Some(metrics)) = (said(&self.log, address), said(&self.log, metrics)) {
                (self.address, self.metrics) = (address, metrics);
                if ask(metrics, "GET", ready, Duration::from_secs(1)).is_ok_and(|answer| answer.status == 200)
                {
                    return Ok(());
                }
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.problem(&format!("ended ({status})")));
            }
            if Instant::now() > deadline {
                return Err(self.problem("does not get ready"));
            }
            thread::sleep(LOOK);
        }
    }

    fn problem(&self, what: &str) -> io::Error {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut last: Vec<&str> = said.lines().rev().take(5).collect();
        last.reverse();
        io::Error::other(format!("{} {what}; it said: {}", self.name, last.join("\n")))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.kill();
    }
}

fn spawn(program: &Path, words: &[String], log: &Path) -> io::Result<Child> {
    let out = File::create(log)?;
    Command::new(program)
        .arg("part")
        .args(words)
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start {}: {error}", program.display())))
}

/// The address that follows `marker` in a log.
fn said(log: &Path, marker: &str) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(log).ok()?;
    let (_, rest) = text.split_once(marker)?;
    // A line that is not whole yet says nothing.
    let (line, _) = rest.split_once('\n')?;
    line.split(['/', ' ']).next()?.parse().ok()
}

/// Fields 14 and 15 of proc(5)'s stat; the second is a name in parentheses that may have any character. Linux counts in
/// hundredths of a second on every machine (`USER_HZ`).
pub(crate) fn ticks(stat: &str) -> Option<Duration> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Duration::from_millis((number(11)? + number(12)?) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_any_name() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 100 1 2";
        assert_eq!(ticks(text), Some(Duration::from_secs(3)));
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn an_address_is_believed_when_its_line_is_whole() {
        let scratch = crate::scratch::Scratch::new().unwrap();
        let log = scratch.path().join("log");
        for (text, address) in [
            ("toy-backend a listening on 127.0.0.1:90", None),
            ("toy-backend a listening on 127.0.0.1:9001\n", Some("127.0.0.1:9001")),
            ("x\nkv listening on http://127.0.0.1:1/metrics\n", None),
            ("INFO listener web listening on 127.0.0.1:1 (http)\n", Some("127.0.0.1:1")),
        ] {
            std::fs::write(&log, text).unwrap();
            assert_eq!(
                said(&log, " listening on "),
                address.map(|address| address.parse().unwrap()),
                "{text}"
            );
        }
    }
}
