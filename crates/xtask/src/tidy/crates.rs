//! The crate table of `docs/ARCHITECTURE.md` against the edges there are, and the crates that must stay pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::workspace::{Workspace, read};

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";

/// Crates that decide and do nothing, so that they can be tested and simulated without a world.
const PURE: [&str; 3] = ["config", "http1", "policy"];

/// What cannot be among their dependencies: input and output, clocks, chance.
const IMPURE: [&str; 24] = [
    "async-io",
    "async-std",
    "curl",
    "getrandom",
    "h2",
    "hyper",
    "hyper-util",
    "libc",
    "mio",
    "nix",
    "polling",
    "rand",
    "redis",
    "reqwest",
    "rusqlite",
    "rustix",
    "rustls",
    "signal-hook",
    "smol",
    "socket2",
    "tokio",
    "tokio-util",
    "ureq",
    "windows-sys",
];

pub(super) fn problems(workspace: &Workspace, root: &Path) -> Result<Vec<String>, String> {
    let mut problems = impure(workspace);
    let text = read(&root.join(ARCHITECTURE));
    match text.and_then(|text| parse(&text)) {
        Ok(table) => problems.extend(compare(&table, &edges(workspace))),
        Err(problem) => problems.push(problem),
    }
    Ok(problems)
}

/// Which of our crates each crate uses.
type Edges = BTreeMap<String, BTreeSet<String>>;

fn edges(workspace: &Workspace) -> Edges {
    workspace.members.iter().map(|(name, member)| (name.clone(), member.uses.clone())).collect()
}

fn impure(workspace: &Workspace) -> Vec<String> {
    let mut problems = Vec::new();
    for name in PURE {
        let Some(member) = workspace.members.get(name) else {
            problems.push(format!("crates/{name}: is to be pure, but is not there"));
            continue;
        };
        for impure in IMPURE.iter().filter(|impure| member.reaches.contains(**impure)) {
            let package = &member.package;
            problems.push(format!(
                "crates/{name}: must be free of I/O, but depends on {impure}; `cargo tree -p {package} -i {impure} -e normal` shows how"
            ));
        }
    }
    problems
}

/// Reads the table under `## Crates`: names in backticks in the first cell, those it may use in the third, or `nothing`.
fn parse(text: &str) -> Result<Edges, String> {
    let wrong = |what: &str| format!("{ARCHITECTURE}: {what}");
    let rows = text
        .lines()
        .skip_while(|line| line.trim() != "## Crates")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with('|'))
        .skip(2);
    let mut table = Edges::new();
    for row in rows {
        let cells: Vec<&str> = row.trim().trim_matches('|').split('|').map(str::trim).collect();
        let (Some(names), Some(uses)) = (cells.first(), cells.get(2)) else {
            return Err(wrong(&format!("a row of the crate table has fewer than three cells: {row}")));
        };
        let (names, uses) = (quoted(names), (quoted(uses), *uses));
        if names.is_empty() {
            return Err(wrong(&format!("a row of the crate table names no crate in backticks: {row}")));
        }
        if uses.0.is_empty() && !uses.1.starts_with("nothing") {
            return Err(wrong(&format!(
                "the third cell names no crate in backticks and is not `nothing`: {row}"
            )));
        }
        for name in names {
            if table.insert(name.clone(), uses.0.clone()).is_some() {
                return Err(wrong(&format!("`{name}` is twice in the crate table")));
            }
        }
    }
    if table.is_empty() { Err(wrong("there is no table under the heading `## Crates`")) } else { Ok(table) }
}

/// The words in backticks.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn compare(table: &Edges, edges: &Edges) -> Vec<String> {
    let mut problems = Vec::new();
    for name in edges.keys().filter(|name| !table.contains_key(*name)) {
        problems.push(format!("{ARCHITECTURE}: crate `{name}` is missing from the table"));
    }
    for (name, allowed) in table {
        let Some(used) = edges.get(name) else {
            problems
                .push(format!("{ARCHITECTURE}: crate `{name}` is in the table, but not in the workspace"));
            continue;
        };
        for other in used.difference(allowed) {
            problems.push(format!(
                "crates/{name}/Cargo.toml: uses `{other}`, which the table in {ARCHITECTURE} does not allow; an edge is a decision"
            ));
        }
        for other in allowed.difference(used) {
            problems.push(format!("{ARCHITECTURE}: `{name}` may use `{other}`, but does not"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A\n## Crates\nSome words.\n\n| crate | is | may use of ours |\n|---|---|---|\n\
        | `a` | first | nothing |\n| `b` | second | `a` |\n| `c`, `d` | more | `a`, `b` |\n\n## Later\n| `x` | y | z |\n";

    fn edges(list: &[(&str, &[&str])]) -> Edges {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        list.iter().map(|(name, uses)| ((*name).to_owned(), owned(uses))).collect()
    }

    #[test]
    fn a_table_that_says_what_is_has_no_problem() {
        let is = edges(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b"]), ("d", &["a", "b"])]);
        assert_eq!(parse(TEXT).unwrap(), is);
        assert_eq!(compare(&parse(TEXT).unwrap(), &is), [""; 0]);
    }

    #[test]
    fn every_difference_is_told() {
        let is = edges(&[("a", &["b"]), ("b", &[]), ("c", &["a", "b"]), ("e", &[])]);
        let problems = compare(&parse(TEXT).unwrap(), &is).join("\n");
        for told in [
            "`e` is missing from the table",
            "crates/a/Cargo.toml: uses `b`",
            "`b` may use `a`, but does not",
            "`d` is in the table, but not in the workspace",
        ] {
            assert!(problems.contains(told), "{problems}");
        }
        assert_eq!(problems.lines().count(), 4, "{problems}");
    }

    #[test]
    fn a_table_that_cannot_be_read_is_a_problem() {
        assert!(parse("# A\n").unwrap_err().contains("no table"));
        for (from, to) in
            [("nothing", "all above"), ("`a` | first", "a | first"), ("`b` | second", "`a` | second")]
        {
            parse(&TEXT.replace(from, to)).unwrap_err();
        }
    }
}
