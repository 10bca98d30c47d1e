//! Laws of every input: nothing panics, every report can be shown, the same text gives the same answer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may fail this way

use std::fs;
use std::path::Path;

use evenkeel_config::{Plan, parse};
use proptest::prelude::*;

/// The good files, to be spoiled.
fn good() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("tests/golden/good"), root.join("../../examples"), root.join("../../config")];
    let entries =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

fn holds(text: &str) {
    match parse(text, "law") {
        Ok(checked) => {
            whole(&checked.plan);
            let _ = checked.warnings.render(true);
        }
        Err(report) => {
            assert!(!report.is_empty());
            let shown = report.to_string();
            assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
            for diagnostic in report.diagnostics() {
                if let Some(place) = &diagnostic.place {
                    assert!(text.get(place.span.clone()).is_some(), "{place:?} is no part of the text");
                }
            }
        }
    }
}

/// What `Plan` promises.
fn whole(plan: &Plan) {
    let unique = |mut names: Vec<&str>| {
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    };
    unique(plan.listeners.iter().map(|l| l.name.as_str()).collect());
    unique(plan.routes.iter().map(|r| r.name.as_str()).collect());
    unique(plan.upstreams.iter().map(|u| u.name.as_str()).collect());
    assert!(!plan.listeners.is_empty());
    let upstreams = plan.upstreams.len();
    assert!(plan.listeners.iter().all(|listener| listener.upstream.is_none_or(|at| at < upstreams)));
    for route in &plan.routes {
        assert!(route.listener.is_none_or(|at| at < plan.listeners.len()));
        match &route.action {
            evenkeel_config::plan::Action::Upstream(at) => assert!(*at < upstreams),
            evenkeel_config::plan::Action::Split(parts) => {
                assert!(parts.iter().all(|(at, _)| *at < upstreams));
                assert!(parts.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>() > 0);
            }
            _ => {}
        }
    }
    for upstream in &plan.upstreams {
        assert!(!upstream.endpoints.is_empty());
        let labels: Vec<String> = upstream.endpoints.iter().map(|e| e.address.to_string()).collect();
        unique(labels.iter().map(String::as_str).collect());
    }
}

#[test]
fn good_files_hold() {
    good().iter().for_each(|text| holds(text));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        holds(&text);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        holds(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn text_made_of_pieces_of_toml(
        pieces in proptest::collection::vec(
            prop::sample::select(vec![
                "[", "]", "[[", "]]", "{", "}", "=", ".", ",", "\n", "\"", "'", "\"\"\"", " ", "1", "1.5", "true", "#",
                "listener", "web", "upstream", "route", "match", "endpoints", "address", "split", "health", "a",
                "\"127.0.0.1:1\"", "\"x\"", "-", "1979-05-27", "0x", "\\", "ü", "\u{0}", "\r",
            ]),
            0..60,
        )
    ) {
        holds(&pieces.concat());
    }

    #[test]
    fn good_files_spoiled(
        file in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..12, "[\\[\\]{}=.,\"'\n a-z0-9#]{0,6}"), 1..6),
    ) {
        let files = good();
        let mut text: Vec<char> = file.get(&files).chars().collect();
        for (at, length, replacement) in cuts {
            let start = at.index(text.len().max(1)).min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, replacement.chars());
        }
        holds(&text.into_iter().collect::<String>());
    }

    #[test]
    fn the_lines_of_good_files_shuffled(file in any::<prop::sample::Index>(), swaps in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8)) {
        let files = good();
        let mut lines: Vec<&str> = file.get(&files).lines().collect();
        for (a, b) in swaps {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
        }
        holds(&lines.join("\n"));
    }

    #[test]
    fn any_command_line(
        listen in proptest::collection::vec("[0-9a-z:./\\[\\]]{0,20}|127.0.0.1:80", 0..3),
        to in proptest::collection::vec("[0-9a-z:./\\[\\]]{0,20}|a:80", 0..3),
        protocol in prop::option::of("tcp|http|\\PC{0,6}"),
        balance in proptest::option::of("\\PC{0,8}|random"),
        health in proptest::option::of("\\PC{0,8}|/x"),
    ) {
        match Plan::for_endpoints(&listen, &to, protocol.as_deref(), balance.as_deref(), health.as_deref()) {
            Ok(plan) => whole(&plan),
            Err(report) => { let _ = report.to_string(); }
        }
    }
}
