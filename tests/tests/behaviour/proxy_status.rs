//! One word for one reason, everywhere: the table of rejections against what clients, the access log and the metric
//! say, for every rejection that can be provoked from outside.

use std::any::Any;

use evenkeel_policy::rejection::Rejection;
use evenkeel_testkit::{
    Blackhole, Gate, Origin, Proxy, RawClient, RedisMood, ReservedPort, Response, app_config, reply,
};

use crate::own_answers::expect_own;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// A test for each rejection, and the list of those that have one.
macro_rules! provoke {
    ($($rejection:ident => $test:ident,)*) => {
        const PROVOKED: &[Rejection] = &[$(Rejection::$rejection),*];

        mod each {
            use super::Rejection;
            $(#[test]
            fn $test() {
                super::$test().expect(Rejection::$rejection);
            })*
        }
    };
}

provoke! {
    MalformedRequest => malformed_request,
    AmbiguousFraming => ambiguous_framing,
    BadHost => bad_host,
    UriTooLong => uri_too_long,
    HeaderTooLarge => header_too_large,
    BodyTooLarge => body_too_large,
    HeaderTimeout => header_timeout,
    BodyTimeout => body_timeout,
    UnsupportedVersion => unsupported_version,
    UnsupportedTransferCoding => unsupported_transfer_coding,
    UnsupportedExpectation => unsupported_expectation,
    UnsupportedMethod => unsupported_method,
    NoRoute => no_route,
    EndpointsDown => endpoints_down,
    EndpointsBusy => endpoints_busy,
    QueueFull => queue_full,
    QueueTimeout => queue_timeout,
    EndpointsDrained => endpoints_drained,
    UnresolvedName => unresolved_name,
    ConnectRefused => connect_refused,
    ConnectFailed => connect_failed,
    ConnectTimeout => connect_timeout,
    UpstreamClosed => upstream_closed,
    ResponseMalformed => response_malformed,
    ResponseHeaderTooLarge => response_header_too_large,
    ResponseTimeout => response_timeout,
    ConnectionLimit => connection_limit,
    ShuttingDown => shutting_down,
    OutOfResources => out_of_resources,
    ClientClosed => client_closed,
    ResponseIncomplete => response_incomplete,
    ClientStalled => client_stalled,
    UpstreamReset => upstream_reset,
    IdleTimeout => idle_timeout,
    EndpointDown => endpoint_down,
}

#[test]
fn every_rejection_is_provoked() {
    let missing: Vec<_> = Rejection::ALL.into_iter().filter(|one| !PROVOKED.contains(one)).collect();
    // A bug of ours nobody knows how to provoke.
    assert_eq!(missing, [Rejection::InternalError]);
}

/// What came of provoking a rejection, with everything that has to stay alive until it was looked at.
struct Provoked {
    proxy: Proxy,
    answer: Option<Response>,
    /// A connection that is refused has no exchange, so no line.
    is_logged: bool,
    /// A proxy that has ended has no metrics.
    is_counted: bool,
    _held: Box<dyn Any>,
}

impl Provoked {
    fn answered(proxy: Proxy, answer: Response, held: impl Any) -> Self {
        Self { proxy, answer: Some(answer), is_logged: true, is_counted: true, _held: Box::new(held) }
    }

    fn unanswered(proxy: Proxy, held: impl Any) -> Self {
        Self { proxy, answer: None, is_logged: true, is_counted: true, _held: Box::new(held) }
    }

    /// Fails the test unless this rejection, and no other, is what the client, the log and the metric were told.
    #[track_caller]
    fn expect(self, rejection: Rejection) {
        if let Some(answer) = &self.answer {
            assert!(rejection.is_answer());
            expect_own(answer, rejection.status(), rejection.error());
            let sentence = rejection.sentence().trim_end_matches('.');
            assert!(answer.text().starts_with(sentence), "not {sentence:?}:\n{answer}");
        }
        if self.is_logged {
            let line = self.proxy.wait_for_log("with a reason", |line| line["reason"].is_string());
            assert_eq!(line["reason"], rejection.word(), "{line}");
            if self.answer.is_some() {
                assert_eq!(line["status"], rejection.status(), "{line}");
            }
        }
        if self.is_counted {
            let name = "evenkeel_rejections_total";
            let labels = [("listener", "web"), ("reason", rejection.word())];
            let metrics = self.proxy.wait_for_metric(name, &labels, |count| count > 0.0);
            assert_eq!(metrics.value(name, &[]), 1.0, "one rejection is counted once:\n{metrics}");
        }
    }
}

/// Sends these bytes to a proxy whose endpoint would answer, with more configuration.
fn asking(request: impl AsRef<[u8]>, rest: &str) -> Provoked {
    let origin = Origin::named("origin");
    let proxy = Proxy::before_with(&[origin.address()], rest);
    let mut client = proxy.client();
    let answer = client.exchange(request);
    Provoked::answered(proxy, answer, (client, origin))
}

/// Asks a proxy with these endpoints, as they stand in TOML.
fn before(endpoints: &str, rest: &str, held: impl Any) -> Provoked {
    let config = app_config(&[], rest).replace("endpoints = []", &format!("endpoints = [{endpoints}]"));
    let proxy = Proxy::start(&config);
    let answer = proxy.client().exchange(GET);
    Provoked::answered(proxy, answer, held)
}

/// Asks a proxy before one endpoint.
fn before_origin(origin: Origin, rest: &str) -> Provoked {
    before(&format!("\"{}\"", origin.address()), rest, origin)
}

fn malformed_request() -> Provoked {
    asking("GET /a b c HTTP/1.1\r\nHost: test\r\n\r\n", "")
}

fn ambiguous_framing() -> Provoked {
    asking(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "",
    )
}

fn bad_host() -> Provoked {
    asking("GET / HTTP/1.1\r\n\r\n", "")
}

fn uri_too_long() -> Provoked {
    let request = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(3000));
    asking(request, "[listener.web.limits]\nheader_bytes = \"2KiB\"")
}

fn header_too_large() -> Provoked {
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "a".repeat(3000));
    asking(request, "[listener.web.limits]\nheader_bytes = \"2KiB\"")
}

fn body_too_large() -> Provoked {
    let request = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2000\r\n\r\n";
    asking(request, "[listener.web.limits]\nbody_bytes = \"1KiB\"")
}

fn header_timeout() -> Provoked {
    asking("GET / HTTP/1.1\r\nHost: te", "[listener.web.timeouts]\nheader = \"200ms\"")
}

fn body_timeout() -> Provoked {
    let request = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nonly this";
    asking(request, "[listener.web.timeouts]\nstall = \"200ms\"")
}

fn unsupported_version() -> Provoked {
    asking("GET / HTTP/2.0\r\nHost: test\r\n\r\n", "")
}

fn unsupported_transfer_coding() -> Provoked {
    asking("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip\r\n\r\n", "")
}

fn unsupported_expectation() -> Provoked {
    asking("POST / HTTP/1.1\r\nHost: test\r\nExpect: payment\r\nContent-Length: 3\r\n\r\n", "")
}

fn unsupported_method() -> Provoked {
    asking("CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n", "")
}

fn no_route() -> Provoked {
    let proxy = Proxy::start("[listener.web]\naddress = \"127.0.0.1:0\"\n");
    let answer = proxy.client().exchange(GET);
    Provoked::answered(proxy, answer, ())
}

fn endpoints_down() -> Provoked {
    let port = ReservedPort::new();
    // Ready means that the first probe is over.
    before(&format!("\"{}\"", port.address()), "health = { kind = \"tcp\" }", port)
}

fn unresolved_name() -> Provoked {
    before("\"no-such-host.invalid:80\"", "", ())
}

fn endpoints_busy() -> Provoked {
    beside_one_that_is_held("")
}

/// The answer to the one of two requests that may not wait, behind one that is held.
fn queue_full() -> Provoked {
    let gate = Gate::new();
    let (origin, proxy) = with_one_place(&gate, "queue = { size = 1, timeout = \"60s\" }");
    let mut clients = [proxy.client(), proxy.client(), proxy.client()];
    clients[0].send(GET);
    origin.wait_for(1);
    clients[1].send(GET);
    clients[2].send(GET);
    proxy.wait_for_metric("evenkeel_rejections_total", &[("reason", "queue_full")], |count| count == 1.0);
    gate.open();
    let answers = clients.iter_mut().map(|client| client.response());
    let answer = answers.into_iter().fold(None, |kept, answer| match answer.status {
        200 => kept,
        _ => Some(answer),
    });
    Provoked::answered(proxy, answer.unwrap(), origin)
}

fn queue_timeout() -> Provoked {
    beside_one_that_is_held("queue = { timeout = \"50ms\" }")
}

/// The answer to a request while another one has the only place.
fn beside_one_that_is_held(queue: &str) -> Provoked {
    let gate = Gate::new();
    let (origin, proxy) = with_one_place(&gate, queue);
    let mut holding = proxy.client();
    holding.send(GET);
    origin.wait_for(1);
    let answer = proxy.client().exchange(GET);
    gate.open();
    holding.response().expect_status(200);
    Provoked::answered(proxy, answer, origin)
}

fn with_one_place(gate: &Gate, queue: &str) -> (Origin, Proxy) {
    let held = gate.clone();
    let origin = Origin::serve(move |_| {
        held.wait();
        reply(200, "")
    });
    let endpoint =
        format!("endpoints = [{{ address = \"{}\", max_in_flight = 1 }}]\n{queue}", origin.address());
    let proxy = Proxy::start(&app_config(&[], "").replace("endpoints = []", &endpoint));
    (origin, proxy)
}

fn endpoints_drained() -> Provoked {
    let origin = Origin::named("drained");
    before(&format!("{{ address = \"{}\", weight = 0 }}", origin.address()), "", origin)
}

fn connect_refused() -> Provoked {
    let port = ReservedPort::new();
    before(&format!("\"{}\"", port.address()), "", port)
}

fn connect_failed() -> Provoked {
    before("\"unix:$DIR/nobody-made-this.sock\"", "", ())
}

fn connect_timeout() -> Provoked {
    let hole = Blackhole::new();
    before(&format!("\"{}\"", hole.address()), "timeouts = { connect = \"200ms\" }", hole)
}

fn upstream_closed() -> Provoked {
    let origin = Origin::script(|conversation| {
        conversation.request();
    });
    before_origin(origin, "")
}

fn response_malformed() -> Provoked {
    before_origin(Origin::serve(|_| b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()), "")
}

fn response_header_too_large() -> Provoked {
    let value = "a".repeat(1 << 20);
    before_origin(Origin::serve(move |_| reply_with_field(&value)), "")
}

fn response_timeout() -> Provoked {
    let origin = Origin::script(|conversation| {
        conversation.request();
        conversation.await_end();
    });
    before_origin(origin, "timeouts = { response = \"200ms\" }")
}

fn connection_limit() -> Provoked {
    let origin = Origin::named("origin");
    let proxy = Proxy::before_with(&[origin.address()], "[listener.web.limits]\nconnections = 1");
    let mut first = proxy.client();
    first.exchange(GET).expect_status(200);
    // It is refused before it has said anything.
    let answer = proxy.client().response();
    Provoked { is_logged: false, ..Provoked::answered(proxy, answer, (first, origin)) }
}

fn shutting_down() -> Provoked {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::serve(move |_| {
        held.wait();
        reply(200, "")
    });
    let config = app_config(&[origin.address()], "[server]\nshutdown_timeout = \"200ms\"");
    let mut proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send(GET);
    origin.wait_for(1);
    proxy.signal("TERM");
    let answer = client.response();
    proxy.wait_exit();
    gate.open();
    Provoked { is_counted: false, ..Provoked::answered(proxy, answer, origin) }
}

fn out_of_resources() -> Provoked {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    // Taken on before there is nothing left to take it on with.
    client.send("GET / HTTP/1.1\r\n");
    proxy.wait_for_metric("evenkeel_connections_total", &[("listener", "web")], |count| count >= 1.0);
    proxy.limit_open_files(3);
    let answer = client.exchange("Host: test\r\n\r\n");
    proxy.limit_open_files(1000);
    Provoked::answered(proxy, answer, origin)
}

fn client_closed() -> Provoked {
    let origin = Origin::script(|conversation| {
        conversation.request();
        conversation.await_end();
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send(GET);
    origin.wait_for(1);
    client.reset();
    Provoked::unanswered(proxy, origin)
}

fn response_incomplete() -> Provoked {
    let origin = Origin::script(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nfirst half");
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.send(GET);
    let failure = client.try_response().expect_err("half a response is none");
    assert!(failure.end.is_gone(), "{failure}");
    Provoked::unanswered(proxy, origin)
}

fn client_stalled() -> Provoked {
    let body = vec![b'x'; 64 << 20];
    let origin = Origin::serve(move |_| reply(200, &body));
    let proxy = Proxy::before_with(&[origin.address()], "[listener.web.timeouts]\nstall = \"300ms\"");
    let mut client = proxy.client();
    client.send(GET);
    client.response_head().expect_status(200);
    Provoked::unanswered(proxy, (client, origin))
}

fn reply_with_field(value: &str) -> Vec<u8> {
    evenkeel_testkit::reply_with(200, &[("x-long", value)], "")
}

/// A session through a TCP listener to an origin, the client having got a reply.
fn session(origin: &Origin, listener: &str, rest: &str) -> (Proxy, RawClient) {
    let tcp = format!("protocol = \"tcp\"\n{listener}\nupstream = \"app\"");
    let config = app_config(&[origin.address()], rest).replacen("upstream = \"app\"", &tcp, 1);
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send("PING\r\n").read_exactly(7);
    (proxy, client)
}

fn upstream_reset() -> Provoked {
    let origin = Origin::redis("a", &RedisMood::default());
    let (proxy, client) = session(&origin, "", "");
    origin.reset_connections();
    Provoked::unanswered(proxy, (client, origin))
}

fn idle_timeout() -> Provoked {
    let origin = Origin::redis("a", &RedisMood::default());
    let (proxy, client) = session(&origin, "timeouts = { idle = \"200ms\" }", "");
    Provoked::unanswered(proxy, (client, origin))
}

fn endpoint_down() -> Provoked {
    let mood = RedisMood::default();
    let origin = Origin::redis("a", &mood);
    let health = "on_down = \"close\"\nhealth = { kind = \"redis\", interval = \"100ms\" }";
    let (proxy, client) = session(&origin, "", health);
    mood.trouble(Some("LOADING"));
    Provoked::unanswered(proxy, (client, origin))
}
