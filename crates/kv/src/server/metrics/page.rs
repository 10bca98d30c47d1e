//! The page for Prometheus, text format 0.0.4.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, UNIX_EPOCH};

use crate::replication::LinkState;
use crate::server::lookup::Table;
use crate::server::process;
use crate::server::shared::{Shared, wall_clock};
use crate::server::snapshots;
use crate::server::stats::bound;
use crate::store::{Counters, DATABASES};

/// What the page is.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Page(String);

impl Page {
    fn family(&mut self, kind: &str, name: &str, help: &str) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.0, "# HELP evenkeel_kv_{name} {help}\n# TYPE evenkeel_kv_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "evenkeel_kv_{name}{labels} {value}");
    }

    /// Under the name that every process has it by.
    fn began(&mut self, since: Duration) {
        let name = "process_start_time_seconds";
        let help = "When the process began, in seconds since 1970.";
        let _ =
            writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {:.2}", since.as_secs_f64());
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family("counter", name, help);
        self.sample(name, "", value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family("gauge", name, help);
        self.sample(name, "", value);
    }
}

/// The page as it is now. Shards are held one after the other, each for a moment.
pub(super) fn render(shared: &Shared) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.family("gauge", "build_info", "The version; always 1.");
    page.sample("build_info", concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1);
    page.gauge("uptime_seconds", "Time since the start.", shared.started.elapsed().as_secs_f64());
    page.began(shared.began.duration_since(UNIX_EPOCH).unwrap_or_default());
    data(&mut page, shared);
    clients(&mut page, shared);
    commands(&mut page, shared);
    replication(&mut page, shared);
    snapshot(&mut page, shared);
    page.0
}

fn data(page: &mut Page, shared: &Shared) {
    let mut counters = Counters::default();
    let mut keys = [(0, 0); DATABASES as usize];
    let (mut used, mut slack) = (0, 0);
    for index in 0..shared.store.shard_count() {
        let Some(shard) = shared.store.shard(index) else { continue };
        let here = shard.counters();
        counters.hits += here.hits;
        counters.misses += here.misses;
        counters.expired += here.expired;
        counters.evicted += here.evicted;
        used += shard.used();
        slack += shard.slack();
        for (db, (all, volatile)) in keys.iter_mut().enumerate() {
            *all += shard.len(db as u8);
            *volatile += shard.volatile_len(db as u8);
        }
    }
    page.counter("hits_total", "Keys looked up and found.", counters.hits);
    page.counter("misses_total", "Keys looked up and not found.", counters.misses);
    page.counter("expirations_total", "Keys removed because their time was over.", counters.expired);
    page.counter("evictions_total", "Keys removed because memory was short.", counters.evicted);
    let changes = snapshots::changes(shared);
    page.counter("changes_total", "Changes of data.", changes);
    let databases = || keys.iter().enumerate().filter(|(db, (all, _))| *db == 0 || *all > 0);
    page.family("gauge", "keys", "Keys by database.");
    for (db, (all, _)) in databases() {
        page.sample("keys", &format!("{{db=\"{db}\"}}"), all);
    }
    page.family("gauge", "volatile_keys", "Keys that will expire, by database.");
    for (db, (_, volatile)) in databases() {
        page.sample("volatile_keys", &format!("{{db=\"{db}\"}}"), volatile);
    }
    let limit = shared.configs.current().maxmemory;
    page.gauge("memory_used_bytes", "What the data take, all bookkeeping included.", used);
    page.gauge("memory_slack_bytes", "Allocated between the data and free.", slack);
    page.gauge("memory_limit_bytes", "What they may take (maxmemory); 0 is no limit.", limit);
    page.gauge("memory_resident_bytes", "What the process takes.", process::resident());
}

fn clients(page: &mut Page, shared: &Shared) {
    let stats = &shared.stats;
    page.gauge("connections", "Connections open.", shared.clients.open());
    page.gauge(
        "connections_limit",
        "Connections possible (maxclients).",
        shared.configs.current().maxclients,
    );
    page.counter("connections_total", "Connections accepted.", stats.connections.load(Relaxed));
    page.counter(
        "connections_refused_total",
        "Connections refused for maxclients.",
        stats.refused.load(Relaxed),
    );
    page.counter(
        "slow_readers_closed_total",
        "Connections closed because they did not take what was sent to them.",
        stats.slow_readers.load(Relaxed),
    );
    page.counter("idle_closed_total", "Connections closed for being idle.", stats.idle_closed.load(Relaxed));
    page.counter(
        "protocol_errors_total",
        "Connections closed for sending what is no command.",
        stats.protocol_errors.load(Relaxed),
    );
    page.gauge("blocked_clients", "Clients that wait for a key.", shared.blocking.count());
    let (channels, patterns) = shared.pubsub.counts();
    page.gauge("pubsub_channels", "Channels with subscribers.", channels);
    page.gauge("pubsub_patterns", "Patterns with subscribers.", patterns);
    page.counter("published_total", "Messages published.", stats.published.load(Relaxed));
    page.counter(
        "received_bytes_total",
        "Bytes from clients.",
        stats.sum(|counters| counters.received.now()),
    );
    page.counter("sent_bytes_total", "Bytes to clients.", stats.sum(|counters| counters.sent.now()));
}

fn commands(page: &mut Page, shared: &Shared) {
    let (stats, table) = (&shared.stats, Table::of_all());
    let all: Vec<_> =
        (0..table.len() as u16).map(|number| (table.name(number), stats.command(number))).collect();
    page.family("counter", "commands_total", "Commands carried out.");
    for (name, [calls, ..]) in all.iter().filter(|(_, [calls, ..])| *calls > 0) {
        page.sample("commands_total", &format!("{{command=\"{name}\"}}"), calls);
    }
    page.family("counter", "commands_failed_total", "Commands answered with an error, or refused.");
    for (name, [.., rejected, failed]) in
        all.iter().filter(|(_, [.., rejected, failed])| rejected + failed > 0)
    {
        page.sample("commands_failed_total", &format!("{{command=\"{name}\"}}"), rejected + failed);
    }
    let unknown = stats.sum(|counters| counters.unknown.now());
    page.counter("commands_unknown_total", "Commands that do not exist.", unknown);
    page.family(
        "histogram",
        "command_duration_seconds",
        "Time to carry a command out. Quick commands that came together share the time of all.",
    );
    let mut sum = 0;
    for (bucket, count) in stats.durations().into_iter().enumerate() {
        sum += count;
        let bound = bound(bucket).map_or("+Inf".to_owned(), |bound| bound.to_string());
        page.sample("command_duration_seconds_bucket", &format!("{{le=\"{bound}\"}}"), sum);
    }
    let nanos = stats.sum(|counters| counters.nanos.now());
    page.sample("command_duration_seconds_sum", "", nanos as f64 / 1e9);
    page.sample("command_duration_seconds_count", "", sum);
    page.gauge("slow_commands", "Commands in the slow log.", shared.slowlog.len());
}

fn replication(page: &mut Page, shared: &Shared) {
    let figures = shared.primary.backlog.figures();
    let replicas = shared.primary.replicas();
    page.gauge("replicas", "Replicas connected.", replicas.len());
    page.gauge("replication_offset_bytes", "Bytes of the stream of changes.", figures.position.offset);
    let behind = replicas.iter().map(|replica| figures.position.offset.saturating_sub(replica.offset)).max();
    page.gauge(
        "replication_behind_bytes",
        "What the slowest replica has not acknowledged.",
        behind.unwrap_or(0),
    );
    page.gauge("replication_backlog_bytes", "Memory that the stream takes.", figures.memory);
    let totals = shared.primary.totals();
    page.counter("replica_full_syncs_total", "Whole snapshots begun for replicas.", totals.full);
    page.counter("replica_partial_syncs_total", "Replicas that went on where they stopped.", totals.partial);
    page.counter("replicas_given_up_total", "Replicas closed for being slow or silent.", totals.given_up);
    let link = shared.replication.link().map(|link| link.status());
    page.gauge("replica", "Whether another server is followed.", u8::from(link.is_some()));
    if let Some(status) = link {
        let up = status.state == LinkState::Up;
        page.gauge("primary_link_up", "Whether the stream of the primary is followed.", u8::from(up));
        page.gauge(
            "primary_silence_seconds",
            "Time since the primary was heard of.",
            status.silence.as_secs_f64(),
        );
    }
}

fn snapshot(page: &mut Page, shared: &Shared) {
    if shared.saver.path().is_none() {
        return;
    }
    let status = shared.saver.status(snapshots::changes(shared));
    let age = wall_clock().saturating_sub(status.last_success) as f64 / 1000.0;
    page.gauge("snapshot_age_seconds", "Age of the last whole snapshot, or of the start.", age);
    page.gauge(
        "snapshot_successful",
        "Whether the last attempt came to a whole file.",
        u8::from(status.last_ok),
    );
    page.counter("snapshots_total", "Snapshots saved.", status.saves);
    page.counter("snapshot_failures_total", "Attempts that failed.", status.failures);
    page.gauge("snapshot_size_bytes", "Size of the last one.", status.figures.bytes);
    page.gauge("snapshot_unsaved_changes", "Changes that it has not.", status.unsaved_changes);
}
