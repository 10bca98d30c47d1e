//! Finds the built binaries, and has cargo build them first.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

static BUILT: Mutex<Option<HashMap<String, Result<PathBuf, String>>>> = Mutex::new(None);

/// The path of a binary of this workspace, built from the current sources once per test process.
///
/// `EVENKEEL_TEST_BINARIES` names a directory of ready-made ones to use instead.
///
/// # Panics
/// When cargo cannot build it, with cargo's output.
pub fn binary(name: &str) -> PathBuf {
    if let Some(directory) = env::var_os("EVENKEEL_TEST_BINARIES") {
        return PathBuf::from(directory).join(name);
    }
    let path = {
        let mut built = BUILT.lock().unwrap_or_else(|broken| broken.into_inner());
        built.get_or_insert_default().entry(name.to_owned()).or_insert_with(|| build(name)).clone()
    };
    // A build that failed is not tried again, but every test says so for itself.
    path.unwrap_or_else(|error| panic!("{error}"))
}

fn build(name: &str) -> Result<PathBuf, String> {
    let profile_directory = profile_directory();
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        // Of the whole workspace, as its tests are built: for a package alone, dependencies are made with other features.
        .args(["build", "--quiet", "--workspace", "--bin", name])
        .env("CARGO_TARGET_DIR", profile_directory.parent().expect("a target directory"));
    if profile_directory.ends_with("release") {
        command.arg("--release");
    }
    let output = command.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo could not build {name}:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let path = profile_directory.join(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("cargo built {name}, but {} is not there", path.display()))
    }
}

/// `target/debug` or `target/release`: where this test's own binary lies, two levels up.
fn profile_directory() -> PathBuf {
    let own = env::current_exe().expect("a path of our own");
    own.ancestors().nth(2).expect("target/PROFILE/deps/test").to_path_buf()
}
