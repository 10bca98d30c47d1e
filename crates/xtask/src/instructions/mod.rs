//! `cargo xtask instructions`: what the hot decisions and a proxied request cost in instructions, compared with the
//! committed figures. A gate that needs no quiet machine.

mod callgrind;
mod figures;
mod sequence;

use std::collections::BTreeMap;

use crate::decisions::Decision;
use crate::workspace::Workspace;
use figures::Figures;

/// What is counted, and whether the figures are replaced.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Replace the committed figures by what is counted
    #[arg(long)]
    bless: bool,
    /// Count only what has this in its name: `pick`, `route-10000`, `proxied`…
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// Counts, prints and compares. Without valgrind there is nothing to count: success, except in CI.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    if let Err(missing) = callgrind::available() {
        let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        let sentence = format!("instructions are not counted: {missing}; install valgrind");
        return if in_ci {
            Err(sentence)
        } else {
            eprintln!("{sentence}");
            Ok(())
        };
    }
    let counted = count(&options.only)?;
    let mut figures = Figures::load()?;
    let differences = figures.compare(&counted, options.only.is_empty());
    print!("{}", figures.table(&counted));
    if options.bless {
        figures.bless(&counted, options.only.is_empty());
        return figures.save();
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\n\nA rise is to be avoided or explained; `cargo xtask instructions --bless` commits the new figures.",
        differences.join("\n")
    ))
}

fn count(only: &str) -> Result<BTreeMap<String, u64>, String> {
    let mut counted = BTreeMap::new();
    let binaries = Workspace::load()?.build_release()?;
    for decision in Decision::all().into_iter().filter(|decision| decision.to_string().contains(only)) {
        let program = binaries.join("xtask");
        let [few, many] = decision.times();
        let run =
            |times: u32| callgrind::count(&program, &["decide", &decision.to_string(), &times.to_string()]);
        let difference = run(many)?.saturating_sub(run(few)?);
        counted.insert(decision.to_string(), difference / u64::from(many - few));
    }
    if sequence::NAME.contains(only) {
        counted.insert(sequence::NAME.to_owned(), sequence::count(&binaries.join("evenkeel"))?);
    }
    if counted.is_empty() {
        Err(format!("nothing that is counted has `{only}` in its name"))
    } else {
        Ok(counted)
    }
}
