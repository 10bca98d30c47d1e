//! The command `evenkeel demo`: a cluster, a load, a view, until it is told to stop.

mod cache;
mod cluster;
mod events;
mod guide;
mod life;
mod lines;
mod load;
mod meter;
mod savings;
mod screen;
mod toy;
mod view;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use self::events::Events;
use self::screen::Screen;
use self::view::Scene;
use crate::figures;

pub use cache::CacheServer;
pub use cluster::{Cluster, ClusterOptions};
pub use guide::{Guide, Places, Try};
pub use life::PartState;
pub use load::{Load, LoadOptions, LoadReading};
pub use meter::{EndpointReading, Light, Meter, Reading, Traffic};
pub use savings::Savings;
pub use toy::Toy;

/// How often the live view is drawn.
const DRAW: Duration = Duration::from_millis(500);
/// How often a plain line is written.
const WRITE: Duration = Duration::from_secs(2);

/// How the demo is run.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// The cluster.
    pub cluster: ClusterOptions,
    /// Requests per second of the demo's own clients; `None` for no load.
    pub rate: Option<f64>,
    /// Ends by itself after this.
    pub duration: Option<Duration>,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self { cluster: ClusterOptions::default(), rate: Some(200.0), duration: None }
    }
}

/// Runs the demo on standard output until INT, TERM or HUP, or the end of its duration. Failure means that it could
/// not start, or that a part of the proxy broke; the reason is on standard error then.
pub fn demo(options: &DemoOptions) -> ExitCode {
    let events = Events::collect();
    let outcome = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(run(options, &events)));
    exit(outcome)
}

/// Prints the configuration that the demo's proxy would have now.
pub fn configuration(options: &ClusterOptions) -> ExitCode {
    exit(options.configuration().and_then(|text| say(&text)))
}

fn exit(outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read it has heard enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &DemoOptions, events: &Events) -> io::Result<()> {
    let mut signals = Signals::listen()?;
    let rows = figures::count(options.cluster.rows.into());
    say(&format!(
        "Starting {} backends over a database of {rows} rows, and a cache…\n",
        options.cluster.toys
    ))?;
    let cluster = tokio::select! {
        cluster = Cluster::start(&options.cluster) => cluster?,
        () = signals.stop() => return Ok(()),
    };
    let load = match options.rate {
        Some(rate) => {
            let target = cluster.proxy();
            Some(Load::start(LoadOptions { target, rate, rows: options.cluster.rows })?)
        }
        None => None,
    };
    let began = Instant::now();
    let mut meter = Meter::new(&cluster);
    let show = Show { cluster: &cluster, load: load.as_ref(), guide: cluster.guide(), events, began };
    let watched = tokio::select! {
        watched = show.go_on(&mut meter) => watched,
        () = signals.stop() => Ok(()),
        () = after(options.duration) => Ok(()),
    };
    let stop = async {
        // The clients first, so that they see nothing of the end.
        let last = load.map(Load::stop);
        let reading = meter.read(&cluster);
        cluster.stop().await;
        (last, reading)
    };
    tokio::select! {
        (last, reading) = stop => {
            watched?;
            say(&summary(began.elapsed(), last.as_ref(), &reading))
        }
        () = signals.stop() => watched,
    }
}

fn summary(elapsed: Duration, load: Option<&LoadReading>, reading: &Reading) -> String {
    let (clock, retries) = (figures::clock(elapsed), figures::count(reading.traffic.retries));
    let mut text = match load {
        Some(load) => {
            let (failed, all) = (figures::count(load.failed), figures::count(load.ok + load.failed));
            let slowest = figures::duration(Some(load.slowest));
            let last = load.last_failure.as_ref().map(|why| format!("The last to fail: {why}\n"));
            format!(
                "Ended after {clock}: {failed} of {all} requests failed, {retries} were retried, the slowest took \
                 {slowest}.\n{}",
                last.unwrap_or_default()
            )
        }
        None => {
            let requests = figures::count(reading.traffic.requests);
            format!("Ended after {clock}: {requests} requests, {retries} were retried.\n")
        }
    };
    let Savings { total, saved, .. } = &reading.cache;
    if total.reads() > 0 {
        let [hits, reads, bypassed] = [total.hits, total.reads(), total.bypassed].map(figures::count);
        let saved = figures::duration(Some(*saved));
        text += &format!(
            "The cache answered {hits} of {reads} reads, which saved {saved} of database time; {bypassed} went past it.\n"
        );
    }
    text
}

/// What is shown while it runs.
struct Show<'a> {
    cluster: &'a Cluster,
    load: Option<&'a Load>,
    guide: Guide,
    events: &'a Events,
    began: Instant,
}

impl Show<'_> {
    /// Shows until it cannot any more, or the proxy breaks.
    async fn go_on(&self, meter: &mut Meter) -> io::Result<()> {
        match Screen::open()? {
            Some(screen) => self.draw(meter, screen).await,
            None => self.write(meter).await,
        }
    }

    async fn draw(&self, meter: &mut Meter, mut screen: Screen) -> io::Result<()> {
        let mut tick = interval(DRAW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut resized = signal(SignalKind::window_change())?;
        let mut reading = meter.read(self.cluster);
        loop {
            tokio::select! {
                _ = tick.tick() => reading = meter.read(self.cluster),
                () = self.events.arrived() => {}
                _ = resized.recv() => {}
            }
            self.look()?;
            let load = self.load.map(Load::reading);
            let size = screen.size();
            let scene = Scene {
                guide: &self.guide,
                reading: &reading,
                load: load.as_ref(),
                events: &self.events.last(size.1),
                began: self.began,
                now: Instant::now(),
            };
            screen.draw(&view::lines(&scene, size))?;
        }
    }

    async fn write(&self, meter: &mut Meter) -> io::Result<()> {
        say(&self.guide.to_string())?;
        let mut tick = interval(WRITE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.tick().await;
        let mut seen = 0;
        loop {
            let mut text = String::new();
            tokio::select! {
                _ = tick.tick() => {
                    let reading = meter.read(self.cluster);
                    let load = self.load.map(Load::reading);
                    text = lines::traffic(self.began.elapsed(), &reading, load.as_ref()) + "\n";
                }
                () = self.events.arrived() => {
                    for event in self.events.after(&mut seen) {
                        text += &lines::event(event.at.saturating_duration_since(self.began), &event);
                        text.push('\n');
                    }
                }
            }
            self.look()?;
            say(&text)?;
        }
    }

    fn look(&self) -> io::Result<()> {
        match self.cluster.has_failed() {
            false => Ok(()),
            true => Err(io::Error::other("a worker of the proxy has died, which is a bug; please report it")),
        }
    }
}

/// What asks the demo to stop.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn stop(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

async fn after(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Writes to standard output at once.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use evenkeel_backend::CacheFigures;

    use super::*;

    fn reading(requests: u64, retries: u64, total: CacheFigures) -> Reading {
        let before = CacheFigures::default();
        Reading {
            traffic: Traffic { requests, retries, ..Traffic::default() },
            endpoints: Vec::new(),
            cache: Savings::new(total, &before, Duration::from_secs(1), &[], EndpointReading::default()),
        }
    }

    #[test]
    fn the_end_says_what_clients_saw() {
        let load =
            LoadReading { ok: 1_999, failed: 1, last_failure: Some("503".into()), ..LoadReading::default() };
        let saved = CacheFigures {
            hits: 600,
            misses: 380,
            bypassed: 20,
            database_reads: 400,
            database_time: Duration::from_secs(2),
        };
        assert_eq!(
            summary(Duration::from_secs(10), Some(&load), &reading(0, 7, saved)),
            "Ended after 0:10: 1 of 2,000 requests failed, 7 were retried, the slowest took 0.00 ms.\n\
             The last to fail: 503\n\
             The cache answered 600 of 1,000 reads, which saved 3.00 s of database time; 20 went past it.\n"
        );
        assert_eq!(
            summary(Duration::from_secs(1), None, &reading(3, 0, CacheFigures::default())),
            "Ended after 0:01: 3 requests, 0 were retried.\n"
        );
    }
}
