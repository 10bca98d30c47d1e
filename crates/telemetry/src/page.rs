//! The Prometheus page: text format 0.0.4 of everything in the catalogue.
//!
//! Written here rather than by the `prometheus-client` crate: that one speaks OpenMetrics only, where a counter's
//! `# TYPE` line has no `_total`, and `promtool check metrics`, which reads the older format, then finds counters
//! without type and help. The format itself is a page of code.

use crate::catalogue as m;
use crate::catalogue::Metric;
use crate::control::{EndpointState, ProbeResult};
use crate::histogram::{BOUND_LABELS, HistogramSnapshot, SESSION_BOUND_LABELS};
use crate::number;
use crate::process::Process;
use crate::totals::{EndpointTotals, ListenerTotals, RouteTotals, SessionTotals, Totals};
use evenkeel_policy::outlier;

/// The content type of [`Telemetry::page`](crate::Telemetry::page).
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The reason of a session that both sides closed.
pub(crate) const COMPLETED: &str = "completed";

/// The page for these totals.
pub(crate) fn render(totals: &Totals, process: &Process) -> String {
    // About what the page takes, so that it is not moved while it grows.
    let mut page =
        Page { out: Vec::with_capacity(16_384 + 4_096 * (totals.endpoints.len() + totals.routes.len())) };
    page.build_and_reloads(totals);
    page.listeners(totals);
    page.routes(totals);
    page.sessions(totals);
    page.upstreams(totals);
    page.endpoint_reports(totals);
    page.family(&m::ACCESS_LOG_DROPPED).count(&[], totals.access_log_dropped);
    page.family(&m::ACCESS_LOG_WRITE_ERRORS).count(&[], totals.access_log_write_errors);
    page.process(process);
    String::from_utf8(page.out).unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned())
}

struct Page {
    out: Vec<u8>,
}

impl Page {
    fn build_and_reloads(&mut self, totals: &Totals) {
        let control = &totals.control;
        let mut family = self.family(&m::BUILD_INFO);
        if let Some((version, revision)) = &control.build {
            family.count(&[version, revision], 1);
        }
        let mut family = self.family(&m::RELOAD_SUCCESSFUL);
        if let Some(successful) = control.reload_successful {
            family.count(&[], u64::from(successful));
        }
        self.family(&m::RELOADED_AT).optional_seconds(control.reloaded_at_micros());
        let workers = control.capacity.as_ref().map(|capacity| capacity.workers as u64);
        self.family(&m::WORKERS).optional_count(workers);
    }

    fn listeners(&mut self, totals: &Totals) {
        self.of_listeners(totals, &m::CONNECTIONS, |l| l.connections);
        self.of_listeners(totals, &m::CONNECTIONS_OPEN, |l| l.connections_open);
        let mut family = self.family(&m::CONNECTIONS_LIMIT);
        for (listener, limit) in totals.control.capacity.iter().flat_map(|capacity| &capacity.connections) {
            family.count(&[listener], *limit as u64);
        }
        let all = totals.control.capacity.as_ref().map(|capacity| capacity.all_connections as u64);
        self.family(&m::CONNECTIONS_LIMIT_ALL).optional_count(all);
        self.of_listeners(totals, &m::CONNECTIONS_REFUSED, |l| l.refused);
        self.of_listeners(totals, &m::ACCEPT_ERRORS, |l| l.accept_errors);
        self.of_listeners(totals, &m::ACCEPT_PAUSES, |l| l.accept_pauses);
        let mut family = self.family(&m::REJECTIONS);
        for listener in &totals.listeners {
            for (rejection, n) in &listener.rejections {
                family.count(&[&listener.listener, rejection.word()], *n);
            }
        }
    }

    fn of_listeners(&mut self, totals: &Totals, metric: &Metric, figure: fn(&ListenerTotals) -> u64) {
        let mut family = self.family(metric);
        for listener in &totals.listeners {
            family.count(&[&listener.listener], figure(listener));
        }
    }

    fn routes(&mut self, totals: &Totals) {
        let labels =
            |route: &RouteTotals| [route.listener.clone(), route.route.clone(), route.upstream.clone()];
        let mut family = self.family(&m::REQUESTS);
        for route in &totals.routes {
            let [listener, name, upstream] = &labels(route);
            for answer in &route.answers {
                family.count(
                    &[listener, name, upstream, answer.method.word(), &Code::new(answer.code)],
                    answer.n,
                );
            }
        }
        let mut family = self.family(&m::REQUEST_DURATION);
        for route in &totals.routes {
            family.histogram(&labels(route).each_ref().map(|label| &**label), &route.duration);
        }
        for (metric, figure) in [
            (&m::REQUEST_BYTES, (|r| r.bytes_in) as fn(&RouteTotals) -> u64),
            (&m::RESPONSE_BYTES, |r| r.bytes_out),
        ] {
            let mut family = self.family(metric);
            for route in &totals.routes {
                family.count(&labels(route).each_ref().map(|label| &**label), figure(route));
            }
        }
    }

    fn sessions(&mut self, totals: &Totals) {
        let mut family = self.family(&m::TCP_SESSIONS);
        for sessions in &totals.sessions {
            family.count(&[&sessions.listener, &sessions.upstream, COMPLETED], sessions.completed);
            for (reason, n) in &sessions.endings {
                family.count(&[&sessions.listener, &sessions.upstream, reason.word()], *n);
            }
        }
        let mut family = self.family(&m::TCP_SESSION_DURATION);
        for sessions in &totals.sessions {
            let labels = [&*sessions.listener, &*sessions.upstream];
            family.histogram_by(&SESSION_BOUND_LABELS, &labels, &sessions.duration);
        }
        for (metric, figure) in [
            (&m::TCP_RECEIVED_BYTES, (|s| s.bytes_in) as fn(&SessionTotals) -> u64),
            (&m::TCP_SENT_BYTES, |s| s.bytes_out),
        ] {
            let mut family = self.family(metric);
            for sessions in &totals.sessions {
                family.count(&[&sessions.listener, &sessions.upstream], figure(sessions));
            }
        }
    }

    fn upstreams(&mut self, totals: &Totals) {
        let mut family = self.family(&m::UPSTREAM_REQUESTS);
        for endpoint in &totals.endpoints {
            for (code, n) in &endpoint.answers {
                family.count(&[&endpoint.upstream, &endpoint.endpoint, &Code::new(*code)], *n);
            }
        }
        let mut family = self.family(&m::UPSTREAM_REQUEST_DURATION);
        for endpoint in &totals.endpoints {
            family.histogram(&[&endpoint.upstream, &endpoint.endpoint], &endpoint.duration);
        }
        self.of_endpoints(totals, &m::UPSTREAM_IN_FLIGHT, |e| e.in_flight);
        self.of_reports(totals, &m::UPSTREAM_IN_FLIGHT_LIMIT, |state| state.in_flight_limit.map(u64::from));
        self.of_endpoints(totals, &m::UPSTREAM_CONNECTIONS, |e| e.connections);
        self.of_endpoints(totals, &m::UPSTREAM_CONNECTIONS_OPEN, |e| e.connections_open);
        self.of_endpoints(totals, &m::UPSTREAM_CONNECT_FAILURES, |e| e.connect_failures);
        let mut family = self.family(&m::UPSTREAM_RETRIES);
        for upstream in &totals.upstreams {
            for (reason, n) in upstream.retries {
                family.count(&[&upstream.upstream, reason.word()], n);
            }
        }
        let queues = &totals.control.queues;
        let mut family = self.family(&m::UPSTREAM_QUEUE_DEPTH);
        for (upstream, depth) in queues {
            family.count(&[upstream], *depth as u64);
        }
        let mut family = self.family(&m::UPSTREAM_QUEUE_WAIT);
        let has_queue = |name: &str| queues.iter().any(|(upstream, _)| upstream == name);
        for upstream in totals.upstreams.iter().filter(|upstream| has_queue(&upstream.upstream)) {
            family.histogram(&[&upstream.upstream], &upstream.queue_wait);
        }
    }

    fn of_endpoints(&mut self, totals: &Totals, metric: &Metric, figure: fn(&EndpointTotals) -> u64) {
        let mut family = self.family(metric);
        for endpoint in &totals.endpoints {
            family.count(&[&endpoint.upstream, &endpoint.endpoint], figure(endpoint));
        }
    }

    /// Of the endpoints whose state is known, and have that figure.
    fn of_reports(&mut self, totals: &Totals, metric: &Metric, figure: fn(EndpointState) -> Option<u64>) {
        let mut family = self.family(metric);
        for report in &totals.control.endpoints {
            if let Some(n) = report.state.and_then(figure) {
                family.count(&[&report.upstream, &report.endpoint], n);
            }
        }
    }

    fn endpoint_reports(&mut self, totals: &Totals) {
        let reports = &totals.control.endpoints;
        self.of_reports(totals, &m::ENDPOINT_UP, |state| Some(state.up.into()));
        self.of_reports(totals, &m::ENDPOINT_EJECTED, |state| Some(state.ejected.into()));
        let mut family = self.family(&m::ENDPOINT_EJECTIONS);
        for endpoint in &totals.endpoints {
            for (reason, n) in outlier::Reason::ALL.iter().zip(endpoint.ejections) {
                family.count(&[&endpoint.upstream, &endpoint.endpoint, reason.word()], n);
            }
        }
        self.of_reports(totals, &m::ENDPOINT_DRAINING, |state| Some(state.draining.into()));
        self.of_reports(totals, &m::ENDPOINT_WEIGHT, |state| Some(state.weight.into()));
        let probed = || reports.iter().filter_map(|report| Some((report, report.last_probe?)));
        let mut family = self.family(&m::PROBES);
        for (report, _) in probed() {
            for (result, n) in ProbeResult::ALL.iter().zip(report.probes) {
                family.count(&[&report.upstream, &report.endpoint, result.word()], n);
            }
        }
        let mut family = self.family(&m::PROBE_DURATION);
        for (report, duration) in probed() {
            family.seconds(&[&report.upstream, &report.endpoint], crate::histogram::micros(duration));
        }
    }

    fn process(&mut self, process: &Process) {
        self.family(&m::PROCESS_START_TIME).optional_seconds(process.started_micros);
        self.family(&m::PROCESS_CPU).optional_seconds(process.cpu_micros);
        self.family(&m::PROCESS_RESIDENT).optional_count(process.resident_bytes);
        self.family(&m::PROCESS_OPEN_FDS).optional_count(process.open_fds);
        self.family(&m::PROCESS_MAX_FDS).optional_count(process.max_fds);
    }

    /// Begins a metric: its `# HELP` and `# TYPE` lines, whether samples follow or not.
    fn family<'p>(&'p mut self, metric: &'p Metric) -> Family<'p> {
        for part in [
            "# HELP ",
            metric.name,
            " ",
            metric.help,
            "\n# TYPE ",
            metric.name,
            " ",
            metric.kind.word(),
            "\n",
        ] {
            self.out.extend_from_slice(part.as_bytes());
        }
        Family { out: &mut self.out, metric }
    }
}

/// The samples of one metric.
struct Family<'p> {
    out: &'p mut Vec<u8>,
    metric: &'p Metric,
}

impl Family<'_> {
    fn count(&mut self, values: &[&str], n: u64) {
        self.name_and_labels(values);
        number::put(self.out, n);
        self.out.push(b'\n');
    }

    fn seconds(&mut self, values: &[&str], micros: u64) {
        self.name_and_labels(values);
        number::put_seconds(self.out, micros);
        self.out.push(b'\n');
    }

    fn optional_count(&mut self, n: Option<u64>) {
        if let Some(n) = n {
            self.count(&[], n);
        }
    }

    fn optional_seconds(&mut self, micros: Option<u64>) {
        if let Some(micros) = micros {
            self.seconds(&[], micros);
        }
    }

    fn histogram(&mut self, values: &[&str], snapshot: &HistogramSnapshot) {
        self.histogram_by(&BOUND_LABELS, values, snapshot);
    }

    fn histogram_by(&mut self, bounds: &[&str], values: &[&str], snapshot: &HistogramSnapshot) {
        let mut labels = Vec::with_capacity(128);
        put_labels(&mut labels, self.metric.labels, values);
        let mut sum = 0;
        for (n, le) in snapshot.buckets.iter().zip(bounds.iter().copied().chain(["+Inf"])) {
            sum += n;
            for part in [self.metric.name.as_bytes(), b"_bucket{", &labels, b",le=\"", le.as_bytes(), b"\"} "]
            {
                self.out.extend_from_slice(part);
            }
            number::put(self.out, sum);
            self.out.push(b'\n');
        }
        for part in [self.metric.name.as_bytes(), b"_sum{", &labels, b"} "] {
            self.out.extend_from_slice(part);
        }
        number::put_seconds(self.out, snapshot.sum_micros);
        for part in [b"\n", self.metric.name.as_bytes(), b"_count{", &labels, b"} "] {
            self.out.extend_from_slice(part);
        }
        number::put(self.out, sum);
        self.out.push(b'\n');
    }

    fn name_and_labels(&mut self, values: &[&str]) {
        debug_assert_eq!(values.len(), self.metric.labels.len(), "{}", self.metric.name);
        self.out.extend_from_slice(self.metric.name.as_bytes());
        if !values.is_empty() {
            self.out.push(b'{');
            put_labels(self.out, self.metric.labels, values);
            self.out.push(b'}');
        }
        self.out.push(b' ');
    }
}

fn put_labels(out: &mut Vec<u8>, names: &[&str], values: &[&str]) {
    for (i, (name, value)) in names.iter().zip(values).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        put_escaped(out, value);
        out.push(b'"');
    }
}

/// The format escapes exactly these three.
fn put_escaped(out: &mut Vec<u8>, value: &str) {
    for part in value.split_inclusive(['\\', '"', '\n']) {
        let (plain, escaped): (&str, &[u8]) = match part.as_bytes().last() {
            Some(b'\\') => (part.trim_end_matches('\\'), b"\\\\"),
            Some(b'"') => (part.trim_end_matches('"'), b"\\\""),
            Some(b'\n') => (part.trim_end_matches('\n'), b"\\n"),
            _ => (part, b""),
        };
        out.extend_from_slice(plain.as_bytes());
        out.extend_from_slice(escaped);
    }
}

/// A status code as its three digits.
struct Code([u8; 3]);

impl Code {
    fn new(code: u16) -> Self {
        let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
        Self([digit(code / 100), digit(code / 10), digit(code)])
    }
}

impl std::ops::Deref for Code {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("000")
    }
}

#[cfg(test)]
mod tests;
