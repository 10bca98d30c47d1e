//! Where a hash leads: by the code that picks.

use evenkeel_config::plan::{Listener, Upstream};
use evenkeel_policy::affinity;
use evenkeel_policy::balance::{Balance, Balancer, Eligible, Hint};
use evenkeel_policy::endpoint::{EndpointId, Endpoints};
use evenkeel_policy::forwarding::Trust;
use evenkeel_policy::rng::Rng;

use super::Question;

/// The hash of a request, if the upstream picks by one and it is known: the client need not be.
pub(super) fn of_request(settings: &Upstream, listener: &Listener, question: &Question) -> Option<u64> {
    let fields = question.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let forwarded = fields.clone().filter(|(name, _)| name.eq_ignore_ascii_case(b"x-forwarded-for"));
    let trust = Trust::new(listener.trusted_proxies.clone());
    let client = || trust.client(question.client, forwarded.map(|(_, value)| value));
    settings.hash.as_ref()?.key.hash(client, question.target.as_bytes(), fields)
}

/// The same of a session.
pub(super) fn of_session(settings: &Upstream, question: &Question) -> Option<u64> {
    settings.hash.as_ref().and(question.client).map(affinity::of_client)
}

/// The endpoint that it leads to.
pub(super) fn picked(
    settings: &Upstream,
    endpoints: &Endpoints,
    eligible: &[EndpointId],
    hash: u64,
) -> Option<EndpointId> {
    let eligible = Eligible::new(endpoints, eligible)?;
    let mut balancer = Balancer::new(settings.balance).bounded(settings.hash.as_ref()?.bound);
    // With a hash nothing is left to chance.
    Some(balancer.pick(&eligible, Hint { hash: Some(hash), ..Hint::default() }, &mut Rng::new(0)))
}
