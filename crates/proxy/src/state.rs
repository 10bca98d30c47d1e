//! What a worker owns. Nothing here is ever borrowed across an await.
//!
//! A [`Snapshot`] is a deployment made ready for one worker: names resolved to handles, routes indexed,
//! metric series looked up. A request holds the snapshot it began with, by way of its listener and
//! destination, and never sees another one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_config::plan::{Action, Listener, OnDown, Protocol};
use evenkeel_http1::HeadParser;
use evenkeel_net::Address;
use evenkeel_policy::endpoint::EndpointId;
use evenkeel_policy::forwarding::Trust;
use evenkeel_policy::rng::Rng;
use evenkeel_policy::routing::{RouteId, RouteTable};
use evenkeel_telemetry::{AccessWriter, ListenerSeries, RouteSeries, SessionSeries, Writer};
use tokio::sync::Notify;

use crate::body::LARGEST_WINDOW;
use crate::deployment::{Deployment, SharedEndpoint, SharedListener};
use crate::timers::Timers;
use crate::upstream::{EndpointState, UpstreamState};
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
    /// Where its connections go, if it speaks TCP; then there are no requests.
    pub(crate) tunnel: Option<Tunnel>,
}

/// An upstream as a TCP listener reaches it.
#[derive(Clone)]
pub(crate) struct Tunnel {
    pub(crate) upstream: Rc<UpstreamState>,
    pub(crate) series: Arc<SessionSeries>,
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

impl Worker {
    /// Makes a deployment the current snapshot. Endpoints that stay keep their connections. Says whether a listener
    /// that stays no longer speaks HTTP.
    pub(crate) fn apply(&self, deployment: &Deployment, telemetry: &Writer) -> bool {
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
        let spoke_http = |shared: &Arc<SharedListener>| {
            old.listeners.iter().any(|old| Arc::ptr_eq(&old.shared, shared) && old.tunnel.is_none())
        };
        let changed = snapshot.listeners.iter().any(|new| new.tunnel.is_some() && spoke_http(&new.shared));
        *self.snapshot.borrow_mut() = Rc::new(snapshot);
        self.generation.set(self.generation.get().wrapping_add(1));
        changed
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
            .map(|(settings, shared)| Rc::new(UpstreamState::new(settings, shared, telemetry, kept)))
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
                let tunnel = match settings.protocol {
                    Protocol::Http => None,
                    Protocol::Tcp => {
                        settings.upstream.and_then(|upstream| upstreams.get(upstream)).map(|upstream| {
                            Tunnel {
                                upstream: upstream.clone(),
                                series: telemetry.sessions(&settings.name, &upstream.settings.name),
                            }
                        })
                    }
                };
                let takes = |on: Option<usize>| tunnel.is_none() && on.is_none_or(|on| on == index);
                let mut matchers = Vec::new();
                let mut routes = Vec::new();
                for route in plan.routes.iter().filter(|route| takes(route.listener)) {
                    matchers.push((route.matcher.clone(), RouteId(routes.len() as u32)));
                    routes.push(state(&route.name, &route.action));
                }
                Rc::new(ListenerState {
                    settings: settings.clone(),
                    shared: shared.clone(),
                    trust: Trust::new(settings.trusted_proxies.clone()),
                    series: telemetry.listener(&settings.name),
                    unrouted: match tunnel {
                        None => telemetry.route(&settings.name, "", ""),
                        // Not on the page: there are no requests.
                        Some(_) => Arc::default(),
                    },
                    own_host: match shared.listener.address() {
                        Address::Tcp(address) => address.to_string(),
                        Address::Unix(_) => "localhost".into(),
                    },
                    table: RouteTable::new(matchers),
                    routes,
                    fallback: settings
                        .upstream
                        .filter(|_| tunnel.is_none())
                        .map(|upstream| state("", &Action::Upstream(upstream))),
                    tunnel,
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

    /// Whether an endpoint whose sessions are to end then has gone down since this was last asked.
    pub(crate) fn has_fallen(&self) -> bool {
        let watched = self.upstreams.iter().filter(|upstream| upstream.settings.on_down == OnDown::Close);
        watched.flat_map(|upstream| &upstream.states).filter(|state| state.has_fallen()).count() > 0
    }

    /// Drops idle connections that are old, closed by their endpoint, or to an endpoint that is down.
    pub(crate) fn sweep(&self, now: Instant) {
        for upstream in &self.upstreams {
            for state in &upstream.states {
                if state.shared.status.is_up() {
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
