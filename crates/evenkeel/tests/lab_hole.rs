//! A black hole, made of a process that is stopped and a queue that is full: nothing is answered, and it ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use evenkeel_lab::site::{Hole, Part, Site, ask};

fn toy(site: &Site, backlog: &str) -> Part {
    site.toy("toy", &["--rows", "1", "--backlog", backlog]).unwrap()
}

fn is_well(toy: &Part) -> bool {
    ask(toy.address(), "GET", "/", Duration::from_secs(20)).is_ok_and(|answer| answer.status == 200)
}

#[test]
fn nobody_gets_a_connection_until_it_is_filled() {
    let site = Site::new(env!("CARGO_BIN_EXE_evenkeel").into()).unwrap();
    let toy = toy(&site, "8");
    assert!(is_well(&toy));
    let hole = Hole::dig(&toy, 8).unwrap();
    for _ in 0..3 {
        let error = TcpStream::connect_timeout(&toy.address(), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "neither taken nor refused");
    }
    hole.fill(&toy).unwrap();
    assert!(is_well(&toy));
}

#[test]
fn a_queue_that_does_not_get_full_is_told_and_the_part_goes_on() {
    let site = Site::new(env!("CARGO_BIN_EXE_evenkeel").into()).unwrap();
    let toy = toy(&site, "64");
    let error = Hole::dig(&toy, 4).unwrap_err();
    assert!(error.to_string().contains("toy takes more connections than 4"), "{error}");
    assert!(is_well(&toy));
}
