//! `evenkeel lab latency`, quick: an index and a cache each take work from the database, and answers stay below the line.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Stdio};

#[test]
fn each_step_takes_work_from_the_database() {
    let out = std::env::temp_dir().join(format!("evenkeel-lab-latency-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["lab", "latency", "--quick", "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let json = std::fs::read_to_string(out.join("latency.json")).unwrap_or_default();
    let _ = std::fs::remove_dir_all(&out);
    let report: serde_json::Value =
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let steps = report["data"]["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["full table scan", "indexed query", "cache-aside"]);
    // What the database did is the same on a busy machine; latencies are not, so they are for the report.
    let database =
        |step: usize, rate: usize| steps[step]["rates"][rate]["database_seconds_each"].as_f64().unwrap();
    for rate in 0..2 {
        assert!(database(0, rate) > 2.0 * database(1, rate), "an index: {report:#}");
        assert!(database(1, rate) > 2.0 * database(2, rate), "a cache: {report:#}");
        for step in steps {
            assert!(step["rates"][rate]["ok"].as_u64().unwrap() > 5, "{step:#}");
        }
        for step in &steps[..2] {
            assert_eq!(step["rates"][rate]["cache_hits"], 0, "{step:#}");
        }
        let cache = &steps[2]["rates"][rate];
        assert!(cache["cache_hits"].as_u64() > Some(cache["ok"].as_u64().unwrap() / 2), "{cache:#}");
    }
    // The second rate is twice what the scan can serve.
    let in_time = |step: usize| steps[step]["rates"][1]["share_within_200_ms"].as_f64().unwrap();
    assert!(in_time(0) < 0.9 && in_time(2) > in_time(0), "{report:#}");
}
