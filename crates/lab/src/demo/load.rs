//! A light load of our own: the clients whose errors count.
//!
//! Open loop: requests start when they are due, answered or not, and a latency counts from the moment its request
//! was due, so that a stall is seen with all the requests it held up.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio::{runtime, select};
use tracing::warn;

/// What latencies and the rate are taken from.
const WINDOW: Duration = Duration::from_secs(5);
/// A request without an answer by then has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long running requests may take when the load stops; then they count as never sent.
const LAST: Duration = Duration::from_millis(500);
/// Connections idle for longer are not used again: well below any server's idle timeout.
const FRESH: Duration = Duration::from_secs(20);
/// Requests that may be under way at once; later ones wait, and their waiting counts.
const CONCURRENT: usize = 256;
/// Failures are logged this often at most.
const COMPLAIN: Duration = Duration::from_secs(1);

/// What is sent: in turn `GET /` and `GET /items/{id}`. Which item follows Zipf's law: number 1 is asked for twice as
/// often as number 2, three times as often as number 3. So a cache has something to do.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Where to.
    pub target: SocketAddr,
    /// Requests per second.
    pub rate: f64,
    /// Ids go from 1 to this.
    pub rows: u32,
}

/// A load that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Load {
    results: Arc<Results>,
    /// Dropped, it ends the pace.
    pace: Option<std_mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// What the clients saw. A request is `ok` when it was answered whole with a status from 200 to 299, else failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadReading {
    /// Answered well, from the start.
    pub ok: u64,
    /// Answered otherwise or not at all.
    pub failed: u64,
    /// Why the last one failed.
    pub last_failure: Option<String>,
    /// Answered well per second, over the last five.
    pub per_second: f64,
    /// Half of those were answered within.
    pub p50: Option<Duration>,
    /// 99 of 100 of them.
    pub p99: Option<Duration>,
    /// The slowest of all from the start.
    pub slowest: Duration,
}

#[derive(Debug, Default)]
struct Results(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    ok: u64,
    failed: u64,
    last_failure: Option<String>,
    complained: Option<Instant>,
    began: Option<Instant>,
    /// When answered, and how long it took.
    recent: VecDeque<(Instant, Duration)>,
    slowest: Duration,
}

impl Load {
    /// Starts it, on two threads of its own.
    ///
    /// # Errors
    /// Threads or file descriptors are missing.
    pub fn start(options: LoadOptions) -> io::Result<Self> {
        let results = Arc::new(Results::default());
        let (pace, stopped) = std_mpsc::channel();
        let (due, dues) = mpsc::channel(1024);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Arc::new(Client { options, idle: Mutex::default() });
        let counted = Arc::clone(&results);
        let threads = vec![
            thread::Builder::new()
                .name("load-pace".into())
                .spawn(move || keep_pace(options.rate, &stopped, &due))?,
            thread::Builder::new()
                .name("load".into())
                .spawn(move || runtime.block_on(send(client, dues, counted)))?,
        ];
        Ok(Self { results, pace: Some(pace), threads })
    }

    /// What the clients have seen until now.
    pub fn reading(&self) -> LoadReading {
        self.results.counts().reading(Instant::now())
    }

    /// Sends no more, waits a moment for what is under way, and gives the last reading.
    pub fn stop(mut self) -> LoadReading {
        self.end();
        self.reading()
    }

    fn end(&mut self) {
        self.pace = None;
        for thread in self.threads.drain(..) {
            // One that panicked has been heard of.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Results {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn answered(&mut self, due: Instant, now: Instant) {
        let latency = now.saturating_duration_since(due);
        self.ok += 1;
        self.slowest = self.slowest.max(latency);
        self.recent.push_back((now, latency));
        self.forget(now);
    }

    fn failed(&mut self, reason: String, now: Instant) {
        self.failed += 1;
        if self.complained.is_none_or(|at| now.saturating_duration_since(at) >= COMPLAIN) {
            self.complained = Some(now);
            warn!("a request of the load failed: {reason}");
        }
        self.last_failure = Some(reason);
    }

    fn forget(&mut self, now: Instant) {
        while self.recent.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW) {
            self.recent.pop_front();
        }
    }

    fn reading(&mut self, now: Instant) -> LoadReading {
        self.forget(now);
        let mut latencies: Vec<_> = self.recent.iter().map(|(_, latency)| *latency).collect();
        latencies.sort_unstable();
        let quantile = |share: f64| {
            let rank = (share * latencies.len() as f64).ceil() as usize;
            latencies.get(rank.saturating_sub(1)).copied()
        };
        let running = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let seconds = running.min(WINDOW).as_secs_f64().max(0.1);
        LoadReading {
            ok: self.ok,
            failed: self.failed,
            last_failure: self.last_failure.clone(),
            per_second: latencies.len() as f64 / seconds,
            p50: quantile(0.5),
            p99: quantile(0.99),
            slowest: self.slowest,
        }
    }
}

/// Tells when each request is due. A thread of its own, as the runtime's timers are a millisecond coarse.
fn keep_pace(rate: f64, stopped: &std_mpsc::Receiver<()>, due: &mpsc::Sender<(u64, Instant)>) {
    let began = Instant::now();
    for number in 0_u64.. {
        let Some(at) =
            Duration::try_from_secs_f64(number as f64 / rate).ok().and_then(|after| began.checked_add(after))
        else {
            return;
        };
        let is_over = stopped.recv_timeout(at.saturating_duration_since(Instant::now()))
            != Err(std_mpsc::RecvTimeoutError::Timeout);
        if is_over || due.blocking_send((number, at)).is_err() {
            return;
        }
    }
}

async fn send(client: Arc<Client>, mut dues: mpsc::Receiver<(u64, Instant)>, results: Arc<Results>) {
    let places = Arc::new(Semaphore::new(CONCURRENT));
    let mut under_way = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let next = loop {
            select! {
                next = dues.recv() => break next,
                Some(_) = under_way.join_next() => {}
            }
        };
        let Some((number, due)) = next else { break };
        let (client, results) = (Arc::clone(&client), Arc::clone(&results));
        results.counts().began.get_or_insert(due);
        under_way.spawn(async move {
            let path = client.path(number);
            let outcome = match timeout(PATIENCE, client.exchange(&path)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            };
            let now = Instant::now();
            match outcome {
                Ok(()) => results.counts().answered(due, now),
                Err(reason) => results.counts().failed(format!("GET {path}: {reason}"), now),
            }
            drop(place);
        });
    }
    // What takes longer is dropped with the set.
    let _ = timeout(LAST, async { while under_way.join_next().await.is_some() {} }).await;
}

/// Connections, and what is asked over them.
#[derive(Debug)]
struct Client {
    options: LoadOptions,
    /// Used last, last; with when that was.
    idle: Mutex<Vec<(SendRequest<Empty<Bytes>>, Instant)>>,
}

impl Client {
    fn path(&self, number: u64) -> String {
        if number.is_multiple_of(2) || self.options.rows == 0 {
            return "/".to_owned();
        }
        format!("/items/{}", popular(number, self.options.rows))
    }

    async fn exchange(&self, path: &str) -> Result<(), String> {
        let mut connection = match self.idle_connection() {
            Some(connection) => connection,
            None => self.connect().await.map_err(|error| format!("cannot connect: {error}"))?,
        };
        let request = Request::get(path)
            .header(header::HOST, self.options.target.to_string())
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let broke = |error: hyper::Error| format!("the connection broke: {error}");
        let response = connection.send_request(request).await.map_err(broke)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(broke)?.to_bytes();
        if !status.is_success() {
            return Err(sentence(status, &body));
        }
        if connection.ready().await.is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((connection, Instant::now()));
        }
        Ok(())
    }

    fn idle_connection(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(connection, since)| !connection.is_closed() && since.elapsed() < FRESH);
        idle.pop().map(|(connection, _)| connection)
    }

    async fn connect(&self) -> io::Result<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect(self.options.target).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            // How it ended is told to the request on it.
            let _ = driver.await;
        });
        Ok(connection)
    }
}

/// One of 1 to `rows`, after Zipf's law: its logarithm is spread evenly. The same for the same `number`.
fn popular(number: u64, rows: u32) -> u32 {
    // SplitMix64's finish (Steele, Lea, Flood 2014): the numbers of requests become chance.
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let chance = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
    // Row k gets what lies between the logarithms of k and k + 1.
    ((f64::from(rows) + 1.0).powf(chance) as u32).clamp(1, rows)
}

/// The status, and the first line of the body if it is one.
fn sentence(status: StatusCode, body: &[u8]) -> String {
    let first = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match str::from_utf8(first) {
        Ok(text) if !text.is_empty() && text.len() <= 200 => format!("{status}: {text}"),
        _ => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_of_the_last_seconds_and_counts_of_all_time() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut counts = Counts { began: Some(start), ..Counts::default() };
        counts.answered(at(0.0), at(2.0));
        for number in 0_u32..100 {
            let due = at(6.0 + f64::from(number) * 0.01);
            counts.answered(due, due + Duration::from_millis(number.into()));
        }
        counts.failed("503".to_owned(), at(8.0));
        let reading = counts.reading(at(8.0));
        assert_eq!((reading.ok, reading.failed, reading.per_second), (101, 1, 20.0));
        assert_eq!(reading.p50, Some(Duration::from_millis(49)));
        assert_eq!(reading.p99, Some(Duration::from_millis(98)));
        assert_eq!(reading.slowest, Duration::from_secs(2));
        assert_eq!(reading.last_failure.as_deref(), Some("503"));
        let later = counts.reading(at(20.0));
        assert_eq!((later.ok, later.per_second, later.p99), (101, 0.0, None));
    }

    #[test]
    fn nobody_there_is_a_failure_and_stopping_is_quick() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = holder.local_addr().unwrap();
        drop(holder);
        let load = Load::start(LoadOptions { target, rate: 500.0, rows: 10 }).unwrap();
        evenkeel_testkit::eventually("failures", || match load.reading().failed {
            failed @ 0..10 => Err(format!("{failed}")),
            _ => Ok(()),
        });
        let last = load.stop();
        assert_eq!(last.ok, 0);
        assert!(last.last_failure.unwrap().contains("cannot connect"));
    }

    #[test]
    fn few_rows_get_most_requests() {
        let mut counts = vec![0_u32; 1_000];
        for number in 0..100_000 {
            counts[popular(number, 1_000) as usize - 1] += 1;
        }
        // The logarithm of 2 and of 11 in that of 1,001.
        assert!((counts[0].abs_diff(10_033)) < 500, "{}", counts[0]);
        assert!((counts[..10].iter().sum::<u32>().abs_diff(34_708)) < 1_000, "{:?}", &counts[..10]);
        assert!(counts.iter().all(|count| *count > 0), "all are asked for");
        assert_eq!(popular(7, 1), 1);
    }

    #[test]
    fn failures_are_quoted_when_they_are_short() {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(sentence(status, b"nobody is up\nmore"), "503 Service Unavailable: nobody is up");
        assert_eq!(sentence(status, b"\xff"), "503 Service Unavailable");
    }
}
