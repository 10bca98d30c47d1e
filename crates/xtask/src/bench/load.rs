//! The built-in client: closed loop (the next request follows the answer) or open loop (requests are due at fixed
//! times, and latency counts from then, so that no answer hides how long others had to wait).
//!
//! One thread with epoll, as cheap as `wrk`: it shares a core with the origins. Prints what came of it as JSON.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use std::{fs, mem};

use rustix::event::{Timespec, epoll};
use serde_json::json;

use super::answer::Answer;

/// How long after the end answers are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

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

/// Sends, waits for the end, prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    // Wake-ups on time, where the system lets a program ask for them.
    let _ = fs::write("/proc/self/timerslack_ns", "1000");
    let mut load = Load::open(options).map_err(|error| format!("{}: {error}", options.address))?;
    load.run().map_err(|error| format!("epoll: {error}"))?;
    let Outcome { answered, failed, mut latencies } = mem::take(&mut load.outcome);
    latencies.sort_unstable();
    let quantile = |share: f64| {
        let index = (share * latencies.len().saturating_sub(1) as f64).round() as usize;
        latencies.get(index).copied().unwrap_or_default().as_secs_f64() * 1e6
    };
    println!(
        "{}",
        json!({ "requests": answered, "failed": failed, "p50_us": quantile(0.5), "p99_us": quantile(0.99) })
    );
    Ok(())
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    answered: u64,
    failed: u64,
    latencies: Vec<Duration>,
}

/// A load that runs. Requests are numbered from 0; each goes over the connection whose turn it is.
struct Load {
    address: SocketAddr,
    request: Vec<u8>,
    /// Time between two requests that are due; none in a closed loop, where a request is due at once.
    pace: Option<Duration>,
    started: Instant,
    end: Instant,
    epoll: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    outcome: Outcome,
}

/// A connection with at most one request under way.
struct Connection {
    stream: TcpStream,
    /// How many requests it has sent.
    sent: u32,
    /// When the request under way was due, and what has arrived of its answer.
    waiting: Option<(Instant, Answer)>,
}

impl Load {
    /// Opens the connections; the clock starts afterwards.
    fn open(options: &Options) -> io::Result<Self> {
        let mut load = Self {
            address: options.address,
            request: format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", options.path).into_bytes(),
            pace: options.rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            started: Instant::now(),
            end: Instant::now(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::new(),
            buffer: vec![0; 64 << 10],
            outcome: Outcome::default(),
        };
        for number in 0..options.connections {
            let stream = load.connect(number)?;
            load.connections.push(Connection { stream, sent: 0, waiting: None });
        }
        load.started = Instant::now() + Duration::from_millis(20);
        load.end = load.started + Duration::from_secs_f64(options.seconds);
        Ok(load)
    }

    fn connect(&self, number: u32) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(
            &self.epoll,
            &stream,
            epoll::EventData::new_u64(u64::from(number)),
            epoll::EventFlags::IN,
        )?;
        Ok(stream)
    }

    /// Until the end, and the last answer or the end of patience.
    fn run(&mut self) -> io::Result<()> {
        let count = self.connections.len() as u32;
        let mut next = 0_u32;
        let mut events = Vec::with_capacity(1024);
        loop {
            let mut now = Instant::now();
            // Each request once, when it is due; one whose connection is busy follows that connection's answer.
            while next < count || self.pace.is_some() {
                let due = self.due(next);
                if due > now || due >= self.end {
                    break;
                }
                self.send(next % count, now);
                next += 1;
                now = Instant::now();
            }
            if now >= self.end {
                let left = self.connections.iter().filter(|connection| connection.waiting.is_some()).count();
                if left == 0 || now >= self.end + PATIENCE {
                    self.outcome.failed += left as u64;
                    return Ok(());
                }
            }
            let wake =
                [self.due(next), self.end, self.end + PATIENCE].into_iter().filter(|wake| *wake > now).min();
            let sleep = wake.unwrap_or(now).saturating_duration_since(now);
            let timeout =
                Timespec { tv_sec: sleep.as_secs() as i64, tv_nsec: i64::from(sleep.subsec_nanos()) };
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                self.receive(event.data.u64() as u32)?;
            }
        }
    }

    /// When a request is due.
    fn due(&self, number: u32) -> Instant {
        self.started + self.pace.map_or(Duration::ZERO, |pace| pace * number)
    }

    /// Sends a connection's next request if it is free, the request due, and the end not reached.
    fn send(&mut self, number: u32, now: Instant) {
        let count = self.connections.len() as u32;
        let due = match (self.pace, self.connections.get(number as usize)) {
            (Some(_), Some(connection)) => self.due(number + connection.sent * count),
            _ => now.max(self.started),
        };
        let Some(connection) = self.connections.get_mut(number as usize) else { return };
        if connection.waiting.is_some() || due > now || due >= self.end {
            return;
        }
        connection.sent += 1;
        connection.waiting = Some((due, Answer::default()));
        if !connection.stream.write(&self.request).is_ok_and(|sent| sent == self.request.len()) {
            self.fail(number);
        }
    }

    /// Takes in what has arrived on a connection.
    fn receive(&mut self, number: u32) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(number as usize) else { return Ok(()) };
        let read = match connection.stream.read(&mut self.buffer) {
            Ok(0) => None,
            Ok(read) => self.buffer.get(..read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => None,
        };
        let arrived = match (read, &mut connection.waiting) {
            (Some(bytes), Some((_, answer))) => answer.take(bytes),
            // The connection ended, or bytes came unasked.
            _ => Err("nothing was due".to_owned()),
        };
        match arrived {
            Ok(false) => {}
            Ok(true) => {
                let now = Instant::now();
                if let Some((due, _)) = connection.waiting.take() {
                    self.outcome.answered += 1;
                    if self.pace.is_some() {
                        self.outcome.latencies.push(now.saturating_duration_since(due));
                    }
                }
                self.send(number, now);
            }
            Err(_) => {
                self.fail(number);
                let stream = self.connect(number)?;
                if let Some(connection) = self.connections.get_mut(number as usize) {
                    connection.stream = stream;
                }
                self.send(number, Instant::now());
            }
        }
        Ok(())
    }

    /// Counts the request under way as failed.
    fn fail(&mut self, number: u32) {
        if let Some(connection) = self.connections.get_mut(number as usize)
            && connection.waiting.take().is_some()
        {
            self.outcome.failed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";

    /// Serves connections one request after another; `before` happens before each answer.
    fn origin(before: impl Fn(u32) + Send + Sync + Clone + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, before) = (stream.unwrap(), before.clone());
                thread::spawn(move || {
                    let mut bytes = [0; 1024];
                    for turn in 0.. {
                        if stream.read(&mut bytes).unwrap_or(0) == 0 {
                            return;
                        }
                        before(turn);
                        stream.write_all(ANSWER).unwrap();
                    }
                });
            }
        });
        address
    }

    fn outcome(address: SocketAddr, connections: u32, seconds: f64, rate: Option<f64>) -> Outcome {
        let mut load =
            Load::open(&Options { address, path: "/".into(), connections, seconds, rate }).unwrap();
        load.run().unwrap();
        load.outcome
    }

    #[test]
    fn an_open_loop_counts_from_the_time_a_request_was_due() {
        // The first answer comes when the last request is overdue; the others come at once.
        let address = origin(|turn| {
            if turn == 0 {
                thread::sleep(Duration::from_millis(300));
            }
        });
        let outcome = outcome(address, 1, 0.2, Some(100.0));
        // All but the first, which comes as late, were due before the end.
        assert_eq!((outcome.answered, outcome.failed), (20, 0), "{outcome:?}");
        // Due at 10 ms, answered after 300: what a closed loop would have shown as nothing.
        assert!(outcome.latencies[1] >= Duration::from_millis(250), "{:?}", outcome.latencies);
    }

    #[test]
    fn an_open_loop_sends_each_request_once_over_all_connections() {
        let outcome = outcome(origin(|_| {}), 7, 0.1, Some(1000.0));
        assert_eq!((outcome.answered, outcome.failed, outcome.latencies.len()), (100, 0, 100));
    }

    #[test]
    fn a_closed_loop_sends_until_the_end() {
        let outcome = outcome(origin(|_| {}), 3, 0.1, None);
        assert!(outcome.answered >= 3 && outcome.failed == 0, "{outcome:?}");
    }
}
