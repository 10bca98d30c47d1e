//! `evenkeel lab scalability`, quick: more backends serve more, and the report says what was full where they do not.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn backends_add_up_until_something_is_full_and_that_is_named() {
    let out = std::env::temp_dir().join(format!("evenkeel-lab-scalability-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["lab", "scalability", "--quick", "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let json = std::fs::read_to_string(out.join("scalability.json")).unwrap_or_default();
    let _ = std::fs::remove_dir_all(&out);
    let report: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let data = &report["data"];
    let steady = data["steady"]["points"].as_array().unwrap();
    let counts: Vec<u64> = steady.iter().map(|point| point["backends"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 2, 4, 8]);
    let rates: Vec<f64> = steady.iter().map(rate).collect();
    // A place serves one request in 50 ms at best: no more is to be had, and whoever counts more counts wrong.
    for (count, rate) in counts.iter().zip(&rates) {
        assert!(*rate <= 100.0 * *count as f64 * 1.05, "{data:#}");
    }
    assert!(rates.is_sorted() && rates[3] > 2.0 * rates[0], "{data:#}");
    for point in steady.iter().chain([&data["direct"]]) {
        assert_eq!(point["at_0.7"]["failed"], serde_json::json!({}), "{point:#}");
        assert!(point["at_0.7"]["p50_seconds"].as_f64().unwrap() >= 0.05, "{point:#}");
    }
    // Eight that could do 4,000 each are more than a debug build can drive on the cores it shares with them.
    let fast = data["fast"]["points"].as_array().unwrap();
    assert!(rate(&fast[3]) > rate(&steady[3]) || fast[3]["limit"] != "backends", "{data:#}");
    for curve in ["steady", "fast"] {
        let law = &data[curve]["law"];
        assert!(law["sigma"].as_f64().unwrap() >= 0.0 && law["lambda"].as_f64().unwrap() > 0.0, "{law:#}");
    }
    let workers: Vec<u64> =
        data["workers"].as_array().unwrap().iter().map(|it| it["workers"].as_u64().unwrap()).collect();
    assert_eq!(workers, [1, 2]);
    // What is promised of efficiency and latency is promised of a machine with room; failures are, of any.
    let broken = report["promises"].as_array().unwrap().iter().filter(|promise| promise["kept"] == false);
    assert!(
        broken.clone().all(|promise| !promise["what"].as_str().unwrap().contains("failed")),
        "{:#?}",
        broken.collect::<Vec<_>>()
    );
}

fn rate(point: &Value) -> f64 {
    point["saturated"]["requests_per_second"].as_f64().unwrap()
}
