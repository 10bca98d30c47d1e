//! Every metric there is: name, kind, labels, help. The page, `docs/metrics.md` and the tests read it from here.

/// What a metric counts like, in Prometheus' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; starts from 0 with the process or with its labels' first appearance in the configuration.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by bucket (`_bucket{le}`), with `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// The word of the `# TYPE` line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The full name.
    pub name: &'static str,
    /// How it counts.
    pub kind: Kind,
    /// Its labels, in their order on the page.
    pub labels: &'static [&'static str],
    /// One sentence, without line ends.
    pub help: &'static str,
}

/// Every metric, in the order of the page.
pub fn catalogue() -> &'static [Metric] {
    ALL
}

macro_rules! metrics {
    ($($constant:ident = $name:literal $kind:ident [$($label:literal),*] $help:literal;)*) => {
        $(pub(crate) const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*
        static ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD_INFO = "evenkeel_build_info" Gauge ["version", "revision"]
        "The running build; always 1.";
    RELOAD_SUCCESSFUL = "evenkeel_config_last_reload_successful" Gauge []
        "Whether the configuration read last was applied (1) or refused (0).";
    RELOADED_AT = "evenkeel_config_last_reload_success_timestamp_seconds" Gauge []
        "When a configuration was last applied, in seconds since 1970.";
    WORKERS = "evenkeel_workers" Gauge []
        "Threads that serve.";

    CONNECTIONS = "evenkeel_connections_total" Counter ["listener"]
        "Client connections accepted.";
    CONNECTIONS_OPEN = "evenkeel_connections_open" Gauge ["listener"]
        "Client connections open now, idle ones included.";
    CONNECTIONS_LIMIT = "evenkeel_connections_limit" Gauge ["listener"]
        "Client connections that may be open at once: the listener's limit, or what open files allow where that is less.";
    CONNECTIONS_LIMIT_ALL = "evenkeel_client_connections_limit" Gauge []
        "Client connections that all listeners together may have open at once, by the limit of open files.";
    CONNECTIONS_REFUSED = "evenkeel_connections_refused_total" Counter ["listener"]
        "Client connections closed unserved because the listener was at its limit.";
    ACCEPT_ERRORS = "evenkeel_accept_errors_total" Counter ["listener"]
        "Failed attempts to accept a client connection.";
    ACCEPT_PAUSES = "evenkeel_accept_pauses_total" Counter ["listener"]
        "Times that accepting was suspended because file descriptors ran out.";
    REJECTIONS = "evenkeel_rejections_total" Counter ["listener", "reason"]
        "Exchanges and sessions that Evenkeel ended itself, by reason; the access log has the same word.";

    REQUESTS = "evenkeel_requests_total" Counter ["listener", "route", "upstream", "method", "code"]
        "Requests by method and by the status sent to the client; code 000 when none was sent.";
    REQUEST_DURATION = "evenkeel_request_duration_seconds" Histogram ["listener", "route", "upstream"]
        "Time from the first byte of a request to the last byte of its answer.";
    REQUEST_BYTES = "evenkeel_request_bytes_total" Counter ["listener", "route", "upstream"]
        "Bytes of requests received from clients.";
    RESPONSE_BYTES = "evenkeel_response_bytes_total" Counter ["listener", "route", "upstream"]
        "Bytes of responses sent to clients.";

    TCP_SESSIONS = "evenkeel_tcp_sessions_total" Counter ["listener", "upstream", "reason"]
        "Sessions of TCP listeners that ended, by reason: completed when both sides closed it.";
    TCP_SESSION_DURATION = "evenkeel_tcp_session_duration_seconds" Histogram ["listener", "upstream"]
        "Time from the accept of a client connection to the end of its session.";
    TCP_RECEIVED_BYTES = "evenkeel_tcp_received_bytes_total" Counter ["listener", "upstream"]
        "Bytes received from the clients of TCP listeners, counted as they pass.";
    TCP_SENT_BYTES = "evenkeel_tcp_sent_bytes_total" Counter ["listener", "upstream"]
        "Bytes sent to the clients of TCP listeners, counted as they pass.";

    UPSTREAM_REQUESTS = "evenkeel_upstream_requests_total" Counter ["upstream", "endpoint", "code"]
        "Attempts at an endpoint by the status of its response; code 000 when none came.";
    UPSTREAM_REQUEST_DURATION = "evenkeel_upstream_request_duration_seconds" Histogram ["upstream", "endpoint"]
        "Time that attempts at an endpoint took.";
    UPSTREAM_IN_FLIGHT = "evenkeel_upstream_in_flight" Gauge ["upstream", "endpoint"]
        "Attempts and sessions going on at an endpoint.";
    UPSTREAM_IN_FLIGHT_LIMIT = "evenkeel_upstream_in_flight_limit" Gauge ["upstream", "endpoint"]
        "Attempts and sessions that may go on at an endpoint at once; absent where there is no limit.";
    UPSTREAM_CONNECTIONS = "evenkeel_upstream_connections_total" Counter ["upstream", "endpoint"]
        "Connections made to an endpoint.";
    UPSTREAM_CONNECTIONS_OPEN = "evenkeel_upstream_connections_open" Gauge ["upstream", "endpoint"]
        "Connections to an endpoint open now, idle ones included.";
    UPSTREAM_CONNECT_FAILURES = "evenkeel_upstream_connect_failures_total" Counter ["upstream", "endpoint"]
        "Connections to an endpoint that could not be made.";
    UPSTREAM_RETRIES = "evenkeel_upstream_retries_total" Counter ["upstream", "reason"]
        "Failed attempts that were followed by another, by the reason of the failure.";
    UPSTREAM_QUEUE_DEPTH = "evenkeel_upstream_queue_depth" Gauge ["upstream"]
        "Requests that wait for an endpoint with a free place; absent where the upstream has no queue.";
    UPSTREAM_QUEUE_WAIT = "evenkeel_upstream_queue_wait_seconds" Histogram ["upstream"]
        "Time that requests waited for an endpoint with a free place, of those that waited and got one.";

    ENDPOINT_UP = "evenkeel_endpoint_up" Gauge ["upstream", "endpoint"]
        "Whether probes find the endpoint good (1) or not (0).";
    ENDPOINT_EJECTED = "evenkeel_endpoint_ejected" Gauge ["upstream", "endpoint"]
        "Whether the endpoint is taken out because of errors in live traffic (1) or not (0).";
    ENDPOINT_EJECTIONS = "evenkeel_endpoint_ejections_total" Counter ["upstream", "endpoint", "reason"]
        "Times that the endpoint was taken out because of what requests met there, by reason.";
    ENDPOINT_DRAINING = "evenkeel_endpoint_draining" Gauge ["upstream", "endpoint"]
        "Whether an operator has taken the endpoint out (1) or not (0).";
    ENDPOINT_WEIGHT = "evenkeel_endpoint_weight" Gauge ["upstream", "endpoint"]
        "The endpoint's effective weight; 0 takes no new requests.";
    PROBES = "evenkeel_probes_total" Counter ["upstream", "endpoint", "result"]
        "Health probes by result.";
    PROBE_DURATION = "evenkeel_probe_duration_seconds" Gauge ["upstream", "endpoint"]
        "Time that the latest health probe took.";

    ACCESS_LOG_DROPPED = "evenkeel_access_log_dropped_total" Counter []
        "Access log lines lost because the log could not be written fast enough, or not at all.";
    ACCESS_LOG_WRITE_ERRORS = "evenkeel_access_log_write_errors_total" Counter []
        "Failed writes of the access log, for example to a full disk.";

    PROCESS_START_TIME = "process_start_time_seconds" Gauge []
        "When the process started, in seconds since 1970.";
    PROCESS_CPU = "process_cpu_seconds_total" Counter []
        "CPU time used, user and system.";
    PROCESS_RESIDENT = "process_resident_memory_bytes" Gauge []
        "Resident memory.";
    PROCESS_OPEN_FDS = "process_open_fds" Gauge []
        "File descriptors open now.";
    PROCESS_MAX_FDS = "process_max_fds" Gauge []
        "File descriptors that may be open at once.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn follows_the_conventions() {
        let mut names = BTreeSet::new();
        for metric in catalogue() {
            let name = metric.name;
            assert!(names.insert(name), "{name} twice");
            assert!(name.starts_with("evenkeel_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(metric.kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\']), "{name}");
            assert!(metric.labels.iter().all(|label| *label != "le"), "{name}");
        }
    }
}
