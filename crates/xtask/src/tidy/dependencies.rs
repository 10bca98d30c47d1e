//! Direct dependencies: each has its one-line reason in the workspace's manifest, is named there alone, and is used.

use std::collections::BTreeSet;
use std::path::Path;

use crate::workspace::{Workspace, read};

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn problems(workspace: &Workspace, root: &Path) -> Result<Vec<String>, String> {
    let manifest = read(&root.join("Cargo.toml"))?;
    let mut problems = without_reason(&manifest);
    let mut used = BTreeSet::new();
    for name in workspace.members.keys() {
        let path =
            if name == "tests" { "tests/Cargo.toml".to_owned() } else { format!("crates/{name}/Cargo.toml") };
        let (names, wrong) = of_member(&path, &read(&root.join(&path))?)?;
        used.extend(names);
        problems.extend(wrong);
    }
    let listed = declared(&manifest).filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
    for name in listed.filter(|name| !used.contains(*name) && !is_own(name)) {
        problems.push(format!("Cargo.toml: no member uses `{name}`; remove it"));
    }
    Ok(problems)
}

fn is_own(name: &str) -> bool {
    name.starts_with("evenkeel-")
}

/// The lines of `[workspace.dependencies]` that declare something.
fn declared(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
}

fn without_reason(manifest: &str) -> Vec<String> {
    let has_reason = |line: &str| {
        line.rsplit_once('#').is_some_and(|(before, reason)| {
            before.matches('"').count().is_multiple_of(2) && !reason.trim().is_empty()
        })
    };
    declared(manifest)
        .filter(|line| !is_own(line) && !has_reason(line))
        .map(|line| format!("Cargo.toml: a dependency without its reason behind `#`: {line}"))
        .collect()
}

/// What a member depends on, and what it does not take from the workspace.
fn of_member(path: &str, manifest: &str) -> Result<(BTreeSet<String>, Vec<String>), String> {
    let manifest: toml::Table = manifest.parse().map_err(|error| format!("{path}: {error}"))?;
    let mut names = BTreeSet::new();
    let mut problems = Vec::new();
    let tables = KINDS.iter().filter_map(|kind| manifest.get(*kind)?.as_table());
    for (name, value) in tables.flatten() {
        let inherited = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
        if !inherited {
            problems.push(format!("{path}: `{name}` is not taken from [workspace.dependencies]"));
        }
        names.insert(name.clone());
    }
    Ok((names, problems))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_asked_for() {
        let manifest = "[workspace]\n[workspace.dependencies]\nevenkeel-a = { path = \"a\" }\n\n# words\n\
                        b = \"1\" # why\nc = \"1\"\nd = { version = \"1\", features = [\"#x\"] }\n[x]\ne = \"1\"\n";
        let problems = without_reason(manifest);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].ends_with("c = \"1\"") && problems[1].contains("d = {"));
    }

    #[test]
    fn members_inherit() {
        let manifest = "[dependencies]\na.workspace = true\nb = { workspace = true, features = [\"x\"] }\n[dev-dependencies]\nc = \"1\"\n";
        let (names, problems) = of_member("m", manifest).unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(problems, ["m: `c` is not taken from [workspace.dependencies]"]);
    }
}
