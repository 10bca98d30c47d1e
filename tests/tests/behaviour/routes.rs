//! Which route takes a request, and the routes that answer by themselves.

use evenkeel_testkit::{Origin, Proxy, Response};

/// Asks with this host and path, and more fields.
fn ask(proxy: &Proxy, method: &str, host: &str, path: &str, fields: &str) -> Response {
    proxy
        .client()
        .exchange(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n"))
}

/// A proxy with an upstream for each name, whose origin answers with the name.
fn routed(names: &[&'static str], routes: &str) -> (Proxy, Vec<Origin>) {
    let origins: Vec<Origin> = names.iter().map(|name| Origin::named(name)).collect();
    let upstreams: String = names
        .iter()
        .zip(&origins)
        .map(|(name, origin)| format!("[upstream.{name}]\nendpoints = [\"{}\"]\n", origin.address()))
        .collect();
    let proxy = Proxy::start(&format!("[listener.web]\naddress = \"127.0.0.1:0\"\n{routes}\n{upstreams}"));
    (proxy, origins)
}

#[test]
fn host_path_method_and_header_decide() {
    let (proxy, _origins) = routed(
        &["exact", "wild", "prefix", "page", "post", "beta"],
        r#"
[[route]]
name = "wild"
match = { host = "*.example.com" }
upstream = "wild"
[[route]]
name = "exact"
match = { host = "www.example.com" }
upstream = "exact"
[[route]]
name = "prefix"
match = { host = "api.test", path = "/v1/*" }
upstream = "prefix"
[[route]]
name = "page"
match = { host = "api.test", path = "/v1/page" }
upstream = "page"
[[route]]
name = "post"
match = { host = "api.test", path = "/v1/*", method = ["POST", "PUT"] }
upstream = "post"
[[route]]
name = "beta"
match = { host = "api.test", path = "/v1/*", header = { "x-beta" = "1" } }
upstream = "beta"
"#,
    );
    for (method, host, path, fields, wanted) in [
        ("GET", "www.example.com", "/", "", "exact"),
        ("GET", "WWW.Example.COM:8080", "/", "", "exact"),
        ("GET", "other.example.com", "/", "", "wild"),
        ("GET", "api.test", "/v1/x?y", "", "prefix"),
        ("GET", "api.test", "/v1", "", "prefix"),
        ("GET", "api.test", "/v1/page", "", "page"),
        ("GET", "api.test", "/v1/page?query", "", "page"),
        ("POST", "api.test", "/v1/x", "", "post"),
        ("PUT", "api.test", "/v1/x", "", "post"),
        ("GET", "api.test", "/v1/x", "X-Beta: 1\r\n", "beta"),
        ("GET", "api.test", "/v1/x", "X-Beta: 2\r\n", "prefix"),
    ] {
        let response = ask(&proxy, method, host, path, fields);
        assert_eq!(response.text(), wanted, "{method} {host} {path} {fields:?}:\n{response}");
    }
    for (host, path) in [("example.com", "/"), ("api.test", "/v10"), ("api.test", "/"), ("nowhere", "/v1/x")]
    {
        let response = ask(&proxy, "GET", host, path, "");
        assert_eq!(response.status, 404, "{host} {path}:\n{response}");
    }
    assert_eq!(proxy.wait_for_log_of("/v1/page")["route"], "page");
}

#[test]
fn the_listeners_own_upstream_takes_the_rest() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let proxy = Proxy::start(&format!(
        r#"
[listener.web]
address = "127.0.0.1:0"
upstream = "b"
[[route]]
name = "a"
match = {{ path = "/a/*" }}
upstream = "a"
[upstream.a]
endpoints = ["{}"]
[upstream.b]
endpoints = ["{}"]
"#,
        a.address(),
        b.address()
    ));
    proxy.get("/a/b").expect_body("a");
    proxy.get("/").expect_body("b");
    let labels = [("listener", "web"), ("route", "a"), ("upstream", "a"), ("method", "GET"), ("code", "200")];
    proxy.wait_for_metric("evenkeel_requests_total", &labels, |count| count == 1.0);
}

#[test]
fn a_route_of_one_listener_is_not_anothers() {
    let origin = Origin::named("inner");
    let proxy = Proxy::start(&format!(
        r#"
[listener.web]
address = "127.0.0.1:0"
[listener.inner]
address = "127.0.0.1:0"
[[route]]
name = "inner"
listener = "inner"
upstream = "app"
[upstream.app]
endpoints = ["{}"]
"#,
        origin.address()
    ));
    proxy.get("/").expect_status(404);
    let mut client = evenkeel_testkit::RawClient::connect(proxy.address("inner"));
    client.exchange("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_body("inner");
}

#[test]
fn a_split_shares_by_weight() {
    let (proxy, origins) = routed(
        &["stable", "canary"],
        "[[route]]\nname = \"split\"\nsplit = [{ upstream = \"stable\", weight = 3 }, { upstream = \"canary\", weight = 1 }]\n",
    );
    let mut client = proxy.client();
    for _ in 0..400 {
        client.exchange("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    }
    // Five standard deviations of a binomial share of 400 at 1/4 are 43.
    let canary = origins[1].request_count();
    assert!(canary.abs_diff(100) <= 45, "{canary} of 400 went to the canary");
}

#[test]
fn redirects_and_fixed_answers_need_no_endpoint() {
    let (proxy, _origins) = routed(
        &[],
        r#"
[[route]]
name = "moved"
match = { path = "/old/*" }
redirect = { to = "https://{host}{path}", status = 308 }
[[route]]
name = "hello"
match = { path = "/hello" }
respond = { status = 203, body = "hello there" }
"#,
    );
    let mut client = proxy.client();
    client
        .exchange("GET /old/a?b=c HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        .expect_status(308)
        .expect_field("location", "https://shop.example/old/a?b=c");
    // With a body that nobody reads the connection may end.
    proxy
        .client()
        .exchange("POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
        .expect_status(203)
        .expect_body("hello there");
    let response = client.exchange("GET /hello HTTP/1.1\r\nHost: test\r\n\r\n").expect_body("hello there");
    assert!(
        !response.fields.has("proxy-status"),
        "an answer that was asked for is no rejection:\n{response}"
    );
    client.exchange("HEAD /hello HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(203);
    client.exchange("GET /other HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(404);
    assert_eq!(proxy.wait_for_log_of("/hello")["route"], "hello");
}

#[test]
fn a_redirect_never_splits_a_header() {
    let (proxy, _origins) = routed(
        &[],
        "[[route]]\nname = \"moved\"\nredirect = { to = \"https://{host}{path}\", status = 301 }\n",
    );
    let response = ask(&proxy, "GET", "shop.example", "/%0d%0aSet-Cookie:%20a=b", "");
    let response = response.expect_field("location", "https://shop.example/%0d%0aSet-Cookie:%20a=b");
    assert!(!response.fields.has("set-cookie"), "{response}");
}
