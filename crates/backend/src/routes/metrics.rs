//! `/metrics`: the counters and gauges of one backend for Prometheus. For each thing that can be full there is how
//! much of it is used, how much there is, and who waits.

use std::fs;
use std::time::UNIX_EPOCH;

use http::{Response, StatusCode};

use crate::answer;
use crate::app::App;
use crate::body::Body;
use crate::count::Page;
use crate::database::State;

pub(super) fn metrics(app: &App) -> Response<Body> {
    let load = app.database.load();
    let spent = app.database.spent();
    let capacity = &app.capacity;
    let mut page = Page::new();
    for (name, kind, help, value) in [
        (
            "requests_total",
            "counter",
            "Requests begun, except to /healthz, /metrics and /chaos.",
            app.traffic.begun(),
        ),
        ("threads", "gauge", "Threads that serve connections.", app.threads as u64),
        (
            "capacity_limit",
            "gauge",
            "Requests served at once, the others wait; 0 is no limit.",
            capacity.limit().unwrap_or(0) as u64,
        ),
        ("capacity_in_use", "gauge", "Of that limit, requests being served.", capacity.in_use() as u64),
        ("capacity_waiting", "gauge", "Requests waiting to be served.", capacity.waiting() as u64),
        (
            "database_ready",
            "gauge",
            "Whether the rows are made.",
            u64::from(app.database.state() == State::Ready),
        ),
        ("database_connections", "gauge", "Database connections there are.", load.connections as u64),
        ("database_busy", "gauge", "Database connections in use.", load.busy as u64),
        ("database_waiting", "gauge", "Requests waiting for a database connection.", load.waiting as u64),
        (
            "database_queue_limit",
            "gauge",
            "Requests that may wait for a database connection; more are refused.",
            load.bound as u64,
        ),
        ("database_refused_total", "counter", "Requests refused as too many waited.", load.refused),
        ("database_queries_total", "counter", "Queries made.", spent.queries),
    ] {
        page.figure(&format!("toy_backend_{name}"), kind, help, value);
    }
    for (name, help, time) in [
        ("capacity_wait_seconds_total", "Time requests waited to be served.", capacity.waited()),
        ("database_wait_seconds_total", "Time queries waited for a connection.", spent.waited),
        (
            "database_work_seconds_total",
            "Time queries kept a connection; its rate over the connections is their utilisation.",
            spent.worked,
        ),
    ] {
        page.figure(&format!("toy_backend_{name}"), "counter", help, time.as_secs_f64());
    }
    app.traffic.write(&mut page);
    if let Some(cache) = &app.cache {
        cache.write_metrics(&mut page);
    }
    let began = app.began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let help = "When the process began, in seconds since 1970.";
    page.figure("process_start_time_seconds", "gauge", help, format_args!("{:.2}", began.as_secs_f64()));
    if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(processor_seconds) {
        let help = "CPU time used by this process, user and system.";
        page.figure("process_cpu_seconds_total", "counter", help, seconds);
    }
    answer::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", Body::whole(page.into_text()))
}

/// Fields 14 and 15 of proc(5)'s stat, behind a name in parentheses that may have any character. Linux counts in
/// hundredths of a second on every machine (`USER_HZ`).
fn processor_seconds(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_any_name() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 250 51 9 9 20 0 1 0 100 1 2";
        assert_eq!(processor_seconds(text), Some(3.01));
        assert_eq!(processor_seconds(""), None);
    }
}
