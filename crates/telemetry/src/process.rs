//! The process's own figures, as every Prometheus client reports them. From `/proc`; elsewhere they are absent.

use std::fs;

/// `USER_HZ`: the kernel reports CPU times to user space in these ticks whatever its own clock is.
const TICK_MICROS: u64 = 10_000;

/// One reading.
#[derive(Debug, Clone, Default)]
pub(crate) struct Process {
    /// Microseconds since 1970.
    pub(crate) started_micros: Option<u64>,
    /// User and system time.
    pub(crate) cpu_micros: Option<u64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_fds: Option<u64>,
    /// Absent when unlimited.
    pub(crate) max_fds: Option<u64>,
}

impl Process {
    /// Reads the figures now; the start time is read once, by [`started_micros`].
    pub(crate) fn read(started_micros: Option<u64>) -> Self {
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let cpu = stat.as_deref().and_then(|stat| Some(stat_field(stat, 14)? + stat_field(stat, 15)?));
        Self {
            started_micros,
            cpu_micros: cpu.map(|ticks| ticks * TICK_MICROS),
            resident_bytes: fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident),
            open_fds: open_fds(),
            max_fds: fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(max_fds),
        }
    }
}

/// When the process started, in microseconds since 1970.
pub(crate) fn started_micros() -> Option<u64> {
    let since_boot = stat_field(&fs::read_to_string("/proc/self/stat").ok()?, 22)? * TICK_MICROS;
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot * 1_000_000 + since_boot)
}

/// A field of `/proc/PID/stat` by its number in proc(5). The command, field 2, may contain anything; fields are
/// counted from its closing parenthesis.
fn stat_field(stat: &str, number: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn resident(status: &str) -> Option<u64> {
    let kilobytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(kilobytes * 1024)
}

fn max_fds(limits: &str) -> Option<u64> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

/// Since Linux 6.2 the size of the directory is the number of descriptors; before, it is 0 and they are counted.
fn open_fds() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1)).ok(),
        n => Some(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_says() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 123456 1000 200 1";
        assert_eq!(stat_field(stat, 14), Some(250));
        assert_eq!(stat_field(stat, 15), Some(50));
        assert_eq!(stat_field(stat, 22), Some(123_456));
        assert_eq!(stat_field("", 14), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t    3124 kB\n"), Some(3124 * 1024));
        assert_eq!(
            max_fds("Limit  Soft\nMax open files            1024                 4096    files\n"),
            Some(1024)
        );
        assert_eq!(
            max_fds("Max open files            unlimited            unlimited            files\n"),
            None
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_them() {
        let process = Process::read(started_micros());
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
        let started = process.started_micros.unwrap();
        assert!(started < now + 2_000_000 && now - started.min(now) < 86_400_000_000, "{started} {now}");
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.open_fds.unwrap() >= 3);
        assert!(process.max_fds.is_none_or(|max| max > 3));
        assert!(process.cpu_micros.is_some());
    }
}
