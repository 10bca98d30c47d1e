//! `INFO`: how the server is, in the fields that Redis has, as clients and exporters read them.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;

use crate::error::Error;
use crate::server::COMPATIBLE_VERSION;
use crate::server::commands::{Call, client, persistence, replication};
use crate::server::config::units::human_size;
use crate::server::dispatch::Next;
use crate::server::process;
use crate::server::shared::{Shared, wall_clock};
use crate::store::{Counters, DATABASES};

/// Sections in the order they are shown; the second half only when asked for.
const DEFAULT: [&str; 9] =
    ["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "errorstats", "keyspace"];
const ALL: [&str; 10] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "commandstats",
    "errorstats",
    "keyspace",
];

/// `INFO [section …]`
pub(super) fn info(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let mut wanted: Vec<String> =
        call.args.iter().skip(1).map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
    if wanted.is_empty() {
        wanted.push("default".to_owned());
    }
    let is_wanted = |section: &str| {
        wanted.iter().any(|wanted| match wanted.as_str() {
            "default" => DEFAULT.contains(&section),
            "all" | "everything" => true,
            name => name == section,
        })
    };
    let figures = Figures::of(call);
    let mut text = String::new();
    for section in ALL.into_iter().filter(|section| is_wanted(section)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let mut title = section.to_owned();
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        if section == "cpu" {
            title.make_ascii_uppercase();
        }
        let shared = &call.executor.shared;
        let _ = write!(text, "# {title}\r\n");
        match section {
            "server" => server(shared, &mut text),
            "clients" => clients(shared, &mut text),
            "memory" => memory(shared, &figures, &mut text),
            "persistence" => text.push_str(&persistence::section(shared)),
            "stats" => stats(shared, &figures, &mut text),
            "replication" => text.push_str(&replication::section(shared)),
            "cpu" => cpu(&mut text),
            "commandstats" => command_stats(call, &mut text),
            "errorstats" => {
                for (code, count) in shared.stats.error_kinds() {
                    line(&mut text, &format!("errorstat_{code}"), format_args!("count={count}"));
                }
            }
            _ => keyspace(&figures, &mut text),
        }
    }
    call.reply.verbatim(&text);
    Ok(Next::Go)
}

/// What all shards say, summed.
#[derive(Default)]
struct Figures {
    used: usize,
    slack: usize,
    counters: Counters,
    /// Keys of each database, and those that will expire.
    keys: Vec<(usize, usize)>,
}

impl Figures {
    fn of(call: &mut Call<'_, '_, '_>) -> Self {
        let mut sum = Self { keys: vec![(0, 0); usize::from(DATABASES)], ..Self::default() };
        call.each_shard(|shard| {
            let counters = shard.counters();
            sum.used += shard.used();
            sum.slack += shard.slack();
            sum.counters.hits += counters.hits;
            sum.counters.misses += counters.misses;
            sum.counters.expired += counters.expired;
            sum.counters.evicted += counters.evicted;
            for (db, (keys, volatile)) in sum.keys.iter_mut().enumerate() {
                *keys += shard.len(db as u8);
                *volatile += shard.volatile_len(db as u8);
            }
        });
        sum
    }
}

fn line(text: &mut String, name: &str, value: impl Display) {
    // Writing into a string cannot fail.
    let _ = write!(text, "{name}:{value}\r\n");
}

fn server(shared: &Shared, text: &mut String) {
    let config = shared.configs.current();
    let uptime = shared.started.elapsed().as_secs();
    line(text, "redis_version", COMPATIBLE_VERSION);
    line(text, "evenkeel_kv_version", env!("CARGO_PKG_VERSION"));
    line(text, "redis_mode", "standalone");
    line(text, "os", std::env::consts::OS);
    line(text, "arch_bits", usize::BITS);
    line(text, "multiplexing_api", "epoll");
    line(text, "process_id", std::process::id());
    line(text, "run_id", &shared.run_id);
    line(text, "tcp_port", config.fixed.port);
    line(text, "server_time_usec", wall_clock() * 1000);
    line(text, "uptime_in_seconds", uptime);
    line(text, "uptime_in_days", uptime / 86_400);
    line(text, "hz", 10);
    line(text, "configured_hz", 10);
    line(text, "threads", shared.threads);
    line(text, "config_file", "");
}

fn clients(shared: &Shared, text: &mut String) {
    let all = shared.clients.all();
    let (input, output) = client::largest_buffers(&all);
    line(text, "connected_clients", all.len().saturating_sub(shared.primary.replicas().len()));
    line(text, "cluster_connections", 0);
    line(text, "maxclients", shared.configs.current().maxclients);
    line(text, "client_recent_max_input_buffer", input);
    line(text, "client_recent_max_output_buffer", output);
    line(text, "blocked_clients", shared.blocking.count());
    line(text, "tracking_clients", 0);
    line(text, "clients_in_timeout_table", 0);
}

fn memory(shared: &Shared, figures: &Figures, text: &mut String) {
    let config = shared.configs.current();
    let (used, resident, machine) = (figures.used, process::resident(), process::machine_memory());
    let peak = shared.memory.peak().max(used);
    for (name, bytes) in [("used_memory", used), ("used_memory_rss", resident), ("used_memory_peak", peak)] {
        line(text, name, bytes);
        line(text, &format!("{name}_human"), human_size(bytes));
    }
    line(text, "used_memory_peak_perc", format_args!("{:.2}%", percent(used, peak)));
    line(text, "used_memory_dataset", used);
    line(text, "allocator_slack", figures.slack);
    for (name, bytes) in [("total_system_memory", machine), ("maxmemory", config.maxmemory)] {
        line(text, name, bytes);
        line(text, &format!("{name}_human"), human_size(bytes));
    }
    line(text, "maxmemory_policy", config.policy.name());
    line(text, "mem_fragmentation_ratio", format_args!("{:.2}", resident as f64 / used.max(1) as f64));
    line(text, "mem_fragmentation_bytes", resident.saturating_sub(used));
    line(text, "mem_not_counted_for_evict", 0);
    line(text, "mem_replication_backlog", shared.primary.backlog.figures().memory);
    line(text, "mem_clients_normal", 0);
    line(text, "mem_allocator", "jemalloc");
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn stats(shared: &Shared, figures: &Figures, text: &mut String) {
    let stats = &shared.stats;
    let replicas = shared.primary.totals();
    let (channels, patterns) = shared.pubsub.counts();
    let Counters { hits, misses, expired, evicted } = figures.counters;
    line(text, "total_connections_received", stats.connections.load(Relaxed));
    line(text, "total_commands_processed", stats.calls());
    line(text, "instantaneous_ops_per_sec", stats.rate.load(Relaxed));
    line(text, "total_net_input_bytes", stats.sum(|counters| counters.received.now()));
    line(text, "total_net_output_bytes", stats.sum(|counters| counters.sent.now()));
    line(text, "rejected_connections", stats.refused.load(Relaxed));
    line(text, "sync_full", replicas.full);
    line(text, "sync_partial_ok", replicas.partial);
    line(text, "sync_partial_err", replicas.refused);
    line(text, "expired_keys", expired);
    line(text, "evicted_keys", evicted);
    line(text, "evicted_clients", 0);
    line(text, "keyspace_hits", hits);
    line(text, "keyspace_misses", misses);
    line(text, "pubsub_channels", channels);
    line(text, "pubsub_patterns", patterns);
    line(text, "pubsubshard_channels", 0);
    line(text, "client_query_buffer_limit_disconnections", stats.protocol_errors.load(Relaxed));
    line(text, "client_output_buffer_limit_disconnections", stats.slow_readers.load(Relaxed));
    line(text, "client_idle_disconnections", stats.idle_closed.load(Relaxed));
    line(text, "total_error_replies", stats.sum(|counters| counters.errors.now()));
    line(text, "total_reads_processed", stats.sum(|counters| counters.reads.now()));
    line(text, "total_writes_processed", stats.sum(|counters| counters.writes.now()));
}

fn cpu(text: &mut String) {
    let (system, user) = process::processor_seconds();
    line(text, "used_cpu_sys", format_args!("{system:.6}"));
    line(text, "used_cpu_user", format_args!("{user:.6}"));
    line(text, "used_cpu_sys_children", "0.000000");
    line(text, "used_cpu_user_children", "0.000000");
}

fn command_stats(call: &Call<'_, '_, '_>, text: &mut String) {
    let (table, stats) = (call.executor.table, &call.executor.shared.stats);
    for number in 0..table.len() as u16 {
        let [calls, nanos, rejected, failed] = stats.command(number);
        if calls + rejected > 0 {
            let micros = nanos as f64 / 1000.0;
            let value = format!(
                "calls={calls},usec={micros:.0},usec_per_call={:.2},rejected_calls={rejected},failed_calls={failed}",
                micros / calls.max(1) as f64
            );
            line(text, &format!("cmdstat_{}", table.name(number)), value);
        }
    }
}

fn keyspace(figures: &Figures, text: &mut String) {
    for (db, (keys, volatile)) in figures.keys.iter().enumerate().filter(|(_, (keys, _))| *keys > 0) {
        line(text, &format!("db{db}"), format_args!("keys={keys},expires={volatile},avg_ttl=0"));
    }
}
