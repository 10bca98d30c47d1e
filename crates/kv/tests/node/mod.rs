//! Servers as processes for tests: ours and, where it is installed, Redis; a client that speaks to both.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// How long anything may take before a test gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Asks again and again until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut probe: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    while let Err(seen) = probe() {
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}; last seen: {seen}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A directory of a test's own.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("evenkeel-kv-node-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        // Left by an earlier process of the same number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("dump.rdb")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server, killed when dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) port: u16,
}

impl Node {
    /// Ours, on a free port.
    #[track_caller]
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_on(0, flags)
    }

    /// Ours.
    #[track_caller]
    pub(crate) fn start_on(port: u16, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_evenkeel-kv"))
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let mut heard = String::new();
        let port = loop {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "it ended: {heard}");
            heard.push_str(&line);
            if let Some((_, port)) = line.trim().split_once("evenkeel-kv listening on 127.0.0.1:") {
                break port.parse().unwrap();
            }
        };
        // So that it never waits for somebody to read what it says.
        thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, port }
    }

    /// Redis, if it is installed.
    pub(crate) fn redis(directory: &Path, flags: &[&str]) -> Option<Self> {
        for _ in 0..10 {
            // Somebody else may take the port before Redis does.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new("redis-server");
            command.args([
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--enable-debug-command",
                "yes",
                "--dir",
            ]);
            command.arg(directory).args(flags).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    eprintln!("redis-server is not installed ({error}): nothing to compare with");
                    return None;
                }
            };
            let start = Instant::now();
            while child.try_wait().unwrap().is_none() {
                if let Some(mut client) = Client::try_connect(port)
                    && !client.ask(&["PING"]).starts_with("-LOADING")
                {
                    return Some(Self { child, port });
                }
                assert!(start.elapsed() < DEADLINE, "redis-server does not answer");
                thread::sleep(Duration::from_millis(5));
            }
        }
        panic!("redis-server does not start");
    }

    pub(crate) fn client(&self) -> Client {
        Client::try_connect(self.port).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop; the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
        self.child.wait().unwrap().code()
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client that asks and reads the answer.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn try_connect(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Some(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn send(&mut self, words: &[&str]) {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The answer, arrays as `[one, two]`, null as `nil`.
    pub(crate) fn receive(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).unwrap() > 0, "the connection was closed");
        let (kind, rest) = line.trim_end().split_at(1);
        match (kind, rest) {
            ("$" | "*", "-1") => "nil".to_owned(),
            ("$", length) => {
                let mut bytes = vec![0; length.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                String::from_utf8_lossy(&bytes).into_owned()
            }
            ("*", count) => {
                let parts: Vec<_> = (0..count.parse::<usize>().unwrap()).map(|_| self.receive()).collect();
                format!("[{}]", parts.join(", "))
            }
            ("+" | ":", text) => text.to_owned(),
            _ => line.trim_end().to_owned(),
        }
    }

    pub(crate) fn ask(&mut self, words: &[&str]) -> String {
        self.send(words);
        self.receive()
    }

    /// Asks with the words of a line.
    pub(crate) fn run(&mut self, line: &str) -> String {
        self.ask(&line.split(' ').collect::<Vec<_>>())
    }

    /// A field of `INFO`.
    pub(crate) fn info(&mut self, field: &str) -> String {
        let text = self.ask(&["INFO", "everything"]);
        let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        found.unwrap_or("").trim().to_owned()
    }

    /// Waits until a field of `INFO` has that value.
    #[track_caller]
    pub(crate) fn await_info(&mut self, field: &str, wanted: &str) {
        eventually(&format!("{field}:{wanted}"), || {
            let seen = self.info(field);
            if seen == wanted { Ok(()) } else { Err(seen) }
        });
    }

    pub(crate) fn raw(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }
}

/// Ours, when it follows that server.
pub(crate) fn replica_of(port: u16) -> Node {
    let node = Node::start(&["--replicaof", &format!("127.0.0.1:{port}")]);
    node.client().await_info("master_link_status", "up");
    node
}

/// Waits until a replica has all that its primary has now.
#[track_caller]
pub(crate) fn caught_up(primary: &mut Client, replica: &mut Client) {
    let wanted: u64 = primary.info("master_repl_offset").parse().unwrap();
    eventually("the replica to catch up", || {
        let seen = replica.info("master_repl_offset");
        if seen.parse::<u64>().unwrap() >= wanted { Ok(()) } else { Err(format!("{seen} of {wanted}")) }
    });
}

/// A network between a client and a server, which can be cut.
pub(crate) struct Network {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    connections: Vec<TcpStream>,
}

impl Network {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { break };
                let mut state = shared.lock().unwrap();
                if state.is_cut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                for (mut from, mut to) in [(&client, &server), (&server, &client)]
                    .map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()))
                {
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                state.connections.extend([client, server]);
            }
        });
        Self { port, state }
    }

    /// Ends all connections, and new ones at once.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_cut = true;
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.state.lock().unwrap().is_cut = false;
    }
}

/// Data of every type in all sizes, with times to live, in two databases.
pub(crate) fn fill(client: &mut Client) {
    let many =
        |count: usize, one: &dyn Fn(usize) -> Vec<String>| (0..count).flat_map(one).collect::<Vec<_>>();
    let mut ask = |start: &[&str], rest: Vec<String>| {
        let words: Vec<&str> = start.iter().copied().chain(rest.iter().map(String::as_str)).collect();
        let answer = client.ask(&words);
        assert!(!answer.starts_with('-'), "{start:?}: {answer}");
    };
    ask(&["SET", "text", "hello"], vec![]);
    ask(&["SET", "empty", ""], vec![]);
    for number in ["-1", "0", "127", "-129", "40000", "-2147483648", "9223372036854775807", "007", "1e3"] {
        ask(&["SET", &format!("number {number}"), number], vec![]);
    }
    ask(&["SET", "packed", &"abcdefgh".repeat(5000)], vec![]);
    ask(&["SET", "lives", "x", "PXAT", "4102444800123"], vec![]);
    for count in [1, 3, 100, 600, 20_000] {
        ask(&["RPUSH", &format!("list {count}")], many(count, &|number| vec![format!("element {number}")]));
        ask(
            &["RPUSH", &format!("numbers {count}")],
            many(count, &|number| vec![(number * 7_777).to_string()]),
        );
        ask(&["SADD", &format!("integers {count}")], many(count, &|number| vec![(number * 3).to_string()]));
        ask(&["SADD", &format!("set {count}")], many(count, &|number| vec![format!("member {number}")]));
        ask(&["HSET", &format!("hash {count}")], many(count, &|n| vec![format!("field {n}"), n.to_string()]));
        let scored = |n: usize| vec![(n as f64 / 7.0 - 20.0).to_string(), format!("member {n}")];
        ask(&["ZADD", &format!("sorted {count}")], many(count, &scored));
    }
    ask(&["RPUSH", "long elements", &"y".repeat(9000), "", &"z".repeat(70_000)], vec![]);
    ask(&["HSET", "long values", "field", &"v".repeat(70_000)], vec![]);
    ask(&["ZADD", "ends", "inf", "above", "-inf", "below", "-0.0", "zero", "1e-300", "tiny"], vec![]);
    ask(&["MSET"], many(5000, &|n| vec![format!("key {n}"), "v".repeat(n % 100)]));
    ask(&["SELECT", "9"], vec![]);
    ask(&["SET", "elsewhere", "9"], vec![]);
    ask(&["SELECT", "0"], vec![]);
}
