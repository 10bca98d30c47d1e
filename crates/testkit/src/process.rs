//! A child process of a test: its output by lines, signals, and its end.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;

use crate::wait::{Watched, eventually};

/// A running child; killed when dropped. A failing test prints the child's output.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Watched<Output>>,
}

#[derive(Default)]
struct Output {
    lines: Vec<(Stream, String)>,
    ended: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Stream {
    Out,
    Err,
}

/// How a child ended and all it said.
#[derive(Debug)]
pub struct Exit {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Exit {
    /// The exit code; `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Fails the test unless the code is this one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "wrong exit code:\n{self}");
        self
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}

impl Process {
    /// Starts it with nothing on standard input.
    #[track_caller]
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start {name} ({command:?}): {error}"),
        };
        let output = Arc::new(Watched::new(Output::default()));
        collect(child.stdout.take().expect("a pipe"), Stream::Out, &output);
        collect(child.stderr.take().expect("a pipe"), Stream::Err, &output);
        Self { name: name.to_owned(), child, output }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line for which `look` finds something, among those already there or coming.
    ///
    /// # Panics
    /// When it does not come within the deadline or the child ends before.
    #[track_caller]
    pub fn wait_for_line<R>(&self, what: &str, mut look: impl FnMut(&str) -> Option<R>) -> R {
        let found = self.output.wait_for(
            |output| match output.lines.iter().rev().find_map(|(_, line)| look(line)) {
                Some(found) => Some(Some(found)),
                None if output.ended == 2 => Some(None),
                None => None,
            },
            |_| String::new(),
        );
        match found {
            Ok(Some(found)) => found,
            Ok(None) => panic!("{} ended before it said {what}:\n{}", self.name, self.output()),
            Err(_) => panic!("{} did not say {what}:\n{}", self.name, self.output()),
        }
    }

    /// How many of its lines so far contain `text`.
    pub fn count_lines(&self, text: &str) -> usize {
        self.output.read(|output| output.lines.iter().filter(|(_, line)| line.contains(text)).count())
    }

    /// All it said so far, both streams in the order they arrived.
    pub fn output(&self) -> String {
        self.output.read(|output| output.lines.iter().map(|(_, line)| format!("{line}\n")).collect())
    }

    /// Sends a signal by name: `TERM`, `HUP`, `STOP`…
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        match status {
            Ok(status) if status.success() => {}
            other => panic!("kill -{name} {} ({}): {other:?}", self.pid(), self.name),
        }
    }

    /// Kills it at once and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> Exit {
        let status = eventually(&format!("the end of {}", self.name), || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(format!("it still runs, having said:\n{}", self.output())),
            Err(error) => Err(error.to_string()),
        });
        // Its pipes end with it, unless a grandchild holds them; then what came so far is all.
        let _ = self.output.wait_for(|output| (output.ended == 2).then_some(()), |_| String::new());
        let text = |wanted| {
            self.output.read(|output| {
                let lines = output.lines.iter().filter(|(stream, _)| *stream == wanted);
                lines.map(|(_, line)| format!("{line}\n")).collect()
            })
        };
        Exit { status, stdout: text(Stream::Out), stderr: text(Stream::Err) }
    }

    /// Bytes of memory it has resident.
    #[track_caller]
    pub fn resident_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")).map(str::trim);
        match kilobytes.and_then(|number| number.parse::<u64>().ok()) {
            Some(kilobytes) => kilobytes * 1024,
            None => panic!("no VmRSS of {} ({}):\n{}", self.name, self.pid(), self.output()),
        }
    }

    /// Changes how many files it may have open from now on; those that are open stay open.
    #[track_caller]
    pub fn limit_open_files(&self, count: usize) {
        let (pid, limit) = (self.pid().to_string(), format!("--nofile={count}:"));
        let status = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "prlimit {limit}: {status:?}");
    }

    /// How many file descriptors it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- output of {}:\n{}---", self.name, self.output());
        }
    }
}

fn collect(pipe: impl Read + Send + 'static, stream: Stream, output: &Arc<Watched<Output>>) {
    let output = Arc::clone(output);
    let read = move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            output.change(|output| output.lines.push((stream, line)));
        }
        output.change(|output| output.ended += 1);
    };
    thread::Builder::new().name("output".into()).spawn(read).expect("a thread");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_signals_and_ends() {
        let mut child = Process::spawn("sh", Command::new("sh").args(["-c", "echo one; echo two >&2; cat"]));
        assert_eq!(child.wait_for_line("two", |line| line.strip_prefix("tw").map(str::to_owned)), "o");
        let exit = child.wait().expect_code(0);
        assert_eq!((exit.stdout.as_str(), exit.stderr.as_str()), ("one\n", "two\n"));
    }

    #[test]
    fn a_signal_reaches_it() {
        let mut child = Process::spawn("sleep", Command::new("sleep").arg("600"));
        assert!(child.resident_bytes() > 0);
        child.signal("TERM");
        assert_eq!(child.wait().code(), None);
    }
}
