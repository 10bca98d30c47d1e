//! The workspace as cargo and the file system show it: where it is, its packages, its files, its binaries.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// A package of the workspace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    /// Its package name: `evenkeel-policy`.
    pub(crate) package: String,
    /// Names of members among its normal and build dependencies, by [`Workspace::members`]' keys.
    pub(crate) uses: BTreeSet<String>,
    /// Package names of all its normal dependencies and theirs, without itself.
    pub(crate) reaches: BTreeSet<String>,
}

/// What `cargo metadata` says.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Members by the name of their directory: `policy`, `tests`.
    pub(crate) members: BTreeMap<String, Member>,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo, for the dependencies of this machine's platform.
    pub(crate) fn load() -> Result<Self, String> {
        let version = output(Command::new(rustc()).arg("-vV"))?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let mut metadata = Command::new(cargo());
        metadata.current_dir(root()).args(["metadata", "--format-version", "1", "--locked"]);
        metadata.args(["--filter-platform", host]);
        let text = output(&mut metadata)?;
        let value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        Self::read(&value)
    }

    /// Reads the JSON of `cargo metadata --format-version 1`.
    fn read(metadata: &Value) -> Result<Self, String> {
        let names: BTreeMap<&str, &str> = array(metadata, "packages")
            .filter_map(|package| Some((text(package, "id")?, text(package, "name")?)))
            .collect();
        let normal = normal_dependencies(metadata);
        let own: BTreeSet<&str> = array(metadata, "workspace_members").filter_map(Value::as_str).collect();
        let directories: BTreeMap<&str, String> = array(metadata, "packages")
            .filter(|package| text(package, "id").is_some_and(|id| own.contains(id)))
            .filter_map(|package| {
                let directory = Path::new(text(package, "manifest_path")?).parent()?.file_name()?;
                Some((text(package, "name")?, directory.to_string_lossy().into_owned()))
            })
            .collect();
        let mut members = BTreeMap::new();
        for package in array(metadata, "packages") {
            let (Some(id), Some(name)) = (text(package, "id"), text(package, "name")) else { continue };
            let Some(directory) = directories.get(name).filter(|_| own.contains(id)) else { continue };
            let uses = array(package, "dependencies")
                .filter(|dependency| dependency.get("kind").and_then(Value::as_str) != Some("dev"))
                .filter_map(|dependency| directories.get(text(dependency, "name")?).cloned())
                .collect();
            let member = Member { package: name.to_owned(), uses, reaches: reach(id, &normal, &names) };
            members.insert(directory.clone(), member);
        }
        let target = text(metadata, "target_directory").ok_or("cargo metadata names no target directory")?;
        Ok(Self { members, target: target.into() })
    }

    /// Builds what is measured, in release mode: `evenkeel`, `toy-backend` and this program; the directory they are in.
    ///
    /// Always all of them: cargo unites the features of what it builds together, and would build anew otherwise.
    pub(crate) fn build_release(&self) -> Result<PathBuf, String> {
        let mut build = Command::new(cargo());
        build.current_dir(root()).args(["build", "--release", "--locked", "--bins"]);
        build.args(["--package", "evenkeel", "--package", "evenkeel-backend"]);
        build.args(["--package", "evenkeel-kv", "--package", "xtask"]);
        let status = build.status().map_err(|error| format!("cannot start cargo: {error}"))?;
        if status.success() {
            Ok(self.target.join("release"))
        } else {
            Err("cargo could not build what is measured".to_owned())
        }
    }
}

/// All files below a directory whose name ends with `.extension`, in order; none when there is no such directory.
pub(crate) fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

/// A path as it is written from the workspace's directory.
pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// A file's text.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", relative(path)))
}

/// What a command says on standard output; what it says on standard error when it fails.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot start {name}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn rustc() -> OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// Ids of the normal dependencies of every package, by its id.
fn normal_dependencies(metadata: &Value) -> BTreeMap<&str, Vec<&str>> {
    let is_normal = |dependency: &&Value| {
        array(dependency, "dep_kinds").any(|kind| kind.get("kind").is_none_or(Value::is_null))
    };
    let nodes = metadata.get("resolve").map(|resolve| array(resolve, "nodes")).into_iter().flatten();
    nodes
        .filter_map(|node| {
            let normal = array(node, "deps").filter(is_normal).filter_map(|dep| text(dep, "pkg"));
            Some((text(node, "id")?, normal.collect()))
        })
        .collect()
}

fn reach(id: &str, normal: &BTreeMap<&str, Vec<&str>>, names: &BTreeMap<&str, &str>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut left = vec![id];
    while let Some(id) = left.pop() {
        for next in normal.get(id).into_iter().flatten() {
            if seen.insert(*next) {
                left.push(next);
            }
        }
    }
    seen.into_iter().filter_map(|id| names.get(id)).map(|name| (*name).to_owned()).collect()
}

fn array<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dev_dependencies_are_no_edges_and_transitive_ones_are_reached() {
        let package = |name: &str, dependencies: Value| {
            json!({ "id": format!("{name}#1"), "name": name, "dependencies": dependencies,
                    "manifest_path": format!("/w/crates/{}/Cargo.toml", name.trim_start_matches("evenkeel-")) })
        };
        let normal = |id: &str| json!({ "pkg": id, "dep_kinds": [{ "kind": null }] });
        let workspace = Workspace::read(&json!({
            "target_directory": "/w/target",
            "workspace_members": ["evenkeel-a#1", "evenkeel-b#1", "evenkeel-c#1"],
            "packages": [
                package("evenkeel-a", json!([{ "name": "evenkeel-b", "kind": null }, { "name": "evenkeel-c", "kind": "dev" },
                                             { "name": "serde", "kind": null }])),
                package("evenkeel-b", json!([])),
                package("evenkeel-c", json!([])),
                package("serde", json!([])),
                package("mio", json!([])),
            ],
            "resolve": { "nodes": [
                { "id": "evenkeel-a#1", "deps": [normal("evenkeel-b#1"), normal("serde#1"),
                                                 { "pkg": "evenkeel-c#1", "dep_kinds": [{ "kind": "dev" }] }] },
                { "id": "serde#1", "deps": [normal("mio#1")] },
            ] },
        }))
        .unwrap();
        let a = &workspace.members["a"];
        assert_eq!(a.uses, BTreeSet::from(["b".to_owned()]));
        assert_eq!(a.reaches, ["evenkeel-b", "mio", "serde"].map(str::to_owned).into());
        assert_eq!(workspace.members.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
