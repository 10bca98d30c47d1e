//! The access log on real files: what arrives, what rotation and a full disk do, and that a stalled target costs lines
//! only; and the two formats against their documentation.

use super::batch::AccessWriter;
use super::timestamp::Timestamp;
use super::*;
use crate::{Telemetry, number};
use evenkeel_policy::rejection::Rejection;
use proptest::prelude::*;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

/// The example of the documentation.
fn record() -> Record<'static> {
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_123),
        request_id: b"4f1c0a9e5b7d43f2a1b0c9d8e7f60514",
        client: Client::Ip(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))),
        listener: "web",
        route: "api",
        method: b"GET",
        host: b"api.example.com",
        path: b"/v1/items?name=a%20b",
        status: 200,
        reason: None,
        bytes_in: 142,
        bytes_out: 2_310,
        duration: Duration::from_micros(3_482),
        upstream: "app",
        endpoint: "10.0.0.2:8080",
        attempts: 1,
        connect: Some(Duration::from_micros(211)),
        first_byte: Some(Duration::from_micros(3_020)),
        tls: Some("1.3"),
    }
}

/// The other example: nothing could be reached.
fn failure() -> Record<'static> {
    Record {
        path: b"/v1/\"evil\"\x1b[31m",
        status: 502,
        reason: Some(Rejection::ConnectRefused),
        bytes_out: 208,
        attempts: 3,
        connect: None,
        first_byte: None,
        tls: None,
        ..record()
    }
}

fn text(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    text::put_line(&mut out, &mut Timestamp::default(), record);
    String::from_utf8(out).unwrap()
}

fn json(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    json::put_line(&mut out, &mut Timestamp::default(), record);
    String::from_utf8(out).unwrap()
}

/// A new directory, removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("evenkeel-access-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn write_numbered(writer: &mut AccessWriter, numbers: std::ops::Range<u64>) {
    let mut path = Vec::new();
    for n in numbers {
        path.clear();
        path.push(b'/');
        number::put(&mut path, n);
        writer.record(&Record { path: &path, ..record() });
    }
}

/// The numbers of [`write_numbered`], read back from text lines.
fn numbers(lines: &str) -> Vec<u64> {
    lines.lines().map(|line| line.split(' ').nth(4).unwrap()[1..].parse().unwrap()).collect()
}

#[test]
fn documented_examples_are_true() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/access-log.md");
    let document = std::fs::read_to_string(document).unwrap();
    for line in [text(&record()), text(&failure()), json(&record()), json(&failure())] {
        assert!(document.contains(&format!("\n{line}")), "docs/access-log.md lacks the line\n{line}");
    }
    let object: serde_json::Map<_, _> = serde_json::from_str(&json(&record())).unwrap();
    for key in object.keys() {
        assert!(document.contains(&format!("| `{key}` |")), "docs/access-log.md does not explain {key}");
    }
    assert!(
        document.contains(&format!("{} bytes", record::PATH))
            && document.contains(&format!("{} bytes", record::FIELD))
    );
}

#[test]
fn nothing_known_is_still_a_line() {
    let empty = Record {
        request_id: b"",
        client: Client::Text("unix:"),
        listener: "web",
        route: "",
        method: b"",
        host: b"",
        path: b"",
        status: 0,
        upstream: "",
        endpoint: "",
        attempts: 0,
        bytes_in: 0,
        bytes_out: 0,
        duration: Duration::ZERO,
        ..failure()
    };
    assert_eq!(
        text(&empty),
        "2026-01-01T00:00:00.123Z unix: - - - - 0.000ms reason=connect_refused listener=web attempts=0 bytes_in=0 \
         bytes_out=0\n"
    );
    let object: serde_json::Map<_, _> = serde_json::from_str(&json(&empty)).unwrap();
    assert_eq!(object.len(), 19, "the same keys always");
    assert!(object["method"].is_null() && object["status"].is_null() && object["time_to_connect"].is_null());
}

#[test]
fn every_line_arrives_in_order() {
    let directory = Directory::new();
    let path = directory.file("access.log");
    let log = AccessLog::start(Target::File(path.clone()), Format::Text).unwrap();
    let mut writer = log.writer();
    assert!(writer.is_on());
    for start in (0..5_000).step_by(50) {
        write_numbered(&mut writer, start..start + 50);
        writer.flush();
    }
    write_numbered(&mut writer, 5_000..5_003);
    drop(writer);
    log.close();
    log.close();
    let read = numbers(&std::fs::read_to_string(path).unwrap());
    // Nothing waits for the disk: what it did not take in time is counted, never torn or reordered.
    assert!(read.is_sorted_by(|a, b| a < b));
    assert_eq!(read.len() as u64 + log.dropped(), 5_003);
}

#[test]
fn writers_of_many_threads_share_one_file() {
    let directory = Directory::new();
    let path = directory.file("access.log");
    let log = AccessLog::start(Target::File(path.clone()), Format::Json).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut writer = log.writer();
            // Ten batches each: fewer than the queue holds, so that none is lost.
            scope.spawn(move || {
                (0..10).for_each(|_| {
                    write_numbered(&mut writer, 0..20);
                    writer.flush();
                })
            });
        }
    });
    log.close();
    let read = std::fs::read_to_string(path).unwrap();
    assert_eq!((read.lines().count(), log.dropped()), (800, 0));
    for line in read.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn off_is_off() {
    let log = AccessLog::start(Target::Off, Format::Text).unwrap();
    let mut writer = log.writer();
    assert!(!writer.is_on());
    write_numbered(&mut writer, 0..10);
    writer.flush();
    drop(writer);
    log.reopen();
    log.close();
    assert_eq!(log.dropped(), 0);
}

#[test]
fn a_target_that_cannot_be_opened_is_named() {
    let error = AccessLog::start(Target::File("/nonexistent/access.log".into()), Format::Text).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/nonexistent/access.log"), "{error}");
}

#[test]
fn rotation_moves_on_to_the_new_file() {
    let directory = Directory::new();
    let (path, rotated) = (directory.file("access.log"), directory.file("access.log.1"));
    let log = AccessLog::start(Target::File(path.clone()), Format::Text).unwrap();
    let mut writer = log.writer();
    write_numbered(&mut writer, 0..10);
    std::fs::rename(&path, &rotated).unwrap();
    log.reopen();
    writer.flush();
    write_numbered(&mut writer, 10..20);
    drop(writer);
    log.close();
    assert_eq!(numbers(&std::fs::read_to_string(path).unwrap()), (0..20).collect::<Vec<_>>());
    assert_eq!(std::fs::read_to_string(rotated).unwrap(), "");
}

#[test]
fn a_stalled_target_costs_lines_and_never_waits() {
    let (mut reader, pipe) = io::pipe().unwrap();
    let log = AccessLog::on(File::from(OwnedFd::from(pipe)), None, Format::Text).unwrap();
    let telemetry = Telemetry::new();
    telemetry.watch(&log);
    let mut writer = log.writer();
    // Far more than pipe, queue and batch hold; it would never return if it waited, since nobody reads yet.
    let sent = 80_000;
    write_numbered(&mut writer, 0..sent);
    let lost = log.dropped();
    assert!(lost > 0 && lost < sent, "{lost}");
    assert_eq!(telemetry.totals().access_log_dropped, lost);
    let reading = std::thread::spawn(move || {
        let mut lines = String::new();
        reader.read_to_string(&mut lines).unwrap();
        lines
    });
    drop(writer);
    log.close();
    let read = numbers(&reading.join().unwrap());
    assert!(read.is_sorted_by(|a, b| a < b), "whole lines in order");
    assert_eq!(read.len() as u64 + log.dropped(), sent);
    let lost = log.dropped();
    drop(log);
    assert_eq!(
        telemetry.totals().access_log_dropped,
        lost,
        "a log that is gone keeps its losses on the page"
    );
}

#[test]
fn a_flush_that_the_queue_refuses_keeps_its_lines() {
    let (reader, pipe) = io::pipe().unwrap();
    let log = AccessLog::on(File::from(OwnedFd::from(pipe)), None, Format::Text).unwrap();
    let mut writer = log.writer();
    // The thread stalls in a batch larger than the pipe; then the queue fills up with small ones.
    write_numbered(&mut writer, 0..1_000);
    for n in 1_000..1_000 + 2 * QUEUE as u64 {
        write_numbered(&mut writer, n..n + 1);
        writer.flush();
    }
    assert_eq!(log.dropped(), 0);
    drop(writer);
    drop(reader);
    log.close();
}

#[test]
fn a_full_disk_is_counted_and_survived() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return eprintln!("skipped: there is no /dev/full here");
    }
    let log = AccessLog::start(Target::File(full.into()), Format::Text).unwrap();
    let mut writer = log.writer();
    write_numbered(&mut writer, 0..10);
    writer.flush();
    write_numbered(&mut writer, 10..15);
    drop(writer);
    log.close();
    assert_eq!((log.dropped(), log.write_errors()), (15, 2));
}

#[test]
fn what_comes_after_the_end_is_counted() {
    let directory = Directory::new();
    let log = AccessLog::start(Target::File(directory.file("access.log")), Format::Text).unwrap();
    let mut writer = log.writer();
    log.close();
    write_numbered(&mut writer, 0..3);
    writer.flush();
    assert_eq!(log.dropped(), 3);
}

#[test]
fn long_fields_are_cut_and_a_batch_keeps_its_size() {
    let name = "n".repeat(10_000);
    let bytes = vec![0u8; 100_000];
    let longest = Record {
        request_id: &bytes,
        client: Client::Text(&name),
        listener: &name,
        route: &name,
        method: &bytes,
        host: &bytes,
        path: &bytes,
        upstream: &name,
        endpoint: &name,
        tls: Some(&name),
        ..record()
    };
    for line in [text(&longest), json(&longest)] {
        assert!(line.len() <= longest.ceiling() && longest.ceiling() <= 64 * 1024, "{}", line.len());
        assert!(line.contains("..."));
    }
}

proptest! {
    #[test]
    fn any_bytes_make_one_line_of_each_format(
        fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 4),
        name in ".{0,40}",
        status in 0u16..1000,
        times in (any::<u64>(), 0u64..1 << 40, prop::option::of(0u64..1 << 40)),
    ) {
        let record = Record {
            request_id: &fields[0],
            method: &fields[1],
            host: &fields[2],
            path: &fields[3],
            client: Client::Text(&name),
            route: &name,
            status,
            bytes_out: times.0,
            duration: Duration::from_micros(times.1),
            connect: times.2.map(Duration::from_micros),
            ..record()
        };
        let (text, json) = (text(&record), json(&record));
        for line in [&text, &json] {
            prop_assert!(line.ends_with('\n') && line.len() <= record.ceiling());
            prop_assert!(line.trim_end_matches('\n').bytes().all(|b| b >= 0x20 && b != 0x7f));
            prop_assert_eq!(line.matches('\n').count(), 1);
        }
        // The words stand where they always stand, and each key occurs once.
        let words: Vec<&str> = text.trim_end().split(' ').collect();
        prop_assert!(words[6].ends_with("ms"));
        prop_assert_eq!(words.iter().filter(|word| word.starts_with("bytes_in=")).count(), 1);
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(object.len(), 19);
        prop_assert_eq!(object["bytes_out"].as_u64(), Some(times.0));
        let path: String = fields[3].iter().map(|b| char::from(*b)).collect();
        prop_assert_eq!(object["path"].as_str().unwrap_or_default(), path);
        prop_assert_eq!((object["duration"].as_f64().unwrap() * 1e6).round() as u64, times.1);
    }
}
