//! [`Scheduled`]: how long a process ran and how long it waited for a core, from `/proc`, finer than `Part::cpu` says.

use std::io;
use std::ops::Sub;
use std::time::Duration;

/// The processor time of a process's threads, those that have ended not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// Time on a core.
    pub ran: Duration,
    /// Time in which a thread could have run and had no core: two of them for a second are two seconds.
    pub waited: Duration,
}

impl Scheduled {
    /// Until now.
    ///
    /// # Errors
    /// The process is gone, or the kernel does not keep this count (`CONFIG_SCHED_INFO`).
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut all = Self::default();
        let mut threads = 0;
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread that ends just now is as if it had ended before.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let Some(one) = parse(&text) else { continue };
            all.ran += one.ran;
            all.waited += one.waited;
            threads += 1;
        }
        if threads == 0 {
            return Err(io::Error::other(format!("/proc/{pid}/task has no schedstat that says something")));
        }
        Ok(all)
    }
}

impl Sub for Scheduled {
    type Output = Self;

    /// What came since `earlier`; nothing less than nothing.
    fn sub(self, earlier: Self) -> Self {
        Self { ran: self.ran.saturating_sub(earlier.ran), waited: self.waited.saturating_sub(earlier.waited) }
    }
}

/// Nanoseconds on a core, nanoseconds waiting for one, number of turns.
fn parse(schedstat: &str) -> Option<Scheduled> {
    let mut fields = schedstat.split_whitespace().map(str::parse);
    let mut time = || Some(Duration::from_nanos(fields.next()?.ok()?));
    Some(Scheduled { ran: time()?, waited: time()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_schedstat() {
        let (ran, waited) = (Duration::from_nanos(259_255), Duration::from_nanos(653_716));
        assert_eq!(parse("259255 653716 2\n"), Some(Scheduled { ran, waited }));
        assert_eq!((parse("259255\n"), parse("")), (None, None));
    }

    #[test]
    fn a_process_that_works_uses_time_and_one_that_is_gone_has_none() {
        let before = Scheduled::of(std::process::id()).unwrap();
        while (Scheduled::of(std::process::id()).unwrap() - before).ran < Duration::from_millis(1) {}
        // The highest process id is 2²² on every machine.
        assert!(Scheduled::of(u32::MAX).is_err());
    }
}
