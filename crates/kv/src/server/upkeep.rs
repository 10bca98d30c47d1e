//! What is to be done whether or not clients ask for anything: expired keys removed, memory kept within its limit, idle and
//! slow clients closed, large values dropped. On threads of its own, in steps so small that no command waits for long.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::clients::{Client, Kind, Mark};
use crate::server::execute::Executor;
use crate::server::replication;
use crate::server::room;
use crate::server::shared::Shared;
use crate::store::{Garbage, Millis};

/// How often it looks.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two looks at what takes its time.
const SECOND: u32 = 10;
/// Keys removed, or moved closer together, while a shard is held: some ten microseconds.
const STEP: usize = 64;
/// Between two steps others get hold of the shard, and of the processor.
const BREATH: Duration = Duration::from_micros(20);

/// Begins the housekeeping, which ends with the server; `garbage` is what it drops.
///
/// # Errors
/// There can be no more threads.
pub(crate) fn start(shared: &Arc<Shared>, garbage: mpsc::Receiver<Vec<Garbage>>) -> io::Result<()> {
    let upkeep = Upkeep {
        executor: Executor::new(shared),
        shared: shared.clone(),
        calls: 0,
        since: Instant::now(),
        is_evicting: false,
        refused: 0,
    };
    thread::Builder::new().name("kv-upkeep".to_owned()).spawn(move || upkeep.run())?;
    // Ends when nobody is left who could send anything.
    thread::Builder::new().name("kv-garbage".to_owned()).spawn(move || garbage.into_iter().for_each(drop))?;
    Ok(())
}

struct Upkeep {
    shared: Arc<Shared>,
    executor: Executor,
    /// Commands carried out when the rate was measured last, and when that was.
    calls: u64,
    since: Instant,
    /// Keys are being evicted, which has been told.
    is_evicting: bool,
    /// Connections refused until the last look.
    refused: u64,
}

impl Upkeep {
    fn run(mut self) {
        let mut ticks = 0u32;
        while !self.shared.is_stopping() {
            self.executor.begin();
            if self.shared.expires_actively.load(Relaxed) {
                self.expire();
            }
            self.evict();
            self.executor.end();
            self.shared.memory.look();
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(SECOND) {
                self.each_second();
            }
            thread::sleep(TICK);
        }
    }

    /// Removes all keys that have expired.
    fn expire(&mut self) {
        let shared = self.shared.clone();
        let now = self.executor.now;
        for index in 0..shared.store.shard_count() {
            loop {
                let steps = match shared.store.shard(index) {
                    Some(mut shard) => room::expire(&mut self.executor, &mut shard, now, STEP),
                    None => 0,
                };
                if steps < STEP || shared.is_stopping() {
                    break;
                }
                self.executor.report();
                thread::sleep(BREATH);
            }
        }
    }

    /// Lets keys go until the data are within their limit, where commands have not done so.
    fn evict(&mut self) {
        let limit = self.executor.config.maxmemory;
        let is_limited = limit > 0 && !self.shared.is_replica();
        while is_limited && self.executor.used() > limit && !self.shared.is_stopping() {
            if room::relieve(&mut self.executor, limit, STEP, None).is_err() {
                break;
            }
            self.executor.report();
            thread::sleep(BREATH);
        }
    }

    fn each_second(&mut self) {
        let shared = self.shared.clone();
        replication::upkeep(&shared, &mut self.executor.rng);
        for client in shared.clients.all() {
            self.look_at(&client);
        }
        self.measure();
        self.shrink();
        self.tell();
    }

    /// Closes a client that has been silent for too long, or has not taken its messages for too long.
    fn look_at(&self, client: &Client) {
        let (shared, config, now) = (&self.shared, &self.executor.config, self.executor.now);
        let limit = config.output_limit(client.kind());
        let unsent = client.unsent.load(Relaxed);
        if !client.mailbox.is_closing() && !client.mailbox.keeps_to(unsent, limit, now) {
            shared.slow_reader(client.id, client.address, "messages");
            client.mailbox.close();
        }
        let idle: Millis = now.saturating_sub(client.active.load(Relaxed));
        let may_idle = client.kind() != Kind::Normal || client.is(Mark::Blocked);
        if config.timeout > 0
            && !may_idle
            && idle > config.timeout.saturating_mul(1000)
            && !client.mailbox.is_closing()
        {
            shared.stats.idle_closed.fetch_add(1, Relaxed);
            client.mailbox.close();
        }
    }

    fn measure(&mut self) {
        let calls = self.shared.stats.calls();
        let seconds = self.since.elapsed().as_secs_f64().max(0.001);
        // After CONFIG RESETSTAT there are fewer than before.
        let rate = calls.saturating_sub(self.calls) as f64 / seconds;
        self.shared.stats.rate.store(rate as u64, Relaxed);
        (self.calls, self.since) = (calls, Instant::now());
    }

    /// Gives memory back where much of it lies between entries.
    fn shrink(&mut self) {
        let shared = self.shared.clone();
        for index in 0..shared.store.shard_count() {
            for _ in 0..STEP {
                let moved = match shared.store.shard(index) {
                    Some(mut shard) => {
                        let before = shard.used();
                        let moved = shard.shrink(STEP);
                        self.executor.unreported += shard.used() as isize - before as isize;
                        moved
                    }
                    None => 0,
                };
                if moved < STEP || shared.is_stopping() {
                    break;
                }
                thread::sleep(BREATH);
            }
        }
        self.executor.report();
    }

    /// Tells what an operator wants to know, once and not each time.
    fn tell(&mut self) {
        let shared = &self.shared;
        let limit = self.executor.config.maxmemory;
        let near = limit > 0 && shared.memory.used() > limit - limit / 64;
        if near && !self.is_evicting {
            let policy = self.executor.config.policy.name();
            tracing::info!(
                limit,
                policy,
                "maxmemory is reached: keys are evicted, or commands refused, by the policy"
            );
        }
        self.is_evicting = near;
        let refused = shared.stats.refused.load(Relaxed);
        if refused > self.refused {
            let connections = refused - self.refused;
            tracing::warn!(connections, "connections refused: maxclients is reached");
        }
        self.refused = refused;
    }
}
