//! A real Prometheus reads the metrics page, and what it computes from it is what happened.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use evenkeel_testkit::{Origin, Prometheus, Proxy, ReservedPort, reply};

#[test]
fn prometheus_scrapes_what_happened() {
    let origin = Origin::serve(|request| match request.target.as_str() {
        "/missing" => reply(404, "no"),
        _ => reply(200, "ok"),
    });
    let port = ReservedPort::new();
    let proxy = Proxy::before_with(
        &[origin.address(), port.address()],
        "[upstream.app.health]\nkind = \"tcp\"\ninterval = \"50ms\"",
    );
    proxy.wait_for_endpoint(origin.address(), true);
    proxy.wait_for_endpoint(port.address(), false);
    let Some(prometheus) = Prometheus::scraping(proxy.admin()) else { return };
    let mut client = proxy.client();
    let mut ask = |path: &str, times: usize| {
        for _ in 0..times {
            client.exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        }
    };
    ask("/", 40);
    ask("/missing", 2);
    prometheus.wait_for("up{job=\"evenkeel\"}", 1.0);
    prometheus.wait_for("evenkeel_requests_total{listener=\"web\",upstream=\"app\",code=\"200\"}", 40.0);
    prometheus.wait_for("evenkeel_requests_total{listener=\"web\",upstream=\"app\",code=\"404\"}", 2.0);
    let up = |address: SocketAddr| format!("evenkeel_endpoint_up{{upstream=\"app\",endpoint=\"{address}\"}}");
    prometheus.wait_for(&up(origin.address()), 1.0);
    prometheus.wait_for(&up(port.address()), 0.0);
    prometheus.wait_for("count(evenkeel_build_info)", 1.0);

    // As a dashboard asks: over what came between two scrapes.
    ask("/", 20);
    prometheus.wait_for("sum(evenkeel_requests_total)", 62.0);
    let buckets = "sum by (le) (rate(evenkeel_request_duration_seconds_bucket[1m]))";
    for quantile in ["0.5", "0.99"] {
        let query = format!("histogram_quantile({quantile}, {buckets})");
        let seconds = prometheus.wait_until(&query, |seconds| seconds.is_finite());
        assert!(seconds > 0.0 && seconds < 60.0, "{query} is {seconds}");
    }
    let query = "histogram_quantile(0.9, sum by (le) (evenkeel_request_duration_seconds_bucket))";
    let seconds = prometheus.wait_until(query, |seconds| seconds.is_finite());
    assert!(seconds > 0.0 && seconds < 60.0, "{query} is {seconds}");
    prometheus.expect_healthy_targets();
}

#[test]
fn promtool_finds_nothing() {
    let origin = Origin::named("origin");
    let proxy =
        Proxy::before_with(&[origin.address()], "[upstream.app.health]\npath = \"/\"\ninterval = \"50ms\"");
    proxy.wait_for_endpoint(origin.address(), true);
    proxy.get("/").expect_status(200);
    proxy.client().exchange("GET / HTTP/1.1\r\n\r\n").expect_status(400);
    proxy.wait_for_metric("evenkeel_rejections_total", &[("reason", "bad_host")], |count| count == 1.0);
    let response = proxy.admin_get("/metrics").expect_status(200);
    let kind = response.fields.value("content-type").unwrap_or_default();
    assert!(
        kind.starts_with("text/plain; version=0.0.4") || kind.starts_with("application/openmetrics-text"),
        "{kind}"
    );
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = spawned else {
        eprintln!("promtool is not installed: only the content type was checked");
        return;
    };
    promtool.stdin.take().unwrap().write_all(&response.body).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{}", response.text());
}
