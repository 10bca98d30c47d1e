//! Documents that promise something: examples that a test drives, metrics that exist, generated files that are there.

use std::collections::BTreeSet;
use std::path::Path;

use evenkeel_telemetry::{Kind, Metric, catalogue};

use crate::workspace::{Workspace, files, read, relative};

/// Written by tests with `UPDATE=1`, which also see to it that they are fresh.
const GENERATED: [&str; 3] = ["config/reference.md", "config/schema.json", "docs/metrics.md"];

/// Metrics of other programs than the proxy: a test of the behaviour ring compares what the monitoring names of them with
/// their pages.
const OTHERS: [&str; 2] = ["evenkeel_kv_", "evenkeel_load_"];

/// Named by an alert before it is there: TLS brings it.
const LATER: &str = "evenkeel_certificate_not_after_timestamp_seconds";

pub(super) fn problems(workspace: &Workspace, root: &Path) -> Result<Vec<String>, String> {
    let mut problems = undriven_examples(root)?;
    for path in GENERATED.iter().filter(|path| !root.join(path).is_file()) {
        problems.push(format!("{path}: is generated, but not there"));
    }
    if let Ok(page) = read(&root.join("docs/metrics.md")) {
        problems.extend(undocumented(&page, catalogue()));
    }
    let crates: BTreeSet<String> =
        workspace.members.values().map(|member| member.package.replace('-', "_")).collect();
    let mut paths = vec![root.join("README.md")];
    for directory in ["docs", "config", "examples"] {
        paths.extend(
            ["md", "toml", "yml", "yaml", "json"].iter().flat_map(|kind| files(&root.join(directory), kind)),
        );
    }
    for path in paths {
        match read(&path) {
            Ok(text) => problems.extend(
                unknown(&text, catalogue(), &crates)
                    .into_iter()
                    .map(|name| format!("{}: `{name}` is no metric of the catalogue", relative(&path))),
            ),
            Err(problem) => problems.push(problem),
        }
    }
    Ok(problems)
}

/// Examples whose file name no test says.
fn undriven_examples(root: &Path) -> Result<Vec<String>, String> {
    let mut tests = files(&root.join("tests"), "rs");
    for directory in std::fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        tests.extend(files(&directory.path().join("tests"), "rs"));
    }
    let texts = tests.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let mut problems = Vec::new();
    for example in files(&root.join("examples"), "toml") {
        let name = example.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !texts.iter().any(|text| says(text, &name)) {
            problems.push(format!("examples/{name}: no test drives it; name it in one under tests/"));
        }
    }
    Ok(problems)
}

/// Whether a text has this file name, not only as the end of another one.
fn says(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '-' | '_' | '.'))
    })
}

fn undocumented(page: &str, metrics: &[Metric]) -> Vec<String> {
    let missing = metrics.iter().filter(|metric| !page.contains(&format!("`{}`", metric.name)));
    missing.map(|metric| format!("docs/metrics.md: `{}` is missing", metric.name)).collect()
}

/// Names in a text that look like metrics of ours and are none.
fn unknown(text: &str, metrics: &[Metric], crates: &BTreeSet<String>) -> BTreeSet<String> {
    let is_metric = |name: &str| {
        metrics.iter().any(|metric| {
            let suffix = name.strip_prefix(metric.name);
            suffix == Some("")
                || metric.kind == Kind::Histogram && matches!(suffix, Some("_bucket" | "_sum" | "_count"))
        })
    };
    // A name with a colon within is a recording rule's.
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .map(|word| word.trim_matches(':'))
        .filter(|word| !word.contains(':') && *word != LATER)
        .filter(|word| !OTHERS.iter().any(|prefix| word.starts_with(prefix)))
        .filter(|word| word.starts_with("evenkeel_") && !crates.contains(*word) && !is_metric(word))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: [Metric; 2] = [
        Metric { name: "evenkeel_a_total", kind: Kind::Counter, labels: &[], help: "" },
        Metric { name: "evenkeel_b_seconds", kind: Kind::Histogram, labels: &[], help: "" },
    ];

    #[test]
    fn metrics_are_documented_and_documents_name_metrics() {
        assert_eq!(
            undocumented("| `evenkeel_a_total` |", &METRICS),
            ["docs/metrics.md: `evenkeel_b_seconds` is missing"]
        );
        let text = "rate(evenkeel_a_total[1m]) evenkeel_b_seconds_bucket evenkeel_policy=debug evenkeel_a_total_sum evenkeel_c: \
            job:evenkeel_d:rate5m evenkeel_kv_e evenkeel_certificate_not_after_timestamp_seconds";
        let crates = BTreeSet::from(["evenkeel_policy".to_owned()]);
        let unknown: Vec<_> = unknown(text, &METRICS, &crates).into_iter().collect();
        assert_eq!(unknown, ["evenkeel_a_total_sum", "evenkeel_c"]);
    }

    #[test]
    fn an_example_is_named_whole() {
        assert!(says("load(\"examples/retries.toml\")", "retries.toml"));
        assert!(!says("load(\"examples/no-retries.toml\")", "retries.toml"));
    }
}
