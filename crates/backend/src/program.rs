//! [`Program`]: flags, signals and exit codes around [`Server`].

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::options::Options;
use crate::server::{Ending, Server};

/// An HTTP service over SQLite that is worth balancing: /items, /bytes, /delay, /stream, /echo, and /chaos to make
/// it slow, failing, hanging or dead while it runs
///
/// Prints `toy-backend NAME listening on ADDR` once it listens. TERM and INT stop it gracefully, a second one at
/// once. Exit codes: 0 after a graceful stop, 1 when it could not start, 2 for flags that are wrong, 9 after
/// /chaos?mode=dead.
#[derive(Debug, Parser)]
#[command(name = "toy-backend", version)]
pub struct Program {
    #[command(flatten)]
    options: Options,
}

impl Program {
    /// Serves until it is told to stop.
    pub fn run(self) -> ExitCode {
        let outcome = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(serve(self.options)));
        match outcome {
            Ok(Ending::Stopped) => ExitCode::SUCCESS,
            Ok(Ending::Died) => ExitCode::from(9),
            Err(error) => {
                eprintln!("toy-backend: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

async fn serve(options: Options) -> io::Result<Ending> {
    let name = options.name.clone();
    let cache = options.cache.clone();
    let mut signals = Signals::listen()?;
    let server = Server::bind(options).await?;
    // A closed standard output is no reason not to serve.
    let _ = writeln!(io::stdout(), "toy-backend {name} listening on {}", server.local_addr());
    if let Some(cache) = cache {
        let replica = server.cache_read().zip(cache.read.map(|url| format!("the cache's replica {url}")));
        let links = server.cache().map(|states| (states, format!("the cache {}", cache.url)));
        for (mut states, what) in links.into_iter().chain(replica) {
            tokio::spawn(async move {
                while let Some(state) = states.changed().await {
                    eprintln!("toy-backend: {what} {state}");
                }
            });
        }
    }
    let ready = server.ready();
    tokio::spawn(async move {
        if let Err(error) = ready.wait().await {
            eprintln!("toy-backend: {error}");
        }
    });
    let shutdown = async move {
        signals.next().await;
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
    fn listen() -> io::Result<Signals> {
        Ok(Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
