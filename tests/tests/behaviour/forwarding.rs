//! What a request looks like when it reaches an endpoint, and an answer when it reaches the client.

use evenkeel_testkit::{Origin, Proxy, RawClient, Request, app_config, reply, reply_with};

/// Sends one request through a proxy with this configuration after `app_config`; gives what the origin got.
fn forwarded(rest: &str, request: &str) -> Request {
    let origin = Origin::named("origin");
    let proxy = Proxy::before_with(&[origin.address()], rest);
    proxy.client().exchange(request).expect_status(200);
    origin.wait_for(1).remove(0)
}

/// A configuration whose listener trusts the loopback address.
fn trusting(origin: &Origin) -> String {
    app_config(&[origin.address()], "")
        .replace("upstream = \"app\"\n", "upstream = \"app\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n")
}

#[test]
fn methods_targets_and_bodies_arrive_as_sent() {
    let origin = Origin::serve(|request| reply(200, &request.body));
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    let target = "/a%20b/../c//d;e=f?x=1&y=%2F&&z=a:b@c/?*";
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "x-own.method"] {
        let body = format!("the body of {method}");
        client
            .exchange(format!(
                "{method} {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .expect_status(200)
            .expect_body(&body);
        let request = origin.requests().pop().unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), (method, target), "{request}");
        assert_eq!(request.version, "HTTP/1.1");
        assert_eq!(request.body, body.as_bytes(), "{request}");
    }
}

#[test]
fn fields_keep_their_order_and_spelling_in_both_directions() {
    let origin = Origin::serve(|_| {
        b"HTTP/1.1 200 Fine Indeed\r\nX-Two: 2\r\nset-cookie: a=1\r\nX-ONE:1\r\nSet-Cookie: b=2\r\nServer: mine\r\nDate: then\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let proxy = Proxy::before(&[origin.address()]);
    let response = proxy.client().exchange(
        "GET / HTTP/1.1\r\nx-Zebra: z\r\nHost: test\r\nX-Apple: a\r\nACCEPT: */*\r\nx-Zebra: again\r\nX-Empty:\r\nX-Blank: \t v\t \r\nX-High: \u{e9}\r\n\r\n",
    );
    let request = origin.wait_for(1).remove(0);
    let own = ["x-Zebra", "X-Apple", "ACCEPT", "X-Empty", "X-Blank", "X-High"];
    let names: Vec<_> = request.fields.names().into_iter().filter(|name| own.contains(name)).collect();
    assert_eq!(
        names,
        ["x-Zebra", "X-Apple", "ACCEPT", "x-Zebra", "X-Empty", "X-Blank", "X-High"],
        "{request}"
    );
    assert_eq!(request.fields.values("x-zebra"), ["z", "again"]);
    assert_eq!(request.fields.value("x-empty"), Some(""));
    assert_eq!(request.fields.value("x-blank"), Some("v"));
    assert_eq!(request.fields.value("x-high"), Some("\u{e9}"));

    assert_eq!(response.reason, "Fine Indeed", "{response}");
    let theirs = ["X-Two", "set-cookie", "X-ONE", "Set-Cookie", "Server", "Date"];
    let names: Vec<_> = response.fields.names().into_iter().filter(|name| theirs.contains(name)).collect();
    assert_eq!(names, theirs, "{response}");
    assert_eq!(response.fields.values("set-cookie"), ["a=1", "b=2"]);
    let response = response.expect_field("server", "mine");
    assert_eq!(response.fields.values("date"), ["then"], "{response}");
}

#[test]
fn fields_of_one_connection_do_not_pass() {
    let request = forwarded(
        "",
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, X-Secret\r\nconnection: x-second\r\nX-Secret: 1\r\nX-SECOND: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nUpgrade: websocket\r\nX-Stays: 3\r\n\r\n",
    );
    for name in ["x-secret", "x-second", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(!request.fields.has(name), "{name} passed:\n{request}");
    }
    for token in ["x-secret", "x-second"] {
        assert!(!request.fields.has_token("connection", token), "{request}");
    }
    assert_eq!(request.fields.value("x-stays"), Some("3"));

    let origin = Origin::serve(|_| {
        let fields = [
            ("Connection", "X-Inner, keep-alive"),
            ("X-Inner", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("X-Stays", "2"),
        ];
        reply_with(200, &fields, "ok")
    });
    let response = Proxy::before(&[origin.address()]).get("/").expect_body("ok").expect_field("x-stays", "2");
    for name in ["x-inner", "keep-alive", "proxy-connection"] {
        assert!(!response.fields.has(name), "{name} passed:\n{response}");
    }
    assert!(!response.fields.has_token("connection", "x-inner"), "{response}");
}

#[test]
fn connection_cannot_remove_what_the_message_depends_on() {
    let request = forwarded(
        "",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nConnection: close, Host, Content-Length, X-Forwarded-For, X-Request-Id\r\n\r\nhello",
    );
    assert_eq!(request.fields.value("host"), Some("test"), "{request}");
    assert_eq!(request.body, b"hello", "{request}");
    assert_eq!(request.fields.value("x-forwarded-for"), Some("127.0.0.1"), "{request}");
    assert!(request.fields.has("x-request-id"), "{request}");
}

#[test]
fn via_names_the_proxy_after_those_before_it() {
    let request = forwarded("", "GET / HTTP/1.1\r\nHost: test\r\nVia: 1.0 fred\r\n\r\n");
    assert_eq!(request.fields.values("via").join(", "), "1.0 fred, 1.1 evenkeel", "{request}");
    let request = forwarded("", "GET / HTTP/1.0\r\nHost: test\r\n\r\n");
    assert_eq!(request.fields.values("via").join(", "), "1.0 evenkeel", "{request}");
}

#[test]
fn what_strangers_say_about_forwarding_is_replaced() {
    let request = forwarded(
        "",
        "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nForwarded: for=6.6.6.6\r\nX-Request-Id: chosen-by-client\r\n\r\n",
    );
    assert_eq!(request.fields.values("x-forwarded-for"), ["127.0.0.1"], "{request}");
    assert_eq!(request.fields.values("x-forwarded-proto"), ["http"], "{request}");
    assert_eq!(request.fields.values("x-forwarded-host"), ["shop.example"], "{request}");
    assert!(!request.fields.has("forwarded"), "{request}");
    let id = request.fields.values("x-request-id");
    assert!(id.len() == 1 && id[0] != "chosen-by-client" && id[0].len() >= 16, "{request}");
}

#[test]
fn what_trusted_proxies_say_about_forwarding_is_kept_and_extended() {
    let origin = Origin::named("origin");
    let proxy = Proxy::start(&trusting(&origin));
    proxy.client().exchange(
        "GET / HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nX-Request-Id: abc-123\r\n\r\n",
    );
    let request = origin.wait_for(1).remove(0);
    assert_eq!(
        request.fields.values("x-forwarded-for").join(", "),
        "6.6.6.6, 7.7.7.7, 127.0.0.1",
        "{request}"
    );
    assert_eq!(request.fields.values("x-forwarded-proto"), ["https"], "{request}");
    assert_eq!(request.fields.values("x-forwarded-host"), ["shop.example"], "{request}");
    assert_eq!(request.fields.values("x-request-id"), ["abc-123"], "{request}");
    assert_eq!(request.fields.value("host"), Some("inner"), "{request}");

    // A trusted proxy that says nothing: everything is made as for a stranger.
    proxy.client().exchange("GET /silent HTTP/1.1\r\nHost: inner\r\n\r\n");
    let request = origin.wait_for(2).remove(1);
    assert_eq!(request.fields.values("x-forwarded-for"), ["127.0.0.1"], "{request}");
    assert_eq!(request.fields.values("x-forwarded-proto"), ["http"], "{request}");
    assert_eq!(request.fields.values("x-forwarded-host"), ["inner"], "{request}");
    assert!(request.fields.has("x-request-id"), "{request}");
}

#[test]
fn request_ids_differ_and_are_logged() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    for number in 0..20 {
        proxy.get(&format!("/{number}"));
    }
    let requests = origin.wait_for(20);
    let ids: Vec<_> = requests.iter().map(|r| r.fields.value("x-request-id").unwrap_or_default()).collect();
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 20, "{ids:?}");
    for request in &requests {
        let line = proxy.wait_for_log_of(&request.target);
        assert_eq!(line["request_id"].as_str(), request.fields.value("x-request-id"), "{line}");
    }
}

#[test]
fn host_and_trace_context_pass_unchanged() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = forwarded(
        "",
        &format!(
            "GET / HTTP/1.1\r\nHost: Shop.Example:8080\r\ntraceparent: {trace}\r\ntracestate: a=b\r\nAuthorization: Basic eDp5\r\n\r\n"
        ),
    );
    assert_eq!(request.fields.values("host"), ["Shop.Example:8080"], "{request}");
    assert_eq!(request.fields.values("traceparent"), [trace]);
    assert_eq!(request.fields.values("tracestate"), ["a=b"]);
    assert_eq!(request.fields.values("authorization"), ["Basic eDp5"]);
}

#[test]
fn an_absolute_target_becomes_path_and_host() {
    let request = forwarded("", "GET http://shop.example:81/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(request.target, "/a?b", "{request}");
    assert_eq!(request.fields.values("host"), ["shop.example:81"], "{request}");
    let request = forwarded("", "GET http://shop.example HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(request.target, "/", "{request}");
}

#[test]
fn options_asterisk_passes() {
    let request = forwarded("", "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(request.target, "*", "{request}");
}

#[test]
fn a_request_without_host_from_http_1_0_gets_one() {
    let request = forwarded("", "GET /old HTTP/1.0\r\n\r\n");
    assert_eq!(request.version, "HTTP/1.1", "{request}");
    assert_eq!(request.fields.values("host").len(), 1, "{request}");
}

#[test]
fn a_listener_on_a_unix_socket_serves() {
    let origin = Origin::named("origin");
    let config = app_config(&[origin.address()], "").replace("127.0.0.1:0", "unix:$DIR/web.sock");
    let proxy = Proxy::start(&config);
    let mut client = RawClient::connect_unix(&proxy.dir().join("web.sock"));
    for _ in 0..2 {
        client.exchange("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_body("origin");
    }
    let request = origin.wait_for(2).remove(0);
    assert_eq!(request.fields.value("host"), Some("test"), "{request}");
}

#[test]
fn an_endpoint_on_a_unix_socket_is_reached_through_another_proxy() {
    let origin = Origin::named("origin");
    let inner =
        Proxy::start(&app_config(&[origin.address()], "").replace("127.0.0.1:0", "unix:$DIR/inner.sock"));
    let socket = inner.dir().join("inner.sock");
    let outer = Proxy::start(
        &app_config(&[], "")
            .replace("endpoints = []", &format!("endpoints = [\"unix:{}\"]", socket.display())),
    );
    let mut client = outer.client();
    let body = "x".repeat(100_000);
    let response = client.exchange(format!(
        "POST /through HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    response.expect_status(200).expect_body("origin");
    let request = origin.wait_for(1).remove(0);
    assert_eq!(request.body.len(), body.len());
    assert_eq!(request.fields.values("via").join(", "), "1.1 evenkeel, 1.1 evenkeel", "{request}");
}
