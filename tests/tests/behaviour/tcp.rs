//! TCP listeners: sessions are spread, kept, bounded, counted, and end as their ends do.

mod endpoints;
mod ends;
mod lifecycle;
mod probes;

use std::net::SocketAddr;

use evenkeel_testkit::{End, Origin, Proxy, RawClient};
use serde_json::Value;

/// A configuration with a TCP listener `cache` whose upstream `store` has these endpoints: the listener's tables
/// are `listener`, the upstream's keys and tables are `upstream`.
fn config(endpoints: &[SocketAddr], listener: &str, upstream: &str) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    format!(
        "[listener.cache]\naddress = \"127.0.0.1:0\"\nprotocol = \"tcp\"\nupstream = \"store\"\n{listener}\n\
         [upstream.store]\nendpoints = {endpoints:?}\n{upstream}\n"
    )
}

fn before(endpoints: &[SocketAddr]) -> Proxy {
    Proxy::start(&config(endpoints, "", ""))
}

fn connect(proxy: &Proxy) -> RawClient {
    RawClient::connect(proxy.address("cache"))
}

/// An origin that says its name when somebody connects, and then sends back what it gets.
fn echo(name: &'static str) -> Origin {
    Origin::script(move |conversation| {
        conversation.send(name);
        while let Some(bytes) = conversation.some() {
            if !conversation.send(bytes) {
                return;
            }
        }
    })
}

/// The endpoint's name, the first byte that it sends.
fn who(client: &mut RawClient) -> char {
    char::from(client.read_exactly(1)[0])
}

/// Sends a word and expects it back.
#[track_caller]
fn ping(client: &mut RawClient, word: &str) {
    client.send(word);
    assert_eq!(String::from_utf8_lossy(&client.read_exactly(word.len())), word);
}

/// Connects, and expects to be reset for it.
#[track_caller]
fn expect_refusal(proxy: &Proxy) {
    match RawClient::try_connect(proxy.address("cache")) {
        Ok(mut client) => expect_reset(&mut client),
        // The reset was faster than the client.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
}

#[track_caller]
fn expect_reset(client: &mut RawClient) {
    let (rest, end) = client.until_end();
    assert!(rest.is_empty() && end == End::Reset, "{rest:?}, then {end}");
}

/// Waits for the log's line of a session that ended for this reason; `""` is for none.
#[track_caller]
fn log(proxy: &Proxy, reason: &str) -> Value {
    let reason = if reason.is_empty() { Value::Null } else { reason.into() };
    proxy.wait_for_log(&format!("reason {reason}"), |line| {
        line["listener"] == "cache" && line["reason"] == reason
    })
}
