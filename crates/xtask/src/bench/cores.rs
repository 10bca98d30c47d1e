//! Who runs where: the proxy on the first core, client and origins on the others; and room for thousands of sockets.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Set once this process runs where it should.
const MARK: &str = "EVENKEEL_BENCH_PLACED";

/// Lists of cores as `taskset` takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cores {
    /// For the proxy.
    pub(super) proxy: String,
    /// For client and origins.
    pub(super) others: String,
    /// For a proxy with two workers.
    pub(super) two: String,
    /// For client and origins beside a proxy with two workers: the same cores when there are no more.
    pub(super) beside_two: String,
}

impl Cores {
    /// Shares out the cores this process may use.
    fn find() -> Result<Self, String> {
        let status = fs::read_to_string("/proc/self/status").map_err(|error| format!("/proc: {error}"))?;
        let allowed =
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        Self::share(&expand(allowed.trim()))
    }

    fn share(cores: &[u32]) -> Result<Self, String> {
        let list = |cores: &[u32]| cores.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let [first, second, rest @ ..] = cores else {
            return Err(
                "the benchmark needs two cores: one for the proxy, one for client and origins".to_owned()
            );
        };
        let two = list(&[*first, *second]);
        Ok(Self {
            proxy: first.to_string(),
            others: if rest.is_empty() {
                second.to_string()
            } else {
                list(cores.get(1..).unwrap_or_default())
            },
            beside_two: if rest.is_empty() { two.clone() } else { list(rest) },
            two,
        })
    }

    /// The shares of a process that [`Self::place`] started.
    pub(super) fn of_this_process() -> Option<Self> {
        let placed = env::var(MARK).ok()?;
        let mut lists = placed.split(' ').map(str::to_owned);
        let mut next = || lists.next();
        Some(Self { proxy: next()?, others: next()?, two: next()?, beside_two: next()? })
    }

    /// Becomes `program` with this process' arguments, on the cores of client and origins and with as many file
    /// descriptors as it may have; what it starts inherits both. Returns only when that fails.
    pub(super) fn place(program: &Path) -> Result<(), String> {
        let Self { proxy, others, two, beside_two } = Self::find()?;
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n $(ulimit -Hn); exec taskset -c \"$0\" \"$@\"", &others]).arg(program);
        shell.args(env::args_os().skip(1)).env(MARK, format!("{proxy} {others} {two} {beside_two}"));
        Err(format!("cannot start sh: {}", shell.exec()))
    }
}

/// The numbers of a list such as `0-2,5`.
fn expand(list: &str) -> Vec<u32> {
    let part = |part: &str| match part.split_once('-') {
        Some((first, last)) => Some(first.parse().ok()?..=last.parse().ok()?),
        None => part.parse().ok().map(|core| core..=core),
    };
    list.split(',').filter_map(part).flatten().collect()
}

/// How many file descriptors this process may have open.
pub(super) fn open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_out() {
        assert_eq!(expand("0-2,5"), [0, 1, 2, 5]);
        let shared = |cores: &[u32]| {
            let cores = Cores::share(cores).unwrap();
            [cores.proxy, cores.others, cores.two, cores.beside_two]
        };
        assert_eq!(shared(&[0, 1]), ["0", "1", "0,1", "0,1"]);
        assert_eq!(shared(&[2, 3, 4, 7]), ["2", "3,4,7", "2,3", "4,7"]);
        Cores::share(&[0]).unwrap_err();
    }

    #[test]
    fn the_limit_is_found() {
        assert!(open_files() >= 16);
    }
}
