//! Serving: from a plan to a graceful stop, with the signals in between.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use evenkeel_config::plan::LogFormat;
use evenkeel_config::{Checked, Plan};
use evenkeel_control::{Control, Source};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use crate::command::File;
use crate::limits;
use crate::notify::Notifier;
use crate::output::{fail, refuse, show};

/// `evenkeel run`
pub(crate) fn run_file(file: &File) -> ExitCode {
    let path = match file.existing() {
        Ok(path) => path,
        Err(problem) => return fail(&problem),
    };
    match evenkeel_config::load(&path) {
        Ok(Checked { plan, warnings }) => {
            show(&warnings);
            run(plan, Source::File(path))
        }
        Err(report) => refuse(&report),
    }
}

/// Serves until told to stop.
pub(crate) fn run(plan: Plan, source: Source) -> ExitCode {
    if let Err(error) = log(&plan) {
        return fail(&error);
    }
    log_panics();
    limits::raise_open_files();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(plan, source)),
        Err(error) => {
            fail(&format!("cannot start: {error}; see how many threads and open files are allowed"))
        }
    }
}

/// The slow side's log goes to standard error: standard output is for access lines.
fn log(plan: &Plan) -> Result<(), String> {
    let filter = EnvFilter::try_new(&plan.log.level).map_err(|error| {
        format!("log.level {:?} is no filter: {error}; use error, warn, info, debug or trace", plan.log.level)
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // A reader of the log that goes away must not bring the proxy down, as a panic about it would.
        .log_internal_errors(false)
        .with_target(false);
    let outcome = match plan.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    outcome.map_err(|error| error.to_string())
}

/// A panic is a bug: the log says where, in its own form, whatever thread it happens on.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let backtrace = Backtrace::capture();
        let trace = match backtrace.status() {
            BacktraceStatus::Captured => format!("\n{backtrace}"),
            _ => String::new(),
        };
        let name = thread.name().unwrap_or("unnamed");
        error!("a bug, please report it: panic in thread {name}: {panic}{trace}");
    }));
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    reopen: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn serve(plan: Plan, source: Source) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("cannot listen for signals: {error}")),
    };
    let notifier = Notifier::from_environment();
    let control = match Control::start(plan, source).await {
        Ok(control) => control,
        Err(error) => return fail(&error.to_string()),
    };
    notifier.ready(&serving(&control));
    let mut look = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = async { tokio::select! { _ = signals.terminate.recv() => {}, _ = signals.interrupt.recv() => {} } } => break,
            _ = signals.reload.recv() => {
                notifier.reloading();
                // What came of it is logged and counted too.
                match control.reload().await {
                    Ok(()) => notifier.ready(&serving(&control)),
                    Err(error) => notifier.ready(&format!("reload refused: {error}")),
                }
            }
            _ = signals.reopen.recv() => { control.reopen_logs(); info!("log files reopened"); }
            _ = look.tick() => if control.has_failed() {
                error!("a worker has died: ending, so that whoever supervises this process starts a whole one");
                return ExitCode::FAILURE;
            },
        }
    }
    notifier.stopping();
    tokio::select! {
        () = control.stop() => ExitCode::SUCCESS,
        () = signals.stop() => {
            info!("stopping at once");
            std::process::exit(0)
        }
    }
}

fn serving(control: &Control) -> String {
    let status = control.handle().status();
    let listeners: Vec<_> = status.listeners.iter().map(|listener| listener.address.as_str()).collect();
    format!("serving on {}", listeners.join(", "))
}
