//! What the commands print, and where. A reader that went away ends a command quietly: it saw what it wanted.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use evenkeel_config::Report;

/// Whether anybody still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Somebody does.
    There,
    /// The other end of the pipe is closed.
    Gone,
}

/// Writes text to standard output, at once.
///
/// # Errors
/// It cannot be written, for another reason than that nobody reads it.
pub(crate) fn say(text: &str) -> Result<Reader, String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(format!("cannot write to standard output: {error}; see where it leads")),
    }
}

/// Says on standard error what is wrong; what to do about it is its end.
pub(crate) fn fail(problem: &str) -> ExitCode {
    // When standard error is closed, there is nobody to tell.
    let _ = writeln!(io::stderr(), "error: {problem}");
    ExitCode::FAILURE
}

/// Shows a report on standard error, in colour on a terminal.
pub(crate) fn show(report: &Report) {
    if !report.is_empty() {
        let _ = io::stderr().write_all(report.render(io::stderr().is_terminal()).as_bytes());
    }
}

/// Shows why a configuration is refused.
pub(crate) fn refuse(report: &Report) -> ExitCode {
    show(report);
    ExitCode::FAILURE
}
