//! Source files: they say what they own, are short, and have names that mean something; no test is ignored unexplained.

use std::path::Path;

use crate::workspace::{files, read, relative};

/// Lines of a file, its tests included, beyond which it has more than one idea.
const LONGEST: usize = 500;

/// Files that are longer, each with its reason.
const LONGER: [(&str, &str); 0] = [];

/// Names that say nothing.
const EMPTY_NAMES: [&str; 11] =
    ["util", "utils", "common", "misc", "helper", "helpers", "manager", "managers", "core", "base", "inner"];

pub(super) fn problems(root: &Path) -> Result<Vec<String>, String> {
    let mut paths = files(&root.join("tests"), "rs");
    for directory in std::fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        for part in ["src", "tests", "benches", "examples"] {
            paths.extend(files(&directory.path().join(part), "rs"));
        }
    }
    paths.sort();
    let mut problems = Vec::new();
    for path in &paths {
        let name = relative(path);
        problems.extend(empty_names(path.strip_prefix(root).unwrap_or(path)));
        problems.extend(wrong_text(&name, &read(path)?));
    }
    for (name, _) in LONGER.iter().filter(|(name, _)| !root.join(name).is_file()) {
        problems.push(format!("{name}: may be long, but is not there"));
    }
    Ok(problems)
}

fn empty_names(path: &Path) -> Option<String> {
    let parts = path.components().filter_map(|part| Path::new(part.as_os_str()).file_stem());
    let empty = parts.map(|stem| stem.to_string_lossy()).find(|stem| EMPTY_NAMES.contains(&stem.as_ref()));
    empty.map(|stem| format!("{}: `{stem}` says nothing; name it after what it owns", path.display()))
}

fn wrong_text(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !text.starts_with("//! ") {
        problems.push(format!("{name}: its first line does not say what it owns (`//! …`)"));
    }
    let (length, is_source) = (text.lines().count(), name.contains("/src/"));
    if is_source && length > LONGEST && !LONGER.iter().any(|(longer, _)| *longer == name) {
        problems.push(format!("{name}: has {length} lines, more than {LONGEST}; it has more than one idea"));
    }
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.starts_with("#[ignore]") {
            problems
                .push(format!("{name}:{number}: a test is ignored without a reason (`#[ignore = \"…\"]`)"));
        }
        let module = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").strip_prefix("mod ");
        let module = module.and_then(|rest| rest.split([' ', ';', '{']).next());
        if let Some(module) = module.filter(|module| EMPTY_NAMES.contains(module)) {
            problems
                .push(format!("{name}:{number}: module `{module}` says nothing; name it after what it owns"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_kept() {
        let long = format!("//! A.\n{}", "\n".repeat(LONGEST));
        for (name, text, told) in [
            ("crates/a/src/b.rs", "fn main() {}\n", "does not say what it owns"),
            ("crates/a/src/b.rs", long.as_str(), "501 lines"),
            ("tests/a.rs", "//! A.\n#[test]\n    #[ignore]\nfn a() {}\n", "tests/a.rs:3: a test is ignored"),
            ("tests/a.rs", "//! A.\npub(crate) mod util {\n", "tests/a.rs:2: module `util`"),
            ("tests/a.rs", "//! A.\nmod core;\n", "module `core`"),
        ] {
            let problems = wrong_text(name, text);
            assert!(problems.len() == 1 && problems[0].contains(told), "{problems:?}");
        }
        assert_eq!(wrong_text("tests/a.rs", &long), [""; 0]);
        assert_eq!(wrong_text("tests/a.rs", "//! A.\n#[ignore = \"slow\"]\nmod cores;\n"), [""; 0]);
        assert!(empty_names(Path::new("crates/a/src/helper/b.rs")).is_some());
        assert!(empty_names(Path::new("crates/a/src/utils.rs")).is_some());
        assert!(empty_names(Path::new("crates/a/src/based.rs")).is_none());
    }
}
