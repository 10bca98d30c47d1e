//! The runs: each starts its program anew, lets it warm up, measures, and ends it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_policy::balance::Algorithm;

use super::client::{Client, Closed, open_loop};
use super::cores::{Cores, open_files};
use super::figure::{Figure, Row};
use super::origins::Origins;
use super::program::{Place, Program, Proxy};
use crate::workspace::output;

/// Connections that go idle.
const IDLE: usize = 8000;
/// How long they are idle before memory is read.
const SETTLE: Duration = Duration::from_secs(10);
/// Connections of an open loop, and of closed ones unless said otherwise.
const CONNECTIONS: u32 = 64;

/// What has a p99 beyond this does not keep up.
const BUSY: Duration = Duration::from_millis(20);

/// What every run needs.
pub(super) struct Bench {
    pub(super) cores: Cores,
    pub(super) client: Client,
    /// Seconds that a closed or open loop is measured.
    pub(super) seconds: u32,
    /// Where `toy-backend` and `xtask` are.
    pub(super) binaries: PathBuf,
    pub(super) origins: Origins,
    /// For latencies.
    pub(super) built_in_origin: Origins,
    /// Beside a proxy with two workers.
    pub(super) shared_origins: Origins,
    /// Of the proxy that runs; made and removed with it.
    pub(super) directory: PathBuf,
    /// Requests per second of the open loop, once known.
    pub(super) rate: Option<f64>,
}

/// Figures of one run.
pub(super) type Figures = Vec<(Figure, f64)>;

impl Bench {
    /// One run of a program.
    pub(super) fn measure(&self, row: Row, program: &Program) -> Result<Figures, String> {
        match row {
            Row::Small => self.cpu(program, Figure::CpuSmall, "/bytes/80", CONNECTIONS, false),
            Row::Log => self.cpu(program, Figure::CpuLogged, "/bytes/80", CONNECTIONS, true),
            Row::Body10k => self.cpu(program, Figure::Cpu10k, "/bytes/10240", CONNECTIONS, false),
            Row::Body1m => self.cpu(program, Figure::Cpu1m, "/bytes/1048576", CONNECTIONS, false),
            Row::Connections1000 => self.cpu(program, Figure::Cpu1000, "/bytes/80", 1000, false),
            Row::Memory => self.memory(program),
            Row::Start => self.with(program, self.place(), |proxy| {
                Ok(vec![(Figure::Start, proxy.starting.as_secs_f64() * 1e3)])
            }),
            Row::P99 => self.added_latency(program),
            Row::Workers => self.second_worker(program),
            Row::Decisions => self.decisions(),
        }
    }

    /// Half of what the slowest of the programs carries in an open loop, in requests per second. One that fails will
    /// say so when it is its turn.
    pub(super) fn half_load<'p>(&self, programs: impl Iterator<Item = &'p Program>) -> Option<f64> {
        let place = Place { origins: &self.built_in_origin.addresses, ..self.place() };
        let carried = programs.filter_map(|program| {
            let carried = self.with(program, place, |proxy| {
                let closed = self.closed(proxy.address, "/bytes/80", CONNECTIONS);
                self.warm_up(&closed)?;
                // A closed loop carries more: under its pressure every wake-up finds a lot to do. From there downwards.
                let mut rate = self.client.run(&Closed { seconds: 1, ..closed })? as f64;
                while rate > 1000.0 {
                    // Three tries, for what a neighbour does.
                    for _ in 0..3 {
                        if open_loop(proxy.address, "/bytes/80", CONNECTIONS, 1.0, rate)? <= BUSY {
                            return Ok(rate);
                        }
                    }
                    rate *= 0.85;
                }
                Ok(rate)
            });
            carried.ok()
        });
        carried.reduce(f64::min).map(|least| least / 2.0)
    }

    /// CPU time per request of a closed loop; and the most memory seen meanwhile, if that is one of the figures.
    fn cpu(
        &self,
        program: &Program,
        figure: Figure,
        path: &str,
        connections: u32,
        access_log: bool,
    ) -> Result<Figures, String> {
        self.with(program, Place { access_log, ..self.place() }, |proxy| {
            let closed = self.closed(proxy.address, path, connections);
            let (per_request, most) = self.cpu_per_request(&proxy, &closed)?;
            let mut figures = vec![(figure, per_request)];
            if figure == Figure::Cpu1000 {
                figures.push((Figure::Busy, most));
            }
            Ok(figures)
        })
    }

    /// Microseconds per request, and the most MB seen.
    fn cpu_per_request(&self, proxy: &Proxy, closed: &Closed<'_>) -> Result<(f64, f64), String> {
        self.warm_up(closed)?;
        let before = proxy.process.cpu();
        let mut client = self.client.start(closed)?;
        let mut most = 0;
        while !client.is_over() {
            most = most.max(proxy.process.resident());
            thread::sleep(Duration::from_millis(100));
        }
        let used = proxy.process.cpu().saturating_sub(before);
        let answered = client.finish()?;
        Ok((used.as_secs_f64() * 1e6 / answered as f64, most as f64 / f64::from(1 << 20)))
    }

    /// At rest, and per connection that went idle after one request.
    fn memory(&self, program: &Program) -> Result<Figures, String> {
        // Two for each connection while HAProxy reckons with an origin's for each client's.
        if open_files() < 2 * IDLE + 500 {
            return Err(format!(
                "{IDLE} idle connections need more than the {} file descriptors there may be",
                open_files()
            ));
        }
        self.with(program, self.place(), |proxy| {
            thread::sleep(Duration::from_secs(2));
            let rest = proxy.process.resident();
            let _held = idle_connections(proxy.address, IDLE)?;
            thread::sleep(SETTLE);
            let held = proxy.process.resident();
            let each = (held as f64 - rest as f64) / IDLE as f64 / 1024.0;
            Ok(vec![(Figure::Rest, rest as f64 / f64::from(1 << 20)), (Figure::IdleConnection, each)])
        })
    }

    /// What a program adds to the 99th percentile of its origin.
    fn added_latency(&self, program: &Program) -> Result<Figures, String> {
        let rate = self.rate.ok_or("half load is not known")?;
        // The median of runs of a second each: what a neighbour does for a moment spoils one of them.
        let p99 = |address| {
            let mut runs = (0..=self.seconds)
                .map(|_| open_loop(address, "/bytes/80", CONNECTIONS, 1.0, rate))
                .skip(1)
                .collect::<Result<Vec<_>, _>>()?;
            runs.sort_unstable();
            let median = runs.get(runs.len() / 2).copied().unwrap_or_default();
            Ok::<_, String>(median.as_secs_f64() * 1e6)
        };
        let origin = *self.built_in_origin.addresses.first().ok_or("there is no origin")?;
        let busy = BUSY.as_secs_f64() * 1e6;
        let mut direct = p99(origin)?;
        for _ in 0..5 {
            if direct > busy {
                direct = p99(origin)?;
            }
        }
        if direct > busy {
            return Err(format!(
                "an origin alone answers {rate:.0} requests/s with a p99 of {:.0} ms: too much else happens on this machine",
                direct / 1e3
            ));
        }
        let place = Place { origins: &self.built_in_origin.addresses, ..self.place() };
        self.with(program, place, |proxy| Ok(vec![(Figure::AddedP99, p99(proxy.address)? - direct)]))
    }

    /// How much the CPU time per request grows from one worker to two, with client and origins on the same cores both times.
    fn second_worker(&self, program: &Program) -> Result<Figures, String> {
        let shared = Place { origins: &self.shared_origins.addresses, ..self.place() };
        let cpu = |place: Place<'_>| {
            self.with(program, place, |proxy| {
                let closed = Closed {
                    cores: &self.cores.beside_two,
                    ..self.closed(proxy.address, "/bytes/80", CONNECTIONS)
                };
                Ok(self.cpu_per_request(&proxy, &closed)?.0)
            })
        };
        let one = cpu(shared)?;
        let two = cpu(Place { workers: 2, cores: &self.cores.two, ..shared })?;
        Ok(vec![(Figure::SecondWorker, (two / one - 1.0) * 100.0)])
    }

    /// The hot decisions, without anything around them.
    fn decisions(&self) -> Result<Figures, String> {
        let slowest_pick = |count: u32, times: u32| {
            let mut slowest = 0.0_f64;
            for algorithm in Algorithm::NAMES {
                slowest = slowest.max(self.nanoseconds(&format!("pick-{algorithm}-{count}"), times)?);
            }
            Ok::<_, String>(slowest)
        };
        Ok(vec![
            (Figure::Pick10, slowest_pick(10, 2_000_000)?),
            (Figure::Pick1000, slowest_pick(1000, 50_000)?),
            (Figure::Route, self.nanoseconds("route-10000", 1_000_000)?),
        ])
    }

    /// Nanoseconds of CPU time for one decision, by the difference of a run that makes it often and one that does not.
    fn nanoseconds(&self, decision: &str, times: u32) -> Result<f64, String> {
        let run = |times: u32| {
            let mut command = Command::new("taskset");
            command.args(["-c", &self.cores.proxy]).arg(self.binaries.join("xtask"));
            let text = output(command.args(["decide", decision, &times.to_string()]))?;
            text.trim().parse::<f64>().map_err(|error| format!("{decision}: {error}"))
        };
        let few = 1000;
        Ok((run(times + few)? - run(few)?) / f64::from(times))
    }

    /// Starts a program, hands it over, and removes what it left.
    fn with<T>(
        &self,
        program: &Program,
        place: Place<'_>,
        run: impl FnOnce(Proxy) -> Result<T, String>,
    ) -> Result<T, String> {
        let result = program.start(&place).and_then(run);
        let _ = fs::remove_dir_all(place.directory);
        result
    }

    fn place(&self) -> Place<'_> {
        Place {
            origins: &self.origins.addresses,
            directory: &self.directory,
            cores: &self.cores.proxy,
            workers: 1,
            access_log: false,
        }
    }

    fn closed<'a>(&'a self, address: SocketAddr, path: &'a str, connections: u32) -> Closed<'a> {
        Closed { address, path, connections, seconds: self.seconds, cores: &self.cores.others }
    }

    fn warm_up(&self, closed: &Closed<'_>) -> Result<(), String> {
        self.client.run(&Closed { seconds: 1, ..*closed }).map(|_| ())
    }
}

/// Opens connections in waves, with one answered request each.
fn idle_connections(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>, String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut held: Vec<TcpStream> = Vec::with_capacity(count);
    while held.len() < count {
        let wave = (count - held.len()).min(500);
        let open = |_| {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(
                deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)),
            ))?;
            Ok(stream)
        };
        let mut streams = (0..wave)
            .map(open)
            .collect::<Result<Vec<_>, std::io::Error>>()
            .map_err(|error| error.to_string())?;
        for stream in &mut streams {
            stream
                .write_all(b"GET /bytes/80 HTTP/1.1\r\nHost: bench\r\n\r\n")
                .map_err(|error| error.to_string())?;
        }
        for stream in &mut streams {
            let mut answer = [0; 2048];
            let read = stream.read(&mut answer).map_err(|error| format!("an idle connection: {error}"))?;
            if !answer.get(..read).unwrap_or_default().starts_with(b"HTTP/1.1 200 ") {
                return Err("a connection that should go idle was not answered 200".to_owned());
            }
        }
        held.append(&mut streams);
    }
    Ok(held)
}
