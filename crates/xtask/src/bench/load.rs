//! The built-in client: closed loop (the next request follows the answer) or open loop (requests are due at fixed
//! times, and latency counts from then). One thread for each connection; prints what came of it as JSON.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

/// What is sent where.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    path: String,
    #[arg(long)]
    connections: u32,
    #[arg(long)]
    seconds: f64,
    /// Requests per second in an open loop; without it the loop is closed.
    #[arg(long)]
    rate: Option<f64>,
}

/// What came of one connection.
#[derive(Debug, Default)]
struct Outcome {
    answered: u64,
    failed: u64,
    latencies: Vec<Duration>,
}

/// Sends, waits for the end, prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    // Wake-ups on time, where the system lets a program ask for them; threads inherit it.
    let _ = fs::write("/proc/self/timerslack_ns", "1000");
    let start = Arc::new(Start { ready: Barrier::new(options.connections as usize), at: OnceLock::new() });
    let threads: Vec<_> = (0..options.connections)
        .map(|number| {
            let (options, start) = (options.clone(), Arc::clone(&start));
            thread::Builder::new().stack_size(64 << 10).spawn(move || options.drive(number, &start))
        })
        .collect::<Result<_, _>>()
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    let mut total = Outcome::default();
    for thread in threads {
        let part = thread.join().map_err(|_| "a thread of the load failed")?;
        total.answered += part.answered;
        total.failed += part.failed;
        total.latencies.extend(part.latencies);
    }
    total.latencies.sort_unstable();
    let quantile = |share: f64| {
        let index = (share * total.latencies.len().saturating_sub(1) as f64).round() as usize;
        total.latencies.get(index).copied().unwrap_or_default().as_secs_f64() * 1e6
    };
    println!(
        "{}",
        json!({ "requests": total.answered, "failed": total.failed, "p50_us": quantile(0.5), "p99_us": quantile(0.99) })
    );
    Ok(())
}

/// The moment from which requests are due: when every connection has had its first answer.
struct Start {
    ready: Barrier,
    at: OnceLock<Instant>,
}

impl Start {
    fn wait(&self) -> Instant {
        self.ready.wait();
        *self.at.get_or_init(|| Instant::now() + Duration::from_millis(20))
    }
}

impl Options {
    /// One connection; after a failure a new one. Its first request is not counted.
    fn drive(&self, number: u32, start: &Start) -> Outcome {
        let mut outcome = Outcome::default();
        let request = format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", self.path).into_bytes();
        let mut connection = Connection::open(self.address).and_then(|open| open.exchange(&request)).ok();
        let started = start.wait();
        let end = started + Duration::from_secs_f64(self.seconds);
        for turn in 0_u32.. {
            let due = match self.rate {
                Some(rate) => {
                    let place = f64::from(number) + f64::from(turn) * f64::from(self.connections);
                    started + Duration::from_secs_f64(place / rate)
                }
                None => Instant::now(),
            };
            if due >= end {
                break;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let open = connection.take().map_or_else(|| Connection::open(self.address), Ok);
            match open.and_then(|open| open.exchange(&request)) {
                Ok(open) => {
                    connection = Some(open);
                    outcome.answered += 1;
                    if self.rate.is_some() {
                        outcome.latencies.push(due.elapsed());
                    }
                }
                Err(_) => outcome.failed += 1,
            }
        }
        outcome
    }
}

/// A connection that is kept.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        let prepared =
            stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(Duration::from_secs(10))));
        prepared.map_err(|error| error.to_string())?;
        Ok(Self { stream, buffer: vec![0; 16 << 10] })
    }

    /// Sends a request and takes in its answer, which has to be a 200 with a Content-Length; the connection is then
    /// good for another.
    fn exchange(mut self, request: &[u8]) -> Result<Self, String> {
        self.stream.write_all(request).map_err(|error| error.to_string())?;
        let (mut filled, mut left) = (0, None);
        loop {
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            let read = self.stream.read(room).map_err(|error| error.to_string())?;
            if read == 0 {
                return Err("the connection ended or the head is too long".to_owned());
            }
            match &mut left {
                None => {
                    filled += read;
                    let bytes = self.buffer.get(..filled).unwrap_or_default();
                    if let Some((head, body)) = head(bytes)? {
                        left = Some(body.checked_sub(filled - head).ok_or("more bytes than the answer has")?);
                        filled = 0;
                    }
                }
                Some(left) => *left = left.checked_sub(read).ok_or("more bytes than the answer has")?,
            }
            if left == Some(0) {
                return Ok(self);
            }
        }
    }
}

/// Length of the head and of the body, once the head is whole.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_ascii_lowercase();
    if !text.starts_with("http/1.1 200 ") {
        return Err(text);
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok());
    length.map(|length| Some((end + 4, length))).ok_or_else(|| "no Content-Length".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn heads_are_read() {
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nContent-Le"), Ok(None));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"), Ok(Some((38, 3))));
        head(b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\n").unwrap_err();
        head(b"HTTP/1.1 200 OK\r\n\r\n").unwrap_err();
    }

    #[test]
    fn an_open_loop_counts_from_the_time_a_request_was_due() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // The second answer comes when the last request is overdue; the others come at once.
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut byte = [0; 1024];
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
            for turn in 0.. {
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    return;
                }
                if turn == 1 {
                    thread::sleep(Duration::from_millis(300));
                }
                stream.write_all(answer).unwrap();
            }
        });
        let options = Options { address, path: "/".into(), connections: 1, seconds: 0.2, rate: Some(100.0) };
        let outcome = options.drive(0, &Start { ready: Barrier::new(1), at: OnceLock::new() });
        assert_eq!((outcome.answered, outcome.failed), (20, 0));
        // Due at 10 ms, answered after 300: what a closed loop would have shown as nothing.
        assert!(outcome.latencies[1] >= Duration::from_millis(250), "{:?}", outcome.latencies);
    }
}
