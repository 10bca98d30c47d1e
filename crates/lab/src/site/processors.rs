//! [`Processors`]: how busy the machine and a thread of this process are, from `/proc`.

use std::io;
use std::time::{Duration, Instant};

use super::part::ticks;

/// What was used until a moment.
#[derive(Debug, Clone, Copy)]
pub struct Processors {
    at: Instant,
    /// In the machine's own unit.
    busy: u64,
    all: u64,
    thread: Duration,
}

/// What was used between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// In seconds.
    pub seconds: f64,
    /// The machine's cores, by whomever: a share, 0 to 1.
    pub machine: f64,
    /// The threads of that name, in cores.
    pub thread: f64,
}

impl Processors {
    /// Looks now, at the machine and at this process's threads of that name.
    ///
    /// # Errors
    /// There is no `/proc`, or another one than Linux has.
    pub fn now(thread: &str) -> io::Result<Self> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let (busy, all) =
            machine(&text).ok_or_else(|| io::Error::other("what /proc/stat says is not understood"))?;
        let mut used = Duration::ZERO;
        for task in std::fs::read_dir("/proc/self/task")? {
            // One that ends just now is as if it had ended before.
            let stat = std::fs::read_to_string(task?.path().join("stat")).unwrap_or_default();
            if stat.contains(&format!("({thread}) ")) {
                used += ticks(&stat).unwrap_or_default();
            }
        }
        Ok(Self { at: Instant::now(), busy, all, thread: used })
    }

    /// What was used since `earlier`.
    pub fn since(&self, earlier: &Self) -> Usage {
        let seconds = self.at.saturating_duration_since(earlier.at).as_secs_f64();
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Usage {
            seconds,
            machine: share(
                self.busy.saturating_sub(earlier.busy) as f64,
                self.all.saturating_sub(earlier.all) as f64,
            ),
            thread: share(self.thread.saturating_sub(earlier.thread).as_secs_f64(), seconds),
        }
    }
}

/// Busy and all time of all cores, of proc(5)'s `stat`: user, nice, system, idle, iowait, irq, softirq, steal; what
/// comes after is contained in the first two.
fn machine(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let times: Vec<u64> = line.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let idle = times.get(3)? + times.get(4)?;
    let all: u64 = times.iter().sum();
    Some((all.checked_sub(idle)?, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_busy_when_it_neither_idles_nor_waits_for_a_disk() {
        let text = "cpu  10 1 20 60 40 2 3 4 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(machine(text), Some((40, 140)));
        assert_eq!(machine("cpu0 1 2 3\n"), None);
    }

    #[test]
    fn a_busy_thread_is_seen() {
        let spin = std::thread::Builder::new().name("spins".to_owned());
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = spin
            .spawn(move || while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {})
            .unwrap();
        let earlier = Processors::now("spins").unwrap();
        let usage = loop {
            let usage = Processors::now("spins").unwrap().since(&earlier);
            if usage.thread > 0.0 {
                break usage;
            }
        };
        assert!(usage.machine > 0.0 && usage.seconds > 0.0, "{usage:?}");
        assert_eq!(Processors::now("nobody").unwrap().since(&earlier).thread, 0.0);
        drop(stop);
        thread.join().unwrap();
    }
}
