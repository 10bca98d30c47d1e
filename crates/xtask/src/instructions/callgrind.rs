//! Runs programs under `valgrind --tool=callgrind` and reads how many instructions they took.

use std::path::Path;
use std::process::Command;

/// Whether valgrind can be started; otherwise the reason.
pub(super) fn available() -> Result<(), String> {
    let answer = Command::new("valgrind").arg("--version").output();
    answer.map(|_| ()).map_err(|error| format!("valgrind cannot be started ({error})"))
}

/// The command that runs a program under callgrind, with the counts in its output.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command
}

/// Instructions of a whole run.
pub(super) fn count(program: &Path, arguments: &[&str]) -> Result<u64, String> {
    let output = command(program).args(arguments).output();
    let output = output.map_err(|error| format!("cannot start valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{} {} failed:\n{text}", program.display(), arguments.join(" ")));
    }
    collected(&text)
}

/// The total that callgrind reports at the end.
pub(super) fn collected(text: &str) -> Result<u64, String> {
    let total = text.lines().rev().find_map(|line| line.split_once("Collected :"));
    let total = total.and_then(|(_, number)| number.trim().parse().ok());
    total.ok_or_else(|| format!("callgrind did not say what it collected:\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read() {
        let text = "==7== Events    : Ir\n==7== Collected : 1234\n==7== \n==7== I   refs:      1,234\n";
        assert_eq!(collected(text), Ok(1234));
        collected("==7== nothing").unwrap_err();
    }
}
