//! [`Load`]: the threads that keep a plan's pace and send its requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout_at;
use tokio::{runtime, select};

use crate::load::client::{self, Trouble};
use crate::load::schedule::{self, Schedule};
use crate::load::tally::Tally;
use crate::load::target::Target;
use crate::load::{Meter, Plan, Record, Totals};

/// Makes the chance of requests another one than that of arrivals.
const OTHER: u64 = 0x9e37_79b9_7f4a_7c15;

/// How often is looked whether the last answers have come.
const LOOK: Duration = Duration::from_millis(2);

/// A load that runs until its steps are over, or until it is stopped or dropped.
#[derive(Debug)]
pub struct Load {
    tally: Arc<Tally>,
    meter: Meter,
    /// Dropped, it ends the pace.
    pace: Option<std_mpsc::Sender<()>>,
    /// Dropped without a word, it ends what is under way.
    patience: Option<oneshot::Sender<()>>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A request that is due.
struct Due {
    number: u64,
    /// Since the beginning.
    at: Duration,
}

impl Load {
    /// Starts it, on threads of its own.
    ///
    /// # Errors
    /// Threads or file descriptors are missing.
    pub fn start(plan: Plan) -> io::Result<Self> {
        let targets = plan.targets.iter().copied().map(|address: SocketAddr| Arc::new(Target::at(address)));
        let targets = targets.collect();
        Self::run(plan, targets)
    }

    /// The same toward `host:port`s instead of the plan's targets. Names are looked up again every few seconds, and
    /// when connecting fails.
    ///
    /// # Errors
    /// As of [`Self::start`]. A name that cannot be looked up makes requests fail instead. Waits for the first look-up.
    pub fn start_named(plan: Plan, names: &[String]) -> io::Result<Self> {
        let targets = names.iter().map(|name| Arc::new(Target::named(name.clone()))).collect();
        Self::run(plan, targets)
    }

    fn run(plan: Plan, targets: Vec<Arc<Target>>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (pace, stopped) = std_mpsc::channel();
        let (patience, abandoned) = oneshot::channel();
        let (due, dues) = mpsc::unbounded_channel();
        let tally = Arc::new(Tally::new(Instant::now())?);
        let is_over = Arc::new(AtomicBool::new(false));
        let mut load = Self {
            tally: Arc::clone(&tally),
            meter: Meter::new(Arc::clone(&tally), &plan),
            pace: Some(pace),
            patience: Some(patience),
            is_over: Arc::clone(&is_over),
            threads: Vec::new(),
        };
        let (steps, arrivals, seed) = (plan.steps.clone(), plan.arrivals, plan.seed);
        let sending = Arc::clone(&tally);
        load.threads.push(thread::Builder::new().name("load".into()).spawn(move || {
            runtime.block_on(async {
                select! {
                    () = send(plan, targets, dues, sending) => {}
                    // An error: the load was dropped, not stopped.
                    Err(_) = abandoned => {}
                }
            });
            runtime.shutdown_background();
            is_over.store(true, Ordering::Release);
        })?);
        let keep = move || {
            let length = schedule::length(&steps);
            keep_pace(Schedule::new(steps, arrivals, seed), length, &stopped, &due, &tally);
        };
        load.threads.push(thread::Builder::new().name("load-pace".into()).spawn(keep)?);
        Ok(load)
    }

    /// When its first request was due.
    pub fn began(&self) -> Instant {
        self.tally.began()
    }

    /// What it saw until now.
    pub fn record(&self) -> Record {
        self.tally.record()
    }

    /// What it saw until now, without when.
    pub fn totals(&self) -> Totals {
        self.tally.totals()
    }

    /// What reads it from elsewhere.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Frees the memory of what was due earlier, counted from the beginning: later records begin there. Totals stay.
    pub fn forget_before(&self, time: Duration) {
        self.tally.forget_before(time);
    }

    /// Whether all steps are over and all their requests answered or failed.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Waits for the end of the last step and for the answers to its requests.
    pub fn finish(mut self) -> Record {
        self.join();
        self.record()
    }

    /// Sends nothing more, and waits for the answers that are still to come.
    pub fn stop(mut self) -> Record {
        self.end();
        self.record()
    }

    /// The same for one that is still asked afterwards. What was due already is still sent.
    pub fn end(&mut self) {
        self.pace = None;
        self.join();
    }

    /// Sends nothing more, and waits no longer than that for the answers that are still to come: requests that have
    /// none by then are neither answered nor failed.
    pub fn end_within(&mut self, patience: Duration) {
        self.pace = None;
        let deadline = Instant::now() + patience;
        while !self.is_over() && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        self.patience = None;
        self.join();
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // One that panicked has been heard of.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.pace = None;
        self.patience = None;
        self.join();
    }
}

/// Tells when each request is due. A thread of its own, as the runtime's timers are a millisecond coarse.
fn keep_pace(
    schedule: Schedule,
    length: Duration,
    stopped: &std_mpsc::Receiver<()>,
    due: &mpsc::UnboundedSender<Due>,
    tally: &Tally,
) {
    // Whether it was not stopped until then.
    let wait = |until: Duration| {
        let left = until.saturating_sub(tally.began().elapsed());
        let heard = if left.is_zero() {
            stopped.try_recv().map_err(|error| error == std_mpsc::TryRecvError::Empty)
        } else {
            stopped.recv_timeout(left).map_err(|error| error == std_mpsc::RecvTimeoutError::Timeout)
        };
        heard == Err(true)
    };
    for (number, at) in (0_u64..).zip(schedule) {
        if !wait(at) {
            return tally.over(tally.began().elapsed());
        }
        tally.offered(at);
        if due.send(Due { number, at }).is_err() {
            return;
        }
    }
    let is_whole = wait(length);
    tally.over(if is_whole { length } else { tally.began().elapsed() });
}

async fn send(
    plan: Plan,
    targets: Vec<Arc<Target>>,
    mut dues: mpsc::UnboundedReceiver<Due>,
    tally: Arc<Tally>,
) {
    for target in &targets {
        tokio::spawn(Arc::clone(target).look_up());
    }
    let targets: Arc<[_]> = targets.into();
    let places = Arc::new(Semaphore::new(plan.concurrency.clamp(1, Semaphore::MAX_PERMITS)));
    let mut chance = fastrand::Rng::with_seed(plan.seed ^ OTHER);
    // When a place became free for a request that waited for one: until then the load was not to blame.
    let mut free = tally.began();
    while let Some(Due { number, at }) = dues.recv().await {
        let request = plan.requests.request(number, chance.f64());
        let due = tally.began() + at;
        let deadline = (due + plan.timeout).into();
        let place = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                let waited = timeout_at(deadline, Arc::clone(&places).acquire_owned()).await;
                free = Instant::now();
                let Ok(Ok(place)) = waited else {
                    fail(&tally, at, false, &request, &Trouble::timeout());
                    continue;
                };
                place
            }
        };
        let (targets, tally) = (Arc::clone(&targets), Arc::clone(&tally));
        tokio::spawn(async move {
            tally.started(at, Instant::now().saturating_duration_since(due.max(free)));
            let outcome = client::exchange(&targets, number, &request, deadline).await;
            match outcome.result {
                Ok(()) => tally.answered(at, outcome.is_moved),
                Err(trouble) => fail(&tally, at, outcome.is_moved, &request, &trouble),
            }
            drop(place);
        });
    }
    // All places are free when the last request has ended, which its timeout sees to.
    let all = u32::try_from(plan.concurrency.max(1)).unwrap_or(u32::MAX);
    let _ = places.acquire_many(all).await;
}

fn fail(
    tally: &Tally,
    at: Duration,
    is_moved: bool,
    request: &http::Request<bytes::Bytes>,
    trouble: &Trouble,
) {
    let asked = format!("{} {}", request.method(), request.uri());
    tally.failed(at, is_moved, &asked, &trouble.reason, &trouble.detail);
}
