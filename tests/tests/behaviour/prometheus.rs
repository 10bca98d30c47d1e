//! A real Prometheus reads the metrics page, and what it computes from it is what happened.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use evenkeel_testkit::{Origin, Process, Proxy, RawClient, ReservedPort, TempDir, eventually, reply};
use serde_json::Value;

/// Where Debian's package puts it; `PATH` may have another.
const PROMETHEUS: [&str; 2] = ["/usr/bin/prometheus", "prometheus"];

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
    let Some(prometheus) = Prometheus::start(proxy.admin()) else {
        eprintln!("prometheus is not installed: nothing was scraped");
        return;
    };
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
    prometheus.expect_healthy_target();
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

/// A Prometheus that scrapes one address every second; ends when dropped.
struct Prometheus {
    address: SocketAddr,
    // In this order: it ends before its directory goes.
    process: Process,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts it; `None` when it is not installed.
    fn start(target: SocketAddr) -> Option<Self> {
        let program = PROMETHEUS.into_iter().find(|program| is_installed(Path::new(program)))?;
        let dir = TempDir::new();
        let config = dir.write(
            "prometheus.yml",
            &format!(
                "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: evenkeel\n    static_configs:\n      - targets: [\"{target}\"]\n"
            ),
        );
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0");
        let process = Process::spawn("prometheus", &mut command);
        let address = process.wait_for_line("where it listens", |line| {
            let rest = line.split_once("\"Listening on\" address=")?.1;
            rest.split_whitespace().next()?.parse().ok()
        });
        process.wait_for_line("that it is ready", |line| line.contains("Server is ready").then_some(()));
        Some(Self { address, process, _dir: dir })
    }

    /// Waits until a query has one result with this value.
    #[track_caller]
    fn wait_for(&self, query: &str, value: f64) {
        self.wait_until(query, |now| now == value);
    }

    /// Waits until a query has one result that is wanted, and gives it.
    #[track_caller]
    fn wait_until(&self, query: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        eventually(&format!("the wanted value of {query}"), || {
            let answer = self.ask(&format!("/api/v1/query?query={}", escape(query)));
            let results = answer["data"]["result"].as_array().map_or(&[][..], Vec::as_slice);
            let value = match results {
                [only] => only["value"][1].as_str().and_then(|value| value.parse::<f64>().ok()),
                _ => None,
            };
            match value {
                Some(value) if wanted(value) => Ok(value),
                _ => Err(format!("{answer}\n{}", self.process.output())),
            }
        })
    }

    /// Fails the test if it has anything to say against what it scrapes.
    #[track_caller]
    fn expect_healthy_target(&self) {
        let answer = self.ask("/api/v1/targets?state=active");
        let target = &answer["data"]["activeTargets"][0];
        assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{answer}");
    }

    #[track_caller]
    fn ask(&self, path: &str) -> Value {
        let mut client = RawClient::connect(self.address);
        let response = client
            .exchange(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address));
        match serde_json::from_slice(&response.body) {
            Ok(answer) => answer,
            Err(error) => panic!("{error}:\n{response}"),
        }
    }
}

fn is_installed(program: &Path) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// Percent-encodes all but letters and digits.
fn escape(query: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    query.bytes().map(byte).collect()
}
