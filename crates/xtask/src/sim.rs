//! `cargo xtask sim`: what the policies do in a seeded world, against published figures.

use evenkeel_simulation::experiment::Experiment;

/// Which experiments, with which chance.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// By number or name: E1 or slow-server, … [default: all]
    experiments: Vec<Experiment>,
    /// Of everything drawn by chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Prints a table for each, in Markdown.
///
/// # Errors
/// A figure is not what it must be.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let chosen = match options.experiments.as_slice() {
        [] => &Experiment::ALL,
        chosen => chosen,
    };
    let mut missed = 0;
    for experiment in chosen {
        println!("## {experiment}\n\n{}. Seed {}.\n", experiment.about(), options.seed);
        println!("| figure | got | wanted | |\n|---|---:|---:|---|");
        for figure in experiment.figures(options.seed) {
            println!("{figure}");
            missed += u32::from(!figure.is_kept());
        }
        println!();
    }
    match missed {
        0 => Ok(()),
        missed => Err(format!("{missed} figures are not what they must be")),
    }
}
