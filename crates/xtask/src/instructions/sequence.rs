//! A fixed sequence of requests through the built proxy under callgrind: instructions per request.
//!
//! One worker, one client connection, one scripted origin; no probes, so that nothing happens but the requests.
//! The difference between a long and a short run leaves start and stop out.

use std::path::Path;
use std::thread;

use evenkeel_testkit::{Origin, RawClient, TempDir, reply};

use super::callgrind;
use crate::decisions::REQUEST;
use crate::processes::Running;

/// Its name among the figures.
pub(super) const NAME: &str = "proxied-request";

/// Requests of the two runs.
const TIMES: [usize; 2] = [200, 400];

/// Instructions per request: the median of three differences.
pub(super) fn count(program: &Path) -> Result<u64, String> {
    let mut differences = Vec::new();
    for _ in 0..3 {
        let [few, many] = TIMES.map(|times| one_run(program, times));
        differences.push(many?.saturating_sub(few?) / (TIMES[1] - TIMES[0]) as u64);
    }
    differences.sort_unstable();
    Ok(differences.get(1).copied().unwrap_or_default())
}

/// Instructions of a whole run with that many requests.
fn one_run(program: &Path, times: usize) -> Result<u64, String> {
    let directory = TempDir::new();
    let origin = Origin::serve(|request| match request.target.as_str() {
        "/chunked" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
                .to_vec()
        }
        _ => reply(200, "x".repeat(80)),
    });
    let config = directory.write("evenkeel.toml", &configuration(&origin.address().to_string()));
    let mut command = callgrind::command(program);
    command.arg("run").arg("-c").arg(&config);
    let mut proxy = Running::start("evenkeel under callgrind", &mut command, &directory.join("output"))?;
    let address = proxy.wait_until("the address of its listener", |proxy| {
        let output = proxy.output();
        let line = output.lines().find(|line| line.contains("listener web listening on"))?;
        line.split_whitespace().rev().find_map(|word| word.parse().ok())
    })?;
    let requests = [
        REQUEST,
        b"GET /small HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
        b"POST /items HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 10\r\n\r\n0123456789",
        b"GET /chunked HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
    ];
    // The client fails by panicking; on a thread of its own that becomes an error like any other.
    let client = thread::spawn(move || {
        let mut client = RawClient::connect(address);
        requests.iter().cycle().take(times).all(|request| client.exchange(request).status == 200)
    });
    match client.join() {
        Ok(true) => callgrind::collected(&proxy.stop()),
        Ok(false) => Err(format!("a request was not answered 200:\n{}", proxy.stop())),
        Err(_) => Err(format!("a request failed:\n{}", proxy.stop())),
    }
}

fn configuration(endpoint: &str) -> String {
    format!(
        "[server]\nworkers = 1\n[admin]\naddress = \"127.0.0.1:0\"\n[log]\naccess = \"off\"\n\
         [listener.web]\naddress = \"127.0.0.1:0\"\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"{endpoint}\"]\n"
    )
}
