//! Receivers that take their time, and receivers that take nothing: the first are served, the second cut off.

use std::thread;
use std::time::{Duration, Instant};

use evenkeel_testkit::{Conversation, Gate, Origin, Proxy, RawClient, app_config, reply};

use crate::own_answers::expect_own;

/// More than the kernel holds on both connections together.
const LARGE: usize = 64 << 20;
/// Bytes a second of a slow receiver. By default a full socket is writable again when a third of it, 400 kB or more, has
/// gone: at this pace that takes longer than [`STALL`].
const PACE: u64 = 150_000;
/// What a slow receiver takes at its pace, before it takes the rest as fast as it can.
const SLOWLY: u64 = 700_000;
/// What the kernel takes ahead of a slow receiver. Left to itself it announces room in steps of hundreds of kB.
const AHEAD: usize = 64 * 1024;
/// The listener's or the upstream's.
const STALL: &str = "stall = \"2s\"";

/// Takes [`SLOWLY`] bytes at [`PACE`]; a pause of the whole machine is made up for, so that it is no stall.
fn take_slowly(mut take: impl FnMut(u64)) {
    let started = Instant::now();
    let mut taken = 0;
    while taken < SLOWLY {
        let due = (started.elapsed().as_millis() as u64 * PACE / 1000).min(SLOWLY);
        if due > taken {
            take(due - taken);
            taken = due;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// An origin that answers with `size` bytes, each `piece` of them followed by a pause.
fn sender(size: usize, piece: usize, pause: Duration) -> Origin {
    Origin::script(move |conversation| {
        conversation.request();
        conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"));
        let piece = vec![b'x'; piece];
        for _ in 0..size / piece.len() {
            if !conversation.send(&piece) {
                return;
            }
            if !pause.is_zero() {
                thread::sleep(pause);
            }
        }
        conversation.await_end();
    })
}

/// Asks for `/slow` and reads the whole of it, slowly at first.
fn read_slowly(origin: &Origin, size: usize) {
    let proxy =
        Proxy::start(&app_config(&[origin.address()], &format!("[listener.web.timeouts]\n{STALL}\n")));
    let mut client = proxy.client();
    client.bound_receive_buffer(AHEAD).send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response_head().expect_status(200);
    take_slowly(|count| client.discard(count));
    client.discard(size as u64 - SLOWLY);
    let line = proxy.wait_for_log_of("/slow");
    assert!(line["reason"].is_null() || line["reason"] == "", "{line}");
}

#[test]
fn a_client_that_reads_slowly_gets_everything() {
    read_slowly(&sender(LARGE, 256 * 1024, Duration::ZERO), LARGE);
}

/// Of an answer that is still being made there is never much to read at once, and yet a slow client lags behind.
#[test]
fn a_client_that_reads_slowly_gets_an_answer_of_small_pieces_too() {
    const SIZE: usize = 6 << 20;
    read_slowly(&sender(SIZE, 8 * 1024, Duration::from_millis(2)), SIZE);
}

#[test]
fn an_endpoint_that_reads_slowly_gets_the_whole_upload() {
    let origin = Origin::script(|conversation: &mut Conversation| {
        conversation.bound_receive_buffer(AHEAD);
        conversation.head();
        let mut is_there = true;
        take_slowly(|count| is_there = is_there && conversation.discard(count));
        if is_there && conversation.discard(LARGE as u64 - SLOWLY) {
            conversation.mark_whole();
            conversation.send(reply(200, "all of it"));
        }
        conversation.await_end();
    });
    let proxy =
        Proxy::start(&app_config(&[origin.address()], &format!("[upstream.app.timeouts]\n{STALL}\n")));
    let mut client = proxy.client();
    client.send(format!("PUT /slow HTTP/1.1\r\nHost: test\r\nContent-Length: {LARGE}\r\n\r\n"));
    client.send(vec![b'x'; LARGE]);
    client.response().expect_status(200).expect_body("all of it");
    assert!(origin.requests()[0].whole);
}

#[test]
fn a_client_that_reads_slowly_and_then_stops_is_cut_off() {
    let origin = sender(LARGE, 256 * 1024, Duration::ZERO);
    let proxy =
        Proxy::start(&app_config(&[origin.address()], &format!("[listener.web.timeouts]\n{STALL}\n")));
    let mut client = proxy.client();
    client.bound_receive_buffer(AHEAD).send("GET /stops HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response_head().expect_status(200);
    take_slowly(|count| client.discard(count));
    let line = proxy.wait_for_log_of("/stops");
    assert_eq!(line["reason"], "client_stalled", "{line}");
    origin.wait_for_end(0);
}

#[test]
fn an_endpoint_that_stops_reading_an_upload_is_504() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conversation| {
        conversation.head();
        held.wait();
    });
    let proxy = Proxy::start(&app_config(
        &[origin.address()],
        "[upstream.app.timeouts]\nstall = \"500ms\"\n[listener.web.timeouts]\nstall = \"20s\"\n",
    ));
    let mut client = proxy.client();
    client.send(format!("PUT /stops HTTP/1.1\r\nHost: test\r\nContent-Length: {LARGE}\r\n\r\n"));
    // The proxy may stop taking it at any point.
    let _ = client.send_until_full(&[b'x'; 64 * 1024], LARGE as u64, Duration::from_millis(300));
    let line = proxy.wait_for_log_of("/stops");
    assert_eq!(line["reason"], "response_timeout", "{line}");
    expect_own(&client.response(), 504, "http_response_timeout");
    gate.open();
}

/// Interim responses that a client has not read wait in the proxy. When no answer follows, the last of them is cut:
/// an answer of the proxy's own, or another endpoint's, would land in the middle of its head.
///
/// On a Unix socket, which holds 208 KiB and not 2.5 MB, so that it is full for certain.
#[test]
fn nothing_lands_in_the_middle_of_an_interim_response() {
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(60_000));
    for (ending, endpoints) in [("", 1), ("", 2), ("nonsense\r\n\r\n", 1), ("HTTP/1.1 101 What\r\n\r\n", 1)] {
        let hints = format!("{}{ending}", hint.repeat(15));
        let origins: Vec<_> = (0..endpoints)
            .map(|_| {
                let hints = hints.clone();
                Origin::script(move |conversation| {
                    conversation.request();
                    conversation.send(&hints);
                })
            })
            .collect();
        let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
        let config = app_config(&addresses, "").replace("127.0.0.1:0", "unix:$DIR/web.sock");
        let proxy = Proxy::start(&config);
        let mut client = RawClient::connect_unix(&proxy.dir().join("web.sock"));
        client.send("GET /hints HTTP/1.1\r\nHost: test\r\n\r\n");
        let line = proxy.wait_for_log_of("/hints");
        assert_eq!(line["reason"], "response_incomplete", "{line}");
        assert_eq!(line["attempts"], 1, "{line}");
        let (received, end) = client.until_end();
        assert!(end.is_gone(), "{end}");
        assert!(received.len() < hints.len(), "all {} bytes fitted into the socket", received.len());
        let whole_heads = String::from_utf8(received).expect("only text was sent");
        let mut rest = whole_heads.as_str();
        while let Some(after) = rest.strip_prefix(&hint) {
            rest = after;
        }
        assert!(hint.starts_with(rest), "{} bytes of something else: {:.400}", rest.len(), tail(rest));
    }
}

/// The last bytes of a text, where what does not belong is.
fn tail(text: &str) -> &str {
    &text[text.len().saturating_sub(400)..]
}
