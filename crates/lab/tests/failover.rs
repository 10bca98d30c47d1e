//! The point of the demo: a backend or the cache is killed by the command that the guide shows, and no client notices.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use evenkeel_lab::Ports;
use evenkeel_lab::demo::{
    Cluster, ClusterOptions, Guide, Load, LoadOptions, Meter, PartState, Reading, Savings,
};
use evenkeel_testkit::eventually;

const ROWS: u32 = 2_000;

/// Long enough that no toy comes back but when told to.
const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn a_killed_backend_costs_no_client_anything_and_its_return_is_used() {
    with_cluster(|cluster| {
        let guide = cluster.guide();
        let load = Load::start(LoadOptions { target: cluster.proxy(), rate: 400.0, rows: ROWS }).unwrap();
        eventually("all backends to serve", || used(cluster, &[0, 0, 0], &[0, 1, 2]));

        assert_eq!(post(command(&guide, "kill toy-1")), "", "a killed backend answers nothing");
        eventually("the proxy to notice", || state(cluster, 0, "down"));
        assert!(matches!(cluster.toys()[0].state(), PartState::Dead { .. }));
        let before = load.reading().ok;
        eventually("traffic without it", || match load.reading().ok {
            ok if ok < before + 200 => Err(format!("{ok} answers")),
            _ => Ok(()),
        });

        cluster.toys()[0].restart();
        eventually("the proxy to see it again", || state(cluster, 0, "up"));
        let idle = counts(cluster);
        eventually("it to be used again", || used(cluster, &idle, &[0]));
        let last = load.stop();
        assert_eq!(last.failed, 0, "{last:?}");
        assert!(last.ok >= before + 200, "{last:?}");
    });
}

#[test]
fn a_killed_cache_costs_no_client_anything_and_its_return_is_used() {
    with_cluster(|cluster| {
        let guide = cluster.guide();
        let load = Load::start(LoadOptions { target: cluster.proxy(), rate: 400.0, rows: ROWS }).unwrap();
        eventually("hits", || grown("hits", reading(cluster).cache.total.hits, 50));
        let before = used_cache(cluster);
        assert_eq!(before.server.state, "up");
        assert!(before.server.note.as_ref().is_some_and(|note| !note.contains(" 0 keys")), "{before:?}");
        assert!(!before.saved.is_zero(), "{before:?}");
        let answer = tell(command(&guide, "ask the cache"));
        assert!(answer.contains("\r\nkeyspace_hits:") && answer.ends_with("\r\n+OK\r\n"), "{answer}");

        assert_eq!(tell(command(&guide, "kill cache")), "", "a killed server answers nothing");
        eventually("reads past it", || grown("bypasses", reading(cluster).cache.total.bypassed, 200));
        let without = reading(cluster).cache;
        assert!(without.state.starts_with("away: ") && !without.state.contains(" for "), "{without:?}");
        assert!(matches!(cluster.cache().state(), PartState::Dead { .. }));
        assert_eq!(cluster.cache().holds(), (0, 0));
        eventually("the proxy to notice", || match reading(cluster).cache.server.state {
            "down" => Ok(()),
            other => Err(other),
        });

        cluster.cache().restart();
        eventually("hits again", || {
            grown("hits", reading(cluster).cache.total.hits, without.total.hits + 100)
        });
        let after = used_cache(cluster);
        eventually("the proxy to see it again", || match reading(cluster).cache.server.state {
            "up" => Ok(()),
            other => Err(other),
        });
        // A killed backend's counters are not forgotten.
        assert_eq!(post(command(&guide, "kill toy-1")), "");
        eventually("the proxy to notice", || state(cluster, 0, "down"));
        cluster.toys()[0].restart();
        eventually("the proxy to see it again", || state(cluster, 0, "up"));
        assert!(reading(cluster).cache.total.hits >= after.total.hits);
        let last = load.stop();
        assert_eq!(last.failed, 0, "{last:?}");
    });
}

#[test]
fn the_headers_of_a_row_tell_of_the_cache() {
    with_cluster(|cluster| {
        let guide = cluster.guide();
        let row = command(&guide, "a database row").strip_prefix("curl -i ").unwrap();
        assert_ne!(cache_word(&get(row)), "hit");
        // Stored once its first reader has it.
        eventually("a hit", || match get(row) {
            answer if cache_word(&answer) == "hit" => Ok(()),
            answer => Err(answer),
        });
    });
}

/// What the cache does once all backends use it.
fn used_cache(cluster: &Cluster) -> Savings {
    eventually("all backends to use the cache", || match reading(cluster).cache {
        cache if cache.state == "used" => Ok(cache),
        cache => Err(cache.state),
    })
}

/// Whether a count has grown beyond that.
fn grown(what: &str, count: u64, least: u64) -> Result<(), String> {
    if count > least { Ok(()) } else { Err(format!("{count} {what}")) }
}

fn cache_word(answer: &str) -> &str {
    answer.lines().find_map(|line| line.strip_prefix("x-cache: ")).unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn slow_failing_and_drained_backends_do_what_the_guide_says() {
    with_cluster(|cluster| {
        let guide = cluster.guide();
        let answer = post(command(&guide, "slow toy-2"));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"slow_ms\":300"), "{answer}");
        let answer = post(command(&guide, "heal toy-2"));
        assert!(answer.contains("\"slow_ms\":0"), "{answer}");
        let answer = post(command(&guide, "toy-3 fails 20 %"));
        assert!(answer.contains("\"fail_percent\":20"), "{answer}");
        let answer = post(command(&guide, "drain toy-3"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        eventually("the drain", || state(cluster, 2, "drained"));
        let answer = post(command(&guide, "undrain toy-3"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        eventually("the end of the drain", || state(cluster, 2, "up"));
    });
}

#[test]
fn nothing_is_left_behind() {
    let mut places = Vec::new();
    with_cluster(|cluster| {
        places.extend([
            cluster.proxy(),
            cluster.admin(),
            cluster.cache_listener(),
            cluster.cache().address(),
        ]);
        places.extend(cluster.toys().iter().map(|toy| toy.address()));
        assert!(places.iter().all(|place| TcpStream::connect(place).is_ok()));
    });
    places.retain(|place| TcpStream::connect(place).is_ok());
    assert_eq!(places, []);
}

/// Runs a cluster on ports of the system's choice; `check` runs beside its control side.
fn with_cluster(check: impl FnOnce(&Cluster) + Send) {
    let options =
        ClusterOptions { ports: Ports::ANY, rows: ROWS, restart_after: NEVER, ..ClusterOptions::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cluster = runtime.block_on(Cluster::start(&options)).unwrap();
    let (done, mut is_done) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let cluster = &cluster;
        let checking = scope.spawn(move || {
            // Dropped at the end, also when a check failed.
            let _done = done;
            check(cluster);
        });
        let _ = runtime.block_on(&mut is_done);
        if let Err(failure) = checking.join() {
            std::panic::resume_unwind(failure);
        }
    });
    runtime.block_on(cluster.stop());
}

fn command<'a>(guide: &'a Guide, effect: &str) -> &'a str {
    let found = guide.tries.iter().find(|one| one.effect.starts_with(effect));
    &found.unwrap_or_else(|| panic!("no command to {effect}:\n{guide}")).command
}

/// What `curl -X POST [']HOST:PORT/PATH[']` does; the answer as it came.
fn post(command: &str) -> String {
    let url = command.strip_prefix("curl -X POST ").unwrap_or_else(|| panic!("{command}"));
    request("POST", url.trim_matches('\''))
}

fn get(url: &str) -> String {
    request("GET", url)
}

fn request(method: &str, url: &str) -> String {
    let (authority, path) = url.split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority.parse::<SocketAddr>().unwrap()).unwrap();
    write!(stream, "{method} /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    // A reset is the end as well.
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// What `echo LINE | curl -s telnet://HOST:PORT` does, or `printf 'LINES' | …`; the answer as it came.
fn tell(command: &str) -> String {
    let (said, address) = command.split_once(" | curl -s telnet://").unwrap_or_else(|| panic!("{command}"));
    let lines = match said.strip_prefix("echo ") {
        Some(line) => format!("{line}\n"),
        None => said.strip_prefix("printf ").unwrap().trim_matches('\'').replace("\\n", "\n"),
    };
    let mut stream = TcpStream::connect(address.parse::<SocketAddr>().unwrap()).unwrap();
    stream.write_all(lines.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn reading(cluster: &Cluster) -> Reading {
    Meter::new(cluster).read(cluster)
}

fn state(cluster: &Cluster, index: usize, wanted: &str) -> Result<(), String> {
    let reading = reading(cluster);
    let endpoint = &reading.endpoints[index];
    if endpoint.state == wanted { Ok(()) } else { Err(format!("{endpoint:?}")) }
}

/// The attempts that each backend has ended.
fn counts(cluster: &Cluster) -> Vec<u64> {
    let reading = reading(cluster);
    reading.endpoints.iter().map(|endpoint| endpoint.traffic.requests).collect()
}

/// Whether these have answered since `before`.
fn used(cluster: &Cluster, before: &[u64], indices: &[usize]) -> Result<(), String> {
    let now = counts(cluster);
    let all = indices.iter().all(|index| now[*index] > before[*index]);
    if all { Ok(()) } else { Err(format!("{before:?}, then {now:?}")) }
}
