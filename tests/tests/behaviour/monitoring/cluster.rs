//! The cluster of `config/prometheus/prometheus.yml` in small: two proxies, backends, the cache and its replica, a load;
//! and a Prometheus that scrapes them by that very file, with their addresses in it.

use std::net::SocketAddr;
use std::process::Command;

use evenkeel_testkit::{Process, Prometheus, Proxy, RawClient, ReservedPort, TempDir, ToyBackend, binary};

use super::text;

/// Runs until it is dropped.
pub(super) struct Cluster {
    /// Where metrics are, by job.
    targets: Vec<(&'static str, Vec<SocketAddr>)>,
    proxies: [Proxy; 2],
    toys: [ToyBackend; 2],
    _processes: Vec<Process>,
    _nobody: ReservedPort,
    _dir: TempDir,
}

impl Cluster {
    /// Starts it. One backend of three is down, one answers a tenth of its requests with errors.
    pub(super) fn start() -> Self {
        let dir = TempDir::new();
        let snapshot = dir.join("cache.rdb").display().to_string();
        let (cache, cache_address, cache_metrics) = kv(&["--maxmemory", "64mb", "--snapshot", &snapshot]);
        let primary = cache_address.to_string();
        let (replica, _, replica_metrics) = kv(&["--replicaof", &primary]);
        // An answer that is an error: the word has an argument.
        RawClient::connect(cache_address).send("GET\r\n");

        // The backends have to know where the proxy's listener will be before the proxy knows where they are.
        let listener = ReservedPort::new();
        let url = format!("redis://{}", listener.address());
        let toys = ["toy-1", "toy-2"].map(|name| ToyBackend::with(name, &["--rows", "100", "--cache", &url]));
        let nobody = ReservedPort::new();
        let proxy = |cache_listener: &str| {
            let [one, two] = toys.each_ref().map(ToyBackend::address);
            Proxy::start(&format!(
                "[listener.web]\naddress = \"127.0.0.1:0\"\nupstream = \"app\"\n\n\
                 [upstream.app]\nendpoints = [{{ address = \"{one}\", max_in_flight = 100 }}, \"{two}\", \"{}\"]\n\n\
                 [upstream.app.health]\npath = \"/healthz\"\ninterval = \"100ms\"\n\n\
                 [listener.cache]\naddress = \"{cache_listener}\"\nprotocol = \"tcp\"\nupstream = \"cache\"\n\n\
                 [upstream.cache]\nendpoints = [\"{primary}\"]\n\n\
                 [upstream.cache.health]\nkind = \"redis\"\ninterval = \"100ms\"\n",
                nobody.address()
            ))
        };
        let proxies = [proxy(&listener.address().to_string()), proxy("127.0.0.1:0")];
        for proxy in &proxies {
            toys.iter().for_each(|toy| proxy.wait_for_endpoint(toy.address(), true));
            proxy.wait_for_endpoint(nobody.address(), false);
        }
        let faults =
            "POST /chaos?mode=fail&percent=10&healthz=off HTTP/1.1\r\nHost: toy\r\nContent-Length: 0\r\n\r\n";
        RawClient::connect(toys[0].address()).exchange(faults).expect_status(200);

        let urls = proxies.each_ref().map(|proxy| format!("http://{}/", proxy.address("web")));
        let mut command = Command::new(binary("evenkeel"));
        command.args(["load", "--items", "100", "--rate", "100", "--metrics", "127.0.0.1:0"]).args(urls);
        let load = Process::spawn("load", &mut command);
        let load_metrics = metrics_of(&load);
        Self {
            targets: vec![
                ("evenkeel", proxies.iter().map(Proxy::admin).collect()),
                ("toy-backend", toys.iter().map(ToyBackend::address).collect()),
                ("evenkeel-kv", vec![cache_metrics, replica_metrics]),
                ("evenkeel-load", vec![load_metrics]),
            ],
            proxies,
            toys,
            _processes: vec![load, replica, cache],
            _nobody: nobody,
            _dir: dir,
        }
    }

    /// Sends a request that has to be refused.
    pub(super) fn offend(&self) {
        self.proxies[0].client().exchange("GET / HTTP/1.1\r\n\r\n").expect_status(400);
    }

    /// Kills a backend, and waits until Prometheus knows that.
    pub(super) fn lose_a_backend(&mut self, prometheus: &Prometheus) {
        prometheus.wait_for(&self.up("min"), 1.0);
        self.toys[1].kill9();
        prometheus.wait_for(&self.up("max"), 0.0);
    }

    /// Starts it again, and waits until Prometheus knows that.
    pub(super) fn regain_it(&mut self, prometheus: &Prometheus) {
        self.toys[1].restart();
        prometheus.wait_for(&self.up("min"), 1.0);
    }

    /// Whether the proxies find that backend up: all of them (`min`), or one (`max`).
    fn up(&self, how: &str) -> String {
        format!("{how}(evenkeel_endpoint_up{{endpoint=\"{}\"}})", self.toys[1].address())
    }

    /// All pages of metrics, one after the other.
    pub(super) fn pages(&self) -> String {
        let page = |address: &SocketAddr| {
            let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            RawClient::connect(*address).exchange(request).expect_status(200).text()
        };
        self.targets.iter().flat_map(|(_, targets)| targets).map(page).collect()
    }

    /// A Prometheus with our files, these targets, and little patience.
    pub(super) fn prometheus(&self) -> Option<Prometheus> {
        let mut config = text("config/prometheus/prometheus.yml");
        // Not less, so that a busy machine keeps them.
        for key in ["scrape_interval", "scrape_timeout", "evaluation_interval"] {
            config = with_line(&config, &format!("{key}: "), |_| format!("{key}: 1s"));
        }
        for (job, targets) in &self.targets {
            let (before, after) = config.split_once(&format!("job_name: {job}\n")).unwrap();
            let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
            let after = with_line(after, "- targets: ", |_| format!("- targets: {targets:?}"));
            config = format!("{before}job_name: {job}\n{after}");
        }
        Prometheus::with(&[
            ("prometheus.yml", &config),
            ("rules.yml", &text("config/prometheus/rules.yml")),
            ("alerts.yml", &text("config/prometheus/alerts.yml")),
        ])
    }
}

/// A cache server: its process, where it serves, and where its metrics are.
fn kv(arguments: &[&str]) -> (Process, SocketAddr, SocketAddr) {
    let mut command = Command::new(binary("evenkeel-kv"));
    command.args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--threads", "1"]).args(arguments);
    let process = Process::spawn("evenkeel-kv", &mut command);
    let address = process.wait_for_line("where it listens", |line| {
        line.strip_prefix("evenkeel-kv listening on ")?.trim().parse().ok()
    });
    let metrics = metrics_of(&process);
    (process, address, metrics)
}

fn metrics_of(process: &Process) -> SocketAddr {
    process.wait_for_line("where its metrics are", |line| {
        line.split_once(" metrics on http://")?.1.strip_suffix("/metrics")?.parse().ok()
    })
}

/// The text with its first line that begins with `start`, after blanks, made another one.
fn with_line(text: &str, start: &str, new: impl Fn(&str) -> String) -> String {
    let mut is_found = false;
    let lines = text.lines().map(|line| {
        let (blanks, rest) = line.split_at(line.len() - line.trim_start().len());
        if is_found || !rest.starts_with(start) {
            return format!("{line}\n");
        }
        is_found = true;
        format!("{blanks}{}\n", new(rest))
    });
    let changed = lines.collect();
    assert!(is_found, "{start} in\n{text}");
    changed
}
