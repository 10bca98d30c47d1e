//! `evenkeel lab consistency`, quick: what is given up for answering, and what for being right.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Stdio};

#[test]
fn each_choice_gives_up_what_it_says() {
    let out = std::env::temp_dir().join(format!("evenkeel-lab-consistency-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["lab", "consistency", "--quick", "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let json = std::fs::read_to_string(out.join("consistency.json")).unwrap_or_default();
    let _ = std::fs::remove_dir_all(&out);
    let report: serde_json::Value =
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let modes = report["data"]["modes"].as_array().unwrap();
    let figure = |mode: &str, phase: &str, figure: &str| {
        let mode = modes.iter().find(|it| it["mode"] == mode).unwrap();
        let phases = mode["phases"].as_array().unwrap();
        let phase = phases.iter().find(|it| it["phase"] == phase).unwrap();
        phase[figure].as_f64().unwrap()
    };
    // On a busy machine some requests are late, so shares are compared and none has to be zero.
    let share = |mode: &str, phase: &str, what: &str| {
        figure(mode, phase, what) / figure(mode, phase, "reads").max(1.0)
    };
    // With nothing but a time to live, old values are read; told of writes, a cache has hardly any.
    let stale = |mode: &str| share(mode, "all is well", "stale");
    assert!(stale("TTL only") > 0.05, "{report:#}");
    assert!(stale("TTL only") > 2.0 * stale("invalidate").max(stale("write-through")), "{report:#}");
    // A replica that is cut off has old values for as long as it answers: here until a second's silence.
    let cut = |mode: &str| share(mode, "replica cut off", "stale");
    assert!(cut("TTL only") > cut("replica refuses"), "{report:#}");
    // Without the database it is an old value or none.
    let down = |mode: &str, what: &str| share(mode, "database down", what);
    for (serves, refuses) in
        [("TTL, stale on error", "TTL only"), ("invalidate, stale on error", "invalidate")]
    {
        assert!(down(serves, "failed") < down(refuses, "failed"), "{serves}: {report:#}");
        assert!(down(serves, "said_to_be_stale") > 0.1, "{serves}: {report:#}");
        assert_eq!(down(refuses, "said_to_be_stale"), 0.0, "{refuses}: {report:#}");
    }
    assert!(down("TTL, stale on error", "stale") > 0.1, "{report:#}");
    let (written, read) = (down("invalidate, stale on error", "stale"), down("TTL, stale on error", "stale"));
    assert!(written < read, "writes keep copies up to date: {report:#}");
    for mode in ["invalidate", "write-through", "TTL only"] {
        assert!(down(mode, "failed") > 0.2, "{mode}: {report:#}");
        assert!(share(mode, "cache dead", "failed") < 0.1, "the database answers: {mode}: {report:#}");
    }
}
