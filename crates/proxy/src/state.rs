//! What a worker owns. Nothing here is ever borrowed across an await.
//!
//! A [`Snapshot`] is a deployment made ready for one worker: names resolved to handles, routes indexed,
//! metric series looked up. A request holds the snapshot it began with, by way of its listener and
//! destination, and never sees another one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_config::plan::{Action, Listener, Upstream};
use evenkeel_http1::HeadParser;
use evenkeel_net::Address;
use evenkeel_policy::balance::{Balance, Balancer, Eligible, Hint};
use evenkeel_policy::eligibility::{Ineligible, eligible};
use evenkeel_policy::endpoint::{Endpoint, EndpointId, Endpoints};
use evenkeel_policy::forwarding::Trust;
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::retry::Budget;
use evenkeel_policy::rng::Rng;
use evenkeel_policy::routing::{RouteId, RouteTable};
use evenkeel_telemetry::{AccessWriter, EndpointSeries, ListenerSeries, RouteSeries, UpstreamSeries, Writer};
use tokio::sync::Notify;

use crate::body::LARGEST_WINDOW;
use crate::deployment::{Deployment, SharedEndpoint, SharedListener};
use crate::pool::Pool;
use crate::timers::Timers;
use crate::worker::{Handover, Peers};

/// One worker thread's state.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) peers: Arc<Peers>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) rng: RefCell<Rng>,
    pub(crate) scratch: RefCell<Scratch>,
    /// Room for the endpoints to choose from.
    pub(crate) eligible: RefCell<Vec<EndpointId>>,
    pub(crate) access: RefCell<AccessWriter>,
    pub(crate) snapshot: RefCell<Rc<Snapshot>>,
    /// Grows with every snapshot, so that a connection knows cheaply that there is a new one.
    pub(crate) generation: Cell<u32>,
    pub(crate) draining: Cell<bool>,
    /// Whether the patience of a graceful stop is over: who has no answer yet gets one of ours.
    pub(crate) is_over: Cell<bool>,
    /// Connections being served, and the signal that the last one ended.
    pub(crate) connections: Cell<usize>,
    pub(crate) idle: Notify,
    /// Connections that another worker handed over before this one knew their listener.
    pub(crate) early: RefCell<Vec<Handover>>,
}

/// Buffers for the work between two awaits.
pub(crate) struct Scratch {
    /// What was read last. One such buffer serves all connections of the worker: what is not passed on at once is
    /// copied out, so that a connection that waits holds no buffer. Memory is taken only as far as it is used.
    pub(crate) input: Box<[u8]>,
    /// What is being put together to be written.
    pub(crate) output: Vec<u8>,
    pub(crate) parser: HeadParser,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            input: vec![0; LARGEST_WINDOW].into(),
            output: Vec::with_capacity(4096),
            parser: HeadParser::default(),
        }
    }
}

/// A deployment made ready for one worker.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) listeners: Vec<Rc<ListenerState>>,
    pub(crate) upstreams: Vec<Rc<UpstreamState>>,
}

/// A listener and the routes behind it.
pub(crate) struct ListenerState {
    pub(crate) settings: Listener,
    pub(crate) shared: Arc<SharedListener>,
    pub(crate) trust: Trust,
    pub(crate) series: Arc<ListenerSeries>,
    /// Counts requests that no route took.
    pub(crate) unrouted: Arc<RouteSeries>,
    /// What to say to a request without `Host`: HTTP/1.1 endpoints insist on one.
    pub(crate) own_host: String,
    table: RouteTable,
    routes: Vec<Rc<RouteState>>,
    fallback: Option<Rc<RouteState>>,
}

/// A route, or the listener's own upstream as one.
pub(crate) struct RouteState {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
}

/// What becomes of a request.
pub(crate) enum Outcome {
    /// It is forwarded to one of these, by weight. Never empty.
    Forward(Vec<(Destination, u32)>),
    /// It is sent elsewhere.
    Redirect { to: String, status: u16, series: Arc<RouteSeries> },
    /// It is answered as the configuration says.
    Respond { status: u16, body: String, series: Arc<RouteSeries> },
}

/// An upstream as one route reaches it.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) upstream: Rc<UpstreamState>,
    pub(crate) series: Arc<RouteSeries>,
}

/// An upstream of this worker.
pub(crate) struct UpstreamState {
    pub(crate) settings: Upstream,
    pub(crate) series: Arc<UpstreamSeries>,
    pub(crate) budget: RefCell<Budget>,
    endpoints: Endpoints,
    states: Vec<Rc<EndpointState>>,
    balancer: RefCell<Balancer>,
}

/// An endpoint of this worker; kept by every snapshot that names it.
pub(crate) struct EndpointState {
    pub(crate) shared: Arc<SharedEndpoint>,
    pub(crate) series: Arc<EndpointSeries>,
    pub(crate) pool: Pool,
}

impl Worker {
    /// Makes a deployment the current snapshot. Endpoints that stay keep their connections.
    pub(crate) fn apply(&self, deployment: &Deployment, telemetry: &Writer) {
        let old = self.snapshot.borrow().clone();
        let snapshot = Snapshot::new(deployment, telemetry, &old);
        let stays = |state: &Rc<EndpointState>| {
            snapshot
                .upstreams
                .iter()
                .flat_map(|upstream| &upstream.states)
                .any(|other| Rc::ptr_eq(state, other))
        };
        for gone in old.upstreams.iter().flat_map(|upstream| &upstream.states).filter(|state| !stays(state)) {
            gone.pool.close();
        }
        *self.snapshot.borrow_mut() = Rc::new(snapshot);
        self.generation.set(self.generation.get().wrapping_add(1));
    }

    /// The state of a listener in the current snapshot.
    pub(crate) fn listener(&self, shared: &Arc<SharedListener>) -> Option<Rc<ListenerState>> {
        self.snapshot.borrow().listeners.iter().find(|state| Arc::ptr_eq(&state.shared, shared)).cloned()
    }
}

impl Snapshot {
    fn new(deployment: &Deployment, telemetry: &Writer, old: &Snapshot) -> Self {
        let plan = &deployment.plan;
        let kept = |shared: &Arc<SharedEndpoint>| {
            old.upstreams
                .iter()
                .flat_map(|upstream| &upstream.states)
                .find(|state| Arc::ptr_eq(&state.shared, shared))
                .cloned()
        };
        let upstreams: Vec<Rc<UpstreamState>> = plan
            .upstreams
            .iter()
            .zip(&deployment.upstreams)
            .map(|(settings, endpoints)| Rc::new(UpstreamState::new(settings, endpoints, telemetry, kept)))
            .collect();
        let listeners = plan
            .listeners
            .iter()
            .zip(&deployment.listeners)
            .enumerate()
            .map(|(index, (settings, shared))| {
                let destination = |route: &str, upstream: usize| {
                    upstreams.get(upstream).map(|upstream| Destination {
                        upstream: upstream.clone(),
                        series: telemetry.route(&settings.name, route, &upstream.settings.name),
                    })
                };
                let state = |name: &str, action: &Action| {
                    let series = || telemetry.route(&settings.name, name, "");
                    let outcome = match action {
                        Action::Upstream(upstream) => Outcome::Forward(
                            destination(name, *upstream).into_iter().map(|to| (to, 1)).collect(),
                        ),
                        Action::Split(parts) => Outcome::Forward(
                            parts
                                .iter()
                                .filter_map(|(upstream, weight)| {
                                    Some((destination(name, *upstream)?, *weight))
                                })
                                .collect(),
                        ),
                        Action::Redirect { to, status } => {
                            Outcome::Redirect { to: to.clone(), status: *status, series: series() }
                        }
                        Action::Respond { status, body } => {
                            Outcome::Respond { status: *status, body: body.clone(), series: series() }
                        }
                    };
                    Rc::new(RouteState { name: name.into(), outcome })
                };
                let mut matchers = Vec::new();
                let mut routes = Vec::new();
                for route in plan.routes.iter().filter(|route| route.listener.is_none_or(|on| on == index)) {
                    matchers.push((route.matcher.clone(), RouteId(routes.len() as u32)));
                    routes.push(state(&route.name, &route.action));
                }
                Rc::new(ListenerState {
                    settings: settings.clone(),
                    shared: shared.clone(),
                    trust: Trust::new(settings.trusted_proxies.clone()),
                    series: telemetry.listener(&settings.name),
                    unrouted: telemetry.route(&settings.name, "", ""),
                    own_host: match shared.listener.address() {
                        Address::Tcp(address) => address.to_string(),
                        Address::Unix(_) => "localhost".into(),
                    },
                    table: RouteTable::new(matchers),
                    routes,
                    fallback: settings.upstream.map(|upstream| state("", &Action::Upstream(upstream))),
                })
            })
            .collect();
        Self { listeners, upstreams }
    }

    /// Drops all idle connections to endpoints, when file descriptors are needed for something better.
    pub(crate) fn release_idle(&self) {
        for state in self.upstreams.iter().flat_map(|upstream| &upstream.states) {
            state.pool.clear();
        }
    }

    /// Drops idle connections that are old, closed by their endpoint, or to an endpoint that is down.
    pub(crate) fn sweep(&self, now: Instant) {
        for upstream in &self.upstreams {
            for state in &upstream.states {
                if state.shared.status.state().up {
                    state.pool.sweep(now, upstream.settings.pool.idle);
                } else {
                    state.pool.clear();
                }
            }
        }
    }
}

impl ListenerState {
    /// The route that takes a request, if any does.
    pub(crate) fn route(&self, request: &evenkeel_policy::routing::Request<'_>) -> Option<Rc<RouteState>> {
        match self.table.route(request) {
            Some(RouteId(index)) => self.routes.get(index as usize),
            None => self.fallback.as_ref(),
        }
        .cloned()
    }
}

impl UpstreamState {
    fn new(
        settings: &Upstream,
        shared: &[Arc<SharedEndpoint>],
        telemetry: &Writer,
        kept: impl Fn(&Arc<SharedEndpoint>) -> Option<Rc<EndpointState>>,
    ) -> Self {
        let states = shared
            .iter()
            .map(|shared| {
                kept(shared).unwrap_or_else(|| {
                    Rc::new(EndpointState {
                        shared: shared.clone(),
                        series: telemetry.endpoint(&settings.name, &shared.label),
                        pool: Pool::default(),
                    })
                })
            })
            .collect();
        let endpoints = settings
            .endpoints
            .iter()
            .zip(shared)
            .map(|(settings, shared)| Endpoint {
                status: shared.status.clone(),
                load: shared.load.clone(),
                max_in_flight: settings.max_in_flight,
                backup: settings.backup,
            })
            .collect();
        let endpoints = Endpoints::new(endpoints);
        let mut balancer = Balancer::new(settings.balance);
        balancer.rebuild(&endpoints);
        Self {
            settings: settings.clone(),
            series: telemetry.upstream(&settings.name),
            budget: RefCell::new(Budget::new(settings.retry.budget, Instant::now())),
            endpoints,
            states,
            balancer: RefCell::new(balancer),
        }
    }

    /// Picks an endpoint for the next attempt and counts the request there.
    ///
    /// # Errors
    /// Nobody is eligible.
    pub(crate) fn pick(
        &self,
        worker: &Worker,
        tried: &[EndpointId],
    ) -> Result<(EndpointId, Rc<EndpointState>), Ineligible> {
        let ids = &mut *worker.eligible.borrow_mut();
        // Another worker may take the last place between the look and the count; then there is one fewer
        // eligible the next time round, so that this ends.
        loop {
            eligible(&self.endpoints, tried, ids)?;
            let Some(choice) = Eligible::new(&self.endpoints, ids) else { return Err(Ineligible::default()) };
            let id = self.balancer.borrow_mut().pick(&choice, Hint::default(), &mut worker.rng.borrow_mut());
            let (Some(endpoint), Some(state)) = (self.endpoints.get(id), self.states.get(id.0 as usize))
            else {
                return Err(Ineligible::default());
            };
            if endpoint.load.try_begin(endpoint.max_in_flight) {
                return Ok((id, state.clone()));
            }
        }
    }

    /// What to answer when nobody is eligible.
    pub(crate) fn rejection(&self, ineligible: &Ineligible) -> Rejection {
        match ineligible.rejection() {
            Rejection::EndpointsDown if self.states.iter().all(|state| state.shared.target().is_none()) => {
                Rejection::UnresolvedName
            }
            rejection => rejection,
        }
    }

    /// Whether an endpoint other than those tried could take an attempt.
    pub(crate) fn has_another(&self, worker: &Worker, tried: &[EndpointId]) -> bool {
        eligible(&self.endpoints, tried, &mut worker.eligible.borrow_mut()).is_ok()
    }
}
