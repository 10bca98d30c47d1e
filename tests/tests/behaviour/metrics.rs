//! The metrics page: what was counted is what happened, and clients cannot make it grow.

use evenkeel_testkit::{Gate, Origin, Proxy, reply};

#[test]
fn requests_are_counted_by_method_and_code() {
    let origin = Origin::serve(|request| match request.target.as_str() {
        "/missing" => reply(404, "no"),
        "/broken" => reply(500, "no"),
        _ => reply(200, "ok"),
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    let mut ask = |method: &str, path: &str, times: usize| {
        for _ in 0..times {
            client.exchange(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        }
    };
    ask("GET", "/", 7);
    ask("HEAD", "/", 2);
    ask("POST", "/missing", 3);
    ask("DELETE", "/broken", 1);
    let metrics = proxy.wait_for_metric("evenkeel_requests_total", &[("listener", "web")], |n| n == 13.0);
    for (method, code, count) in
        [("GET", "200", 7.0), ("HEAD", "200", 2.0), ("POST", "404", 3.0), ("DELETE", "500", 1.0)]
    {
        let labels = [("listener", "web"), ("upstream", "app"), ("method", method), ("code", code)];
        assert_eq!(metrics.value("evenkeel_requests_total", &labels), count, "{labels:?}\n{metrics}");
    }
    let endpoint = origin.address().to_string();
    let by_endpoint = |code| {
        let labels = [("upstream", "app"), ("endpoint", endpoint.as_str()), ("code", code)];
        metrics.value("evenkeel_upstream_requests_total", &labels)
    };
    assert_eq!((by_endpoint("200"), by_endpoint("404"), by_endpoint("500")), (9.0, 3.0, 1.0), "{metrics}");
    for name in ["evenkeel_request_duration_seconds", "evenkeel_upstream_request_duration_seconds"] {
        assert_eq!(
            metrics.value(&format!("{name}_count"), &[("upstream", "app")]),
            13.0,
            "{name}\n{metrics}"
        );
        let all = [("upstream", "app"), ("le", "+Inf")];
        assert_eq!(metrics.value(&format!("{name}_bucket"), &all), 13.0, "{name}\n{metrics}");
        assert!(metrics.value(&format!("{name}_sum"), &[]) > 0.0, "{name}\n{metrics}");
    }
}

#[test]
fn bytes_are_counted_both_ways() {
    let origin = Origin::serve(|_| reply(200, vec![b'x'; 50_000]));
    let proxy = Proxy::before(&[origin.address()]);
    let body = "y".repeat(20_000);
    proxy
        .client()
        .exchange(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 20000\r\n\r\n{body}"))
        .expect_status(200);
    let metrics = proxy.wait_for_metric("evenkeel_requests_total", &[], |count| count == 1.0);
    // Bodies, perhaps with their heads: the contract names bytes, not which.
    let near = |value: f64, body: f64| (body..body + 1000.0).contains(&value);
    assert!(near(metrics.value("evenkeel_request_bytes_total", &[]), 20_000.0), "{metrics}");
    assert!(near(metrics.value("evenkeel_response_bytes_total", &[]), 50_000.0), "{metrics}");
}

#[test]
fn what_is_open_and_in_flight_is_shown_while_it_is() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::serve(move |_| {
        held.wait();
        reply(200, "")
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    origin.wait_for(4);
    let endpoint = origin.address().to_string();
    let labels = [("upstream", "app"), ("endpoint", endpoint.as_str())];
    let metrics = proxy.wait_for_metric("evenkeel_upstream_in_flight", &labels, |count| count == 4.0);
    assert_eq!(metrics.value("evenkeel_connections_open", &[("listener", "web")]), 4.0, "{metrics}");
    assert_eq!(metrics.value("evenkeel_connections_total", &[("listener", "web")]), 4.0, "{metrics}");
    assert_eq!(metrics.value("evenkeel_upstream_connections_open", &labels), 4.0, "{metrics}");
    gate.open();
    for client in &mut clients {
        client.response().expect_status(200);
    }
    drop(clients);
    let metrics = proxy.wait_for_metric("evenkeel_connections_open", &[("listener", "web")], |n| n == 0.0);
    assert_eq!(metrics.value("evenkeel_upstream_in_flight", &labels), 0.0, "{metrics}");
    assert_eq!(metrics.value("evenkeel_connections_total", &[("listener", "web")]), 4.0, "{metrics}");
}

#[test]
fn clients_cannot_mint_series() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client.exchange("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    client.exchange("BREW / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200);
    let before = proxy.wait_for_metric("evenkeel_requests_total", &[], |count| count == 2.0).series();
    for number in 0..200 {
        client
            .exchange(format!(
                "M{number} /path/{number}?{number} HTTP/1.1\r\nHost: h{number}.example\r\nX-{number}: {number}\r\n\r\n"
            ))
            .expect_status(200);
    }
    let metrics = proxy.wait_for_metric("evenkeel_requests_total", &[], |count| count == 202.0);
    assert_eq!(metrics.series(), before, "{metrics}");
    let others = [("method", "other"), ("code", "200")];
    assert_eq!(metrics.value("evenkeel_requests_total", &others), 201.0, "{metrics}");
}

#[test]
fn an_endpoint_cannot_mint_series_beyond_statuses() {
    let origin = Origin::serve(|request| {
        let status = request.target.trim_start_matches('/');
        format!("HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    for status in [200, 299, 418, 599, 777, 999] {
        client.exchange(format!("GET /{status} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }
    let metrics = proxy.wait_for_metric("evenkeel_requests_total", &[], |count| count == 6.0);
    for sample in metrics.samples("evenkeel_requests_total") {
        let code = &sample.labels["code"];
        assert!(code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()), "{sample:?}");
    }
}

#[test]
fn the_page_names_the_build_and_the_last_reload() {
    let proxy = Proxy::before(&[Origin::named("x").address()]);
    let metrics = proxy.metrics();
    assert_eq!(metrics.value("evenkeel_build_info", &[]), 1.0, "{metrics}");
    assert!(metrics.samples("evenkeel_build_info")[0].labels.contains_key("version"), "{metrics}");
    assert_eq!(metrics.value("evenkeel_config_last_reload_successful", &[]), 1.0, "{metrics}");
    let timestamp = metrics.value("evenkeel_config_last_reload_success_timestamp_seconds", &[]);
    assert!(timestamp > 1.6e9, "{metrics}");
}

#[test]
fn the_admin_address_is_guarded() {
    let proxy = Proxy::before(&[Origin::named("x").address()]);
    // DNS rebinding: a page of a stranger's name that resolves to us.
    let mut client = evenkeel_testkit::RawClient::connect(proxy.admin());
    let response =
        client.exchange("GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!((400..500).contains(&response.status), "{response}");
    proxy.admin_get("/nothing-here").expect_status(404);
    let mut client = evenkeel_testkit::RawClient::connect(proxy.admin());
    let request = format!("DELETE /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", proxy.admin());
    client.exchange(request).expect_status(405);
}
