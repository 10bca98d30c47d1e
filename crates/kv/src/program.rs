//! [`Program`]: flags, signals, log and exit codes around [`Server`].

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::options::Options;
use crate::server::Server;

/// A cache server that Redis clients accept
///
/// Prints `evenkeel-kv listening on ADDR` once it listens, and logs to standard error. TERM and INT stop it gracefully, a
/// second one at once. Exit codes: 0 after a graceful stop, 1 when it could not start or not save its last snapshot, 2 for
/// flags that are wrong.
#[derive(Debug, Parser)]
#[command(name = "evenkeel-kv", version)]
pub struct Program {
    #[command(flatten)]
    options: Options,
    /// How the log is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or off
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

impl Program {
    /// Serves until it is told to stop.
    pub fn run(self) -> ExitCode {
        log(self.log_format, self.log_level);
        let outcome = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(serve(self.options)));
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("evenkeel-kv: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

fn log(format: LogFormat, level: LevelFilter) {
    let builder = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_writer(io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

async fn serve(options: Options) -> io::Result<()> {
    let mut signals = Signals::listen()?;
    let server = Server::bind(options)?;
    // A closed standard output is no reason not to serve.
    let mut out = io::stdout();
    let _ = writeln!(out, "evenkeel-kv listening on {}", server.local_addr());
    if let Some(address) = server.metrics_addr() {
        let _ = writeln!(out, "evenkeel-kv metrics on http://{address}/metrics");
    }
    let shutdown = async move {
        signals.next().await;
        tracing::info!("stopping");
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(1);
        });
    };
    server.run(shutdown).await
}

/// TERM and INT, both of which ask to stop.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
