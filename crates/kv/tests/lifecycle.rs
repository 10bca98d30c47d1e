//! What a server does with clients that ask too much, read too little or stay too long, and how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test may fail this way

mod running;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel_kv::{Options, Server};
use running::{Client, Running, eventually, options};

#[test]
fn there_is_a_limit_to_connections() {
    let server = Running::with(Options { maxclients: 3, ..options() });
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.run("PING"), "PONG");
    }
    let mut refused = server.client();
    assert_eq!(refused.answer(), "-ERR max number of clients reached");
    refused.expect_end();
    assert_eq!(clients[0].info("rejected_connections"), "1");
    clients.pop();
    eventually("there is room again", || {
        let mut client = server.client();
        client.send("PING");
        client.try_answer().as_deref() == Some("PONG")
    });
}

#[test]
fn connections_are_spread_over_threads() {
    // A thread that sleeps serves none of its connections; the others go on.
    let server = Running::with(Options { threads: Some(4), ..options() });
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.run("PING"), "PONG");
    }
    let (sleeper, others) = clients.split_first_mut().unwrap();
    sleeper.send("DEBUG SLEEP 0.5");
    let start = Instant::now();
    let mut quick = 0;
    for client in others {
        client.stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        client.send("PING");
    }
    assert_eq!(sleeper.answer(), "OK");
    assert!(start.elapsed() >= Duration::from_millis(400));
    let mut observer = server.client();
    for line in observer.run("CLIENT LIST").split("\\n") {
        quick += usize::from(line.contains("cmd=ping"));
    }
    assert!(quick >= 7, "{quick}");
}

#[test]
fn who_does_not_read_is_not_read_from() {
    let server = Running::start();
    let mut other = server.client();
    other.send_words(&[b"SET", b"k", &vec![b'x'; 1 << 20]]);
    assert_eq!(other.answer(), "OK");
    let client = server.client();
    let mut writer = client.stream.try_clone().unwrap();
    let asking = std::thread::spawn(move || {
        for _ in 0..2000 {
            writer.write_all(b"GET k\r\n").unwrap();
        }
    });
    asking.join().unwrap();
    // 2 GB are asked for; what the system does not take is about one answer.
    eventually("it has answers that it does not take", || unsent(&mut other) > 0);
    assert!(unsent(&mut other) < 4 << 20);
    let mut rest = client;
    for _ in 0..2000 {
        rest.bytes(b"$1048576\r\n".len() + (1 << 20) + 2);
    }
}

fn unsent(observer: &mut Client) -> usize {
    let list = observer.run("CLIENT LIST");
    let fields = list.split(' ').filter_map(|field| field.strip_prefix("obl="));
    fields.map(|bytes| bytes.parse::<usize>().unwrap()).max().unwrap()
}

#[test]
fn a_subscriber_that_does_not_read_is_closed() {
    let server = Running::with(Options {
        set: vec![("client-output-buffer-limit".into(), "pubsub 300kb 0 0".into())],
        ..options()
    });
    let mut subscriber = server.client();
    subscriber.run("SUBSCRIBE news");
    let mut publisher = server.client();
    let message = vec![b'x'; 64 << 10];
    eventually("nobody is left", || {
        publisher.send_words(&[b"PUBLISH", b"news", &message]);
        publisher.answer() == "0"
    });
    subscriber.expect_end();
    assert_eq!(publisher.info("client_output_buffer_limit_disconnections"), "1");
}

#[test]
fn idle_clients_are_closed() {
    let server = Running::with(Options { timeout: Duration::from_secs(1), ..options() });
    let (mut idle, mut subscriber, mut waiting) = (server.client(), server.client(), server.client());
    assert_eq!(idle.run("PING"), "PONG");
    subscriber.run("SUBSCRIBE a");
    waiting.send("BLPOP k 0");
    idle.expect_end();
    let mut other = server.client();
    assert_eq!(other.info("client_idle_disconnections"), "1");
    assert_eq!(other.run("PUBLISH a x"), "1");
    assert_eq!(other.run("RPUSH k x"), "1");
    assert_eq!(waiting.answer(), "[\"k\", \"x\"]");
}

#[test]
fn memory_has_a_limit() {
    let server = Running::with(Options { maxmemory: 4 << 20, ..options() });
    let mut client = server.client();
    let value = vec![b'x'; 1000];
    for number in 0..20_000 {
        client.send_words(&[b"SET", format!("key:{number}").as_bytes(), &value]);
        assert_eq!(client.answer(), "OK");
    }
    let used: usize = client.info("used_memory").parse().unwrap();
    // One more table may have been allocated by the last key.
    assert!(used <= (4 << 20) + (32 << 10) && used > 3 << 20, "{used}");
    let keys: usize = client.run("DBSIZE").parse().unwrap();
    let evicted: usize = client.info("evicted_keys").parse().unwrap();
    assert_eq!(keys + evicted, 20_000);
    assert_eq!(client.run("CONFIG SET maxmemory-policy noeviction"), "OK");
    let mut number = 0;
    eventually("there is no room", || {
        number += 1;
        client.send_words(&[b"SET", format!("other:{number}").as_bytes(), &value]);
        client.answer() == "-OOM command not allowed when used memory > 'maxmemory'."
    });
    assert_eq!(client.run("MULTI"), "OK");
    assert_eq!(client.run("SET k 1"), "-OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!(client.run("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
    // What takes no memory is allowed; less memory is reached by itself.
    assert_eq!(client.run("DEL key:1").len(), 1);
    assert_eq!(client.run("CONFIG SET maxmemory-policy allkeys-lru maxmemory 1mb"), "OK");
    eventually("it shrinks", || client.info("used_memory").parse::<usize>().unwrap() <= 1 << 20);
}

#[test]
fn the_account_of_memory_is_kept_by_all_threads() {
    let server = Running::start();
    let workers: Vec<_> = (0..4)
        .map(|number| {
            let mut client = server.client();
            std::thread::spawn(move || {
                let mut rng = fastrand::Rng::with_seed(number);
                for _ in 0..3000 {
                    let (key, size) = (rng.u32(0..200), rng.usize(0..300));
                    let line = match rng.u8(0..10) {
                        0 => format!("DEL t:{key} h:{key}"),
                        1 => format!("HSET h:{key} field{size} {}", "x".repeat(size)),
                        2 => format!("SADD s:{key} {size}"),
                        3 => format!("ZADD z:{key} {size} member{size}"),
                        4 => format!("RPUSH l:{key} {}", "x".repeat(size)),
                        5 => format!("SPOP s:{key} 3"),
                        6 => format!("SET t:{key} {} PX 20", "x".repeat(size)),
                        7 => format!("APPEND t:{key} {}", "x".repeat(size)),
                        8 => format!("LPOP l:{key} 5"),
                        _ => format!("SET t:{key} {}", "x".repeat(size)),
                    };
                    let answer = client.run(&line);
                    assert!(!answer.starts_with("-ERR"), "{line}: {answer}");
                }
                client.write(b"MULTI\r\nSET a 1\r\nSELECT 1\r\nSET b 1\r\nFLUSHDB\r\nEXEC\r\n");
                (0..6).for_each(|_| _ = client.answer());
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let mut client = server.client();
    let is_exact = |client: &mut Client| client.info("used_memory") == server.meter.bytes().to_string();
    eventually("the account is exact", || is_exact(&mut client));
    assert_eq!(client.run("FLUSHALL"), "OK");
    eventually("it is so without data", || is_exact(&mut client));
}

#[test]
fn a_transaction_has_a_limit() {
    let server = Running::start();
    let mut client = server.client();
    assert_eq!(client.run("CONFIG SET client-query-buffer-limit 1048576"), "OK");
    assert_eq!(client.run("MULTI"), "OK");
    let value = vec![b'x'; 100_000];
    for _ in 0..10 {
        client.send_words(&[b"SET", b"k", &value]);
        assert_eq!(client.answer(), "QUEUED");
    }
    client.send_words(&[b"SET", b"k", &value]);
    client.expect_end();
}

#[test]
fn expired_keys_go_by_themselves() {
    let server = Running::start();
    let mut client = server.client();
    for number in 0..1000 {
        client.run(&format!("SET key:{number} value PX 50"));
    }
    eventually("they are gone", || client.run("DBSIZE") == "0");
    assert_eq!(client.info("expired_keys"), "1000");
}

#[test]
fn a_stop_lets_answers_arrive() {
    let server = Running::start();
    let mut client = server.client();
    client.send_words(&[b"SET", b"k", &vec![b'x'; 20 << 20]]);
    assert_eq!(client.answer(), "OK");
    let (mut idle, mut waiting) = (server.client(), server.client());
    assert_eq!(idle.run("PING"), "PONG");
    waiting.send("BLPOP nothing 0");
    client.send("GET k");
    // The answer has begun.
    client.bytes(b"$20971520\r\n".len());
    let stopping = std::thread::spawn(move || server.stop());
    idle.expect_end();
    waiting.expect_end();
    assert_eq!(client.bytes(20 << 20).len(), 20 << 20);
    assert_eq!(client.bytes(2), b"\r\n");
    client.expect_end();
    stopping.join().unwrap();
}

#[test]
fn a_client_can_stop_it() {
    let mut server = Running::start();
    let mut client = server.client();
    assert_eq!(client.run("SHUTDOWN NOW MAYBE"), "-ERR syntax error");
    client.send("SHUTDOWN NOSAVE");
    client.expect_end();
    server.join();
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn dropping_it_ends_everything() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::bind(options()).unwrap();
        let address = server.local_addr();
        let mut running = Box::pin(server.run(std::future::pending()));
        let asking = tokio::task::spawn_blocking(move || {
            let mut client = Client::connect(address);
            assert_eq!(client.run("PING"), "PONG");
            client
        });
        let mut client = tokio::select! {
            _ = &mut running => panic!("it ended"),
            client = asking => client.unwrap(),
        };
        drop(running);
        tokio::task::spawn_blocking(move || client.expect_end()).await.unwrap();
    });
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let server = Running::with(Options { metrics: Some("127.0.0.1:0".parse().unwrap()), ..options() });
    let mut client = server.client();
    for line in ["SET k 1", "GET k", "GET nothing", "FOO", "LPUSH k 1", "SUBSCRIBE a"] {
        client.run(line);
    }
    let page = fetch(&server, "/metrics");
    for line in [
        "evenkeel_kv_hits_total 1",
        "evenkeel_kv_misses_total 1",
        "evenkeel_kv_keys{db=\"0\"} 1",
        "evenkeel_kv_connections 1",
        "evenkeel_kv_commands_total{command=\"get\"} 2",
        "evenkeel_kv_commands_failed_total{command=\"lpush\"} 1",
        "evenkeel_kv_commands_unknown_total 1",
        "evenkeel_kv_command_duration_seconds_count 5",
        "evenkeel_kv_pubsub_channels 1",
    ] {
        assert!(page.contains(&format!("\n{line}\n")), "{line} in\n{page}");
    }
    assert_eq!(fetch(&server, "/readyz"), "ok\n");
    assert_eq!(fetch(&server, "/livez"), "ok\n");
    // Prometheus' own judgement, where it is installed.
    let check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut check) = check else { return };
    check.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn fetch(server: &Running, path: &str) -> String {
    let mut stream = TcpStream::connect(server.metrics.unwrap()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn neither_a_pause_nor_a_sleep_delays_the_end() {
    for (before, line, command) in
        [("CLIENT PAUSE 600000 WRITE", "SET k 1", "cmd=set"), ("PING", "DEBUG SLEEP 1e9", "cmd=debug")]
    {
        let server = Running::with(Options { shutdown_timeout: Duration::from_secs(600), ..options() });
        // One on each thread.
        let (mut observer, mut client) = (server.client(), server.client());
        assert_eq!(client.run("PING"), "PONG");
        observer.run(before);
        client.send(line);
        eventually(line, || observer.run("CLIENT LIST").contains(command));
        let start = Instant::now();
        server.stop();
        assert!(start.elapsed() < Duration::from_secs(20), "{line}");
        client.expect_end();
    }
}

#[test]
fn who_waits_for_replicas_is_not_idle() {
    let server = Running::with(Options { timeout: Duration::from_secs(1), ..options() });
    let mut client = server.client();
    assert_eq!(client.run("WAIT 1 3500"), "0");
}

#[test]
fn a_transaction_whose_answers_are_too_long_is_carried_out_and_its_client_closed() {
    let server = Running::start();
    let (mut client, mut other) = (server.client(), server.client());
    client.send_words(&[b"SET", b"large", &vec![b'x'; 50_000]]);
    assert_eq!(client.answer(), "OK");
    let limit: [&[u8]; 4] = [b"CONFIG", b"SET", b"client-output-buffer-limit", b"normal 100000 0 0"];
    client.send_words(&limit);
    assert_eq!(client.answer(), "OK");
    for line in ["MULTI", "GET large", "GET large", "SET k 1", "GET large", "EXEC"] {
        client.send(line);
    }
    assert_eq!(client.answer(), "OK");
    (0..4).for_each(|_| assert_eq!(client.answer(), "QUEUED"));
    let answer = client.answer();
    assert!(
        answer.starts_with("-ERR the transaction was carried out, but its answers are longer"),
        "{answer}"
    );
    client.expect_end();
    assert_eq!(other.run("GET k"), "\"1\"");
    assert_eq!(other.info("client_output_buffer_limit_disconnections"), "1");
}
