//! `evenkeel lab`: the experiments.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use std::{fs, thread};

use clap::{Args, ValueEnum};
use evenkeel_lab::experiment::{Experiment, Plant, Progress, Setting};
use evenkeel_lab::report::{self, Report};
use evenkeel_lab::site::Site;
use tokio::signal::unix::{SignalKind, signal};

use crate::{limits, output};

/// Which experiment, and how.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to measure
    #[arg(value_enum, value_name = "EXPERIMENT")]
    experiment: Word,
    /// A minute at most for each instead of several
    #[arg(long)]
    quick: bool,
    /// Seed of everything drawn by chance, to repeat a run
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A bottleneck for `throughput` to find, instead of whatever breaks first by itself
    #[arg(long, value_enum, value_name = "BOTTLENECK")]
    plant: Option<Planted>,
    /// Directory for the reports
    #[arg(long, value_name = "DIR", default_value = "lab-reports")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Word {
    /// What 1, 2, 4 and 8 backends serve, where it bends, and why
    Scalability,
    /// What clients see of failures, without a proxy and with one
    Availability,
    /// What an index and a cache make of a slow answer
    Latency,
    /// What a cache answers that is no longer so, and what it costs to prevent it
    Consistency,
    /// What breaks first when the load grows
    Throughput,
    /// One after the other
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Planted {
    /// One of three backends has one database connection
    SmallPool,
    /// One of three backends is slower than the others
    SlowBackend,
    /// The cache has room for a few rows
    TinyCache,
    /// The proxy has half a core
    HalfProxy,
}

/// Runs them and says what came out; fails if a promise was broken.
pub(crate) fn lab(arguments: &Arguments) -> Result<ExitCode, String> {
    limits::raise_open_files();
    let experiments: Vec<Experiment> =
        Experiment::ALL.into_iter().filter(|experiment| arguments.experiment.takes(*experiment)).collect();
    if arguments.plant.is_some() && arguments.experiment != Word::Throughput {
        return Err(
            "--plant is for `evenkeel lab throughput` alone: leave it out, or ask for that".to_owned()
        );
    }
    let plant = arguments.plant.map(Planted::plant);
    let setting = Setting { quick: arguments.quick, seed: arguments.seed, plant };
    let program = std::env::current_exe().map_err(|error| {
        format!("the program does not know where it is: {error}; the parts are processes of it")
    })?;
    report::prepare(&arguments.out).map_err(|error| error.to_string())?;
    let site = Site::new(program).map_err(|error| format!("cannot start: {error}"))?;
    clear_when_interrupted(site.path().to_owned(), arguments.out.clone())
        .map_err(|error| format!("cannot listen for signals: {error}"))?;
    let mut reports = Vec::new();
    for experiment in experiments {
        let name = experiment.name();
        let wrong = |error: io::Error| format!("{name}: {error}");
        let report = experiment.run(&site, &setting, &mut Said::new(name)).map_err(wrong)?;
        let [page, _] = report.write(&arguments.out).map_err(wrong)?;
        output::say(&format!("\n{report}\nReport: {}\n", page.display()))?;
        reports.push(report);
        // After each, so that it is there when a later one cannot be carried out.
        if arguments.experiment == Word::All {
            report::index(&arguments.out, &reports).map_err(wrong)?;
        }
    }
    Ok(if reports.iter().all(Report::is_kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a shell makes of a process that INT ended: a broken promise is 1.
const INTERRUPTED: i32 = 130;

/// Has INT and TERM remove what the parts have written and end the process; the parts end with it.
fn clear_when_interrupted(directory: PathBuf, reports: PathBuf) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("interrupt".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // What cannot be removed is left to the system, which clears its temporary directory.
        let _ = fs::remove_dir_all(&directory);
        let _ = writeln!(
            io::stderr(),
            "\ninterrupted; reports of the experiments that were over are in {}",
            reports.display()
        );
        std::process::exit(INTERRUPTED);
    })?;
    Ok(())
}

impl Word {
    fn takes(self, experiment: Experiment) -> bool {
        match self {
            Self::All => true,
            Self::Scalability => experiment == Experiment::Scalability,
            Self::Availability => experiment == Experiment::Availability,
            Self::Latency => experiment == Experiment::Latency,
            Self::Consistency => experiment == Experiment::Consistency,
            Self::Throughput => experiment == Experiment::Throughput,
        }
    }
}

impl Planted {
    fn plant(self) -> Plant {
        match self {
            Self::SmallPool => Plant::SmallPool,
            Self::SlowBackend => Plant::SlowBackend,
            Self::TinyCache => Plant::TinyCache,
            Self::HalfProxy => Plant::HalfProxy,
        }
    }
}

/// Progress on standard error, so that standard output has the results alone.
struct Said {
    name: &'static str,
    began: Instant,
}

impl Said {
    fn new(name: &'static str) -> Self {
        Self { name, began: Instant::now() }
    }
}

impl Progress for Said {
    fn say(&mut self, line: &str) {
        let seconds = self.began.elapsed().as_secs();
        // Nobody who does not listen needs to know.
        let _ = writeln!(io::stderr(), "{} {seconds:>3} s  {line}", self.name);
    }
}
