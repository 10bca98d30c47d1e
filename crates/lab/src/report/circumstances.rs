//! What a result depends on: the machine, the version, the command and the time, as this process sees them.

use std::fs;
use std::thread;
use std::time::Instant;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::Circumstances;

/// Circumstances of a run that goes on.
#[derive(Debug, Clone)]
pub struct Begun {
    circumstances: Circumstances,
    at: Instant,
}

impl Circumstances {
    /// Looks at the machine and the clock. `command` repeats the run, `seed` is that of everything drawn by chance.
    pub fn begin(command: impl Into<String>, seed: u64) -> Begun {
        let circumstances = Self {
            command: command.into(),
            machine: machine(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
            started: now(),
            seconds: 0.0,
        };
        Begun { circumstances, at: Instant::now() }
    }
}

impl Begun {
    /// The circumstances, with the time since the beginning.
    pub fn finish(&self) -> Circumstances {
        Circumstances { seconds: self.at.elapsed().as_secs_f64(), ..self.circumstances.clone() }
    }
}

/// Processor, cores this process may use, kernel.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = [line("/proc/sys/kernel/ostype"), line("/proc/sys/kernel/osrelease")].join(" ");
    let cores = match thread::available_parallelism() {
        Ok(cores) if cores.get() == 1 => "1 core".to_owned(),
        Ok(cores) => format!("{cores} cores"),
        Err(_) => String::new(),
    };
    let parts = [processor(&cpu).unwrap_or_default(), cores, kernel.trim().to_owned()];
    let known: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    known.join(", ")
}

/// The processor's name in `/proc/cpuinfo`; some architectures give none.
fn processor(cpuinfo: &str) -> Option<String> {
    let value = cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        ["model name", "Model", "uarch"].contains(&key.trim()).then_some(value)
    })?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A file of one line; nothing where it cannot be read.
fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// RFC 3339, UTC, to the second.
fn now() -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_now_and_finishes_later() {
        let begun = Circumstances::begin("evenkeel lab latency --seed 7", 7);
        let finished = begun.finish();
        assert_eq!((finished.command.as_str(), finished.seed), ("evenkeel lab latency --seed 7", 7));
        assert_eq!(finished.version, env!("CARGO_PKG_VERSION"));
        assert!(finished.seconds > 0.0 && finished.seconds <= begun.finish().seconds);
        assert!(finished.machine.contains("core"), "{}", finished.machine);
    }

    #[test]
    fn the_time_is_rfc_3339_to_the_second() {
        let text = now();
        let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00Z");
        assert!(text.as_str() > "2026-01-01", "{text}");
    }

    #[test]
    fn processors_of_several_kinds() {
        let name = |text: &str| processor(text);
        assert_eq!(name("processor\t: 0\nmodel name\t: AMD  EPYC\n"), Some("AMD EPYC".to_owned()));
        assert_eq!(name("processor\t: 0\n\nModel\t\t: Raspberry Pi 5\n"), Some("Raspberry Pi 5".to_owned()));
        assert_eq!(name("processor : 0\nBogoMIPS : 50\n"), None);
    }
}
