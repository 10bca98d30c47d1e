//! The page that leads to the reports of several experiments.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::html::{Escaped, document, outcome, verdict};
use super::{Report, file};

/// Writes `index.html` into `directory`: the verdicts of `reports`, each with a link to its page. Says where it is.
///
/// # Errors
/// It cannot be written; the sentence names the file.
pub fn index(directory: &Path, reports: &[Report]) -> io::Result<PathBuf> {
    let path = directory.join("index.html");
    file::put(&path, &page(reports))?;
    Ok(path)
}

fn page(reports: &[Report]) -> String {
    let mut main = "<header>\n<p class=\"word\">Evenkeel lab</p>\n<h1>What was asked, and what came out</h1>\n</header>\n".to_owned();
    for report in reports {
        let name = Escaped(&report.name);
        _ = write!(
            main,
            "<article class=\"verdict\">\n<h2><a href=\"{name}.html\">{name}</a>: {}</h2>\n{}{}</article>\n",
            Escaped(&report.question),
            outcome(report),
            verdict(report)
        );
    }
    document("Evenkeel lab", &main)
}
