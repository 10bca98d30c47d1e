//! The access log: one line for each exchange, whatever became of it, with what a client sent made harmless.

use std::fs;

use evenkeel_testkit::{Origin, Proxy, eventually, reply};

#[test]
fn a_line_tells_the_whole_exchange() {
    let origin = Origin::serve(|_| reply(201, "created"));
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    client
        .exchange("POST /items?a=b HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\n\r\nbody")
        .expect_status(201);
    let line = proxy.wait_for_log_of("/items?a=b");
    assert_eq!(line["listener"], "web", "{line}");
    assert_eq!(line["upstream"], "app", "{line}");
    assert_eq!(line["endpoint"], origin.address().to_string(), "{line}");
    assert_eq!(line["method"], "POST", "{line}");
    assert_eq!(line["host"], "shop.example", "{line}");
    assert_eq!(line["status"], 201, "{line}");
    assert_eq!(line["attempts"], 1, "{line}");
    assert!(line["reason"].is_null() || line["reason"] == "", "{line}");
    let client_address = line["client"].as_str().unwrap_or_default();
    assert!(client_address.starts_with("127.0.0.1"), "{line}");
    let request = origin.wait_for(1).remove(0);
    assert_eq!(line["request_id"].as_str(), request.fields.value("x-request-id"), "{line}");
    assert!(line["bytes_in"].as_u64().is_some_and(|bytes| bytes >= 4), "{line}");
    assert!(line["bytes_out"].as_u64().is_some_and(|bytes| bytes >= 7), "{line}");
    let duration = line["duration"].as_f64().unwrap_or(-1.0);
    assert!(duration > 0.0 && duration < 60.0, "{line}");
    let time = line["time"].as_str().unwrap_or_default();
    assert!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{line}");
}

#[test]
fn every_exchange_has_one_line() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    let mut client = proxy.client();
    for number in 0..50 {
        client.exchange(format!("GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n")).expect_status(200);
    }
    client.exchange("GET / HTTP/1.1\r\n\r\n").expect_status(400);
    proxy.wait_for_log("the refused one", |line| line["status"] == 400);
    for number in 0..50 {
        proxy.wait_for_log_of(&format!("/{number}"));
    }
    let lines = proxy.access_log();
    assert_eq!(lines.len(), 51, "{lines:?}");
    let refused = lines.iter().find(|line| line["status"] == 400).unwrap();
    assert_eq!(refused["reason"], "bad_host", "{refused}");
}

#[test]
fn what_a_client_sends_cannot_forge_a_line() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    // access_log() fails the test when a line is no JSON.
    for target in ["/\"quoted\"", "/back\\slash", "/\u{e9}t\u{e9}", "/%0a%22", "/'x'", "/{\"a\":1}"] {
        let _ = proxy.client().exchange(format!(
            "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nUser-Agent: \"\\\t\u{e9}\r\n\r\n"
        ));
    }
    let mut client = proxy.client();
    client.send(b"GET /\xff\xfe HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let _ = client.response();
    client = proxy.client();
    client.send("GET /a\u{1b}[31mred HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response().expect_status(400);
    let lines = eventually("eight lines", || {
        let lines = proxy.access_log();
        if lines.len() >= 8 { Ok(lines) } else { Err(format!("{lines:?}")) }
    });
    assert_eq!(lines.len(), 8, "{lines:?}");
    let text = fs::read_to_string(proxy.dir().join("access.log")).unwrap();
    assert!(!text.bytes().any(|byte| byte < 0x20 && byte != b'\n'), "control characters in {text:?}");
}

#[test]
fn usr1_reopens_the_file() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before(&[origin.address()]);
    proxy.get("/before").expect_status(200);
    proxy.wait_for_log_of("/before");
    fs::rename(proxy.dir().join("access.log"), proxy.dir().join("access.log.1")).unwrap();
    proxy.signal("USR1");
    eventually("the file to be opened again", || {
        if proxy.dir().join("access.log").exists() { Ok(()) } else { Err("it is not there") }
    });
    proxy.get("/after").expect_status(200);
    proxy.wait_for_log_of("/after");
    let old = fs::read_to_string(proxy.dir().join("access.log.1")).unwrap();
    assert!(old.contains("/before") && !old.contains("/after"), "{old}");
}

#[test]
fn lines_of_text_can_go_to_standard_output() {
    let origin = Origin::named("origin");
    let mut proxy =
        Proxy::before_with(&[origin.address()], "[log]\nformat = \"text\"\naccess = \"stdout\"\n");
    proxy.get("/seen?x=1").expect_status(200);
    let line = proxy
        .process()
        .wait_for_line("the access line", |line| line.contains("/seen?x=1").then(|| line.to_owned()));
    assert!(
        line.contains("GET") && line.contains("200") && line.contains(&origin.address().to_string()),
        "{line}"
    );
}

#[test]
fn a_log_can_be_switched_off() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before_with(&[origin.address()], "[log]\naccess = \"off\"\n");
    proxy.get("/unseen").expect_status(200);
    let exit = proxy.stop().expect_code(0);
    assert!(!exit.stdout.contains("/unseen") && !exit.stderr.contains("/unseen"), "{exit}");
}

#[test]
fn every_line_is_written_before_the_end() {
    let origin = Origin::named("origin");
    let proxy = Proxy::before_with(&[origin.address()], "[log]\nformat = \"json\"\naccess = \"stdout\"\n");
    let mut client = proxy.client();
    for number in 0..300 {
        client.exchange(format!("GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n")).expect_status(200);
    }
    let exit = proxy.stop().expect_code(0);
    let lines = exit.stdout.lines().filter(|line| line.contains("\"path\"")).count();
    assert_eq!(lines, 300, "{exit}");
}
