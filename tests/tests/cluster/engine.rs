//! [`Cluster`]: the containers, under a name and on ports of their own; gone when it is dropped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel_testkit::{Metrics, RawClient, ReservedPort, Response, eventually};

use super::compose::Compose;
use super::{path, text};

/// The name of the image that is built: an image that somebody uses is left alone.
const IMAGE: &str = "evenkeel-test";

/// The running containers.
pub(super) struct Cluster {
    compose: Vec<&'static str>,
    image: String,
    project: String,
    /// By variable of the compose file.
    ports: Vec<(String, SocketAddr)>,
}

impl Cluster {
    /// Builds the image, unless `EVENKEEL_CLUSTER_IMAGE` names one that is there, and starts everything whose image there
    /// is; `None`, and a word about it, where it cannot.
    pub(super) fn start() -> Option<Self> {
        if std::env::var_os("EVENKEEL_CLUSTER").is_none_or(|wanted| wanted != "1") {
            eprintln!("skipped: takes minutes; EVENKEEL_CLUSTER=1 runs it on the Docker engine that is here");
            return None;
        }
        if let Err(why) = run(Command::new("docker").arg("version")) {
            eprintln!("skipped: no Docker engine here ({why})");
            return None;
        }
        let compose = [&["docker", "compose"][..], &["docker-compose"]].into_iter().find(|words| {
            let mut command = Command::new(words[0]);
            run(command.args(&words[1..]).arg("version")).is_ok()
        });
        let Some(compose) = compose else {
            eprintln!("skipped: neither docker compose nor docker-compose is installed");
            return None;
        };
        let file = Compose::read();
        let ready_made = std::env::var("EVENKEEL_CLUSTER_IMAGE").ok();
        let missing = missing_images(&file, ready_made.is_none());
        let services: Vec<_> = file.services.keys().map(String::as_str).collect();
        let services: Vec<_> = services
            .into_iter()
            .filter(|name| *name != "storm" && !missing.iter().any(|missing| missing == name))
            .collect();
        let reserved: Vec<_> = file
            .variables
            .keys()
            .filter(|name| name.ends_with("_PORT"))
            .map(|name| (name.clone(), ReservedPort::new()))
            .collect();
        let ports = reserved.iter().map(|(name, port)| (name.clone(), port.address())).collect();
        drop(reserved);
        let project = format!("evenkeel-test-{}", std::process::id());
        let image = ready_made.clone().unwrap_or_else(|| IMAGE.to_owned());
        let cluster = Self { compose: compose.to_vec(), image, project, ports };
        if ready_made.is_none() {
            let began = Instant::now();
            cluster.run(&["build", "proxy-1"]);
            eprintln!("built in {:.0?}", began.elapsed());
        }
        let size =
            run(Command::new("docker").args(["image", "inspect", "--format={{.Size}}", &cluster.image]));
        eprintln!("{}: {} bytes", cluster.image, size.unwrap().trim());
        let began = Instant::now();
        cluster.run(&[&["up", "-d", "--no-build"][..], &services].concat());
        eprintln!("started in {:.0?}: {}", began.elapsed(), services.join(", "));
        Some(cluster)
    }

    /// The image of the services that are ours.
    pub(super) fn image(&self) -> &str {
        &self.image
    }

    /// Whether this service was started.
    pub(super) fn has(&self, service: &str) -> bool {
        !self.container(service).is_empty()
    }

    /// Runs compose with these words.
    #[track_caller]
    pub(super) fn run(&self, words: &[&str]) -> String {
        run(&mut self.command(words)).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// What the engine knows about a service's container, in a Go template's words.
    #[track_caller]
    pub(super) fn inspect(&self, service: &str, template: &str) -> String {
        let container = self.container(service);
        run(Command::new("docker").args(["inspect", "--format", template, &container])).unwrap()
    }

    /// Where a port of the compose file is published.
    pub(super) fn address(&self, variable: &str) -> SocketAddr {
        let port = self.ports.iter().find(|(name, _)| name == variable);
        port.unwrap_or_else(|| panic!("{variable} is not in the compose file")).1
    }

    /// Asks for a path there.
    #[track_caller]
    pub(super) fn get(&self, variable: &str, path: &str) -> Response {
        let address = self.address(variable);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        RawClient::connect(address).exchange(request)
    }

    /// Waits until both proxies, or those that run, say that of an endpoint.
    #[track_caller]
    pub(super) fn wait_for_endpoint(&self, proxies: &[&str], endpoint: &str, is_up: bool) {
        let wanted = f64::from(u8::from(is_up));
        for proxy in proxies {
            eventually(&format!("{proxy} to see {endpoint} as {wanted}"), || {
                let page = self.get(proxy, "/metrics").text();
                let samples = Metrics::parse(&page).map_err(|error| error.to_string())?;
                let samples = samples.samples("evenkeel_endpoint_up").into_iter().cloned();
                let sample = samples.into_iter().find(|sample| sample.labels["endpoint"] == endpoint);
                match sample {
                    Some(sample) if sample.value == wanted => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            });
        }
    }

    /// Waits, for as long as a start may take, until the engine says that a service is healthy.
    #[track_caller]
    pub(super) fn wait_until_healthy(&self, service: &str) {
        eventually(&format!("{service} to be healthy"), || {
            match self.inspect(service, "{{.State.Health.Status}}").trim() {
                "healthy" => Ok(()),
                other => {
                    // Each look is a process.
                    std::thread::sleep(Duration::from_millis(200));
                    Err(other.to_owned())
                }
            }
        });
    }

    fn container(&self, service: &str) -> String {
        run(&mut self.command(&["ps", "--all", "-q", service])).unwrap_or_default().trim().to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.compose[0]);
        command.args(&self.compose[1..]).args(["-p", &self.project]).args(words).current_dir(path(""));
        for (name, address) in &self.ports {
            command.env(name, address.port().to_string());
        }
        // The classic builder is in every engine; a debug build takes a fraction of the time.
        command.envs([
            ("IMAGE", self.image.as_str()),
            ("PROFILE", "dev"),
            ("BIND", "127.0.0.1"),
            ("ROWS", "2000"),
            ("LOAD_RATE", "10"),
        ]);
        command.envs([("DOCKER_BUILDKIT", "0"), ("COMPOSE_DOCKER_CLI_BUILD", "0")]);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for words in [&["ps"][..], &["logs", "--tail=30"]] {
                eprintln!("{}", run(&mut self.command(words)).unwrap_or_else(|error| error));
            }
        }
        if let Err(error) = run(&mut self.command(&["down", "--volumes", "--timeout=5"])) {
            eprintln!("could not take down {}: {error}", self.project);
        }
    }
}

/// The services whose image is neither here nor can be pulled or made.
fn missing_images(file: &Compose, is_built: bool) -> Vec<String> {
    let rust = text("Dockerfile");
    let rust = rust.lines().find_map(|line| line.strip_prefix("ARG RUST=")).expect("a version of Rust");
    let rust = format!("rust:{rust}-bookworm");
    let images = || file.others().chain(is_built.then_some(("the build", rust.as_str())));
    let is_there = |image: &str| {
        let label = ["image", "inspect", "--format", "{{index .Config.Labels \"evenkeel.lock\"}}", image];
        // One that was made for other dependencies is none.
        run(Command::new("docker").args(label))
            .is_ok_and(|lock| ["", lock_sum().as_str()].contains(&lock.trim()))
    };
    // Where there is no network, a pull may wait for an answer for ever.
    let can_be_pulled =
        |image: &str| run(Command::new("timeout").args(["300", "docker", "pull", "--quiet", image])).is_ok();
    let absent: Vec<_> = images().filter(|(_, image)| !is_there(image) && !can_be_pulled(image)).collect();
    if absent.iter().any(|(name, _)| *name != "grafana") {
        let script = path("tests/cluster/base-images");
        if let Err(error) = run(&mut Command::new(PathBuf::from(&script))) {
            eprintln!("{}: {error}", script.display());
        }
    }
    let missing: Vec<_> = absent.into_iter().filter(|(_, image)| !is_there(image)).collect();
    assert!(
        missing.iter().all(|(name, _)| *name != "the build"),
        "{rust} can neither be pulled nor made: run tests/cluster/base-images as root, it says why"
    );
    for (name, image) in &missing {
        eprintln!("left out: {name}, as {image} is not here and cannot be pulled");
    }
    missing.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// What `tests/cluster/base-images` labels an image with that it makes for these dependencies.
fn lock_sum() -> String {
    let said = run(Command::new("sha256sum").arg(path("Cargo.lock"))).unwrap_or_default();
    said.split(' ').next().unwrap_or_default().to_owned()
}

/// Runs a program to its end: what it printed, or why it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("{}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}
