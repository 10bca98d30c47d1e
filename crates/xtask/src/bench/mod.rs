//! `cargo xtask bench`: Evenkeel against nginx and HAProxy on this machine, in turn, as Markdown.
//!
//! CPU time per request is the first figure, since it does not depend on what other cores do; ratios of medians between
//! programs that ran in turn are the second. A bad result is reported like a good one.

mod answer;
mod client;
mod configuration;
mod cores;
mod figure;
mod kv;
pub(crate) mod load;
mod measure;
pub(crate) mod origin;
mod origins;
mod program;
mod report;

use std::path::{Path, PathBuf};
use std::{env, fs};

use evenkeel_testkit::TempDir;

use crate::workspace::Workspace;
use client::Client;
use cores::Cores;
use figure::Row;
use measure::Bench;
use origins::Origins;
use program::{Kind, Program};
use report::{Method, Results};

/// What is measured and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The proxy's table, or that of the cache server and of TCP balancing
    #[arg(value_enum, default_value_t = Subject::Proxy)]
    subject: Subject,
    /// Two short rounds: to see that it works, not to compare
    #[arg(long)]
    quick: bool,
    /// Only these rows
    #[arg(long, value_name = "ROW", value_enum)]
    only: Vec<Row>,
    /// Rounds of each row
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Every sample as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Subject {
    /// HTTP, against nginx and HAProxy
    Proxy,
    /// The cache server against Redis, and TCP balancing against HAProxy
    Kv,
    /// TCP balancing alone
    Tcp,
}

/// Builds, takes its place on the client's cores, measures, prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let Some(cores) = Cores::of_this_process() else {
        let program = Workspace::load()?.build_release()?.join("xtask");
        return Cores::place(&program);
    };
    let load_before = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load_before = load_before.split(' ').next().unwrap_or_default().to_owned();
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let binaries = own.parent().unwrap_or(Path::new(".")).to_path_buf();
    let rounds = options.rounds.unwrap_or(if options.quick { 2 } else { 5 });
    if options.subject != Subject::Proxy {
        if !options.only.is_empty() || options.json.is_some() {
            return Err(
                "--only and --json are for the proxy's table; the others have all their rows".to_owned()
            );
        }
        return kv::run(
            kv::Plan { rounds, quick: options.quick, caches: options.subject == Subject::Kv },
            &cores,
            &binaries,
            &load_before,
        );
    }
    let directory = TempDir::new();
    let origins =
        |cores: &str, name: &str| Origins::start(&binaries.join("toy-backend"), cores, &directory.join(name));
    let client = Client::find();
    let mut bench = Bench {
        origins: origins(&cores.others, "origins")?,
        shared_origins: origins(&cores.beside_two, "shared-origins")?,
        built_in_origin: Origins::built_in(&own, &cores.others, &directory.join("built-in-origin"))?,
        seconds: if options.quick { 1 } else { 5 },
        directory: directory.join("proxy"),
        client,
        cores,
        binaries,
        rate: None,
    };
    let mut programs = vec![Program::evenkeel(bench.binaries.join("evenkeel"))];
    programs.extend(Program::peers());
    let results = rows(options, &mut bench, &programs, rounds);
    let method = Method {
        rounds,
        seconds: bench.seconds,
        client: bench.client.name(),
        load_before,
        rate: bench.rate,
        cores_to_spare: bench.cores.two != bench.cores.beside_two,
    };
    print!("{}", results.markdown(&programs, &method));
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", results.json(&programs, &method));
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Row by row, round by round, program by program. A program that failed a row is left out of the rest of it.
fn rows(options: &Options, bench: &mut Bench, programs: &[Program], rounds: u32) -> Results {
    let mut results = Results::default();
    let wanted = Row::ALL.into_iter().filter(|row| options.only.is_empty() || options.only.contains(row));
    for row in wanted {
        let mut taking_part: Vec<usize> = (0..programs.len()).collect();
        if row == Row::Decisions {
            taking_part
                .retain(|&place| programs.get(place).is_some_and(|program| program.kind() == Kind::Evenkeel));
        }
        if row == Row::P99 {
            bench.rate = bench.half_load(programs.iter());
        }
        for round in 1..=rounds {
            taking_part.retain(|&place| {
                let Some(program) = programs.get(place) else { return false };
                eprintln!("{row:?}, round {round} of {rounds}: {program}");
                match bench.measure(row, program) {
                    Ok(figures) => {
                        figures.into_iter().for_each(|(figure, value)| results.add(figure, place, value));
                        true
                    }
                    Err(problem) => {
                        results
                            .failures
                            .push(format!("{row:?}, round {round}, {program}: {}", problem.trim()));
                        false
                    }
                }
            });
        }
    }
    results
}
