//! What a client may use: header bytes, body bytes, connections, time, file descriptors.

use std::thread;
use std::time::{Duration, Instant};

use evenkeel_testkit::{Origin, Proxy, ProxyBuilder, RawClient, app_config, eventually, reply};

use crate::own_answers::expect_own;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// A proxy whose listener has these limits.
fn limited(origin: &Origin, limits: &str) -> Proxy {
    Proxy::before_with(&[origin.address()], &format!("[listener.web.limits]\n{limits}"))
}

/// A proxy whose listener has these timeouts.
fn hurried(origin: &Origin, timeouts: &str) -> Proxy {
    Proxy::before_with(&[origin.address()], &format!("[listener.web.timeouts]\n{timeouts}"))
}

#[test]
fn an_oversized_header_is_431_and_one_that_fits_passes() {
    let origin = Origin::named("origin");
    let proxy = limited(&origin, "header_bytes = \"2KiB\"");
    let request = |length| {
        let frame = "GET / HTTP/1.1\r\nHost: test\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "a".repeat(length - frame))
    };
    proxy.client().exchange(request(2000)).expect_status(200);
    for length in [2100, 4000, 60_000] {
        let mut client = proxy.client();
        let _ = client.try_send(request(length));
        expect_own(&client.response(), 431, "http_request_error");
        client.expect_gone();
    }
    let many: String = (0..200).map(|n| format!("X-{n}: some value\r\n")).collect();
    let mut client = proxy.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{many}\r\n"));
    expect_own(&client.response(), 431, "http_request_error");
    assert_eq!(origin.request_count(), 1);
    let labels = [("listener", "web"), ("reason", "header_too_large")];
    proxy.wait_for_metric("evenkeel_rejections_total", &labels, |count| count == 4.0);
}

#[test]
fn an_endless_header_is_cut_off() {
    let origin = Origin::named("origin");
    let proxy = limited(&origin, "header_bytes = \"8KiB\"");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n");
    // More than the kernel's buffers hold: sending only ends because the proxy ends it.
    let line = format!("X-Endless: {}\r\n", "a".repeat(4000));
    // It reads on for a while after its answer, so that the client sees that: how much passes then depends on the machine.
    let ended = (0..20_000_000).any(|_| client.try_send(&line).is_err());
    assert!(ended, "the proxy took 80 GB of header");
    assert_eq!(origin.bytes_received(), 0);
    assert!(proxy.resident_bytes() < 200 << 20, "{} bytes resident", proxy.resident_bytes());
    proxy.get("/").expect_status(200);
}

#[test]
fn an_oversized_target_is_414() {
    let origin = Origin::named("origin");
    let proxy = limited(&origin, "header_bytes = \"2KiB\"");
    let mut client = proxy.client();
    client.send(format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(5000)));
    expect_own(&client.response(), 414, "http_request_error");
    client.expect_gone();
    assert_eq!(origin.bytes_received(), 0);
}

#[test]
fn an_oversized_length_is_413_before_anything_is_forwarded() {
    let origin = Origin::named("origin");
    let proxy = limited(&origin, "body_bytes = \"10KiB\"");
    let body = "x".repeat(10_240);
    proxy
        .client()
        .exchange(format!("POST /fits HTTP/1.1\r\nHost: test\r\nContent-Length: 10240\r\n\r\n{body}"))
        .expect_status(200);
    let mut client = proxy.client();
    client.send("POST /large HTTP/1.1\r\nHost: test\r\nContent-Length: 10241\r\n\r\n");
    expect_own(&client.response(), 413, "http_request_error");
    client.expect_gone();
    let seen = origin.requests();
    assert!(seen.iter().all(|request| request.target == "/fits"), "{seen:?}");
    assert_eq!(proxy.wait_for_log_of("/large")["reason"], "body_too_large");
}

#[test]
fn an_oversized_chunked_body_is_413_and_never_whole() {
    let origin = Origin::named("origin");
    let proxy = limited(&origin, "body_bytes = \"10KiB\"");
    let mut client = proxy.client();
    client.send("POST /large HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    for _ in 0..11 {
        if client.try_send(&chunk).is_err() {
            break;
        }
    }
    expect_own(&client.response(), 413, "http_request_error");
    client.expect_gone();
    proxy.get("/innocent").expect_status(200);
    let seen = origin.requests();
    assert!(!seen.iter().any(|request| request.target == "/large" && request.whole), "{seen:?}");
}

#[test]
fn connections_beyond_the_limit_are_refused_and_counted() {
    let origin = Origin::named("origin");
    let proxy = limited(&origin, "connections = 3");
    let mut held: Vec<RawClient> = (0..3).map(|_| proxy.client()).collect();
    for client in &mut held {
        client.exchange(GET).expect_status(200);
    }
    for _ in 0..4 {
        let mut client = proxy.client();
        let _ = client.try_send(GET);
        match client.try_response() {
            Ok(response) => expect_own(&response, 503, "proxy_internal_response"),
            Err(failure) => assert!(failure.end.is_gone(), "{failure}"),
        }
        client.expect_gone();
    }
    proxy.wait_for_metric("evenkeel_connections_refused_total", &[("listener", "web")], |count| count == 4.0);
    assert_eq!(proxy.metrics().value("evenkeel_connections_open", &[("listener", "web")]), 3.0);
    // Those that were there first are not disturbed, and a place that is left is given to the next.
    for client in &mut held {
        client.exchange(GET).expect_status(200);
    }
    held.pop();
    eventually("a place for the next connection", || {
        let mut client = proxy.client();
        let _ = client.try_send(GET);
        match client.try_response() {
            Ok(response) if response.status == 200 => Ok(()),
            Ok(response) => Err(response.to_string()),
            Err(failure) => Err(failure.to_string()),
        }
    });
}

#[test]
fn a_header_that_stops_is_408() {
    let origin = Origin::named("origin");
    let proxy = hurried(&origin, "header = \"300ms\"");
    let mut client = proxy.client();
    client.send("GET /slow HTTP/1.1\r\nHost: te");
    expect_own(&client.response(), 408, "http_request_error");
    client.expect_gone();
    // The second request of a connection has no more time than the first.
    let mut client = proxy.client();
    client.exchange(GET).expect_status(200);
    client.send("GET /slow HTTP/1.1\r\n");
    expect_own(&client.response(), 408, "http_request_error");
    let labels = [("listener", "web"), ("reason", "header_timeout")];
    proxy.wait_for_metric("evenkeel_rejections_total", &labels, |count| count == 2.0);
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn a_header_that_drips_is_408_too() {
    let origin = Origin::named("origin");
    let proxy = hurried(&origin, "header = \"400ms\"");
    let mut client = proxy.client();
    client.send("GET /slow HTTP/1.1\r\nHost: test\r\nX: ");
    // A byte every few milliseconds would keep a timer alive that starts again with every byte.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) && client.try_send("a").is_ok() {
        thread::sleep(Duration::from_millis(20));
        if proxy.metrics().value("evenkeel_rejections_total", &[("reason", "header_timeout")]) > 0.0 {
            break;
        }
    }
    expect_own(&client.response(), 408, "http_request_error");
    assert_eq!(origin.bytes_received(), 0);
}

#[test]
fn a_connection_that_never_says_anything_is_closed() {
    let origin = Origin::named("origin");
    let proxy = hurried(&origin, "header = \"300ms\"\nidle = \"300ms\"");
    let mut client = proxy.client();
    let (_, end) = client.until_end();
    assert!(end.is_gone(), "{end}");
    proxy.wait_for_metric("evenkeel_connections_open", &[("listener", "web")], |open| open == 0.0);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let origin = Origin::named("origin");
    let proxy = hurried(&origin, "idle = \"300ms\"");
    let mut client = proxy.client();
    client.exchange(GET).expect_status(200);
    client.exchange(GET).expect_status(200);
    client.expect_end();
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn a_body_that_stops_is_408() {
    let origin = Origin::named("origin");
    let proxy = hurried(&origin, "stall = \"300ms\"");
    let mut client = proxy.client();
    client.send("POST /stalls HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nonly this");
    expect_own(&client.response(), 408, "http_request_error");
    client.expect_gone();
    assert_eq!(proxy.wait_for_log_of("/stalls")["reason"], "body_timeout");
    assert!(!origin.requests().iter().any(|request| request.whole));
}

#[test]
fn a_client_that_stops_reading_is_cut_off() {
    let body = vec![b'x'; 64 << 20];
    let origin = Origin::serve(move |_| reply(200, &body));
    let proxy = hurried(&origin, "stall = \"500ms\"");
    let mut client = proxy.client();
    client.send("GET /unread HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response_head().expect_status(200);
    let line = proxy.wait_for_log_of("/unread");
    assert_eq!(line["reason"], "client_stalled", "{line}");
    origin.wait_for_end(0);
}

#[test]
fn running_out_of_file_descriptors_is_survived() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    proxy.get("/before").expect_status(200);
    proxy.limit_open_files(3);
    let held: Vec<RawClient> = (0..50).map(|_| proxy.client()).collect();
    eventually("the proxy to say that it is out of file descriptors", || {
        let output = proxy.output();
        if output.contains("cannot accept connections") { Ok(()) } else { Err(output) }
    });
    let lines = proxy.output().lines().count();
    assert!(lines < 100, "it says so {lines} times:\n{}", proxy.output());
    proxy.limit_open_files(1000);
    // Those who waited are served, and so is everybody else.
    for mut client in held {
        client.exchange("GET /waited HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    }
    proxy.get("/after").expect_status(200);
}

/// Clients that only wait cannot take the file descriptors of those that work.
#[test]
fn open_files_are_kept_back_for_endpoints() {
    let origin = Origin::named("origin");
    let config = app_config(&[origin.address()], "[server]\nworkers = 1");
    // 64 are kept back, and each client may need two.
    let proxy = ProxyBuilder::new(&config).open_files(64 + 2 * 20).start();
    let mut clients: Vec<RawClient> = (0..20).map(|_| proxy.client()).collect();
    let metric = ("evenkeel_connections_open", [("listener", "web")]);
    proxy.wait_for_metric(metric.0, &metric.1, |open| open >= 20.0);
    let waiting: Vec<RawClient> = (0..60).map(|_| proxy.client()).collect();
    proxy.wait_for_metric("evenkeel_connections_refused_total", &metric.1, |refused| refused >= 60.0);
    for client in &mut clients {
        client.exchange("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    }
    drop(waiting);
}

#[test]
fn slow_headers_do_not_hold_up_others() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    let mut slow: Vec<RawClient> = (0..200).map(|_| proxy.client()).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\nHost: te");
    }
    for _ in 0..20 {
        proxy.get("/").expect_status(200);
    }
    for client in &mut slow {
        client.send("st\r\n\r\n");
        client.response().expect_status(200);
    }
}

/// What is done for each pair of a field and an option of `Connection` adds up to seconds in 64 KiB.
#[test]
fn fields_and_connection_options_are_counted() {
    let origin = Origin::named("origin");
    let proxy = Proxy::start(&format!("{}[server]\nworkers = 1\n", app_config(&[origin.address()], "")));
    let request = |fields: usize, options: usize| {
        let fields = "b: 1\r\n".repeat(fields - 2);
        let options = vec!["a"; options].join(",");
        format!("GET /crowd HTTP/1.1\r\nHost: test\r\nConnection: {options}\r\n{fields}\r\n")
    };
    for (fields, options, status, reason) in [
        (256, 32, 200, ""),
        (257, 1, 431, "header_too_large"),
        (5000, 15_000, 431, "header_too_large"),
        (3, 33, 400, "malformed_request"),
        (256, 25_000, 400, "malformed_request"),
        (2, 30_000, 400, "malformed_request"),
    ] {
        let before = proxy.metrics().value("evenkeel_rejections_total", &[("reason", reason)]);
        let mut client = proxy.client();
        client.send(request(fields, options));
        // The only worker has time for others meanwhile.
        proxy.get("/other").expect_status(200);
        let response = client.response();
        if status == 200 {
            response.expect_status(200);
            continue;
        }
        expect_own(&response, status, "http_request_error");
        let labels = [("listener", "web"), ("reason", reason)];
        proxy.wait_for_metric("evenkeel_rejections_total", &labels, |count| count == before + 1.0);
    }
    assert_eq!(origin.counts_by_target()["/crowd"], 1);
    // Spread over several fields they count together.
    let options = "Connection: a,b,c\r\n".repeat(11);
    let mut client = proxy.client();
    client.send(format!("GET /crowd HTTP/1.1\r\nHost: test\r\n{options}\r\n"));
    expect_own(&client.response(), 400, "http_request_error");
}
