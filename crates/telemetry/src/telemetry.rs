//! The process's telemetry: hands out writers, sums what they counted, renders the page.

use crate::access::{AccessCounts, AccessLog};
use crate::control::ControlSeries;
use crate::page;
use crate::process::Process;
use crate::registry::{Labels, Registry};
use crate::series::{EndpointSeries, ListenerSeries, RouteSeries, SessionSeries, UpstreamSeries};
use crate::totals::Totals;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All counts of the process. One per process, shared by `Arc`.
#[derive(Debug)]
pub struct Telemetry {
    registry: Mutex<Registry>,
    control: Arc<ControlSeries>,
    access: Mutex<AccessTotals>,
    started_micros: Option<u64>,
}

impl Telemetry {
    /// Empty telemetry.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            registry: Mutex::default(),
            control: Arc::default(),
            access: Mutex::default(),
            started_micros: crate::process::started_micros(),
        })
    }

    /// One writer's view: worker threads and the control thread each take one. The counts of a writer that ends stay
    /// in the sum; what it left open (connections, attempts) counts as over once nobody holds its series.
    pub fn writer(self: &Arc<Self>) -> Writer {
        Writer { telemetry: Arc::clone(self), alive: Arc::new(()), not_sync: PhantomData }
    }

    /// What the slow side reports; the same for all writers.
    pub fn control(&self) -> Arc<ControlSeries> {
        Arc::clone(&self.control)
    }

    /// To be called after a plan was applied: series with labels that `keep` refuses go, as soon as nobody holds them.
    /// Without this call no series ever goes, held or not, so a count is never lost by accident.
    pub fn retain(&self, mut keep: impl FnMut(&Labels<'_>) -> bool) {
        lock(&self.registry).retain(&mut keep);
        self.control.retain(|upstream, endpoint| keep(&Labels::Endpoint { upstream, endpoint }));
    }

    /// Puts the lost lines of this access log on the page, together with those of logs watched before.
    pub fn watch(&self, log: &AccessLog) {
        lock(&self.access).logs.push(log.counts());
    }

    /// The Prometheus page, to be served as [`CONTENT_TYPE`](crate::CONTENT_TYPE). Milliseconds for 1000 endpoints.
    pub fn page(&self) -> String {
        page::render(&self.totals(), &Process::read(self.started_micros))
    }

    /// Everything counted so far as plain numbers. Workers that ask for a series meanwhile wait for the summing (tens
    /// of microseconds per hundred series); recording never waits.
    pub fn totals(&self) -> Totals {
        let mut totals = {
            let mut registry = lock(&self.registry);
            registry.sweep();
            Totals::sum(&registry)
        };
        totals.control = self.control.totals();
        let mut access = lock(&self.access);
        access.fold();
        totals.access_log_dropped = access.dropped + access.logs.iter().map(|log| log.dropped()).sum::<u64>();
        totals.access_log_write_errors =
            access.write_errors + access.logs.iter().map(|log| log.write_errors()).sum::<u64>();
        totals
    }
}

/// One thread's view of the telemetry. Asking it for a series takes a lock and is meant for when a plan is applied;
/// the series are then held and written by this thread alone. Same labels, same series, also after a reload.
#[derive(Debug)]
pub struct Writer {
    telemetry: Arc<Telemetry>,
    /// The registry holds it weakly: it tells a writer that ended from one that has only dropped a series.
    alive: Arc<()>,
    not_sync: PhantomData<Cell<()>>,
}

impl Writer {
    /// Connections and rejections of a listener.
    pub fn listener(&self, listener: &str) -> Arc<ListenerSeries> {
        self.registry().listeners.take([listener], &self.alive)
    }

    /// Requests of a route that go to an upstream.
    pub fn route(&self, listener: &str, route: &str, upstream: &str) -> Arc<RouteSeries> {
        self.registry().routes.take([listener, route, upstream], &self.alive)
    }

    /// Sessions of a TCP listener with its upstream.
    pub fn sessions(&self, listener: &str, upstream: &str) -> Arc<SessionSeries> {
        self.registry().sessions.take([listener, upstream], &self.alive)
    }

    /// Retries of an upstream.
    pub fn upstream(&self, upstream: &str) -> Arc<UpstreamSeries> {
        self.registry().upstreams.take([upstream], &self.alive)
    }

    /// Attempts at an endpoint and connections to it.
    pub fn endpoint(&self, upstream: &str, endpoint: &str) -> Arc<EndpointSeries> {
        self.registry().endpoints.take([upstream, endpoint], &self.alive)
    }

    /// What the slow side reports.
    pub fn control(&self) -> Arc<ControlSeries> {
        self.telemetry.control()
    }

    /// The telemetry this writer belongs to.
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.telemetry.registry)
    }
}

/// Losses of the watched logs: those still in use, and the sum of those that ended.
#[derive(Debug, Default)]
struct AccessTotals {
    dropped: u64,
    write_errors: u64,
    logs: Vec<Arc<AccessCounts>>,
}

impl AccessTotals {
    fn fold(&mut self) {
        self.logs.retain_mut(|log| {
            let Some(log) = Arc::get_mut(log) else { return true };
            self.dropped += log.dropped();
            self.write_errors += log.write_errors();
            false
        });
    }
}

/// Counts stay usable when a thread panicked while it held the lock: they are plain numbers.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::EndpointState;
    use crate::method::Method;
    use evenkeel_policy::rejection::Rejection;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_same_labels_are_the_same_series_per_writer() {
        let telemetry = Telemetry::new();
        let (one, two) = (telemetry.writer(), telemetry.writer());
        let series = one.route("web", "api", "app");
        assert!(Arc::ptr_eq(&series, &one.route("web", "api", "app")));
        assert!(!Arc::ptr_eq(&series, &two.route("web", "api", "app")));
        assert!(!Arc::ptr_eq(&series, &one.route("web", "api", "b")));
        series.request(Method::Get, 200, MS, 1, 2);
        two.route("web", "api", "app").request(Method::Post, 503, MS, 10, 20);
        let totals = telemetry.totals();
        assert_eq!(totals.routes.len(), 2);
        let route = &totals.routes[0];
        assert_eq!((&*route.listener, &*route.route, &*route.upstream), ("web", "api", "app"));
        assert_eq!((route.requests(), route.errors()), (2, 1));
        assert_eq!((route.bytes_in, route.bytes_out, route.duration.count()), (11, 22, 2));
    }

    #[test]
    fn a_writer_that_ends_keeps_its_counts_and_leaves_nothing_open() {
        let telemetry = Telemetry::new();
        for _ in 0..100 {
            let writer = telemetry.writer();
            let endpoint = writer.endpoint("app", "e1");
            endpoint.connection_opened();
            endpoint.begin();
            endpoint.end(Some(200), MS);
            endpoint.begin();
            assert_eq!(telemetry.totals().endpoints[0].in_flight, 1);
            drop(writer);
            // Still held: it may still end what it began.
            assert_eq!(telemetry.totals().endpoints[0].in_flight, 1);
        }
        let totals = telemetry.totals();
        assert_eq!(totals.endpoints.len(), 1);
        assert_eq!((totals.endpoints[0].requests(), totals.endpoints[0].in_flight), (100, 0));
        assert_eq!((totals.endpoints[0].connections, totals.endpoints[0].connections_open), (100, 0));
        let mut series = 0;
        lock(&telemetry.registry).endpoints.each(|_, all| series += all.count());
        assert_eq!(series, 1, "ended writers are folded into one");
    }

    #[test]
    fn sessions_are_counted_while_they_run_and_when_they_end() {
        let telemetry = Telemetry::new();
        let writer = telemetry.writer();
        let (sessions, endpoint) = (writer.sessions("cache", "redis"), writer.endpoint("redis", "e1"));
        endpoint.begin();
        sessions.passed(10, 0);
        sessions.passed(5, 700);
        let running = telemetry.totals();
        assert_eq!((running.sessions[0].bytes_in, running.sessions[0].bytes_out), (15, 700));
        assert_eq!((running.sessions[0].ended(), running.endpoints[0].in_flight), (0, 1));
        sessions.ended(None, Duration::from_secs(7200));
        sessions.ended(Some(Rejection::IdleTimeout), MS);
        endpoint.end_session();
        drop((writer, sessions, endpoint));
        let totals = telemetry.totals();
        let sessions = &totals.sessions[0];
        assert_eq!((&*sessions.listener, &*sessions.upstream), ("cache", "redis"));
        assert_eq!((sessions.ended(), sessions.completed), (2, 1));
        assert_eq!(sessions.endings, [(Rejection::IdleTimeout, 1)]);
        assert_eq!((sessions.bytes_in, sessions.bytes_out, sessions.duration.count()), (15, 700, 2));
        assert_eq!((totals.endpoints[0].in_flight, totals.endpoints[0].requests()), (0, 0));
        telemetry
            .retain(|labels| !matches!(labels, Labels::Sessions { listener: "cache", upstream: "redis" }));
        assert!(telemetry.totals().sessions.is_empty());
    }

    #[test]
    fn series_go_when_they_left_the_plan_and_nobody_holds_them() {
        let telemetry = Telemetry::new();
        let writer = telemetry.writer();
        let held = writer.endpoint("app", "held");
        writer.endpoint("app", "unheld").connect_failed();
        writer.endpoint("app", "gone").connect_failed();
        let now =
            EndpointState { up: true, ejected: false, draining: false, weight: 1, in_flight_limit: None };
        writer.control().set_endpoint("app", "gone", now);
        let endpoints = |telemetry: &Telemetry| {
            telemetry.totals().endpoints.iter().map(|e| e.endpoint.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(endpoints(&telemetry), ["gone", "held", "unheld"], "nothing goes by itself");
        telemetry.retain(|labels| matches!(labels, Labels::Endpoint { endpoint: "unheld", .. }));
        assert_eq!(endpoints(&telemetry), ["held", "unheld"]);
        assert!(telemetry.totals().control.endpoints.is_empty());
        held.connect_failed();
        assert_eq!(telemetry.totals().endpoints[0].connect_failures, 1);
        // Back in the plan before it went: nothing is lost.
        telemetry.retain(|_| true);
        drop(held);
        assert_eq!(telemetry.totals().endpoints[0].connect_failures, 1);
        assert_eq!(telemetry.totals().endpoints[1].connect_failures, 1);
        telemetry.retain(|_| false);
        assert!(endpoints(&telemetry).is_empty());
    }

    #[test]
    fn scraping_beside_busy_writers_loses_nothing() {
        const EACH: u64 = 20_000;
        let telemetry = Telemetry::new();
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    let writer = telemetry.writer();
                    scope.spawn(move || {
                        let (route, endpoint) = (writer.route("web", "r", "u"), writer.endpoint("u", "e"));
                        for i in 0..EACH {
                            endpoint.begin();
                            endpoint.end(Some(200), MS);
                            route.request(Method::Get, 200 + (i % 50) as u16, MS, 1, 1);
                        }
                    })
                })
                .collect();
            while !writers.iter().all(|writer| writer.is_finished()) {
                if let Some(endpoint) = telemetry.totals().endpoints.first() {
                    assert!(endpoint.in_flight <= 2 * EACH, "never below zero");
                }
            }
        });
        let totals = telemetry.totals();
        assert_eq!((totals.routes[0].requests(), totals.routes[0].bytes_in), (2 * EACH, 2 * EACH));
        assert_eq!((totals.endpoints[0].requests(), totals.endpoints[0].in_flight), (2 * EACH, 0));
    }
}
