//! Faults that are switched on and off at run time: slow, failing, hanging, aborting, dead, and those of the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::database::Trouble;

/// The faults in force. They add up: a backend can be slow and fail now and then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Faults {
    /// Milliseconds added to each request.
    pub(crate) slow_ms: u64,
    /// Percentage of requests that are answered with 500, 0 to 100.
    pub(crate) fail_percent: f64,
    /// Requests are taken and never answered.
    pub(crate) hang: bool,
    /// Requests are taken and their connections reset (RST).
    pub(crate) abort: bool,
    /// Queries fail at once.
    pub(crate) database_down: bool,
    /// Milliseconds each query takes longer, on its connection.
    pub(crate) database_slow_ms: u64,
    /// Whether `/healthz` suffers too; `false` is a backend that looks well and is not.
    pub(crate) healthz: bool,
}

impl Faults {
    const NONE: Faults = Faults {
        slow_ms: 0,
        fail_percent: 0.0,
        hang: false,
        abort: false,
        database_down: false,
        database_slow_ms: 0,
        healthz: true,
    };

    /// No request is hindered; one that needs the database may be.
    fn spares_requests(&self) -> bool {
        self.slow_ms == 0 && self.fail_percent == 0.0 && !self.hang && !self.abort
    }

    pub(crate) fn slow(&self) -> Duration {
        Duration::from_millis(self.slow_ms)
    }
}

/// What a request to `/chaos` asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Command {
    mode: Mode,
    healthz: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Slow(u64),
    Fail(f64),
    Hang,
    Abort,
    DatabaseDown,
    DatabaseSlow(u64),
    Dead,
    Reset,
}

impl Command {
    pub(crate) fn is_dead(&self) -> bool {
        self.mode == Mode::Dead
    }

    /// Reads `mode`, `ms`, `percent` and `healthz` from pairs; the error is a sentence for the client.
    pub(crate) fn parse<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Command, String>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let (mut mode, mut ms, mut percent, mut healthz) = (None, None, None, None);
        for (key, value) in pairs {
            let value = value.as_ref();
            match key.as_ref() {
                "mode" => mode = Some(value.to_owned()),
                "ms" => match value.parse() {
                    Ok(number) if number <= 600_000 => ms = Some(number),
                    _ => return Err(format!("ms is `{value}`; expected milliseconds from 0 to 600000")),
                },
                "percent" => match value.parse::<f64>() {
                    Ok(number) if (0.0..=100.0).contains(&number) => percent = Some(number),
                    _ => return Err(format!("percent is `{value}`; expected 0 to 100")),
                },
                "healthz" => match value {
                    "on" | "true" => healthz = Some(true),
                    "off" | "false" => healthz = Some(false),
                    _ => return Err(format!("healthz is `{value}`; expected on or off")),
                },
                other => {
                    return Err(format!("`{other}` is not known; expected mode, ms, percent or healthz"));
                }
            }
        }
        let mode = match (mode.as_deref(), ms, percent) {
            (Some("slow"), Some(ms), None) => Mode::Slow(ms),
            (Some("database-slow"), Some(ms), None) => Mode::DatabaseSlow(ms),
            (Some(mode @ ("slow" | "database-slow")), ..) => {
                return Err(format!("{mode} takes ms: mode={mode}&ms=500"));
            }
            (Some("fail"), None, percent) => Mode::Fail(percent.unwrap_or(100.0)),
            (Some("fail"), ..) => return Err("fail takes percent: mode=fail&percent=20".to_owned()),
            (Some("hang"), None, None) => Mode::Hang,
            (Some("abort"), None, None) => Mode::Abort,
            (Some("database-down"), None, None) => Mode::DatabaseDown,
            (Some("dead"), None, None) => Mode::Dead,
            (Some("reset"), None, None) => Mode::Reset,
            (Some(mode @ ("hang" | "abort" | "database-down" | "dead" | "reset")), ..) => {
                return Err(format!("{mode} takes neither ms nor percent"));
            }
            (mode, ..) => {
                return Err(format!(
                    "mode is {}; expected slow, fail, hang, abort, database-down, database-slow, dead or reset, such as mode=slow&ms=500",
                    mode.map_or("missing".to_owned(), |mode| format!("`{mode}`"))
                ));
            }
        };
        Ok(Command { mode, healthz })
    }
}

/// Where the faults live: read by every request, so a quiet backend pays one relaxed load.
#[derive(Debug)]
pub(crate) struct Chaos {
    quiet: AtomicBool,
    faults: watch::Sender<Faults>,
    database: Arc<Trouble>,
}

impl Chaos {
    /// Whose `database` the faults of that kind reach.
    pub(crate) fn new(database: Arc<Trouble>) -> Chaos {
        Chaos { quiet: AtomicBool::new(true), faults: watch::Sender::new(Faults::NONE), database }
    }

    /// No fault is in force that all requests suffer from.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    pub(crate) fn faults(&self) -> Faults {
        *self.faults.borrow()
    }

    /// Puts a command into force and returns what holds now. `dead` changes nothing here: the server ends.
    pub(crate) fn apply(&self, command: Command) -> Faults {
        self.faults.send_modify(|faults| {
            match command.mode {
                Mode::Slow(ms) => faults.slow_ms = ms,
                Mode::Fail(percent) => faults.fail_percent = percent,
                Mode::Hang => faults.hang = true,
                Mode::Abort => faults.abort = true,
                Mode::DatabaseDown => faults.database_down = true,
                Mode::DatabaseSlow(ms) => faults.database_slow_ms = ms,
                Mode::Dead => {}
                Mode::Reset => *faults = Faults::NONE,
            }
            if let Some(healthz) = command.healthz {
                faults.healthz = healthz;
            }
            self.quiet.store(faults.spares_requests(), Ordering::Relaxed);
            self.database.set(faults.database_down, faults.database_slow_ms);
        });
        self.faults()
    }

    /// Returns once nothing hangs any more.
    pub(crate) async fn until_hang_ends(&self) {
        // The sender is `self`, so the wait cannot fail.
        let _ = self.faults.subscribe().wait_for(|faults| !faults.hang).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &str) -> Result<Command, String> {
        Command::parse(form_urlencoded::parse(form.as_bytes()))
    }

    #[test]
    fn commands_add_up_and_reset_clears() {
        let chaos = Chaos::new(Arc::default());
        assert!(chaos.is_quiet());
        chaos.apply(parse("mode=slow&ms=500").unwrap());
        let faults = chaos.apply(parse("mode=fail&percent=12.5&healthz=off").unwrap());
        assert_eq!(faults, Faults { slow_ms: 500, fail_percent: 12.5, healthz: false, ..Faults::NONE });
        assert!(!chaos.is_quiet());
        chaos.apply(parse("mode=slow&ms=0").unwrap());
        assert!(!chaos.is_quiet());
        chaos.apply(parse("mode=fail&percent=0").unwrap());
        assert!(chaos.is_quiet(), "nothing is wrong once both are back at zero");
        chaos.apply(parse("mode=database-down").unwrap());
        let faults = chaos.apply(parse("mode=database-slow&ms=7").unwrap());
        assert_eq!((faults.database_down, faults.database_slow_ms), (true, 7));
        assert!(chaos.is_quiet(), "only those that need the database suffer");
        chaos.apply(parse("mode=hang").unwrap());
        assert!(!chaos.is_quiet());
        assert!(chaos.apply(parse("mode=abort").unwrap()).abort);
        assert_eq!(chaos.apply(parse("mode=reset").unwrap()), Faults::NONE);
        assert!(chaos.is_quiet());
        assert!(parse("mode=dead").unwrap().is_dead());
        assert_eq!(parse("mode=fail"), parse("mode=fail&percent=100"));
    }

    #[test]
    fn bad_commands_say_what_is_expected() {
        for (form, expected) in [
            ("", "mode is missing"),
            (
                "mode=sleep",
                "`sleep`; expected slow, fail, hang, abort, database-down, database-slow, dead or reset",
            ),
            ("mode=slow", "mode=slow&ms=500"),
            ("mode=database-slow", "mode=database-slow&ms=500"),
            ("mode=database-down&ms=5", "database-down takes neither"),
            ("mode=slow&ms=-1", "milliseconds from 0 to 600000"),
            ("mode=slow&ms=5&percent=5", "slow takes ms"),
            ("mode=fail&percent=101", "0 to 100"),
            ("mode=fail&percent=NaN", "0 to 100"),
            ("mode=fail&ms=5", "fail takes percent"),
            ("mode=hang&ms=5", "neither ms nor percent"),
            ("mode=abort&percent=5", "neither ms nor percent"),
            ("mode=hang&healthz=maybe", "on or off"),
            ("mode=hang&extra=1", "`extra` is not known"),
        ] {
            let error = parse(form).unwrap_err();
            assert!(error.contains(expected), "{form}: {error}");
        }
    }
}
