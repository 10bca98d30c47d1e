//! `evenkeel lab throughput`, quick, with a bottleneck planted: it is found, each for what it is.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn lab(arguments: &[&str]) -> (Output, Value) {
    let out = evenkeel_testkit::TempDir::new();
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["lab"])
        .args(arguments)
        .args(["--quick", "--out"])
        .arg(out.join("reports"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let json = std::fs::read_to_string(out.join("reports/throughput.json")).unwrap_or_default();
    (output, serde_json::from_str(&json).unwrap_or_default())
}

/// What was found, and that it is no guess.
fn found(plant: &str) -> Value {
    let (output, report) = lab(&["throughput", "--plant", plant]);
    let data = &report["data"];
    let finding = &data["finding"];
    assert!(finding.is_object(), "{output:?}");
    assert!(finding["used"].as_f64().unwrap() >= 0.7, "{finding:#}");
    assert!(data["broke_at"].as_f64().unwrap() > data["held_at"].as_f64().unwrap(), "{data:#}");
    assert_eq!((&report["kept"], output.status.code()), (&Value::Bool(true), Some(0)), "{report:#}");
    let verdict = report["verdict"][0].as_str().unwrap();
    assert!(verdict.starts_with("Broke at ") && verdict.contains("queue grew from "), "{verdict}");
    finding.clone()
}

#[test]
fn a_small_database_pool_is_found_and_whose_it_is() {
    let finding = found("small-pool");
    assert_eq!(
        (&finding["cause"], &finding["parts"]),
        (&"database_pool".into(), &serde_json::json!(["toy-2"]))
    );
    assert!(finding["queue"].as_f64() > finding["queue_before"].as_f64(), "{finding:#}");
}

#[test]
fn a_slow_backend_is_found_and_which_one() {
    let finding = found("slow-backend");
    assert_eq!(
        (&finding["cause"], &finding["parts"]),
        (&"slow_backend".into(), &serde_json::json!(["toy-2"]))
    );
}

#[test]
fn a_cache_that_is_too_small_is_found_behind_the_databases_it_fills() {
    let finding = found("tiny-cache");
    assert_eq!(finding["cause"], "cache_too_small", "{finding:#}");
}

#[test]
fn a_proxy_with_half_a_core_is_found() {
    let finding = found("half-proxy");
    assert_eq!((&finding["cause"], &finding["parts"]), (&"proxy_cpu".into(), &serde_json::json!(["proxy"])));
}

#[test]
fn other_experiments_have_nothing_planted() {
    let (output, _) = lab(&["availability", "--plant", "tiny-cache"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("--plant is for `evenkeel lab throughput` alone"), "{said}");
}
