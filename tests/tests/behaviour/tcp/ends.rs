//! How sessions end, and what passes before: half-closes, resets, slow readers, silence.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_testkit::{Blackhole, End, Gate, Origin, Proxy, RawClient, eventually};

use super::{before, config, connect, echo, expect_reset, log, ping, who};

/// More than the kernel holds on both connections together.
const LARGE: usize = 64 << 20;
/// What a session may cost the proxy in memory beyond what it has anyway, the worker's buffer included.
const BOUND: u64 = 4 << 20;

/// Bytes that tell where they belong.
fn pattern() -> Vec<u8> {
    (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_client_that_has_said_everything_still_gets_its_answer() {
    let origin = Origin::script(|conversation| {
        let mut received = Vec::new();
        while let Some(bytes) = conversation.some() {
            received.extend(bytes);
        }
        conversation.send(format!("got {}", received.len()));
    });
    let proxy = before(&[origin.address()]);
    let mut client = connect(&proxy);
    client.send("question").shutdown_write();
    assert_eq!(client.until_end(), (b"got 8".to_vec(), End::Closed));
    let line = log(&proxy, "");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&8.into(), &5.into()), "{line}");
    assert_eq!(origin.wait_for_end(0), End::Closed);
}

#[test]
fn an_endpoint_that_has_said_everything_is_still_sent_the_rest() {
    let (heard, hears) = mpsc::channel();
    let origin = Origin::script(move |conversation| {
        conversation.send("all I have");
        conversation.shutdown_write();
        let mut received = Vec::new();
        while let Some(bytes) = conversation.some() {
            received.extend(bytes);
        }
        heard.send(received).unwrap();
    });
    let proxy = before(&[origin.address()]);
    let mut client = connect(&proxy);
    assert_eq!(client.until_end(), (b"all I have".to_vec(), End::Closed));
    client.send("and this is mine");
    drop(client);
    assert_eq!(hears.recv_timeout(evenkeel_testkit::DEADLINE).unwrap(), b"and this is mine");
    log(&proxy, "");
}

#[test]
fn a_client_that_reads_nothing_holds_the_endpoint_back_and_loses_nothing() {
    let pattern = pattern();
    let sent = pattern.clone();
    let origin = Origin::script(move |conversation| {
        for _ in 0..LARGE >> 20 {
            if !conversation.send(&sent) {
                return;
            }
        }
    });
    let proxy = before(&[origin.address()]);
    let mut client = connect(&proxy);
    client.bound_receive_buffer(64 << 10);
    client.read_exactly(1);
    let resident = proxy.resident_bytes();
    let sent = || proxy.metrics().value("evenkeel_tcp_sent_bytes_total", &[("listener", "cache")]);
    let mut last = (0.0, Instant::now());
    let stuck = eventually("the endpoint to be held back", || {
        let now = sent();
        if now != last.0 {
            last = (now, Instant::now());
        }
        if last.1.elapsed() > Duration::from_millis(500) { Ok(now) } else { Err(now) }
    });
    assert!(stuck < LARGE as f64 / 2.0, "{stuck} bytes were read for a client that takes none");
    let grown = proxy.resident_bytes().saturating_sub(resident);
    assert!(grown < BOUND, "{grown} bytes more than before");
    let mut at = 1;
    while at < LARGE {
        let bytes = client.read_some();
        let expected: Vec<_> = (at..at + bytes.len()).map(|at| pattern[at % pattern.len()]).collect();
        assert!(bytes == expected, "what came at {at} is not what was sent");
        at += bytes.len();
    }
    client.expect_end();
    client.shutdown_write();
    assert_eq!(log(&proxy, "")["bytes_out"], LARGE);
}

#[test]
fn an_endpoint_that_reads_nothing_holds_the_client_back_and_loses_nothing() {
    let (gate, pattern, stuck) = (Gate::new(), pattern(), Arc::new(AtomicUsize::new(0)));
    let (opens, expected, first) = (gate.clone(), pattern.clone(), stuck.clone());
    let origin = Origin::script(move |conversation| {
        conversation.bound_receive_buffer(64 << 10);
        opens.wait();
        let first = first.load(Ordering::SeqCst);
        let right = |at: usize| if at < first { b'x' } else { expected[(at - first) % expected.len()] };
        let mut at = 0;
        while let Some(bytes) = conversation.some() {
            let is_right = bytes.iter().enumerate().all(|(n, byte)| *byte == right(at + n));
            assert!(is_right, "what came at {at} is not what was sent");
            at += bytes.len();
        }
        conversation.send(format!("{at}"));
    });
    let proxy = before(&[origin.address()]);
    let mut client = connect(&proxy);
    let resident = proxy.resident_bytes();
    let taken = client.send_until_full(&[b'x'; 1 << 16], LARGE as u64, Duration::from_millis(500)).unwrap();
    assert!(taken < LARGE as u64 / 2, "{taken} bytes were taken for an endpoint that takes none");
    stuck.store(taken as usize, Ordering::SeqCst);
    let grown = proxy.resident_bytes().saturating_sub(resident);
    assert!(grown < BOUND, "{grown} bytes more than before");
    gate.open();
    let rest = pattern.iter().cycle().take(LARGE - taken as usize).copied();
    client.send(rest.collect::<Vec<_>>()).shutdown_write();
    assert_eq!(client.until_end(), (LARGE.to_string().into_bytes(), End::Closed));
    assert_eq!(log(&proxy, "")["bytes_in"], LARGE);
}

#[test]
fn silence_ends_a_session_and_either_direction_breaks_it() {
    // In all twice as long as `idle`, in either direction.
    let origin = Origin::script(|conversation| {
        for _ in 0..20 {
            if !conversation.send("b") {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        conversation.send(".");
        conversation.await_end();
    });
    let proxy = Proxy::start(&config(&[origin.address()], "timeouts = { idle = \"1s\" }", ""));
    let mut client = connect(&proxy);
    assert_eq!(client.read_exactly(21).last(), Some(&b'.'));
    let quiet = Instant::now();
    for _ in 0..20 {
        client.send("a");
        thread::sleep(Duration::from_millis(100));
    }
    expect_reset(&mut client);
    assert!(quiet.elapsed() >= Duration::from_millis(2500), "after {:?}", quiet.elapsed());
    assert_eq!(origin.wait_for_end(0), End::Reset);
    let line = log(&proxy, "idle_timeout");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&20.into(), &21.into()), "{line}");
}

#[test]
fn a_reset_is_passed_on_as_a_reset() {
    let origin = echo("a");
    let proxy = before(&[origin.address()]);
    let mut client = connect(&proxy);
    assert_eq!(who(&mut client), 'a');
    origin.reset_connections();
    expect_reset(&mut client);
    let line = log(&proxy, "upstream_reset");
    assert_eq!(line["endpoint"], origin.address().to_string(), "{line}");

    let mut client = connect(&proxy);
    who(&mut client);
    client.reset();
    assert_eq!(origin.wait_for_end(1), End::Reset);
    log(&proxy, "client_closed");
    proxy.wait_in_flight(0);
}

#[test]
fn a_side_that_says_nothing_more_is_still_seen_to_leave() {
    // The client has ended, and is waited for no more.
    let gate = Gate::new();
    let opens = gate.clone();
    let quiet = Origin::script(move |conversation| {
        while conversation.some().is_some() {}
        conversation.send("ended");
        opens.wait();
    });
    let silent = before(&[quiet.address()]);
    let mut half_closed = connect(&silent);
    half_closed.shutdown_write();
    assert_eq!(half_closed.read_exactly(5), b"ended");
    half_closed.reset();
    log(&silent, "client_closed");
    silent.wait_in_flight(0);
    gate.open();

    // The endpoint has.
    let ended = Origin::script(|conversation| {
        conversation.shutdown_write();
        conversation.await_end();
    });
    let one_way = before(&[ended.address()]);
    let mut waiting = connect(&one_way);
    waiting.expect_end();
    ended.reset_connections();
    log(&one_way, "upstream_reset");
    one_way.wait_in_flight(0);
}

#[test]
fn a_client_that_leaves_while_its_bytes_are_stuck_is_noticed() {
    let gate = Gate::new();
    let opens = gate.clone();
    let origin = Origin::script(move |_| opens.wait());
    let proxy = before(&[origin.address()]);
    let mut client = connect(&proxy);
    client.send_until_full(&[b'x'; 1 << 16], LARGE as u64, Duration::from_millis(500)).unwrap();
    client.reset();
    log(&proxy, "client_closed");
    proxy.wait_in_flight(0);
    gate.open();
}

#[test]
fn a_half_closed_session_ends_when_the_other_side_says_nothing_for_long() {
    let gate = Gate::new();
    let opens = gate.clone();
    let origin = Origin::script(move |conversation| {
        while conversation.some().is_some() {}
        // In all three times as long as `half_close`.
        for _ in 0..15 {
            if !conversation.send("b") {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        opens.wait();
    });
    let listener = "timeouts = { half_close = \"500ms\" }";
    let proxy = Proxy::start(&config(&[origin.address()], listener, ""));
    let mut client = connect(&proxy);
    client.send("a").shutdown_write();
    let (received, end) = client.until_end();
    assert_eq!((received.len(), end), (15, End::Reset));
    gate.open();
    let line = log(&proxy, "idle_timeout");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&1.into(), &15.into()), "{line}");
}

#[test]
fn an_endpoint_that_dies_takes_its_sessions_with_it_and_no_others() {
    let (mut a, b) = (echo("a"), echo("b"));
    let one_worker = "[server]\nworkers = 1\n";
    let proxy = Proxy::start(&config(&[a.address(), b.address()], "", one_worker));
    let clients = [connect(&proxy), connect(&proxy)];
    let mut named: Vec<_> = clients.into_iter().map(|mut client| (who(&mut client), client)).collect();
    named.sort_by_key(|(name, _)| *name);
    let [(_, at_a), (_, at_b)] = &mut named[..] else { panic!("two clients") };
    a.kill();
    expect_reset(at_a);
    ping(at_b, "still there");
    // Whoever comes now finds the other one, if need be after the first refused.
    for _ in 0..4 {
        assert_eq!(who(&mut connect(&proxy)), 'b');
    }
}

#[test]
fn a_client_that_leaves_while_an_endpoint_is_being_connected_to_is_noticed() {
    let hole = Blackhole::new();
    let proxy = Proxy::start(&config(&[hole.address()], "", "timeouts = { connect = \"25s\" }"));
    let mut client = connect(&proxy);
    client.send("hello?");
    proxy.wait_in_flight(1);
    client.reset();
    let line = log(&proxy, "client_closed");
    assert!(line["duration"].as_f64().unwrap() < 20.0 && line["time_to_connect"].is_null(), "{line}");
    proxy.wait_in_flight(0);
}

#[test]
fn unix_sockets_are_streams_too() {
    let origin = echo("u");
    let inner = Proxy::start(&config(&[origin.address()], "", "").replace("127.0.0.1:0", "unix:$DIR/s"));
    let path = inner.dir().join("s");
    let outer = Proxy::start(&format!(
        "[listener.cache]\naddress = \"127.0.0.1:0\"\nprotocol = \"tcp\"\nupstream = \"store\"\n\
         [upstream.store]\nendpoints = [\"unix:{}\"]\n",
        path.display()
    ));
    let mut client = connect(&outer);
    assert_eq!(who(&mut client), 'u');
    ping(&mut client, "through both");
    client.send("last words").shutdown_write();
    assert_eq!(client.until_end(), (b"last words".to_vec(), End::Closed));
    let mut client = RawClient::connect_unix(&path);
    assert_eq!(who(&mut client), 'u');
    drop(client);
    assert_eq!(log(&inner, "")["client"], "unix:");
}
