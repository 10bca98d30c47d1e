//! Outlier detection as one worker takes part in it: what its attempts met, told to policy, and what comes of it.

use std::sync::Arc;
use std::time::Instant;

use evenkeel_config::plan::Upstream;
use evenkeel_policy::endpoint::{EndpointId, Endpoints};
use evenkeel_policy::outlier::{Attempt, Ejection, OutlierRules, Outliers, is_error};
use evenkeel_policy::retry::Failure;

use crate::deployment::{Ejected, SharedOutliers};
use crate::upstream::UpstreamState;
use crate::wait::moment;

/// The rules of an upstream that has some, and what workers share for them.
pub(crate) struct OutlierState {
    rules: OutlierRules,
    shared: Arc<SharedOutliers>,
}

impl OutlierState {
    pub(crate) fn new(settings: &Upstream, shared: Option<&Arc<SharedOutliers>>) -> Option<Self> {
        settings.outliers.clone().zip(shared.cloned()).map(|(rules, shared)| Self { rules, shared })
    }

    fn policy<'a>(&'a self, endpoints: &'a Endpoints) -> Outliers<'a> {
        Outliers { rules: &self.rules, detector: &self.shared.detector, endpoints }
    }
}

impl UpstreamState {
    /// An attempt at this endpoint was answered with a status.
    #[inline]
    pub(crate) fn answered(&self, endpoint: EndpointId, status: u16, began: Instant, ended: Instant) {
        if self.outliers.is_some() {
            if is_error(status) {
                self.failed(endpoint, Failure::Status(status), began, ended);
            } else {
                self.connected(endpoint, began, ended);
            }
        }
    }

    /// An attempt at this endpoint had what it asked for: a good answer, or of a session a connection.
    #[inline]
    pub(crate) fn connected(&self, id: EndpointId, began: Instant, ended: Instant) {
        let Some(outliers) = &self.outliers else { return };
        let policy = outliers.policy(self.endpoints());
        if policy.heeds_answers(id) {
            policy.answered(attempt(id, began, ended), &mut |id, ejection| self.tell(outliers, id, ejection));
        }
    }

    /// An attempt at this endpoint failed, by the endpoint's doing.
    pub(crate) fn failed(&self, id: EndpointId, failure: Failure, began: Instant, ended: Instant) {
        let Some(outliers) = &self.outliers else { return };
        let tell = &mut |id, ejection| self.tell(outliers, id, ejection);
        outliers.policy(self.endpoints()).failed(attempt(id, began, ended), failure, tell);
    }

    fn tell(&self, outliers: &OutlierState, id: EndpointId, ejection: Ejection) {
        let Some(endpoint) = self.states.get(id.0 as usize) else { return };
        endpoint.series.ejected(ejection.reason);
        let (upstream, endpoint) = (self.settings.name.clone(), endpoint.shared.clone());
        outliers.shared.tell(Ejected { upstream, endpoint, ejection });
    }
}

fn attempt(endpoint: EndpointId, began: Instant, ended: Instant) -> Attempt {
    Attempt { endpoint, began: moment(began), ended: moment(ended) }
}
