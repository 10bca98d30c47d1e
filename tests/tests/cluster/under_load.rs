//! What clients see of a backend, a proxy and a cache that are killed: nothing.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;

use evenkeel_testkit::{Metrics, Process, RawClient, binary, eventually};
use serde_json::Value;

use super::engine::Cluster;

const PROXIES: [&str; 2] = ["ADMIN_1_PORT", "ADMIN_2_PORT"];
const TOYS: [&str; 4] = ["toy-1", "toy-2", "toy-3", "toy-4"];

/// Requests that have to be answered after something was broken, before the next thing is: two seconds' worth.
const MORE: f64 = 100.0;

/// Clients outside the cluster, which know both proxies.
struct Clients {
    process: Process,
    metrics: SocketAddr,
}

impl Clients {
    fn start(cluster: &Cluster) -> Self {
        let mut command = Command::new(binary("evenkeel"));
        command.args(["load", "--json", "--rate=50", "--items=1000", "--metrics=127.0.0.1:0"]);
        for port in ["PROXY_1_PORT", "PROXY_2_PORT"] {
            command.arg(format!("http://{}/", cluster.address(port)));
        }
        let process = Process::spawn("load", &mut command);
        let metrics = process.wait_for_line("where its metrics are", |line| {
            line.split_once("http://")?.1.split('/').next()?.parse().ok()
        });
        let clients = Self { process, metrics };
        clients.go_on("the start");
        clients
    }

    fn answered(&self) -> f64 {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.metrics);
        let page = RawClient::connect(self.metrics).exchange(request).text();
        Metrics::parse(&page).unwrap().value("evenkeel_load_requests_total", &[("outcome", "ok")])
    }

    /// Waits until some more requests have been answered.
    #[track_caller]
    fn go_on(&self, after: &str) {
        let wanted = self.answered() + MORE;
        eventually(&format!("{wanted} answers after {after}"), || match self.answered() {
            answered if answered >= wanted => Ok(()),
            answered => Err(answered),
        });
    }

    /// What they saw in all.
    fn end(mut self) -> Value {
        self.process.signal("TERM");
        let exit = self.process.wait();
        serde_json::from_str(exit.stdout.lines().last().unwrap())
            .unwrap_or_else(|error| panic!("{error}: {exit}"))
    }
}

/// Waits until a row is answered in this way with the cache, through either proxy.
#[track_caller]
fn wait_for_cache(cluster: &Cluster, wanted: &[&str]) {
    for proxy in ["PROXY_1_PORT", "PROXY_2_PORT"] {
        eventually(&format!("X-Cache: {wanted:?} through {proxy}"), || {
            let response = cluster.get(proxy, "/items/7").expect_status(200);
            let how = response.fields.value("x-cache").unwrap_or("none").to_owned();
            if wanted.contains(&how.as_str()) { Ok(()) } else { Err(how) }
        });
    }
}

#[test]
fn clients_see_nothing_of_a_backend_a_proxy_and_a_cache_that_are_killed() {
    let Some(cluster) = Cluster::start() else { return };
    for service in ["proxy-1", "proxy-2", "cache", "cache-replica", "load"].iter().chain(&TOYS) {
        cluster.wait_until_healthy(service);
        assert_eq!(
            cluster
                .inspect(service, "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.Config.Image}}")
                .trim(),
            format!("true 65532:65532 {}", cluster.image()),
            "{service}"
        );
    }
    for toy in TOYS {
        cluster.wait_for_endpoint(&PROXIES, &format!("{toy}:9001"), true);
    }
    let mut names = BTreeSet::new();
    eventually("an answer from each backend", || {
        let response = cluster.get("PROXY_1_PORT", "/items/7").expect_status(200);
        names.extend(response.fields.value("x-backend").map(str::to_owned));
        if TOYS.iter().all(|toy| names.contains(*toy)) { Ok(()) } else { Err(format!("{names:?}")) }
    });
    wait_for_cache(&cluster, &["hit", "miss"]);
    for endpoint in ["cache:6380", "cache-replica:6380"] {
        cluster.wait_for_endpoint(&PROXIES, endpoint, true);
    }
    // Through the proxy to the cache, and from there to its replica.
    let mut writer = RawClient::connect(cluster.address("CACHE_PORT"));
    writer.send("SET greeting hello\r\nWAIT 1 20000\r\n");
    assert_eq!(String::from_utf8_lossy(&writer.read_exactly(9)), "+OK\r\n:1\r\n");
    let clients = Clients::start(&cluster);

    // A backend dies, and comes back, perhaps at another address.
    cluster.run(&["kill", "toy-1"]);
    cluster.wait_for_endpoint(&PROXIES, "toy-1:9001", false);
    clients.go_on("toy-1 was killed");
    cluster.run(&["start", "toy-1"]);
    cluster.wait_for_endpoint(&PROXIES, "toy-1:9001", true);

    // One freezes: it takes requests and answers none.
    cluster.run(&["kill", "-s", "STOP", "toy-2"]);
    cluster.wait_for_endpoint(&PROXIES, "toy-2:9001", false);
    clients.go_on("toy-2 was frozen");
    cluster.run(&["kill", "-s", "CONT", "toy-2"]);
    cluster.wait_for_endpoint(&PROXIES, "toy-2:9001", true);

    // The cache dies: the database answers. The proxies' listener for it goes to the replica.
    cluster.run(&["kill", "cache"]);
    wait_for_cache(&cluster, &["bypass"]);
    cluster.wait_for_endpoint(&PROXIES, "cache:6380", false);
    cluster.wait_for_endpoint(&PROXIES, "cache-replica:6380", true);
    let mut reader = RawClient::connect(cluster.address("CACHE_PORT"));
    reader.send("GET greeting\r\n");
    assert_eq!(String::from_utf8_lossy(&reader.read_exactly(11)), "$5\r\nhello\r\n");
    clients.go_on("the cache was killed");
    cluster.run(&["start", "cache"]);
    cluster.wait_for_endpoint(&PROXIES, "cache:6380", true);
    wait_for_cache(&cluster, &["hit", "miss"]);

    // A proxy dies: clients use the other one. Then the other one is stopped as it should be.
    cluster.run(&["kill", "proxy-1"]);
    clients.go_on("proxy-1 was killed");
    cluster.run(&["start", "proxy-1"]);
    cluster.wait_until_healthy("proxy-1");
    cluster.run(&["stop", "proxy-2"]);
    clients.go_on("proxy-2 was stopped");
    assert_eq!(cluster.inspect("proxy-2", "{{.State.ExitCode}}").trim(), "0", "a graceful stop");
    cluster.run(&["start", "proxy-2"]);
    cluster.wait_until_healthy("proxy-2");

    if cluster.has("prometheus") {
        eventually("everything to be scraped", || {
            let answer = cluster.get("PROMETHEUS_PORT", "/api/v1/targets?state=active");
            let answer: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
            let targets = answer["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
            match targets.len() == 9 && targets.iter().all(|target| target["health"] == "up") {
                true => Ok(()),
                false => Err(answer.to_string()),
            }
        });
    }
    let seen = clients.end();
    eprintln!("clients saw {seen}");
    assert_eq!(seen["failed"], serde_json::json!({}), "{seen}");
    // That they noticed the proxies' absence shows that there was something to notice.
    assert!(seen["moved"].as_u64() > Some(0), "{seen}");
}
