//! A client that asks one small thing after the other and notes how long each answer takes, and what it is disturbed by.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::figure::MEBIBYTE;
use super::load::BENCHMARK_KEY;

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const PONG: &[u8; 7] = b"+PONG\r\n";
/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_micros(500);

/// How long answers took.
pub(super) struct Answers(Vec<Duration>);

impl Answers {
    /// Asks `PING` for so long.
    pub(super) fn within(address: SocketAddr, time: Duration) -> Result<Self, String> {
        let ask = || {
            let mut stream = connect(address)?;
            let (started, mut times) = (Instant::now(), Vec::new());
            while started.elapsed() < time {
                let asked = Instant::now();
                ping(&mut stream)?;
                times.push(asked.elapsed());
                thread::sleep(PAUSE);
            }
            times.sort_unstable();
            Ok(Self(times))
        };
        ask().map_err(|error: std::io::Error| format!("asking {address}: {error}"))
    }

    /// The time within which this share was answered, in milliseconds.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let index = (share * self.0.len().saturating_sub(1) as f64).round() as usize;
        self.0.get(index).copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}

/// Connections that have asked once and wait.
pub(super) fn idle(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>, String> {
    let open = || {
        let mut stream = connect(address)?;
        ping(&mut stream)?;
        Ok(stream)
    };
    (0..count)
        .map(|_| open())
        .collect::<Result<_, std::io::Error>>()
        .map_err(|error| format!("{address}: {error}"))
}

/// Clients that read large values as fast as they come, until dropped.
pub(super) struct Bulk {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Bulk {
    pub(super) fn start(address: SocketAddr, clients: usize) -> Result<Self, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut bulk = Self { stop: Arc::clone(&stop), threads: Vec::new() };
        for _ in 0..clients {
            let mut stream = connect(address).map_err(|error| format!("{address}: {error}"))?;
            let stop = Arc::clone(&stop);
            bulk.threads.push(thread::spawn(move || {
                // One that fails disturbs less, which the figure then shows.
                let _ = read_on(&mut stream, &stop);
            }));
        }
        Ok(bulk)
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Two values are asked for ahead, so that the flow never rests.
fn read_on(stream: &mut TcpStream, stop: &AtomicBool) -> std::io::Result<()> {
    let request = [b"*2\r\n$3\r\nGET\r\n$16\r\n", BENCHMARK_KEY, b"\r\n"].concat();
    let answer = MEBIBYTE + format!("${MEBIBYTE}\r\n\r\n").len();
    let mut buffer = vec![0; 1 << 16];
    let mut owed = 2 * answer;
    stream.write_all(&[request.clone(), request.clone()].concat())?;
    while !stop.load(Relaxed) {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        owed -= read;
        if owed <= answer {
            stream.write_all(&request)?;
            owed += answer;
        }
    }
    Ok(())
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn ping(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(PING)?;
    let mut answer = [0; PONG.len()];
    stream.read_exact(&mut answer)?;
    if &answer == PONG { Ok(()) } else { Err(std::io::Error::other("not the answer to PING")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_milliseconds() {
        let answers = Answers((1..=100).map(Duration::from_millis).collect());
        assert_eq!([0.0, 0.5, 1.0].map(|share| answers.quantile(share)), [1.0, 51.0, 100.0]);
    }
}
