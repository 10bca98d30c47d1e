//! Child processes under measurement: started with their output in a file, watched through `/proc`, ended with their children.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running process with all its descendants; ended when dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
    output: PathBuf,
}

impl Running {
    /// Starts it; both output streams go to the file `output`.
    pub(crate) fn start(name: &str, command: &mut Command, output: &Path) -> Result<Self, String> {
        let file = File::create(output).map_err(|error| format!("{}: {error}", output.display()))?;
        let copy = file.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
        let child = child.map_err(|error| format!("cannot start {name}: {error}"))?;
        Ok(Self { name: name.to_owned(), child, output: output.to_path_buf() })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it said so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Asks `look` again and again until it finds something; fails when the process ends or 30 seconds are over.
    pub(crate) fn wait_until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(found) = look(self) {
                return Ok(found);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{} ended ({status}) before {what}:\n{}", self.name, self.output()));
            }
            if Instant::now() > deadline {
                return Err(format!("waited in vain for {what} of {}:\n{}", self.name, self.output()));
            }
            thread::sleep(Duration::from_micros(300));
        }
    }

    /// CPU time used so far, user and system, over all threads and descendants.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = tree(self.pid()).into_iter().map(|stat| stat.ticks).sum();
        Duration::from_secs_f64(ticks as f64 / clock_ticks())
    }

    /// Resident memory in bytes, over all descendants.
    pub(crate) fn resident(&self) -> u64 {
        let resident = |stat: Stat| {
            let text = fs::read_to_string(format!("/proc/{}/status", stat.pid)).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kilobytes.unwrap_or_default() * 1024
        };
        tree(self.pid()).into_iter().map(resident).sum()
    }

    /// Asks it to end, insists after a while; all it said.
    pub(crate) fn stop(mut self) -> String {
        self.end();
        self.output()
    }

    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let tree = tree(self.pid());
        signal("TERM", self.pid());
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        // A master that ended has ended its workers; one that did not is ended with them.
        if matches!(self.child.try_wait(), Ok(None)) {
            for stat in tree {
                signal("KILL", stat.pid);
            }
            let _ = self.child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// User and system time of the children of this process that have ended and been waited for.
pub(crate) fn ended_children_cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = parse_stat(&text).map_or(0, |stat| stat.ended_children);
    Duration::from_secs_f64(ticks as f64 / clock_ticks())
}

fn signal(name: &str, pid: u32) {
    let mut kill = Command::new("kill");
    let _ = kill.arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
    ended_children: u64,
}

/// A process and its descendants.
fn tree(root: u32) -> Vec<Stat> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<Stat> = numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect();
    let mut found: Vec<Stat> = all.iter().filter(|stat| stat.pid == root).copied().collect();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        let children: Vec<Stat> = all.iter().filter(|stat| stat.parent == parent).copied().collect();
        parents.extend(children.iter().map(|child| child.pid));
        found.extend(children);
    }
    found
}

/// Fields 1, 4, and 14 to 17 of proc(5); the second one is a name in parentheses that may have any character.
fn parse_stat(text: &str) -> Option<Stat> {
    let (pid, rest) = text.split_once(" (")?;
    let fields: Vec<&str> = rest.rsplit_once(") ")?.1.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        pid: pid.parse().ok()?,
        parent: number(1)? as u32,
        ticks: number(11)? + number(12)?,
        ended_children: number(13)? + number(14)?,
    })
}

/// Clock ticks per second, the unit of `/proc/PID/stat`.
fn clock_ticks() -> f64 {
    let answer = Command::new("getconf").arg("CLK_TCK").output().ok();
    answer.and_then(|answer| String::from_utf8_lossy(&answer.stdout).trim().parse().ok()).unwrap_or(100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_any_name() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 100 1 2";
        assert_eq!(parse_stat(text), Some(Stat { pid: 42, parent: 7, ticks: 300, ended_children: 18 }));
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn a_process_is_measured_with_its_children_and_ends_with_them() {
        let output = std::env::temp_dir().join(format!("xtask-processes-{}", std::process::id()));
        let script = "sh -c 'echo $$; while :; do :; done' & wait";
        let mut running = Running::start("sh", Command::new("sh").args(["-c", script]), &output).unwrap();
        let child: u32 =
            running.wait_until("its child's id", |running| running.output().trim().parse().ok()).unwrap();
        assert!(tree(running.pid()).iter().any(|stat| stat.pid == child));
        assert!(running.resident() > 0);
        running.wait_until("CPU time", |running| (running.cpu() > Duration::ZERO).then_some(())).unwrap();
        signal("KILL", child);
        assert!(running.stop().contains(&child.to_string()));
        fs::remove_file(output).unwrap();
    }
}
