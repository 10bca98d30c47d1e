//! A real Prometheus as a child process, asked over its API.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::client::RawClient;
use crate::process::Process;
use crate::temp_dir::TempDir;
use crate::wait::eventually;

/// Where Debian's package puts it; `PATH` may have another.
const PROGRAMS: [&str; 2] = ["/usr/bin/prometheus", "prometheus"];

/// A running Prometheus; killed when dropped.
pub struct Prometheus {
    address: SocketAddr,
    // In this order: it ends before its directory goes.
    process: Process,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes this address every second as the job `evenkeel`; `None`, and a word about it, where it
    /// is not installed.
    #[track_caller]
    pub fn scraping(target: SocketAddr) -> Option<Self> {
        Self::with(&[(
            "prometheus.yml",
            &format!(
                "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: evenkeel\n    static_configs:\n      - targets: [\"{target}\"]\n"
            ),
        )])
    }

    /// The same with these files, one of which is `prometheus.yml`.
    #[track_caller]
    pub fn with(files: &[(&str, &str)]) -> Option<Self> {
        let Some(program) = PROGRAMS.into_iter().find(|program| is_installed(program)) else {
            eprintln!("skipped: prometheus is not installed");
            return None;
        };
        let dir = TempDir::new();
        for (name, text) in files {
            dir.write(name, text);
        }
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
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
    pub fn wait_for(&self, query: &str, value: f64) {
        self.wait_until(query, |now| now == value);
    }

    /// Waits until a query has one result that is wanted, and gives it.
    #[track_caller]
    pub fn wait_until(&self, query: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        eventually(&format!("the wanted value of {query}"), || match self.query(query).as_deref() {
            Ok(&[value]) if wanted(value) => Ok(value),
            other => Err(format!("{other:?}\n{}", self.process.output())),
        })
    }

    /// The values of a query now; of none, why not.
    #[track_caller]
    pub fn query(&self, query: &str) -> Result<Vec<f64>, String> {
        let answer = self.ask(&format!("/api/v1/query?query={}", escape(query)));
        if answer["status"] != "success" {
            return Err(answer.to_string());
        }
        let result = &answer["data"]["result"];
        let value = |sample: &Value| sample["value"][1].as_str().and_then(|value| value.parse().ok());
        match (result.as_array(), &answer["data"]["resultType"]) {
            // One number, as of time().
            (Some(_), kind) if kind == "scalar" => {
                Ok(result[1].as_str().and_then(|value| value.parse().ok()).into_iter().collect())
            }
            (Some(samples), _) => Ok(samples.iter().filter_map(value).collect()),
            (None, _) => Err(answer.to_string()),
        }
    }

    /// The values that a label has in the series that a selector takes.
    #[track_caller]
    pub fn label_values(&self, selector: &str, label: &str) -> Vec<String> {
        let answer = self.ask(&format!("/api/v1/label/{label}/values?match[]={}", escape(selector)));
        let values = answer["data"].as_array().map_or(&[][..], Vec::as_slice);
        values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    /// All rules, as its API has them.
    #[track_caller]
    pub fn rules(&self) -> Vec<Value> {
        let answer = self.ask("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().map_or(&[][..], Vec::as_slice);
        groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect()
    }

    /// Fails the test if it has anything to say against what it scrapes.
    #[track_caller]
    pub fn expect_healthy_targets(&self) {
        let answer = self.ask("/api/v1/targets?state=active");
        let targets = answer["data"]["activeTargets"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(!targets.is_empty(), "{answer}");
        for target in targets {
            assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{target}");
        }
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

fn is_installed(program: &str) -> bool {
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
