//! Open-loop load: requests start when they are due, whether or not earlier ones are answered, and each
//! latency counts from the moment its request was due (no coordinated omission).

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::RawClient;
use crate::wait::Watched;

/// What is sent, how often and over how many connections.
#[derive(Debug, Clone)]
pub struct Load {
    address: SocketAddr,
    request: Vec<u8>,
    rate: f64,
    requests: usize,
    connections: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Answers by status.
    pub by_status: BTreeMap<u16, usize>,
    /// What went wrong, one text per request without an answer.
    pub errors: Vec<String>,
    /// Latencies of the answered requests from the moment they were due, ascending.
    pub latencies: Vec<Duration>,
}

/// A load that runs.
pub struct RunningLoad {
    threads: Vec<JoinHandle<LoadReport>>,
    done: Arc<Watched<usize>>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// 1000 GETs of `/` at 500 a second over 8 connections.
    pub fn new(address: SocketAddr) -> Self {
        let request = b"GET / HTTP/1.1\r\nHost: load\r\n\r\n".to_vec();
        Self { address, request, rate: 500.0, requests: 1000, connections: 8 }
    }

    /// Requests per second over all connections.
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// How many in all.
    pub fn requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    /// Over how many connections; it is also how many can wait for an answer at once.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// The bytes of each request.
    pub fn request(mut self, request: impl AsRef<[u8]>) -> Self {
        self.request = request.as_ref().to_vec();
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> LoadReport {
        self.start().finish()
    }

    /// Starts it.
    pub fn start(self) -> RunningLoad {
        let load = Arc::new(self);
        let next = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(Watched::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let started = Instant::now();
        let threads = (0..load.connections)
            .map(|_| {
                let (load, next) = (Arc::clone(&load), Arc::clone(&next));
                let (done, stop) = (Arc::clone(&done), Arc::clone(&stop));
                thread::spawn(move || load.send_until_done(started, &next, &done, &stop))
            })
            .collect();
        RunningLoad { threads, done, stop }
    }

    fn send_until_done(
        &self,
        started: Instant,
        next: &AtomicUsize,
        done: &Watched<usize>,
        stop: &AtomicBool,
    ) -> LoadReport {
        let mut report = LoadReport::default();
        let mut connection = None;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.requests || stop.load(Ordering::Relaxed) {
                return report;
            }
            let due = started + Duration::from_secs_f64(number as f64 / self.rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            match self.exchange(&mut connection) {
                Ok(status) => {
                    *report.by_status.entry(status).or_default() += 1;
                    report.latencies.push(due.elapsed());
                }
                Err(error) => {
                    connection = None;
                    report.errors.push(format!("request {number}: {error}"));
                }
            }
            done.change(|done| *done += 1);
        }
    }

    fn exchange(&self, connection: &mut Option<RawClient>) -> Result<u16, String> {
        let client = match connection {
            Some(client) => client,
            None => {
                connection.insert(RawClient::try_connect(self.address).map_err(|error| error.to_string())?)
            }
        };
        client.try_send(&self.request).map_err(|end| format!("sending: {end}"))?;
        let response = client.try_response().map_err(|failure| failure.to_string())?;
        if response.fields.has_token("connection", "close") {
            *connection = None;
        }
        Ok(response.status)
    }
}

impl RunningLoad {
    /// How many requests have their answer or error.
    pub fn done(&self) -> usize {
        self.done.read(|done| *done)
    }

    /// Waits until `count` requests have their answer or error.
    #[track_caller]
    pub fn wait_for(&self, count: usize) {
        let waited = self.done.wait_for(|done| (*done >= count).then_some(()), |done| done.to_string());
        if let Err(done) = waited {
            panic!("waited in vain for {count} requests of the load; {done} are done");
        }
    }

    /// Lets no further request start; [`Self::finish`] waits for the running ones.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for its end.
    pub fn finish(self) -> LoadReport {
        let mut report = LoadReport::default();
        for thread in self.threads {
            let part = thread.join().expect("a thread of the load");
            for (status, count) in part.by_status {
                *report.by_status.entry(status).or_default() += count;
            }
            report.errors.extend(part.errors);
            report.latencies.extend(part.latencies);
        }
        report.latencies.sort_unstable();
        report
    }
}

impl LoadReport {
    /// Answers with a status from 200 to 299.
    pub fn ok(&self) -> usize {
        self.by_status.range(200..300).map(|(_, count)| count).sum()
    }

    /// Requests with another answer or none.
    pub fn failed(&self) -> usize {
        self.errors.len() + self.by_status.values().sum::<usize>() - self.ok()
    }

    /// The latency that `share` (0 to 1) of the answered requests stayed within.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let index = (share * last as f64).round() as usize;
        self.latencies.get(index.min(last)).copied().unwrap_or_default()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "statuses {:?}, {} errors, p50 {:?}, p99 {:?}, max {:?}",
            self.by_status,
            self.errors.len(),
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(1.0)
        )?;
        self.errors.iter().take(10).try_for_each(|error| writeln!(f, "{error}"))
    }
}
