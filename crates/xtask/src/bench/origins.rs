//! The origins: three toy backends with one thread each, or the built-in one with three addresses.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::processes::Running;

/// They, and where they listen.
pub(super) struct Origins {
    _processes: Vec<Running>,
    /// Their addresses.
    pub(super) addresses: Vec<SocketAddr>,
}

impl Origins {
    /// Starts them on the given cores and waits until they listen.
    pub(super) fn start(program: &Path, cores: &str, directory: &Path) -> Result<Self, String> {
        fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        let (mut processes, mut addresses) = (Vec::new(), Vec::new());
        for name in ["a", "b", "c"] {
            let mut command = Command::new("taskset");
            command.args(["-c", cores]).arg(program);
            command.args(["--listen", "127.0.0.1:0", "--threads", "1", "--rows", "100", "--name", name]);
            let mut process = Running::start("toy-backend", &mut command, &directory.join(name))?;
            let address = process.wait_until("its address", |process| {
                let output = process.output();
                output.split_once(" listening on ")?.1.split_once('\n')?.0.trim().parse().ok()
            })?;
            processes.push(process);
            addresses.push(address);
        }
        Ok(Self { _processes: processes, addresses })
    }

    /// Starts the built-in origin and waits until it listens.
    pub(super) fn built_in(program: &Path, cores: &str, output: &Path) -> Result<Self, String> {
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).arg(program).arg("origin");
        let mut process = Running::start("the built-in origin", &mut command, output)?;
        let addresses = process.wait_until("its addresses", |process| {
            let output = process.output();
            let lines = output.lines().filter_map(|line| line.strip_prefix("listening on ")?.parse().ok());
            Some(lines.collect()).filter(|addresses: &Vec<_>| addresses.len() == 3)
        })?;
        Ok(Self { _processes: vec![process], addresses })
    }
}
