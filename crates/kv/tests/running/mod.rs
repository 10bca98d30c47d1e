//! A server in this process on a port of the system's choice, and clients that speak to it byte by byte.
#![allow(dead_code, reason = "each test uses its own part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use evenkeel_kv::{Meter, Options, Server};
use tokio::sync::oneshot;

/// Longer than anything here takes; who waits so long has waited in vain.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) meter: Meter,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

/// As most tests want it: a port of the system's choice, two threads.
pub(crate) fn options() -> Options {
    Options { listen: "127.0.0.1:0".parse().unwrap(), threads: Some(2), ..Options::default() }
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::with(options())
    }

    pub(crate) fn with(options: Options) -> Self {
        let server = Server::bind(options).unwrap();
        let (address, metrics, meter) = (server.local_addr(), server.metrics_addr(), server.meter());
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.run(async {
                let _ = stopped.await;
            }))
        });
        Self { address, metrics, meter, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) {
        drop(self.stop.take());
        self.join();
    }

    /// Waits until it has stopped.
    pub(crate) fn join(&mut self) {
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    input: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let input = BufReader::new(stream.try_clone().unwrap());
        Self { stream, input }
    }

    /// The answer to a command given as a line of words without quotes; see [`Client::answer`].
    pub(crate) fn run(&mut self, line: &str) -> String {
        self.send(line);
        self.answer()
    }

    /// Sends a command given as a line of words.
    pub(crate) fn send(&mut self, line: &str) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.send_words(&words);
    }

    pub(crate) fn send_words(&mut self, words: &[&[u8]]) {
        self.write(&encoded(words));
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next answer, compactly: `OK`, `"bytes"`, `5`, `nil`, `[…, …]`, `-ERR …`, `%[…]` for a map, `~[…]` for a set,
    /// `>[…]` for a push, `,1.5`, `#t`.
    pub(crate) fn answer(&mut self) -> String {
        self.try_answer().expect("an answer")
    }

    /// The next answer; `None` at the end of the connection.
    pub(crate) fn try_answer(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.input.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no answer: {error}"),
        }
        let line = line.strip_suffix("\r\n").expect("a line end");
        let (kind, rest) = line.split_at(1);
        Some(match kind {
            "+" | ":" => rest.to_owned(),
            "-" | "," | "#" => line.to_owned(),
            "_" => "nil".to_owned(),
            "$" | "*" if rest == "-1" => "nil".to_owned(),
            "$" | "=" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.input.read_exact(&mut bytes).unwrap();
                assert!(bytes.ends_with(b"\r\n"));
                format!("\"{}\"", bytes[..bytes.len() - 2].escape_ascii())
            }
            "*" => self.several(rest.parse().unwrap()),
            "~" | ">" => format!("{kind}{}", self.several(rest.parse().unwrap())),
            "%" => format!("%{}", self.several(rest.parse::<usize>().unwrap() * 2)),
            other => panic!("an answer that begins with {other}"),
        })
    }

    fn several(&mut self, count: usize) -> String {
        let parts: Vec<_> = (0..count).map(|_| self.answer()).collect();
        format!("[{}]", parts.join(", "))
    }

    /// Exactly so many bytes, as they come.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.input.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Asserts that the server has closed the connection, whatever it still sent.
    pub(crate) fn expect_end(&mut self) {
        match self.input.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }

    /// The value of a field of `INFO`.
    pub(crate) fn info(&mut self, field: &str) -> String {
        let text = self.run("INFO all");
        let prefix = format!("{field}:");
        let lines = text.trim_matches('"').split("\\r\\n");
        lines.filter_map(|line| line.strip_prefix(&prefix)).next().expect(field).to_owned()
    }
}

/// A command as an array of bulk strings.
pub(crate) fn encoded(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Waits until `condition` holds, asking again and again.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
