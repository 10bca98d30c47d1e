//! `evenkeel lab throughput`, quick, with a bottleneck planted: it is found, each for what it is.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Output, Stdio};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use evenkeel_lab::site::Processors;
use serde_json::Value;

/// Who needs a processor wants it alone; the others sleep most of the time.
static PROCESSOR: RwLock<()> = RwLock::new(());

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

/// Whether somebody else had the machine: then little is to be learnt of what broke.
fn is_disturbed(report: &Value) -> bool {
    let evidence = &report["data"]["steps"].as_array().unwrap().last().unwrap()["evidence"];
    let uses = evidence["uses"].as_array().unwrap();
    let machine = uses.iter().find(|it| it["thing"] == "machine").unwrap();
    let share = machine["used"].as_f64().unwrap();
    let used = share * machine["there_is"].as_f64().unwrap();
    share > 0.9 && evidence["ours"].as_f64().unwrap() < 0.7 * used
}

/// Waits until a third of the machine has been idle for a moment, for a minute at most.
fn until_calm() {
    for _ in 0..120 {
        let before = Processors::now("").unwrap();
        thread::sleep(Duration::from_millis(500));
        if Processors::now("").unwrap().since(&before).machine < 0.67 {
            return;
        }
    }
}

/// Finds it, in as many runs as it takes until the machine is left alone, three at most; and that it is no guess.
fn found(plant: &str, cause: &str) -> Value {
    for run in 1..=3 {
        let (output, report) = lab(&["throughput", "--plant", plant]);
        let data = &report["data"];
        assert!(data["steps"].is_array(), "{output:?}");
        let is_found = data["finding"]["cause"] == cause && data["held_at"].is_number();
        if !is_found && run < 3 && is_disturbed(&report) {
            until_calm();
            continue;
        }
        let finding = &data["finding"];
        let disturbed = if is_disturbed(&report) { "; others used the machine" } else { "" };
        assert!(is_found, "{}{disturbed}: {finding:#}", report["verdict"][0]);
        assert!(finding["used"].as_f64().unwrap() >= 0.7, "{finding:#}");
        assert!(data["broke_at"].as_f64().unwrap() > data["held_at"].as_f64().unwrap(), "{data:#}");
        assert_eq!((&report["kept"], output.status.code()), (&Value::Bool(true), Some(0)), "{report:#}");
        let verdict = report["verdict"][0].as_str().unwrap();
        assert!(verdict.starts_with("Broke at ") && verdict.contains("queue grew from "), "{verdict}");
        return finding.clone();
    }
    unreachable!("the last run says what it found");
}

#[test]
fn a_small_database_pool_is_found_and_whose_it_is() {
    let _shared = PROCESSOR.read().unwrap_or_else(PoisonError::into_inner);
    let finding = found("small-pool", "database_pool");
    assert_eq!(finding["parts"], serde_json::json!(["toy-2"]));
    assert!(finding["queue"].as_f64() > finding["queue_before"].as_f64(), "{finding:#}");
}

#[test]
fn a_slow_backend_is_found_and_which_one() {
    let _shared = PROCESSOR.read().unwrap_or_else(PoisonError::into_inner);
    let finding = found("slow-backend", "slow_backend");
    assert_eq!(finding["parts"], serde_json::json!(["toy-2"]));
}

#[test]
fn a_cache_that_is_too_small_is_found_behind_the_databases_it_fills() {
    let _shared = PROCESSOR.read().unwrap_or_else(PoisonError::into_inner);
    let finding = found("tiny-cache", "cache_too_small");
    assert!(finding["because"].as_str().unwrap().contains("of the reads missed the cache"), "{finding:#}");
}

#[test]
fn a_proxy_with_half_a_core_is_found() {
    let _alone = PROCESSOR.write().unwrap_or_else(PoisonError::into_inner);
    let finding = found("half-proxy", "proxy_cpu");
    assert_eq!(finding["parts"], serde_json::json!(["proxy"]));
}

#[test]
fn other_experiments_have_nothing_planted() {
    let (output, _) = lab(&["availability", "--plant", "tiny-cache"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("--plant is for `evenkeel lab throughput` alone"), "{said}");
}
