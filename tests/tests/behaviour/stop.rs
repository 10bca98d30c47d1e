//! TERM and INT: running requests finish, nobody new is taken, and a second signal ends it at once.

use evenkeel_testkit::{End, Gate, Origin, Proxy, RawClient, app_config, eventually, reply};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// An origin that holds every answer back until the gate opens.
fn holding(gate: &Gate) -> Origin {
    let held = gate.clone();
    Origin::serve(move |_| {
        held.wait();
        reply(200, "finished")
    })
}

/// Waits until nobody is taken at this address.
fn wait_until_closed(address: std::net::SocketAddr) {
    eventually("the listener to be closed", || match RawClient::try_connect(address) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_running_request_finishes() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::new();
        let origin = holding(&gate);
        let mut proxy = Proxy::before(&[origin.address()]);
        let address = proxy.address("web");
        let mut client = proxy.client();
        client.send(GET);
        origin.wait_for(1);
        proxy.signal(signal);
        wait_until_closed(address);
        assert!(proxy.process().is_running(), "{}", proxy.output());
        proxy.admin_get("/readyz").expect_status(503);
        gate.open();
        let response = client.response().expect_status(200).expect_body("finished");
        assert!(response.fields.has_token("connection", "close"), "the end is announced:\n{response}");
        client.expect_end();
        proxy.wait_exit().expect_code(0);
    }
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients[..10] {
        client.exchange(GET).expect_status(200);
    }
    proxy.stop().expect_code(0);
    for client in &mut clients {
        let (rest, end) = client.until_end();
        assert!(rest.is_empty() && end.is_gone(), "{end}: {}", client.transcript());
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let mut proxy = Proxy::before(&[origin.address()]);
    let address = proxy.address("web");
    let mut client = proxy.client();
    client.send(GET);
    origin.wait_for(1);
    proxy.signal("TERM");
    wait_until_closed(address);
    assert!(proxy.process().is_running(), "{}", proxy.output());
    proxy.signal("TERM");
    proxy.wait_exit();
    let (_, end) = client.until_end();
    assert!(end.is_gone(), "{end}");
    gate.open();
}

#[test]
fn requests_that_do_not_finish_are_cut_off_in_time() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let mut proxy =
        Proxy::start(&app_config(&[origin.address()], "[server]\nshutdown_timeout = \"300ms\"\n"));
    let mut client = proxy.client();
    client.send(GET);
    origin.wait_for(1);
    proxy.signal("TERM");
    client.response().expect_status(503);
    client.expect_end();
    proxy.wait_exit().expect_code(0);
    gate.open();
}

#[test]
fn a_long_download_finishes() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nfirst half");
        held.wait();
        conversation.send("other half");
        conversation.await_end();
    });
    let mut proxy = Proxy::before(&[origin.address()]);
    let address = proxy.address("web");
    let mut client = proxy.client();
    client.send(GET);
    client.response_head().expect_status(200);
    assert_eq!(client.read_exactly(10), b"first half");
    proxy.signal("TERM");
    wait_until_closed(address);
    gate.open();
    assert_eq!(client.read_exactly(10), b"other half");
    client.expect_end();
    proxy.wait_exit().expect_code(0);
}

#[test]
fn the_socket_file_of_a_listener_is_removed() {
    let origin = Origin::named("origin");
    let config = app_config(&[origin.address()], "").replace("127.0.0.1:0", "unix:$DIR/web.sock");
    let mut proxy = Proxy::start(&config);
    let socket = proxy.dir().join("web.sock");
    assert!(socket.exists());
    proxy.signal("TERM");
    proxy.wait_exit().expect_code(0);
    assert!(!socket.exists());
}

/// For a client of HTTP/1.0 an orderly end would be the answer's end.
#[test]
fn an_answer_cut_off_by_the_end_does_not_look_whole() {
    for (version, framing, piece) in [
        ("1.1", "Content-Length: 100\r\n", "a part"),
        ("1.1", "Transfer-Encoding: chunked\r\n", "6\r\na part\r\n"),
        ("1.1", "", "a part"),
        ("1.0", "Content-Length: 100\r\n", "a part"),
        ("1.0", "Transfer-Encoding: chunked\r\n", "6\r\na part\r\n"),
        ("1.0", "", "a part"),
    ] {
        let origin = Origin::script(move |conversation| {
            conversation.request();
            conversation.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n{piece}"));
            conversation.await_end();
        });
        let mut proxy =
            Proxy::start(&app_config(&[origin.address()], "[server]\nshutdown_timeout = \"200ms\"\n"));
        let mut client = proxy.client();
        client.send(format!("GET /cut HTTP/{version}\r\nHost: test\r\n\r\n"));
        client.response_head().expect_status(200);
        while !client.transcript().contains("a part") {
            client.read_some();
        }
        proxy.signal("TERM");
        proxy.wait_exit();
        let (rest, end) = client.until_end();
        assert_eq!(end, End::Reset, "HTTP/{version} {framing}: {}", client.transcript());
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", client.transcript());
        let line = proxy.wait_for_log_of("/cut");
        assert_eq!(line["reason"], "shutting_down", "{line}");
        assert_eq!(line["status"], 200, "{line}");
    }
}
