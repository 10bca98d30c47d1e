//! `evenkeel lab availability`, quick: the failures reach clients without a proxy, and none behind one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Stdio};

#[test]
fn failures_cost_clients_something_only_without_a_proxy() {
    let out = std::env::temp_dir().join(format!("evenkeel-lab-availability-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["lab", "availability", "--quick", "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let json = std::fs::read_to_string(out.join("availability.json")).unwrap_or_default();
    let _ = std::fs::remove_dir_all(&out);
    let report: serde_json::Value =
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let data = &report["data"];
    assert_eq!(data["behind"]["failed"], serde_json::json!({}), "{report:#}");
    assert!(data["behind"]["ok"].as_u64().unwrap() > 1_000, "{data:#}");
    let failures = data["failures"].as_array().unwrap();
    let alone =
        |name: &str| failures.iter().find(|it| it["failure"] == name).map(|it| it["alone"]["failed"].clone());
    // Nobody refuses in a black hole, and a reset is seen as one.
    let (hole, reset) = (alone("black hole").unwrap(), alone("reset").unwrap());
    assert!(hole["timeout"].is_u64() && hole.get("connect").is_none(), "{data:#}");
    assert!(reset["reset"].is_u64() && reset.get("timeout").is_none(), "{data:#}");
    for failure in failures {
        assert_ne!(failure["alone"]["failed"], serde_json::json!({}), "{failure:#}");
        let is_known = failure["known_after_seconds"].is_number();
        assert_eq!(is_known, failure["failure"] != "fast 500s, probes well", "{failure:#}");
    }
}
