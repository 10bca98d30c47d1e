//! Bodies stream: nothing is held back, nothing is held whole, and who is slow slows the other side.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use evenkeel_testkit::{Gate, Origin, Proxy, eventually, reply};

const MEBIBYTE: u64 = 1 << 20;
/// Everything that the kernel may hold on both connections: far less than a body of [`LARGE`] bytes.
const BUFFERS: u64 = 120 * MEBIBYTE;
const LARGE: u64 = 400 * MEBIBYTE;
/// What a body may add to the proxy's memory, in a debug build too.
const MEMORY: u64 = 32 * MEBIBYTE;

#[test]
fn a_large_upload_passes_in_bounded_memory() {
    const SIZE: u64 = 100 * MEBIBYTE;
    let origin = Origin::script(|conversation| {
        while let Some(head) = conversation.head() {
            let length = head.fields.value("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
            if !conversation.discard(length) {
                return;
            }
            conversation.mark_whole();
            conversation.send(reply(200, length.to_string()));
        }
    });
    let proxy = Proxy::before(&[origin.address()]);
    proxy.get("/warm").expect_status(200);
    let before = proxy.resident_bytes();
    let mut client = proxy.client();
    client.send(format!("PUT /large HTTP/1.1\r\nHost: test\r\nContent-Length: {SIZE}\r\n\r\n"));
    let piece = vec![b'x'; MEBIBYTE as usize];
    let mut peak = 0;
    for number in 0..SIZE / MEBIBYTE {
        client.send(&piece);
        if number % 10 == 0 {
            peak = peak.max(proxy.resident_bytes());
        }
    }
    client.response().expect_status(200).expect_body(SIZE.to_string());
    assert!(peak < before + MEMORY, "{before} bytes resident before, {peak} at most during the upload");
}

#[test]
fn a_large_download_passes_in_bounded_memory() {
    const SIZE: u64 = 100 * MEBIBYTE;
    let origin = Origin::script(|conversation| {
        while let Some(request) = conversation.request() {
            if request.target != "/large" {
                conversation.send(reply(200, ""));
                continue;
            }
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
            let piece = vec![b'x'; MEBIBYTE as usize];
            for _ in 0..SIZE / MEBIBYTE {
                conversation.send(&piece);
            }
        }
    });
    let proxy = Proxy::before(&[origin.address()]);
    proxy.get("/warm").expect_status(200);
    let before = proxy.resident_bytes();
    let mut client = proxy.client();
    client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response_head().expect_status(200).expect_field("content-length", &SIZE.to_string());
    let mut peak = 0;
    for _ in 0..10 {
        client.discard(SIZE / 10);
        peak = peak.max(proxy.resident_bytes());
    }
    assert!(peak < before + MEMORY, "{before} bytes resident before, {peak} at most during the download");
    client.exchange("GET /after HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
}

#[test]
fn a_slow_reader_holds_the_origin_back() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let origin = Origin::script(move |conversation| {
        if conversation.request().is_none() {
            return;
        }
        conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
        let piece = vec![b'x'; 256 * 1024];
        let mut left = LARGE;
        while left > 0 {
            let now = (left as usize).min(piece.len());
            let Some(count) = conversation.send_some(&piece[..now]) else { return };
            left -= count as u64;
            counter.fetch_add(count as u64, Ordering::SeqCst);
        }
        conversation.await_end();
    });
    let proxy = Proxy::before(&[origin.address()]);
    let before = proxy.resident_bytes();
    let mut client = proxy.client();
    client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response_head().expect_status(200);
    let stuck = wait_until_still(&sent);
    assert!(stuck < BUFFERS, "the origin could send {stuck} bytes to a client that reads nothing");
    let during = proxy.resident_bytes();
    assert!(during < before + MEMORY, "{before} bytes resident before, {during} while the client sleeps");
    client.discard(LARGE);
    assert_eq!(sent.load(Ordering::SeqCst), LARGE);
}

#[test]
fn a_slow_origin_holds_the_client_back() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conversation| {
        if conversation.head().is_none() {
            return;
        }
        held.wait();
        if conversation.discard(LARGE) {
            conversation.send(reply(200, "all of it"));
        }
        conversation.await_end();
    });
    let proxy = Proxy::before(&[origin.address()]);
    let before = proxy.resident_bytes();
    let mut client = proxy.client();
    client.send(format!("PUT /large HTTP/1.1\r\nHost: test\r\nContent-Length: {LARGE}\r\n\r\n"));
    let piece = vec![b'x'; 256 * 1024];
    let sent =
        client.send_until_full(&piece, LARGE, Duration::from_millis(700)).expect("the connection stays");
    assert!(sent < BUFFERS, "the client could send {sent} bytes to an origin that reads nothing");
    let during = proxy.resident_bytes();
    assert!(during < before + MEMORY, "{before} bytes resident before, {during} while the origin sleeps");
    gate.open();
    let mut left = LARGE - sent;
    while left > 0 {
        let now = (left as usize).min(piece.len());
        client.send(&piece[..now]);
        left -= now as u64;
    }
    client.response().expect_status(200).expect_body("all of it");
}

#[test]
fn a_response_streams_while_it_is_made() {
    let gates: Vec<Gate> = (0..3).map(|_| Gate::new()).collect();
    let held = gates.clone();
    let origin = Origin::script(move |conversation| {
        conversation.request();
        conversation
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (number, gate) in held.iter().enumerate() {
            conversation.send(format!("8\r\nevent: {number}\r\n"));
            gate.wait();
        }
        conversation.send("0\r\n\r\n");
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send("GET /events HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response_head().expect_status(200);
    // Each event arrives before the next one is made.
    let mut received = String::new();
    for (number, gate) in gates.iter().enumerate() {
        while !received.contains(&format!("event: {number}")) {
            received.push_str(&String::from_utf8_lossy(&client.read_some()));
        }
        gate.open();
    }
    while !received.ends_with("0\r\n\r\n") {
        received.push_str(&String::from_utf8_lossy(&client.read_some()));
    }
}

#[test]
fn a_request_streams_while_it_is_made() {
    let origin = Origin::script(|conversation| {
        while conversation.head().is_some() {
            let Some(request) = conversation.body() else { return };
            conversation.send(reply(200, &request.body));
        }
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send("POST /up HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("5\r\nfirst\r\n");
    // The head and the first part reach the origin although the rest is not even made yet.
    let head = origin.wait_for_heads(1).remove(0);
    origin.wait_for_bytes(head.raw_head.len() as u64 + 5);
    client.send("6\r\nsecond\r\n");
    origin.wait_for_bytes(head.raw_head.len() as u64 + 11);
    client.send("0\r\n\r\n");
    origin.wait_for(1);
    client.response().expect_status(200).expect_body("firstsecond");
}

#[test]
fn both_directions_stream_at_once() {
    let origin = Origin::script(|conversation| {
        conversation.head();
        conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut seen = Vec::new();
        for number in 0..5 {
            let wanted = format!("ping {number}");
            while !String::from_utf8_lossy(&seen).contains(&wanted) {
                let Some(bytes) = conversation.some() else { return };
                seen.extend_from_slice(&bytes);
            }
            conversation.send(format!("6\r\npong {number}\r\n"));
        }
        while !seen.ends_with(b"0\r\n\r\n") {
            let Some(bytes) = conversation.some() else { return };
            seen.extend_from_slice(&bytes);
        }
        conversation.send("0\r\n\r\n");
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send("POST /talk HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("6\r\nping 0\r\n");
    client.response_head().expect_status(200);
    let mut received = String::new();
    for number in 0..5 {
        while !received.contains(&format!("pong {number}")) {
            received.push_str(&String::from_utf8_lossy(&client.read_some()));
        }
        if number < 4 {
            client.send(format!("6\r\nping {}\r\n", number + 1));
        }
    }
    client.send("0\r\n\r\n");
    while !received.ends_with("0\r\n\r\n") {
        received.push_str(&String::from_utf8_lossy(&client.read_some()));
    }
}

#[test]
fn an_answer_before_the_end_of_the_request_reaches_the_client() {
    let origin = Origin::script(|conversation| {
        if let Some(head) = conversation.head() {
            if head.target == "/early" {
                conversation
                    .send("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
                conversation.shutdown_write();
                conversation.await_end();
            } else {
                conversation.send(reply(200, "fine"));
            }
        }
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send("PUT /early HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\nonly a part");
    client.response().expect_status(403).expect_body("no");
    // The rest of the body never comes, so nothing after it can be taken for a request.
    proxy.get("/after").expect_status(200).expect_body("fine");
}

/// Waits until the number has not grown for half a second, and gives it.
fn wait_until_still(number: &AtomicU64) -> u64 {
    let mut last = 0;
    eventually("the origin to be held back", || {
        let now = number.load(Ordering::SeqCst);
        if now > 0 && now == last {
            thread::sleep(Duration::from_millis(500));
            if number.load(Ordering::SeqCst) == now {
                return Ok(now);
            }
        }
        last = now;
        Err(format!("{now} bytes sent"))
    })
}
