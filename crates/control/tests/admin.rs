//! The admin address over real sockets, in front of a control side that runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use evenkeel_control::{Control, Handle, Source};
use evenkeel_testkit::{Origin, RawClient, Response, TempDir, eventually};
use serde_json::Value;
use tokio::sync::oneshot;

/// A control side on a thread of its own.
struct Running {
    admin: SocketAddr,
    web: SocketAddr,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(config: &str) -> Self {
        Self::start_from(config, Source::Given)
    }

    fn start_file(path: &Path) -> Self {
        Self::start_from(&std::fs::read_to_string(path).unwrap(), Source::File(path.into()))
    }

    fn start_from(config: &str, source: Source) -> Self {
        let plan =
            evenkeel_config::parse(config, "test.toml").unwrap_or_else(|report| panic!("{report}")).plan;
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let control = Control::start(plan, source).await.unwrap();
                let web = control.listener_address("web").unwrap().to_string().parse().unwrap();
                tell.send((control.admin_address().unwrap(), web, control.handle())).unwrap();
                let _ = stopped.await;
                control.stop().await;
            });
        });
        let (admin, web, handle) = told.recv().unwrap();
        Self { admin, web, handle, stop: Some(stop), thread: Some(thread) }
    }

    fn ask(&self, method: &str, path: &str) -> Response {
        self.ask_with(method, path, &format!("Host: {}", self.admin), "")
    }

    fn ask_with(&self, method: &str, path: &str, fields: &str, body: &str) -> Response {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request =
            format!("{method} {path} HTTP/1.1\r\n{fields}\r\n{length}Connection: close\r\n\r\n{body}");
        RawClient::connect(self.admin).send(request).response_to(method)
    }

    fn json(&self, method: &str, path: &str) -> Value {
        json(&self.ask(method, path).expect_status(200))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the control side panicked");
        }
    }
}

fn json(response: &Response) -> Value {
    assert_eq!(response.fields.value("content-type"), Some("application/json"), "{response}");
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {response}"))
}

/// An error's sentence; that it has one is part of the contract.
fn sentence(response: &Response) -> String {
    let value = json(response);
    assert_eq!(value.as_object().map(serde_json::Map::len), Some(1), "{response}");
    value["error"].as_str().unwrap_or_else(|| panic!("no sentence: {response}")).to_owned()
}

const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n[server]\nworkers = 1\nshutdown_timeout = \"5s\"\n[log]\naccess = \"off\"\n";

fn config(endpoints: &str, rest: &str) -> String {
    format!(
        "[listener.web]\naddress = \"127.0.0.1:0\"\nupstream = \"app\"\n[upstream.app]\nendpoints = {endpoints}\n{rest}\n{ADMIN}"
    )
}

fn two_endpoints() -> Running {
    Running::start(&config("[\"127.0.0.1:9001\", \"unix:/run/app.sock\"]", ""))
}

#[test]
fn probes_of_an_orchestrator_are_answered() {
    let running = two_endpoints();
    assert_eq!(running.ask("GET", "/livez").expect_status(200).text(), "alive\n");
    eventually("readiness", || match running.ask("GET", "/readyz") {
        response if response.status == 200 => Ok(()),
        response => Err(response.to_string()),
    });
    let head = running.ask("HEAD", "/readyz").expect_status(200);
    assert!(head.body.is_empty(), "{head}");
    assert_eq!(head.fields.value("content-length"), Some("6"));
}

#[test]
fn an_endpoint_that_is_not_probed_yet_is_no_reason_to_be_ready() {
    // The origin accepts the probe and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let health = "[upstream.app.health]\npath = \"/\"\ntimeout = \"1h\"\ninterval = \"1h\"";
    let running = Running::start(&config(&format!("[\"{}\"]", silent.local_addr().unwrap()), health));
    let response = running.ask("GET", "/readyz").expect_status(503);
    assert_eq!(response.text(), "not ready: the first probes are not done\n");
    running.ask("GET", "/livez").expect_status(200);
}

#[test]
fn status_and_stats_tell_what_happened() {
    let origin = Origin::named("origin");
    let running = Running::start(&config(&format!("[\"{}\"]", origin.address()), ""));
    for _ in 0..3 {
        let request = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        RawClient::connect(running.web).exchange(request).expect_status(200);
    }
    RawClient::connect(running.web).exchange("GET / HTTP/1.1\r\n\r\n").expect_status(400);
    let status = running.json("GET", "/api/v1/status");
    assert_eq!(status["listeners"][0]["address"], running.web.to_string());
    assert_eq!(status["upstreams"][0]["name"], "app");
    assert_eq!(status["upstreams"][0]["endpoints"][0]["address"], origin.address().to_string());
    assert_eq!(status["upstreams"][0]["endpoints"][0]["eligible"], true);
    assert_eq!(status["changes"].as_array().map(Vec::len), Some(0), "{status}");

    let stats = eventually("the counts", || {
        let stats = running.json("GET", "/api/v1/stats");
        let own =
            stats["routes"].as_array().unwrap().iter().find(|route| route["upstream"] == "app").cloned();
        match own {
            Some(route) if route["requests"] == 3 => Ok(stats),
            _ => Err(stats),
        }
    });
    let bounds = stats["bounds_seconds"].as_array().unwrap().len();
    let endpoint = &stats["endpoints"][0];
    let counts = endpoint["duration"]["counts"].as_array().unwrap();
    assert_eq!(counts.len(), bounds + 1);
    assert_eq!(counts.iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 3);
    assert_eq!((&endpoint["requests"], &endpoint["errors"]), (&3.into(), &0.into()));
    let rejections = stats["rejections"].as_array().unwrap();
    assert_eq!(rejections.len(), 1, "{stats}");
    assert_eq!(rejections[0]["reason"], "bad_host");
    assert!(rejections[0]["sentence"].as_str().unwrap().contains("Host header"));
    assert!(running.ask("GET", "/metrics").expect_status(200).text().contains("evenkeel_rejections_total"));
}

#[test]
fn endpoints_are_drained_and_weighed() {
    let running = two_endpoints();
    let path = "/api/v1/upstreams/app/endpoints/127.0.0.1:9001";
    assert_eq!(running.json("GET", path)["draining"], false);
    let drained = running.json("POST", &format!("{path}/drain"));
    assert_eq!((&drained["draining"], &drained["eligible"]), (&true.into(), &false.into()));
    assert_eq!(drained["refusal"], "draining");
    running.json("POST", &format!("{path}/drain"));
    assert_eq!(running.json("POST", &format!("{path}/undrain"))["eligible"], true);

    assert_eq!(running.json("POST", &format!("{path}/weight?weight=7"))["weight"], 7);
    let host = format!("Host: {}", running.admin);
    let by_body = running.ask_with("POST", &format!("{path}/weight"), &host, "{\"weight\": 65535}");
    assert_eq!(json(&by_body.expect_status(200))["weight"], 65535);

    // A name with a slash in it.
    let socket = "/api/v1/upstreams/app/endpoints/unix%3A%2Frun%2Fapp.sock";
    assert_eq!(running.json("POST", &format!("{socket}/weight?weight=0"))["refusal"], "weight is 0");
    assert_eq!(running.json("GET", socket)["address"], "unix:/run/app.sock");

    let status = running.json("GET", "/api/v1/status");
    let changes: Vec<_> =
        status["changes"].as_array().unwrap().iter().map(|change| change["kind"].as_str().unwrap()).collect();
    assert_eq!(
        changes,
        ["weighted", "weighted", "weighted", "undrained", "drained"],
        "what changed nothing is no change"
    );
    assert!(running.handle.status().upstreams[0].endpoints[0].eligible);
}

#[test]
fn wrong_weights_change_nothing() {
    let running = two_endpoints();
    let path = "/api/v1/upstreams/app/endpoints/127.0.0.1:9001/weight";
    let host = format!("Host: {}", running.admin);
    for query in ["?weight=65536", "?weight=-1", "?weight=", "?weight=1.5"] {
        let response = running.ask("POST", &format!("{path}{query}")).expect_status(400);
        assert!(sentence(&response).contains("0 to 65535"), "{response}");
    }
    for body in ["", "7", "{}", "{\"weight\": 65536}", "{\"weight\": \"1\"}", "weight=1"] {
        let response = running.ask_with("POST", path, &host, body).expect_status(400);
        assert!(sentence(&response).contains("0 to 65535"), "{response}");
    }
    let large = format!("{{\"weight\": 1{}}}", " ".repeat(5000));
    running.ask_with("POST", path, &host, &large).expect_status(413);
    assert_eq!(running.handle.status().upstreams[0].endpoints[0].weight, 1);
}

#[test]
fn what_is_not_there_says_so() {
    let running = two_endpoints();
    for path in [
        "/nothing",
        "/api/v1/upstreams/app/endpoints/127.0.0.1:9009",
        "/api/v1/upstreams/none/endpoints/127.0.0.1:9001",
        "/api/v1/explain?url=http://a/&listener=none",
    ] {
        assert!(sentence(&running.ask("GET", path).expect_status(404)).ends_with('.'), "{path}");
    }
    let gone = running.ask("POST", "/api/v1/upstreams/app/endpoints/127.0.0.1:9009/drain").expect_status(404);
    assert!(sentence(&gone).contains("127.0.0.1:9009 in an upstream app"), "{gone}");
}

#[test]
fn wrong_methods_name_the_right_ones() {
    let running = two_endpoints();
    let drain = "/api/v1/upstreams/app/endpoints/127.0.0.1:9001/drain";
    for (method, path, allow) in [
        ("POST", "/metrics", "GET, HEAD"),
        ("DELETE", "/api/v1/status", "GET, HEAD"),
        ("OPTIONS", "/", "GET, HEAD"),
        ("GET", drain, "POST"),
        ("HEAD", "/api/v1/reload", "POST"),
        ("PUT", "/api/v1/reload", "POST"),
    ] {
        let response = running.ask(method, path).expect_status(405);
        assert_eq!(response.fields.value("allow"), Some(allow), "{method} {path}: {response}");
    }
    assert!(running.handle.status().upstreams[0].endpoints[0].eligible, "a GET drained it");
}

#[test]
fn strangers_pages_are_refused() {
    let running = two_endpoints();
    let drain = "/api/v1/upstreams/app/endpoints/127.0.0.1:9001/drain";
    let rebound = running.ask_with("GET", "/api/v1/status", "Host: evil.example:9900", "").expect_status(403);
    assert!(sentence(&rebound).contains("evil.example:9900"), "{rebound}");
    for foreign in ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        let fields = format!("Host: {}\r\n{foreign}", running.admin);
        running.ask_with("POST", drain, &fields, "").expect_status(403);
        running.ask_with("POST", "/api/v1/reload", &fields, "").expect_status(403);
    }
    assert!(running.handle.status().upstreams[0].endpoints[0].eligible, "it was drained all the same");
    let own = format!("Host: {0}\r\nOrigin: http://{0}\r\nSec-Fetch-Site: same-origin", running.admin);
    running.ask_with("POST", drain, &own, "").expect_status(200);
}

#[test]
fn every_answer_is_guarded_against_sniffing_and_caching() {
    let running = two_endpoints();
    for path in ["/", "/metrics", "/api/v1/status", "/nothing"] {
        let response = running.ask("GET", path);
        assert_eq!(response.fields.value("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(response.fields.value("cache-control"), Some("no-store"), "{path}");
        assert_eq!(response.fields.value("server"), Some("evenkeel"), "{path}");
    }
}

#[test]
fn the_dashboard_runs_nothing_but_itself() {
    let running = two_endpoints();
    let page = running.ask("GET", "/").expect_status(200);
    let policy = page.fields.value("content-security-policy").expect("a policy");
    let nonce = policy.split("script-src 'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    assert_eq!(nonce.len(), 32);
    let text = page.text();
    assert_eq!(text.matches(&format!("nonce=\"{nonce}\"")).count(), 2, "one style, one script");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!text.contains("{{") && text.contains("/api/v1/stats"), "it was not put together");
}

#[test]
fn a_reload_is_whole_or_refused_with_the_report() {
    let dir = TempDir::new();
    let good = config("[\"127.0.0.1:9001\"]", "");
    let path = dir.write("evenkeel.toml", &good);
    let running = Running::start_file(&path);
    dir.write("evenkeel.toml", &good.replace("9001", "9002"));
    assert_eq!(running.json("POST", "/api/v1/reload")["reloaded"], true);
    assert_eq!(
        running.json("GET", "/api/v1/status")["upstreams"][0]["endpoints"][0]["address"],
        "127.0.0.1:9002"
    );
    assert!(running.ask("GET", "/api/v1/config").expect_status(200).text().contains("127.0.0.1:9002"));

    dir.write("evenkeel.toml", &good.replace("endpoints =", "endpoint ="));
    let report = sentence(&running.ask("POST", "/api/v1/reload").expect_status(422));
    assert!(report.contains("evenkeel.toml:5") && report.contains('^'), "{report}");
    dir.write("evenkeel.toml", &good.replace("workers = 1", "workers = 2"));
    let report = sentence(&running.ask("POST", "/api/v1/reload").expect_status(409));
    assert!(report.contains("server.workers") && report.contains("restart"), "{report}");

    let status = running.json("GET", "/api/v1/status");
    assert_eq!(status["upstreams"][0]["endpoints"][0]["address"], "127.0.0.1:9002", "the one before stays");
    let kinds: Vec<_> =
        status["changes"].as_array().unwrap().iter().map(|change| change["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reload_refused", "reload_refused", "reloaded"]);
    assert_eq!(running.json("GET", "/api/v1/stats")["reload"]["successful"], false);
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let response = two_endpoints().ask("POST", "/api/v1/reload").expect_status(409);
    assert!(sentence(&response).contains("without a file"), "{response}");
}

#[test]
fn explanations_know_what_runs() {
    let running = two_endpoints();
    running.json("POST", "/api/v1/upstreams/app/endpoints/127.0.0.1:9001/drain");
    let url = format!("http%3A%2F%2F{}%2Fa%3Fb", running.web);
    let explained = running.json("GET", &format!("/api/v1/explain?method=POST&url={url}&header=x-a%3A+b"));
    assert_eq!((&explained["routed"], &explained["live"]), (&true.into(), &true.into()));
    assert_eq!(explained["target"], "/a?b");
    let branch = &explained["listeners"][0]["decision"]["branches"][0];
    assert_eq!(branch["takes"], "unix:/run/app.sock");
    assert_eq!(branch["endpoints"][0]["refusal"], "draining");
    assert!(explained["text"].as_str().unwrap().contains("it takes unix:/run/app.sock"), "{explained}");

    for query in [
        "",
        "?url=",
        "?url=http://a/&methd=GET",
        "?url=ftp://a/",
        "?url=http://a/&header=x",
        "?url=http://a/&client=me",
    ] {
        let response = running.ask("GET", &format!("/api/v1/explain{query}")).expect_status(400);
        assert!(sentence(&response).ends_with('.'), "{response}");
    }
}

#[test]
fn a_head_that_never_ends_is_not_waited_for_by_others() {
    let running = two_endpoints();
    let mut slow: Vec<_> = (0..50).map(|_| RawClient::connect(running.admin)).collect();
    for client in &mut slow {
        client.send("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ");
    }
    running.ask("GET", "/livez").expect_status(200);
    let mut large = RawClient::connect(running.admin);
    let _ =
        large.try_send(format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(2_000_000)));
    assert_eq!(large.try_response().map(|response| response.status).unwrap_or(431), 431);
    running.ask("GET", "/livez").expect_status(200);
}
