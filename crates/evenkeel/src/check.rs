//! `evenkeel check`: the first half of a reload.

use std::process::ExitCode;

use evenkeel_config::{Checked, Plan};

use crate::command::File;
use crate::output::{fail, refuse, say, show};

pub(crate) fn check(file: &File) -> ExitCode {
    let path = match file.existing() {
        Ok(path) => path,
        Err(problem) => return fail(&problem),
    };
    match evenkeel_config::load(&path) {
        Ok(Checked { plan, warnings }) => {
            show(&warnings);
            match say(&format!("{}: good, {}\n", path.display(), summary(&plan))) {
                Ok(_) => ExitCode::SUCCESS,
                Err(problem) => fail(&problem),
            }
        }
        Err(report) => refuse(&report),
    }
}

fn summary(plan: &Plan) -> String {
    let endpoints: usize = plan.upstreams.iter().map(|upstream| upstream.endpoints.len()).sum();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    [
        count(plan.listeners.len(), "listener"),
        count(plan.routes.len(), "route"),
        count(plan.upstreams.len(), "upstream"),
        count(endpoints, "endpoint"),
    ]
    .join(", ")
}
