//! The files of the cluster, without an engine: what they name exists, and what they promise is written in each service.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use evenkeel_testkit::binary;
use serde_json::Value;

use super::compose::{Compose, strings};
use super::{path, text, yaml};

/// Services without a health check of their own, and why.
const NO_HEALTH_CHECK: [(&str, &str); 4] = [
    ("proxy-1", "the image's own is a proxy's"),
    ("proxy-2", "the image's own is a proxy's"),
    ("prometheus", "nobody waits for it"),
    ("grafana", "nobody waits for it"),
];

#[test]
fn every_container_may_do_as_little_as_it_can() {
    let compose = Compose::read();
    for (name, service) in &compose.services {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert!(service.get("privileged").or(service.get("user")).is_none(), "{name}");
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is published beyond this machine");
        }
        let has_none = NO_HEALTH_CHECK.iter().any(|(without, _)| without == name);
        assert_eq!(has_none, service["healthcheck"].get("test").is_none(), "the health check of {name}");
        // No shell is needed.
        assert!(has_none || strings(&service["healthcheck"]["test"])[0] == "CMD", "{name}");
    }
    for (name, image) in compose.others() {
        let tag = image.split_once(':').unwrap_or_else(|| panic!("{name}: {image} is not pinned")).1;
        assert!(tag.starts_with(|c: char| c == 'v' || c.is_ascii_digit()) && tag.contains('.'), "{image}");
    }
}

#[test]
fn what_services_wait_for_and_mount_exists() {
    let compose = Compose::read();
    for (name, service) in &compose.services {
        let waits: Vec<_> = match &service["depends_on"] {
            Value::Object(services) => services.keys().map(String::as_str).collect(),
            list => strings(list),
        };
        for other in waits {
            assert!(compose.services.contains_key(other), "{name} waits for {other}, which is not there");
        }
        for mount in strings(&service["volumes"]) {
            let source = mount.split(':').next().unwrap();
            match source.strip_prefix("./") {
                Some(file) => {
                    assert!(path(file).exists(), "{name} mounts {file}, which is not there");
                    assert!(mount.ends_with(":ro"), "{name} may write {file}");
                }
                None => {
                    assert!(
                        compose.volumes.iter().any(|volume| volume == source),
                        "{name}: no volume {source}"
                    )
                }
            }
        }
    }
}

#[test]
fn our_programs_have_every_flag_that_is_used() {
    let compose = Compose::read();
    let mut helps = BTreeMap::new();
    for (name, service, command) in compose.ours() {
        let mut checked = vec![command];
        checked.extend(service["healthcheck"].get("test").map(|test| strings(test)[1..].to_vec()));
        for words in checked {
            let mut program = words[..1].to_vec();
            if program == ["evenkeel"] {
                program.push(words[1]);
            }
            let help = helps.entry(program.clone()).or_insert_with(|| {
                let output =
                    Command::new(binary(program[0])).args(&program[1..]).arg("--help").output().unwrap();
                assert!(output.status.success(), "{program:?} --help: {output:?}");
                String::from_utf8(output.stdout).unwrap()
            });
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                let flag = flag.split('=').next().unwrap();
                assert!(help.contains(&format!("{flag} ")), "{name}: {program:?} has no {flag}:\n{help}");
            }
        }
    }
    assert_eq!(helps.len(), 5, "run, load, ready, toy-backend, evenkeel-kv: {:?}", helps.keys());
}

#[test]
fn every_variable_is_described_with_its_default() {
    let compose = Compose::read();
    let text = text("docker-compose.yml");
    let head: String = text.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>().join(" ");
    let described: BTreeMap<_, _> =
        head.split_whitespace().filter_map(|word| word.trim_end_matches(';').split_once('=')).collect();
    let used: BTreeMap<_, _> =
        compose.variables.iter().map(|(name, default)| (name.as_str(), default.as_str())).collect();
    assert_eq!(described, used, "the head of docker-compose.yml, and what is used below");
}

/// What a service listens on, by its command and configuration: `host:port` within the cluster.
fn listens(compose: &Compose) -> BTreeSet<String> {
    let mut listens = BTreeSet::new();
    for (name, _, command) in compose.ours() {
        for word in &command {
            let address = ["--listen=", "--metrics="].iter().find_map(|flag| word.strip_prefix(flag));
            if let Some(port) = address.and_then(|address| address.strip_prefix("0.0.0.0:")) {
                listens.insert(format!("{name}:{port}"));
            }
        }
        if command == ["evenkeel", "run"] {
            let config = text("config/compose/evenkeel.toml");
            let addresses = config.lines().filter_map(|line| line.strip_prefix("address = \"0.0.0.0:"));
            listens.extend(addresses.map(|rest| format!("{name}:{}", rest.split('"').next().unwrap())));
        }
    }
    listens
}

/// Every `name:port` in a text whose name is a service's.
fn named(compose: &Compose, text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == ':'));
    let addresses = words.filter(|word| {
        word.split_once(':')
            .is_some_and(|(name, port)| compose.services.contains_key(name) && port.parse::<u16>().is_ok())
    });
    addresses.map(str::to_owned).collect()
}

#[test]
fn the_proxies_configuration_is_good_and_names_what_listens() {
    let output = Command::new(binary("evenkeel"))
        .args(["check", "-c"])
        .arg(path("config/compose/evenkeel.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("warning"), "{said}");
    let compose = Compose::read();
    let listens = listens(&compose);
    let endpoints = named(&compose, &text("config/compose/evenkeel.toml"));
    assert_eq!(endpoints.len(), 6, "four backends, the cache and its replica: {endpoints:?}");
    assert!(endpoints.is_subset(&listens), "{endpoints:?}, and listening {listens:?}");
    let commands: Vec<_> = compose.ours().flat_map(|(_, _, command)| command).collect();
    let used = named(&compose, &commands.join(" ").replace("http://", " ").replace("redis://", " "));
    assert!(used.len() > 2 && used.is_subset(&listens), "{used:?}, and listening {listens:?}");
}

#[test]
fn prometheus_scrapes_everything_and_grafana_finds_its_files() {
    let compose = Compose::read();
    let scraped = named(&compose, &text("config/prometheus/prometheus.yml"));
    let listens = listens(&compose);
    assert!(scraped.is_subset(&listens), "{scraped:?}, and listening {listens:?}");
    let hosts: BTreeSet<_> = scraped.iter().map(|address| address.split(':').next().unwrap()).collect();
    let services: BTreeSet<_> =
        compose.ours().map(|(name, _, _)| name).filter(|name| *name != "storm").collect();
    assert_eq!(hosts, services);

    let mounts: BTreeMap<_, _> = strings(&compose.services["grafana"]["volumes"])
        .into_iter()
        .filter_map(|mount| mount.trim_end_matches(":ro").split_once(':'))
        .map(|(from, to)| (to, from))
        .collect();
    let provider = yaml::read(&text("config/grafana/provisioning/dashboards/evenkeel.yml")).unwrap();
    let directory = provider["providers"][0]["options"]["path"].as_str().unwrap();
    assert_eq!(mounts.get(directory), Some(&"./config/grafana/dashboards"), "{mounts:?}");
    assert_eq!(mounts.get("/etc/grafana/provisioning"), Some(&"./config/grafana/provisioning"));
    let home =
        compose.services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str();
    let home = home.unwrap().strip_prefix(directory).unwrap();
    assert!(path("config/grafana/dashboards").join(home.trim_start_matches('/')).exists(), "{home}");
}

#[test]
fn the_image_is_small_and_needs_nothing_that_only_new_engines_know() {
    let dockerfile = text("Dockerfile");
    let last = &dockerfile[dockerfile.rfind("\nFROM ").expect("a last stage") + 1..];
    assert!(last.starts_with("FROM scratch\n"), "{last}");
    let user = last.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    // As a number, Kubernetes can see that it is not root.
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
    assert!(last.contains("HEALTHCHECK ") && last.contains("CMD [\"evenkeel\", \"ready\"]"), "{last}");
    assert!(!dockerfile.contains("--mount"), "the classic builder does not know it");
    for program in Compose::read().ours().map(|(_, _, command)| command[0].to_owned()) {
        assert!(dockerfile.contains(&program), "{program} is not in the image");
    }
    let rust = dockerfile.lines().find_map(|line| line.strip_prefix("ARG RUST=")).expect("a version of Rust");
    assert!(text("rust-toolchain.toml").contains(&format!("channel = \"{rust}.")), "{rust}");
}

#[test]
fn docker_compose_takes_the_file() {
    for words in [&["docker", "compose"][..], &["docker-compose"]] {
        let run = |more: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).args(more).current_dir(path(""));
            command.stdin(Stdio::null()).output()
        };
        match run(&["version"]) {
            Ok(output) if output.status.success() => {
                let output = run(&["--profile", "storm", "config", "--quiet"]).unwrap();
                assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
            }
            _ => eprintln!("skipped: {} is not installed", words.join(" ")),
        }
    }
}
