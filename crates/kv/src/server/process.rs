//! What the system says about this process.

use std::fs;

/// Bytes of memory that the process has in use, as the system counts them; 0 where it does not say.
pub(crate) fn resident() -> usize {
    /// The size of a page on all systems this runs on; only the figure depends on it.
    const PAGE: usize = 4096;
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * PAGE
}

/// Seconds of processor time spent in the system and in the program; 0 where it does not say.
pub(crate) fn processor_seconds() -> (f64, f64) {
    /// Clock ticks a second in /proc, fixed on Linux.
    const TICKS: f64 = 100.0;
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may contain spaces.
    let behind = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field =
        |at: usize| behind.split_ascii_whitespace().nth(at).and_then(|ticks| ticks.parse::<f64>().ok());
    (field(12).unwrap_or(0.0) / TICKS, field(11).unwrap_or(0.0) / TICKS)
}

/// Bytes of memory the machine has; 0 where it does not say.
pub(crate) fn machine_memory() -> usize {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    line.split_ascii_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) * 1024
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_answers() {
        assert!(resident() > 1 << 20);
        assert!(machine_memory() > resident());
        let (_, user) = processor_seconds();
        assert!(user < 1e6);
    }
}
