//! What a connection speaks: both versions of the protocol, however the bytes come, and what is no command.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test may fail this way

mod running;

use running::{Running, encoded, eventually, options};

#[test]
fn both_versions_are_spoken() {
    let server = Running::start();
    let mut client = server.client();
    assert_eq!(client.run("HSET h a 1"), "1");
    assert_eq!(client.run("HGETALL h"), "[\"a\", \"1\"]");
    assert_eq!(client.run("GET nothing"), "nil");
    let hello = client.run("HELLO 3 SETNAME me");
    assert!(hello.starts_with("%[\"server\", \"redis\""), "{hello}");
    assert_eq!(client.run("HGETALL h"), "%[\"a\", \"1\"]");
    assert_eq!(client.run("GET nothing"), "nil");
    assert_eq!(client.run("CLIENT GETNAME"), "\"me\"");
    assert_eq!(client.run("HELLO 9"), "-NOPROTO unsupported protocol version");
    assert_eq!(client.run("RESET"), "RESET");
    assert_eq!(client.run("HGETALL h"), "[\"a\", \"1\"]");
}

#[test]
fn lines_of_words_are_commands() {
    let server = Running::start();
    let mut client = server.client();
    client.write(b"\r\nSET k \"a\\x01 b\"\r\nGET k\n\r\nPING\r\n");
    assert_eq!([client.answer(), client.answer(), client.answer()], ["OK", "\"a\\x01 b\"", "PONG"]);
}

#[test]
fn a_command_may_come_byte_by_byte() {
    let server = Running::start();
    let mut client = server.client();
    for bytes in
        [encoded(&[b"SET", b"key", b"va\r\nlue"]), encoded(&[b"GET", b"key"]), b"PING hello\r\n".to_vec()]
    {
        for byte in bytes {
            client.write(&[byte]);
        }
    }
    assert_eq!([client.answer(), client.answer(), client.answer()], ["OK", "\"va\\r\\nlue\"", "\"hello\""]);
}

#[test]
fn a_web_page_gives_no_commands() {
    let server = Running::start();
    for request in [
        &b"POST / HTTP/1.1\r\nHost: 127.0.0.1:6380\r\n\r\nSET k broken\r\n"[..],
        b"PUT / HTTP/1.1\r\nhost: 127.0.0.1:6380\r\n\r\nSET k broken\r\n",
    ] {
        let mut page = server.client();
        page.write(request);
        while page.try_answer().is_some() {}
        assert_eq!(server.client().run("EXISTS k"), "0");
    }
}

#[test]
fn many_commands_may_come_at_once() {
    let server = Running::start();
    let mut client = server.client();
    const COUNT: usize = 20_000;
    let mut bytes = Vec::new();
    for number in 0..COUNT {
        let value = format!("value-{number}");
        bytes.extend(encoded(&[b"SET", number.to_string().as_bytes(), value.as_bytes()]));
        bytes.extend(encoded(&[b"GET", number.to_string().as_bytes()]));
    }
    let mut writer = client.stream.try_clone().unwrap();
    let thread = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes).unwrap());
    for number in 0..COUNT {
        assert_eq!(client.answer(), "OK");
        assert_eq!(client.answer(), format!("\"value-{number}\""));
    }
    thread.join().unwrap();
}

#[test]
fn values_may_be_large() {
    let server = Running::start();
    let mut client = server.client();
    let value: Vec<u8> =
        (0..30 << 20).map(|number: u32| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    client.send_words(&[b"SET", b"large", &value]);
    assert_eq!(client.answer(), "OK");
    client.send("GET large");
    assert_eq!(client.bytes(11), format!("${}\r\n", value.len()).into_bytes());
    assert!(client.bytes(value.len()) == value);
    assert_eq!(client.bytes(2), b"\r\n");
    assert_eq!(client.run("CONFIG SET proto-max-bulk-len 1mb"), "OK");
    // It is refused when it is announced.
    client.write(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n");
    assert_eq!(client.answer(), "-ERR Protocol error: invalid bulk length");
    client.expect_end();
}

#[test]
fn what_is_no_command_ends_the_connection() {
    let server = Running::start();
    for (bytes, error) in [
        (&b"*x\r\n"[..], "-ERR Protocol error: invalid multibulk length"),
        (b"*1\r\n+PING\r\n", "-ERR Protocol error: expected '$', got '+'"),
        (b"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length"),
        (b"SET \"k\r\n", "-ERR Protocol error: unbalanced quotes in request"),
    ] {
        let mut client = server.client();
        // What came before is answered.
        client.write(&[b"PING\r\n", bytes].concat());
        assert_eq!(client.answer(), "PONG");
        assert_eq!(client.answer(), error);
        client.expect_end();
    }
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..rng.usize(1..300)).map(|_| rng.u8(..)).collect();
        server.client().write(&bytes);
    }
    let mut client = server.client();
    assert_eq!(client.run("PING"), "PONG");
    eventually("those connections are gone", || client.run("CLIENT LIST").matches("id=").count() == 1);
}

#[test]
fn errors_have_the_known_texts() {
    let server = Running::start();
    let mut client = server.client();
    for (line, error) in [
        ("FOO", "-ERR unknown command 'FOO', with args beginning with: "),
        ("foo a b", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' "),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
        ("CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command"),
        ("SELECT 16", "-ERR DB index is out of range"),
        ("EVAL x 0", "-ERR unknown command 'EVAL', with args beginning with: 'x' '0' "),
        ("CONFIG SET nothing 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nothing'"),
        (
            "AUTH x",
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure \
                    your configuration is correct?",
        ),
    ] {
        assert_eq!(client.run(line), error);
    }
    assert_eq!(client.info("errorstat_ERR"), "count=9");
    assert_eq!(client.run("PING"), "PONG");
}

#[test]
fn a_password_is_asked_for() {
    let server = Running::with(evenkeel_kv::Options { requirepass: Some("secret".into()), ..options() });
    let mut client = server.client();
    const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
    assert_eq!(client.run("GET k"), "-NOAUTH Authentication required.");
    assert_eq!(client.run("AUTH secre"), WRONG);
    assert_eq!(client.run("AUTH secrets"), WRONG);
    assert_eq!(client.run("AUTH other secret"), WRONG);
    assert!(client.run("HELLO 3").starts_with("-NOAUTH HELLO must be called"));
    assert_eq!(client.run("AUTH default secret"), "OK");
    assert_eq!(client.run("GET k"), "nil");
    let mut other = server.client();
    assert!(other.run("HELLO 2 AUTH default secret").contains("\"proto\", 2"));
    assert_eq!(other.run("CONFIG SET requirepass new"), "OK");
    // Who is in stays in.
    assert_eq!(client.run("GET k"), "nil");
    assert_eq!(server.client().run("AUTH secret"), WRONG);
    // Before the password nothing long is taken.
    let mut stranger = server.client();
    stranger.write(b"*1\r\n$20000\r\n");
    assert_eq!(stranger.answer(), "-ERR Protocol error: unauthenticated bulk or multibulk length");
    stranger.expect_end();
}

#[test]
fn replies_can_be_turned_off() {
    let server = Running::start();
    let mut client = server.client();
    for line in
        ["CLIENT REPLY SKIP", "SET a 1", "GET a", "CLIENT REPLY OFF", "INCR a", "INCR a", "CLIENT REPLY ON"]
    {
        client.send(line);
    }
    assert_eq!([client.answer(), client.answer()], ["\"1\"", "OK"]);
    assert_eq!(client.run("GET a"), "\"3\"");
}

#[test]
fn configuration_is_shown_and_changed() {
    let server = Running::start();
    let mut client = server.client();
    assert_eq!(client.run("CONFIG GET maxmemory-p*"), "[\"maxmemory-policy\", \"allkeys-s3fifo\"]");
    assert_eq!(client.run("CONFIG SET maxmemory 100mb maxmemory-policy allkeys-lru"), "OK");
    assert_eq!(client.run("CONFIG GET maxmemory"), "[\"maxmemory\", \"104857600\"]");
    assert!(client.run("CONFIG SET timeout 5 maxmemory lots").starts_with("-ERR CONFIG SET failed"));
    assert_eq!(client.run("CONFIG GET timeout"), "[\"timeout\", \"0\"]");
    assert_eq!(client.run("CONFIG SET slowlog-log-slower-than 0"), "OK");
    assert_eq!(client.run("SLOWLOG RESET"), "OK");
    assert_eq!(client.run("ECHO slow"), "\"slow\"");
    let log = client.run("SLOWLOG GET");
    assert!(log.contains("[\"ECHO\", \"slow\"]"), "{log}");
    assert_eq!(client.run("CONFIG RESETSTAT"), "OK");
    assert_eq!(client.info("total_connections_received"), "0");
}

#[test]
fn secrets_are_not_logged() {
    let server = Running::with(evenkeel_kv::Options { requirepass: Some("s3cret".into()), ..options() });
    let mut client = server.client();
    assert_eq!(client.run("AUTH s3cret"), "OK");
    assert_eq!(client.run("CONFIG SET slowlog-log-slower-than 0"), "OK");
    for line in [
        "CONFIG SET timeout 0 masterauth s3cret",
        "AUTH default s3cret",
        "HELLO 2 AUTH default s3cret",
        "AUTH s3cre",
    ] {
        client.run(line);
    }
    let log = client.run("SLOWLOG GET -1");
    assert!(!log.contains("s3cre") && !log.contains("AUTH\", \"s"), "{log}");
    assert!(log.contains("\"masterauth\", \"(redacted)\""), "{log}");
    assert!(log.contains("[\"HELLO\", \"2\", \"AUTH\", \"(redacted)\", \"(redacted)\"]"), "{log}");
}
