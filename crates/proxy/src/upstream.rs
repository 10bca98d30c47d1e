//! An upstream and its endpoints as one worker has them: picking one, and deciding about another try.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_config::plan::Upstream;
use evenkeel_policy::affinity::Key;
use evenkeel_policy::balance::{Balance, Balancer, Eligible, Hint};
use evenkeel_policy::eligibility::{Ineligible, eligible};
use evenkeel_policy::endpoint::{EndpointId, Endpoints};
use evenkeel_policy::latency::{Memory, Moment};
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::retry::{self, Attempted, Budget, Decision, Failure};
use evenkeel_telemetry::{EndpointSeries, RetryReason, UpstreamSeries, Writer};

use crate::deployment::{SharedEndpoint, SharedUpstream, endpoints};
use crate::outliers::OutlierState;
use crate::pool::Pool;
use crate::room::WaitingRoom;
use crate::state::Worker;
use crate::wait::moment;

/// An upstream of this worker.
pub(crate) struct UpstreamState {
    pub(crate) settings: Upstream,
    pub(crate) series: Arc<UpstreamSeries>,
    pub(crate) budget: RefCell<Budget>,
    endpoints: Endpoints,
    pub(crate) states: Vec<Rc<EndpointState>>,
    balancer: RefCell<Balancer>,
    /// Where requests wait while all endpoints are full, if they may.
    pub(crate) room: Option<Arc<WaitingRoom>>,
    /// How long slow answers are remembered, if the algorithm heeds latency.
    pub(crate) memory: Option<Memory>,
    /// When requests that fail take an endpoint out, if they ever do.
    pub(crate) outliers: Option<OutlierState>,
}

/// An endpoint of this worker; kept by every snapshot that names it.
pub(crate) struct EndpointState {
    pub(crate) shared: Arc<SharedEndpoint>,
    pub(crate) series: Arc<EndpointSeries>,
    pub(crate) pool: Pool,
    /// Whether it was up when somebody last asked [`EndpointState::has_fallen`].
    was_up: Cell<bool>,
}

impl UpstreamState {
    pub(crate) fn new(
        settings: &Upstream,
        shared: &SharedUpstream,
        telemetry: &Writer,
        kept: impl Fn(&Arc<SharedEndpoint>) -> Option<Rc<EndpointState>>,
    ) -> Self {
        let states = shared
            .endpoints
            .iter()
            .map(|shared| {
                kept(shared).unwrap_or_else(|| {
                    Rc::new(EndpointState {
                        shared: shared.clone(),
                        series: telemetry.endpoint(&settings.name, &shared.label),
                        pool: Pool::default(),
                        was_up: Cell::new(true),
                    })
                })
            })
            .collect();
        let endpoints = endpoints(settings, &shared.endpoints);
        let bound = settings.hash.as_ref().and_then(|hash| hash.bound);
        let mut balancer = Balancer::new(settings.balance).bounded(bound);
        balancer.rebuild(&endpoints);
        Self {
            settings: settings.clone(),
            series: telemetry.upstream(&settings.name),
            budget: RefCell::new(Budget::new(settings.retry.budget, Instant::now())),
            endpoints,
            states,
            balancer: RefCell::new(balancer),
            room: settings.queue.map(|_| shared.room.clone()),
            memory: settings.balance.memory(),
            outliers: OutlierState::new(settings, shared.outliers.as_ref()),
        }
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// `now` for those who ask for it: nobody else pays for the clock.
    fn moment(&self, now: Instant) -> Moment {
        if self.memory.is_some() || self.outliers.is_some() { moment(now) } else { Moment::default() }
    }

    /// The part of a request by which it is hashed, if the algorithm picks by a hash.
    pub(crate) fn key(&self) -> Option<&Key> {
        self.settings.hash.as_ref().map(|hash| &hash.key)
    }

    /// Picks an endpoint for the next attempt and counts the request there. `hash` is that of its [`UpstreamState::key`].
    ///
    /// # Errors
    /// Nobody is eligible.
    pub(crate) fn pick(
        &self,
        worker: &Worker,
        tried: &[EndpointId],
        hash: Option<u64>,
        now: Instant,
    ) -> Result<(EndpointId, Rc<EndpointState>), Ineligible> {
        let ids = &mut *worker.eligible.borrow_mut();
        let now = self.moment(now);
        let hint = Hint { hash, now };
        // Another worker may take the last place between the look and the count; then there is one fewer
        // eligible the next time round, so that this ends.
        loop {
            eligible(&self.endpoints, tried, now, ids)?;
            let Some(choice) = Eligible::new(&self.endpoints, ids) else { return Err(Ineligible::default()) };
            let id = self.balancer.borrow_mut().pick(&choice, hint, &mut worker.rng.borrow_mut());
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

    /// Whether to try again elsewhere after this failure; if so, it is paid for and counted.
    pub(crate) fn may_retry(
        &self,
        worker: &Worker,
        tried: &[EndpointId],
        failure: Failure,
        attempted: &Attempted,
    ) -> bool {
        let now = Instant::now();
        let is_hopeless = |ineligible: &Ineligible| ineligible.busy == 0 || self.room.is_none();
        if self.has_another(worker, tried, now).is_err_and(|ineligible| is_hopeless(&ineligible)) {
            return false;
        }
        let budget = &mut self.budget.borrow_mut();
        if retry::decide(&self.settings.retry, failure, attempted, budget, now) != Decision::Retry {
            return false;
        }
        self.series.retry(match failure {
            Failure::Connect | Failure::ConnectTimeout => RetryReason::Connect,
            Failure::Reset => RetryReason::Reset,
            Failure::AttemptTimeout => RetryReason::Timeout,
            Failure::Status(_) => RetryReason::Status,
        });
        true
    }

    /// Whether an endpoint other than those tried could take an attempt.
    ///
    /// # Errors
    /// None could.
    pub(crate) fn has_another(
        &self,
        worker: &Worker,
        tried: &[EndpointId],
        now: Instant,
    ) -> Result<(), Ineligible> {
        eligible(&self.endpoints, tried, self.moment(now), &mut worker.eligible.borrow_mut())
    }

    /// Whether requests wait for a place already: who comes now joins them.
    pub(crate) fn is_queueing(&self) -> bool {
        self.room.as_ref().is_some_and(|room| !room.is_empty())
    }
}

impl EndpointState {
    /// Whether it has gone down since this was last asked.
    pub(crate) fn has_fallen(&self) -> bool {
        let is_up = self.shared.status.is_up();
        self.was_up.replace(is_up) && !is_up
    }
}
