//! `cargo xtask bench kv`: the cache server against Redis, and Evenkeel's TCP balancing in front of it against HAProxy's.
//!
//! The load is `redis-benchmark`'s in both. The programs take turns and are restarted before each run, on a core of their own.

mod asking;
mod figure;
mod load;
mod server;
mod table;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use evenkeel_testkit::TempDir;

use super::cores::Cores;
use super::program::find;
use asking::{Answers, Bulk};
use figure::{Figure, MEBIBYTE, TESTS};
use load::{Benchmark, DRAWN, DRAWN_KEY, Run};
use server::{Balancer, Cache};
use table::Table;

/// Clients of `redis-benchmark`.
const CLIENTS: u32 = 50;
/// Keys and values of the memory figures: how many, and how long.
const MEMORY: [(Figure, usize, usize); 2] = [(Figure::Memory64, 64, 64), (Figure::Memory16, 16, 64)];
const MEMORY_KEYS: usize = 1_000_000;

const BALANCED: [Figure; 4] =
    [Figure::BalancedSmall, Figure::BalancedPipelined, Figure::BalancedMebibyte, Figure::BalancedBeside];
/// Idle connections of that figure.
const IDLE: usize = 4000;
/// Bulk flows beside small requests.
const FLOWS: usize = 20;

/// What and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) rounds: u32,
    /// Short runs, to see that it works.
    pub(super) quick: bool,
    /// The caches as well, not only the balancers.
    pub(super) caches: bool,
}

/// Measures and prints.
pub(super) fn run(plan: Plan, cores: &Cores, binaries: &Path, load_before: &str) -> Result<(), String> {
    let benchmark = Benchmark::find()?;
    let bench = Bench { plan, cores, binaries: binaries.to_path_buf(), directory: TempDir::new(), benchmark };
    let mut table = Table::default();
    if plan.caches {
        bench.caches(&mut table);
    }
    bench.balancers(&mut table);
    print!("{}", table.markdown(plan, load_before));
    Ok(())
}

struct Bench<'a> {
    plan: Plan,
    cores: &'a Cores,
    binaries: PathBuf,
    directory: TempDir,
    benchmark: Benchmark,
}

impl Bench<'_> {
    /// How many requests of a run: enough for a few seconds.
    fn requests(&self, pipeline: u32) -> u64 {
        let full = if pipeline == 1 { 300_000 } else { 3_000_000 };
        if self.plan.quick { full / 20 } else { full }
    }

    fn caches(&self, table: &mut Table) {
        let mut caches = vec![Cache::ours(self.binaries.join("evenkeel-kv"))];
        caches.extend(find("redis-server").map(Cache::redis));
        table.caches = caches.iter().map(Cache::to_string).collect();
        for round in 1..=self.plan.rounds {
            for pipeline in [1, 16] {
                for test in TESTS {
                    for (place, cache) in caches.iter().enumerate() {
                        eprintln!(
                            "{test}, pipeline {pipeline}, round {round} of {}: {cache}",
                            self.plan.rounds
                        );
                        match self.cache_run(cache, test, pipeline) {
                            Ok((rate, cpu, busy)) => {
                                table.add(Figure::Rate(test, pipeline), place, rate);
                                if pipeline == 1 {
                                    table.add(Figure::Client(test), place, busy * 100.0);
                                }
                                table.add(Figure::Cpu(test, pipeline), place, cpu);
                            }
                            Err(problem) => {
                                table.failures.push(format!("{test}, {cache}: {}", problem.trim()))
                            }
                        }
                    }
                }
            }
            for (figure, key, value) in MEMORY {
                for (place, cache) in caches.iter().enumerate() {
                    eprintln!("memory, keys of {key} bytes, round {round}: {cache}");
                    match self.memory_run(cache, key, value) {
                        Ok(bytes) => table.add(figure, place, bytes),
                        Err(problem) => table.failures.push(format!("memory, {cache}: {}", problem.trim())),
                    }
                }
            }
            for (place, cache) in caches.iter().enumerate() {
                eprintln!("idle connections and expiry, round {round}: {cache}");
                match self.idle_run(cache).and_then(|idle| Ok((idle, self.expiry_run(cache)?))) {
                    Ok((idle, expiry)) => {
                        table.add(Figure::Idle, place, idle);
                        expiry.into_iter().for_each(|(figure, value)| table.add(figure, place, value));
                    }
                    Err(problem) => table.failures.push(format!("{cache}: {}", problem.trim())),
                }
            }
        }
    }

    /// Requests per second, CPU µs of the server per request, and how busy the client was.
    fn cache_run(&self, cache: &Cache, test: &str, pipeline: u32) -> Result<(f64, f64, f64), String> {
        let server = cache.start(&self.cores.proxy, &self.directory.join("cache"))?;
        let requests = self.requests(pipeline);
        let run = Run { test, draws: true, clients: CLIENTS, pipeline, requests };
        load::fill(server.address, DRAWN, DRAWN_KEY, 64, None)?;
        self.benchmark.run(server.address, Run { requests: requests / 10, ..run })?;
        let before = server.process.cpu();
        let (rate, busy) = self.benchmark.run(server.address, run)?;
        let cpu = server.process.cpu().saturating_sub(before);
        Ok((rate, cpu.as_secs_f64() * 1e6 / requests as f64, busy))
    }

    /// Bytes of resident memory that each key adds.
    fn memory_run(&self, cache: &Cache, key: usize, value: usize) -> Result<f64, String> {
        let server = cache.start(&self.cores.proxy, &self.directory.join("cache"))?;
        let keys = if self.plan.quick { MEMORY_KEYS / 10 } else { MEMORY_KEYS };
        let before = server.process.resident();
        load::fill(server.address, keys, key, value, None)?;
        let grown = server.process.resident().saturating_sub(before);
        Ok(grown as f64 / keys as f64)
    }

    /// Bytes of resident memory that a connection adds which has asked once.
    fn idle_run(&self, cache: &Cache) -> Result<f64, String> {
        let server = cache.start(&self.cores.proxy, &self.directory.join("cache"))?;
        let before = server.process.resident();
        let connections = asking::idle(server.address, IDLE)?;
        let grown = server.process.resident().saturating_sub(before);
        Ok(grown as f64 / connections.len() as f64)
    }

    /// How long answers take before and while a million keys expire at once.
    fn expiry_run(&self, cache: &Cache) -> Result<[(Figure, f64); 3], String> {
        let server = cache.start(&self.cores.proxy, &self.directory.join("cache"))?;
        let (keys, wait) = if self.plan.quick { (MEMORY_KEYS / 10, 5) } else { (MEMORY_KEYS, 15) };
        let due = SystemTime::now() + Duration::from_secs(wait);
        load::fill(server.address, keys, DRAWN_KEY, 8, Some(due))?;
        let left = || due.duration_since(SystemTime::now()).unwrap_or_default();
        let asked = Duration::from_secs(3);
        if left() < asked + Duration::from_secs(1) {
            return Err("the keys were not set in time to measure before they expire".to_owned());
        }
        let quiet = Answers::within(server.address, asked)?;
        thread::sleep(left().saturating_sub(Duration::from_millis(100)));
        let expiring = Answers::within(server.address, Duration::from_secs(5))?;
        Ok([
            (Figure::ExpiryP99, expiring.quantile(0.99)),
            (Figure::ExpiryLongest, expiring.quantile(1.0)),
            (Figure::QuietLongest, quiet.quantile(1.0)),
        ])
    }

    /// Two caches behind each balancer.
    fn balancers(&self, table: &mut Table) {
        let mut balancers = vec![Balancer::ours(self.binaries.join("evenkeel"))];
        balancers.extend(find("haproxy").map(Balancer::haproxy));
        table.balancers = balancers.iter().map(Balancer::to_string).collect();
        for round in 1..=self.plan.rounds {
            for (place, balancer) in balancers.iter().enumerate() {
                for figure in BALANCED {
                    eprintln!("{}, round {round} of {}: {balancer}", figure.name(), self.plan.rounds);
                    match self.balancer_run(balancer, figure) {
                        Ok(cpu) => table.add(figure, place, cpu),
                        Err(problem) => table.failures.push(format!("{balancer}: {}", problem.trim())),
                    }
                }
            }
        }
    }

    /// CPU µs of the balancer per request; or how long a small one takes beside large ones.
    fn balancer_run(&self, balancer: &Balancer, figure: Figure) -> Result<f64, String> {
        let cache = Cache::ours(self.binaries.join("evenkeel-kv"));
        let caches: Vec<_> = ["one", "two"]
            .iter()
            .map(|name| cache.start(&self.cores.others, &self.directory.join(name)))
            .collect::<Result<_, _>>()?;
        let addresses: Vec<SocketAddr> = caches.iter().map(|cache| cache.address).collect();
        let balancer = balancer.start(&self.cores.proxy, &addresses, &self.directory.join("balancer"))?;
        let (requests, pipeline) = match figure {
            Figure::BalancedPipelined => (self.requests(16), 16),
            Figure::BalancedMebibyte => (self.requests(1) / 100, 1),
            _ => (self.requests(1), 1),
        };
        let value = vec![b'x'; if figure.is_large() { MEBIBYTE } else { 64 }];
        for address in &addresses {
            load::set(*address, load::BENCHMARK_KEY, &value)?;
        }
        if figure == Figure::BalancedBeside {
            let _bulk = Bulk::start(balancer.address, FLOWS)?;
            thread::sleep(Duration::from_millis(500));
            let seconds = if self.plan.quick { 1 } else { 5 };
            return Ok(Answers::within(balancer.address, Duration::from_secs(seconds))?.quantile(0.5));
        }
        let run = Run { test: "get", draws: false, clients: CLIENTS, pipeline, requests };
        self.benchmark.run(balancer.address, Run { requests: requests / 10, ..run })?;
        let before = balancer.process.cpu();
        self.benchmark.run(balancer.address, run)?;
        let cpu = balancer.process.cpu().saturating_sub(before);
        Ok(cpu.as_secs_f64() * 1e6 / requests as f64)
    }
}
