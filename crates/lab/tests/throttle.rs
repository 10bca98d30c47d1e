//! A part that is held back uses its share and no more, and goes on as before afterwards.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_lab::site::{Scheduled, Site, Throttle, ask};
use evenkeel_testkit::binary;

const SHARE: f64 = 0.1;

#[test]
fn a_part_uses_its_share_of_a_core_and_goes_on_afterwards() {
    let site = Site::new(binary("evenkeel")).unwrap();
    let toy = site.toy("toy", &["--rows", "1"]).unwrap();
    // It is busy for as long as somebody reads.
    let mut stream = TcpStream::connect(toy.address()).unwrap();
    stream.write_all(b"GET /bytes/10737418240 HTTP/1.1\r\nHost: toy\r\n\r\n").unwrap();
    let reader = stream.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut reader = reader;
        let mut buffer = vec![0; 1 << 20];
        while reader.read(&mut buffer).is_ok_and(|length| length > 0) {}
    });
    let used = |for_so_long: Duration| {
        let (at, before) = (Instant::now(), Scheduled::of(toy.pid()).unwrap());
        thread::sleep(for_so_long);
        (Scheduled::of(toy.pid()).unwrap() - before).ran.as_secs_f64() / at.elapsed().as_secs_f64()
    };
    let throttle = Throttle::start(&toy, SHARE).unwrap();
    assert_eq!(throttle.part().name(), "toy");
    // What it used until it was held back for the first time is owed.
    let held_back = used(Duration::from_secs(1));
    drop(throttle);
    assert!(held_back < 2.0 * SHARE, "{held_back}");
    // Nothing less than an answer shows that it runs.
    let answer = ask(toy.address(), "GET", "/healthz", Duration::from_secs(30)).unwrap();
    assert_eq!(answer.status, 200);
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    reading.join().unwrap();
    for cores in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = Throttle::start(&toy, cores).unwrap_err();
        assert!(error.to_string().contains("cannot have"), "{error}");
    }
}
