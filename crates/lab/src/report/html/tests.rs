//! Tests of the page: well-formed, escaped, on its own.

use super::super::{index, sample};
use super::*;

/// Checks that every element is closed in its order, and that text holds no bare sign.
fn check(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
    let mut open: Vec<&str> = Vec::new();
    let mut parts = body.split('<');
    assert_eq!(parts.next(), Some(""));
    for part in parts {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("unfinished: <{part}"));
        assert!(!text.contains('>') || tag == "style", "a bare > in {text}");
        for entity in text.split('&').skip(1) {
            assert!(
                ["lt;", "gt;", "amp;", "quot;", "#39;"].iter().any(|known| entity.starts_with(known)),
                "{text}"
            );
        }
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_page_is_well_formed_and_needs_nothing_else() {
    let page = page(&sample::report());
    check(&page);
    for outside in ["http:", "https:", "//", "url(", "@import", "<script", " src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("SIGSTOP of toy-3 &lt;frozen&gt;") && !page.contains("<frozen>"));
    assert!(page.contains("That is &quot;five nines&quot; against &lt;one&gt;."));
    assert!(page.contains("<a href=\"availability.json\">"));
    assert!(
        page.contains("✗ BROKEN") && page.contains("✓ kept") && page.contains("1 OF 2 PROMISES WAS BROKEN")
    );
    assert!(page.contains("<td class=\"right\">9,840</td>"));
    let order = ["class=\"outcome", ">Promises<", ">Failures<", ">How it was measured<", ">Circumstances<"];
    assert!(order.map(|part| page.find(part).unwrap()).is_sorted());
    assert!(page.len() < 400_000, "{} bytes for 16,000 points", page.len());
}

#[test]
fn hostile_words_stay_words() {
    let mut report = sample::report();
    let hostile = "\"><script>alert('&')</script>";
    report.name = hostile.to_owned();
    report.question = hostile.to_owned();
    report.circumstances.command = hostile.to_owned();
    for block in &mut report.blocks {
        match block {
            Block::Heading { text } | Block::Text { text } => *text = hostile.to_owned(),
            Block::Table(table) => {
                table.title = hostile.to_owned();
                table.head.fill(hostile.to_owned());
            }
            Block::Plot(plot) => {
                for label in [&mut plot.title, &mut plot.x.label, &mut plot.y.label] {
                    *label = hostile.to_owned();
                }
                plot.lines.iter_mut().for_each(|line| line.name = hostile.to_owned());
                plot.marks.iter_mut().for_each(|mark| mark.label = hostile.to_owned());
            }
        }
    }
    let page = page(&report);
    check(&page);
    assert!(!page.contains("<script"));
}

#[test]
fn files_are_whole_and_say_where_they_are() {
    let directory = std::env::temp_dir().join(format!("evenkeel-report-{}", std::process::id()));
    let report = sample::report();
    let [html, json] = report.write(&directory.join("deep/er")).unwrap();
    let contents = index(&directory.join("deep/er"), &[report.clone(), report]).unwrap();
    let contents = std::fs::read_to_string(contents).unwrap();
    check(&contents);
    assert_eq!(contents.matches("<a href=\"availability.html\">").count(), 2);
    check(&std::fs::read_to_string(&html).unwrap());
    let data: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&data["schema"], &data["kept"]), (&1.into(), &false.into()));
    assert_eq!(data["data"]["requests"][2], 3);
    assert!(data["blocks"][3]["lines"][1]["points"][2_000][1].is_null());
    let names = std::fs::read_dir(directory.join("deep/er")).unwrap().count();
    assert_eq!(names, 3, "no temporary file is left");
    std::fs::write(directory.join("file"), "").unwrap();
    let wrong = sample::report().write(&directory.join("file")).unwrap_err().to_string();
    assert!(wrong.contains("file/availability.json cannot be written") && wrong.contains("--out"), "{wrong}");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
#[ignore = "writes a page to look at: cargo test -p evenkeel-lab --lib report::html -- --ignored"]
fn sample_to_look_at() {
    sample::report().write(&std::env::temp_dir().join("evenkeel-sample-report")).unwrap();
}
