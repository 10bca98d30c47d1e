//! Fields that vouch for a client or frame a message, under all their names: only those who are trusted have a say.

use evenkeel_testkit::{Origin, Proxy, Request, app_config, reply};

use crate::own_answers::expect_own;

/// What an endpoint gets of a request with these fields, from a stranger or from a trusted proxy.
fn forwarded(fields: &[(&str, &str)], trusted: bool) -> Request {
    let origin = Origin::named("origin");
    let mut config = app_config(&[origin.address()], "");
    if trusted {
        config = config
            .replace("upstream = \"app\"\n", "upstream = \"app\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    }
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let proxy = Proxy::start(&config);
    proxy.client().exchange(format!("GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n")).expect_status(200);
    origin.wait_for(1).remove(0)
}

/// Names that a gateway which makes variables of them cannot tell from others (RFC 3875 §4.1.18).
const TWINS: [(&str, &str); 8] = [
    ("X_Forwarded_For", "6.6.6.6"),
    ("X-Forwarded_Proto", "https"),
    ("x_forwarded-host", "evil.example"),
    ("X_REQUEST_ID", "chosen"),
    ("Content_Length", "7"),
    ("Transfer_Encoding", "chunked"),
    ("TRANSFER_ENCODING", "identity"),
    ("content_length", "0"),
];

const VOUCHING: [(&str, &str); 6] = [
    ("X-Forwarded-Port", "8443"),
    ("X-Forwarded-Prefix", "/shop"),
    ("X-Forwarded-Ssl", "on"),
    ("x-forwarded-server", "edge-1"),
    ("X-Forwarded-Anything", "1"),
    ("X-Real-IP", "6.6.6.6"),
];

#[test]
fn nothing_that_strangers_vouch_for_arrives() {
    let twins_too = [("x_forwarded_port", "1"), ("X_Real_Ip", "6.6.6.6"), ("X_Forwarded_Something", "1")];
    let sent = [&VOUCHING[..], &TWINS, &twins_too].concat();
    let request = forwarded(&sent, false);
    for (name, value) in sent {
        assert!(!request.fields.names().contains(&name), "{name} arrived:\n{request}");
        let value_arrived = request.fields.0.iter().any(|(_, other)| other == value && value.len() > 2);
        assert!(!value_arrived, "{value} arrived:\n{request}");
    }
    assert_eq!(request.fields.values("x-forwarded-for"), ["127.0.0.1"], "{request}");
    assert!(request.body.is_empty(), "{request}");
}

#[test]
fn what_trusted_proxies_vouch_for_arrives_but_for_ambiguous_names() {
    let request = forwarded(&[&VOUCHING[..], &TWINS].concat(), true);
    for (name, value) in VOUCHING {
        assert_eq!(request.fields.values(name), [value], "{request}");
    }
    for (name, _) in TWINS {
        assert!(!request.fields.names().contains(&name), "{name} arrived:\n{request}");
    }
}

#[test]
fn names_that_only_look_similar_arrive() {
    let similar = [
        ("X_Custom_Field", "a"),
        ("X-Forwarded", "b"),
        ("X-Forward-Port", "c"),
        ("X-Real-IPs", "d"),
        ("Content_Lengths", "e"),
        ("My-X-Forwarded-For", "f"),
    ];
    let request = forwarded(&similar, false);
    for (name, value) in similar {
        assert_eq!(request.fields.values(name), [value], "{request}");
    }
}

/// There are readers who take 010 for eight.
#[test]
fn a_length_with_a_zero_in_front_is_refused() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    for length in ["010", "00", "0000000000000000001"] {
        let mut client = proxy.client();
        client.send(format!(
            "POST /padded HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n0123456789"
        ));
        expect_own(&client.response(), 400, "http_request_error");
    }
    assert_eq!(
        proxy.wait_for_log("one of them", |line| line["status"] == 400)["reason"],
        "ambiguous_framing"
    );
    assert_eq!(origin.request_count(), 0);
    proxy.client().exchange("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n").expect_status(200);

    let origin = Origin::serve(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 010\r\n\r\n0123456789".to_vec());
    let proxy = Proxy::before(&[origin.address()]);
    expect_own(&proxy.get("/padded"), 502, "http_protocol_error");
    assert_eq!(proxy.wait_for_log_of("/padded")["reason"], "response_malformed");
}

/// RFC 9110 §8.6: neither has a Content-Length, whatever the endpoint thinks.
#[test]
fn answers_without_a_body_lose_their_length() {
    let origin = Origin::serve(|request| match request.target.as_str() {
        "/204/0" => b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX-Stays: 1\r\n\r\n".to_vec(),
        "/204/5" => b"HTTP/1.1 204 No Content\r\nX-Stays: 1\r\nContent-Length: 5\r\n\r\n".to_vec(),
        "/103" => [
            &b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nX-Stays: 1\r\n\r\n"[..],
            &reply(200, "the answer"),
        ]
        .concat(),
        _ => reply(200, "after"),
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    for target in ["/204/0", "/204/5"] {
        let response =
            client.exchange(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")).expect_status(204);
        let response = response.expect_field("x-stays", "1");
        assert!(!response.fields.has("content-length"), "{response}");
        client.exchange("GET /after HTTP/1.1\r\nHost: test\r\n\r\n").expect_body("after");
    }
    let response = client.exchange("GET /103 HTTP/1.1\r\nHost: test\r\n\r\n").expect_body("the answer");
    let hint = &response.informational[0];
    assert_eq!(hint.fields.value("x-stays"), Some("1"), "{response}");
    assert!(!hint.fields.has("content-length"), "{response}");
    client.exchange("GET /after HTTP/1.1\r\nHost: test\r\n\r\n").expect_body("after");
}
