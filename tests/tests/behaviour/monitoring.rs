//! `config/prometheus`, `config/grafana` and `docs/monitoring.md`: every rule, alert and query is run where Prometheus is
//! installed, and what they name exists where it is not.

mod cluster;
mod dashboard;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use evenkeel_policy::rejection::Rejection;
use evenkeel_testkit::{Prometheus, eventually};
use serde_json::Value;

use cluster::Cluster;
use dashboard::{Dashboard, Query};

/// What has no data in a cluster that has just started and is well, and why.
const WITHOUT_DATA: [(&str, &str); 2] = [
    (" offset 1d", "there was no day before"),
    ("evenkeel_certificate_not_after_timestamp_seconds", "joins with TLS"),
];

/// A file of the workspace.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The files of Prometheus whose names end so.
fn prometheus_files(end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(path("config/prometheus")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(end));
    names.sort();
    names
}

/// What comes after a key in a file of rules, on the lines that begin with it.
fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .map(|value| value.trim().trim_matches('"'))
        .collect()
}

/// The names of metrics in a query: words with an underscore or a colon that are no functions, labels or values.
fn metrics(query: &str) -> BTreeSet<String> {
    const PREFIXES: [&str; 6] = ["evenkeel_", "process_", "toy_backend_", "job_", "instance_", "instance:"];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    // What stands in quotes is a label's value.
    let unquoted: String = query.split('"').step_by(2).collect();
    let words =
        unquoted.split(|c| !is_name(c)).filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)));
    words.map(str::to_owned).collect()
}

#[test]
fn promtool_accepts_the_files_and_every_test_of_the_alerts() {
    let run = |arguments: &[String]| {
        let mut command = Command::new("promtool");
        command.current_dir(path("config/prometheus")).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let mut commands = vec![vec!["check".to_owned(), "config".to_owned(), "prometheus.yml".to_owned()]];
    commands.extend(
        prometheus_files("_test.yml").into_iter().map(|name| vec!["test".into(), "rules".into(), name]),
    );
    assert!(commands.len() > 5, "{commands:?}");
    let mut running = Vec::new();
    for arguments in &commands {
        match run(arguments) {
            Ok(child) => running.push(child),
            Err(error) => return eprintln!("skipped: promtool is not installed ({error})"),
        }
    }
    for (arguments, child) in commands.iter().zip(running) {
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn every_alert_is_tested_firing_and_not_and_has_its_section() {
    let alerts: BTreeSet<String> =
        values(&text("config/prometheus/alerts.yml"), "alert").into_iter().map(str::to_owned).collect();
    let (mut firing, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for name in prometheus_files("_test.yml") {
        let tests = text(&format!("config/prometheus/{name}"));
        let mut lines = tests.lines().map(str::trim).peekable();
        while let Some(line) = lines.next() {
            let Some(alert) = line.strip_prefix("alertname: ") else { continue };
            let is_quiet = lines.peek().is_some_and(|line| *line == "exp_alerts: []");
            if is_quiet { &mut quiet } else { &mut firing }.insert(alert.to_owned());
        }
    }
    assert_eq!((&firing, &quiet), (&alerts, &alerts), "fire in a test, and do not in another");
    let runbook = text("docs/monitoring.md");
    let sections: BTreeSet<String> =
        runbook.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    assert_eq!(sections, alerts, "the sections of docs/monitoring.md, and the alerts");
    for alert in &alerts {
        // As GitHub makes an anchor of a heading that is one word.
        let link = format!("docs/monitoring.md#{}", alert.to_lowercase());
        assert!(values(&text("config/prometheus/alerts.yml"), "runbook_url").contains(&&*link), "{link}");
    }
    let count = values(&text("config/prometheus/alerts.yml"), "alert").len();
    for key in ["summary", "description", "runbook_url", "labels"] {
        assert_eq!(
            values(&text("config/prometheus/alerts.yml"), key).len(),
            count,
            "each alert has its {key}"
        );
    }
}

#[test]
fn every_reason_is_somebodys_fault_and_only_one_partys() {
    let rules = text("config/prometheus/rules.yml");
    let lists: Vec<Vec<&str>> = rules
        .lines()
        .filter_map(|line| line.split_once("evenkeel_rejections_total{reason=~\"")?.1.split('"').next())
        .map(|list| list.split('|').collect())
        .collect();
    let [clients, endpoints, ours, answered] = &lists[..] else { panic!("{lists:?}") };
    let mut all = [&clients[..], endpoints, ours].concat();
    all.sort_unstable();
    let mut words = Rejection::ALL.map(Rejection::word).to_vec();
    words.sort_unstable();
    assert_eq!(all, words, "in config/prometheus/rules.yml, evenkeel-faults");
    // Those that are counted among requests with 5xx: a refused connection never was a request.
    let is_5xx = |rejection: &Rejection| rejection.is_answer() && rejection.status() >= 500;
    let mut expected: Vec<_> = Rejection::ALL
        .into_iter()
        .filter(|rejection| is_5xx(rejection) && *rejection != Rejection::ConnectionLimit)
        .map(Rejection::word)
        .collect();
    let mut answered = answered.clone();
    answered.sort_unstable();
    expected.sort_unstable();
    assert_eq!(answered, expected, "in config/prometheus/rules.yml, fault answers");
}

#[test]
fn the_dashboard_asks_the_questions_of_the_night() {
    let dashboard = Dashboard::read();
    let expected = [
        "Is anything wrong?",
        "Is it us or them?",
        "Which endpoint?",
        "Since when?",
        "What changed?",
        "Are we full?",
        "The cache",
    ];
    assert_eq!(dashboard.rows()[..expected.len()], expected);
    for panel in dashboard.panels() {
        let title = &panel["title"];
        assert!(
            panel["description"].as_str().is_some_and(|text| text.len() > 10),
            "{title} has no description"
        );
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
    }
    let mut ids: Vec<_> = dashboard.panels().iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), dashboard.panels().len(), "a panel's id is its own");
}

#[test]
fn rules_alerts_and_dashboard_find_their_data_in_a_real_cluster() {
    let mut cluster = Cluster::start();
    let dashboard = Dashboard::read();
    let rules = [text("config/prometheus/rules.yml"), text("config/prometheus/alerts.yml")].join("\n");
    let recorded: BTreeSet<String> = values(&rules, "record").into_iter().map(str::to_owned).collect();

    // Without Prometheus: what is named is on a page, or recorded.
    let pages = cluster.pages();
    let mut named: BTreeSet<String> =
        dashboard.queries().iter().flat_map(|query| metrics(&query.text)).collect();
    let code: Vec<&str> = rules.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    named.extend(metrics(&code.join("\n").replace("runbook_url", "")));
    assert!(named.len() > 80, "{named:?}");
    let is_exempt = |text: &str| WITHOUT_DATA.iter().any(|(part, _)| text.contains(part));
    for name in named.difference(&recorded).filter(|name| !is_exempt(name)) {
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(pages.contains(&format!("# TYPE {base} ")), "{name} is on no page");
    }

    let Some(prometheus) = cluster.prometheus() else { return };
    // From end to end: a tenth of a backend's answers are errors, and somebody is woken.
    prometheus.wait_for(
        "count(ALERTS{alertname=\"ErrorBudgetBurn\",alertstate=\"firing\",severity=\"page\"})",
        1.0,
    );
    prometheus.wait_for("count(ALERTS{alertname=\"ClientsSeeFailures\",alertstate=\"firing\"})", 1.0);
    let mut wanted = dashboard.queries();
    for name in &recorded {
        wanted.push(Query { place: "a recording rule".to_owned(), text: name.clone() });
    }
    for name in &named {
        wanted.push(Query { place: "a metric that is named".to_owned(), text: name.clone() });
    }
    wanted.retain(|query| !is_exempt(&query.text));
    cluster.lose_a_backend(&prometheus);
    // Some have data only while it is gone.
    wanted.retain(|query| !has_data(&prometheus, query));
    cluster.regain_it(&prometheus);
    eventually("data of every query", || {
        cluster.offend();
        wanted.retain(|query| !has_data(&prometheus, query));
        let left =
            || wanted.iter().map(|query| format!("\n{}: {}", query.place, query.text)).collect::<String>();
        if wanted.is_empty() { Ok(()) } else { Err(left()) }
    });
    // Those without data are asked as well: they are no nonsense.
    for query in dashboard.queries().iter().filter(|query| is_exempt(&query.text)) {
        prometheus.query(&query.text).unwrap_or_else(|error| panic!("{}: {error}", query.place));
    }
    for (selector, label) in dashboard.variables() {
        let values = prometheus.label_values(&selector, &label);
        assert!(!values.is_empty(), "a variable has no value: {label} of {selector}");
    }
    let all = prometheus.rules();
    assert!(all.len() > 60, "{}", all.len());
    for rule in &all {
        assert_eq!((&rule["health"], &rule["lastError"]), (&"ok".into(), &Value::Null), "{rule}");
    }
    prometheus.expect_healthy_targets();
}

/// Whether a query has a number for an answer, and not only "not a number".
fn has_data(prometheus: &Prometheus, query: &Query) -> bool {
    match prometheus.query(&query.text) {
        Ok(values) => values.iter().any(|value| value.is_finite()),
        Err(error) => panic!("{}: {}: {error}", query.place, query.text),
    }
}
