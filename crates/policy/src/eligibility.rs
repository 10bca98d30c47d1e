//! Who may take the next attempt, and why the others may not.
//!
//! Settled before balancing, so that no algorithm has to know about health, caps or drains.
//!
//! Backups are used when no primary is *eligible*, whatever the reason: down, full, drained, or
//! tried already by this request. A single primary that refuses its connection therefore hands the
//! request to the backup at once, before any probe has noticed. (nginx does the same; HAProxy waits
//! until every primary is down.)
//!
//! Ejected endpoints are used when every endpoint that would be given requests is ejected: live traffic never makes
//! an upstream unavailable that probes and operators leave some of. (Envoy calls that panic mode.)

use std::fmt;

use crate::endpoint::{Endpoint, EndpointId, Endpoints, State, Status};
use crate::latency::Moment;
use crate::rejection::Rejection;

/// Writes the endpoints that may take the next attempt of a request into `out`, ascending.
///
/// `tried` are those this request has had already, never offered again. `now` says which ejections are over; where
/// nobody is ejected, any moment will do. `out` is cleared first and never left empty on success; reuse it, and nothing
/// is allocated.
///
/// # Errors
/// When there is none, with the reasons counted.
pub fn eligible(
    endpoints: &Endpoints,
    tried: &[EndpointId],
    now: Moment,
    out: &mut Vec<EndpointId>,
) -> Result<(), Ineligible> {
    out.clear();
    collect(endpoints, tried, |status| status.accepts_new(now), out);
    if out.is_empty() {
        if all_are_ejected(endpoints, now) {
            collect(endpoints, tried, Status::is_in_service, out);
        }
        if out.is_empty() {
            return Err(Ineligible::count(endpoints, tried, now));
        }
    }
    Ok(())
}

/// The verdict on every endpoint with its reason, for people.
#[must_use]
pub fn explain(
    endpoints: &Endpoints,
    tried: &[EndpointId],
    now: Moment,
) -> Vec<(EndpointId, Result<(), Refusal>)> {
    let heeds_ejections = !all_are_ejected(endpoints, now);
    let judge = |(id, endpoint): (EndpointId, &Endpoint)| refusal(id, endpoint, tried, now, heeds_ejections);
    let primary = endpoints.iter().any(|entry| !entry.1.backup && judge(entry).is_none());
    endpoints
        .iter()
        .map(|entry| {
            let held_back = (primary && entry.1.backup).then_some(Refusal::HeldBack);
            (entry.0, judge(entry).or(held_back).map_or(Ok(()), Err))
        })
        .collect()
}

/// Why an endpoint may not take an attempt. Where several hold, the first in this order is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// This request has been there.
    Tried,
    /// The operator drains it.
    Draining,
    /// Its weight is 0.
    Weightless,
    /// Probes say it does not work.
    Down,
    /// Live traffic says it does not work.
    Ejected,
    /// It has as many requests in flight as it may.
    Busy,
    /// A backup, while a primary is eligible.
    HeldBack,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tried => "already tried",
            Self::Draining => "draining",
            Self::Weightless => "weight is 0",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Busy => "at max_in_flight",
            Self::HeldBack => "backup, a primary is eligible",
        })
    }
}

/// Nobody may take the attempt: how many endpoints were refused for which reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ineligible {
    /// Probes say they do not work.
    pub down: u32,
    /// Live traffic says they do not work.
    pub ejected: u32,
    /// The operator drains them.
    pub draining: u32,
    /// Their weight is 0.
    pub weightless: u32,
    /// They have as many requests in flight as they may.
    pub busy: u32,
    /// This request has been there.
    pub tried: u32,
}

impl Ineligible {
    /// What to answer.
    ///
    /// One that is merely full makes it [`Rejection::EndpointsBusy`]: waiting helps. Otherwise one that
    /// does not work makes it [`Rejection::EndpointsDown`]; if none is left but those the operator took
    /// out, [`Rejection::EndpointsDrained`]. A request with `tried > 0` has a better answer already: the
    /// failure of its last attempt.
    #[must_use]
    pub fn rejection(&self) -> Rejection {
        if self.busy > 0 {
            Rejection::EndpointsBusy
        } else if self.down == 0 && self.ejected == 0 && self.draining + self.weightless > 0 {
            Rejection::EndpointsDrained
        } else {
            Rejection::EndpointsDown
        }
    }

    fn count(endpoints: &Endpoints, tried: &[EndpointId], now: Moment) -> Self {
        let mut counts = Self::default();
        let heeds_ejections = !all_are_ejected(endpoints, now);
        for (id, endpoint) in endpoints.iter() {
            match refusal(id, endpoint, tried, now, heeds_ejections) {
                Some(Refusal::Tried) => counts.tried += 1,
                Some(Refusal::Draining) => counts.draining += 1,
                Some(Refusal::Weightless) => counts.weightless += 1,
                Some(Refusal::Down) => counts.down += 1,
                Some(Refusal::Ejected) => counts.ejected += 1,
                Some(Refusal::Busy) => counts.busy += 1,
                // Became free between the search and the count, or is held back: neither is a reason.
                Some(Refusal::HeldBack) | None => {}
            }
        }
        counts
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.tried, Refusal::Tried),
            (self.draining, Refusal::Draining),
            (self.weightless, Refusal::Weightless),
            (self.down, Refusal::Down),
            (self.ejected, Refusal::Ejected),
            (self.busy, Refusal::Busy),
        ];
        let mut separator = "no endpoint is eligible: ";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        if separator == ", " { Ok(()) } else { f.write_str("no endpoint is eligible: there is none") }
    }
}

impl std::error::Error for Ineligible {}

/// Writes the primaries that may be used into `out`; if there is none, the backups.
#[inline]
fn collect(
    endpoints: &Endpoints,
    tried: &[EndpointId],
    may: impl Fn(&Status) -> bool,
    out: &mut Vec<EndpointId>,
) {
    let mut of = |backup: bool| {
        for (id, endpoint) in endpoints.iter() {
            if endpoint.backup == backup
                && may(&endpoint.status)
                && !endpoint.is_full()
                && !tried.contains(&id)
            {
                out.push(id);
            }
        }
        out.is_empty()
    };
    if of(false) && endpoints.has_backups() {
        of(true);
    }
}

/// Whether there are endpoints that only their ejection keeps from being used, and none that may be used.
fn all_are_ejected(endpoints: &Endpoints, now: Moment) -> bool {
    let mut in_service = endpoints.iter().filter(|(_, endpoint)| endpoint.status.is_in_service()).peekable();
    in_service.peek().is_some() && in_service.all(|(_, endpoint)| endpoint.status.is_ejected(now))
}

fn refusal(
    id: EndpointId,
    endpoint: &Endpoint,
    tried: &[EndpointId],
    now: Moment,
    heeds_ejections: bool,
) -> Option<Refusal> {
    let State { up, ejected, draining, weight } = endpoint.status.state(now);
    if tried.contains(&id) {
        Some(Refusal::Tried)
    } else if draining {
        Some(Refusal::Draining)
    } else if weight == 0 {
        Some(Refusal::Weightless)
    } else if !up {
        Some(Refusal::Down)
    } else if ejected && heeds_ejections {
        Some(Refusal::Ejected)
    } else if endpoint.is_full() {
        Some(Refusal::Busy)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::cases;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    fn endpoints(count: usize, change: impl Fn(usize, &mut Endpoint)) -> Endpoints {
        let make = |index| {
            let mut endpoint = Endpoint::new(index as u64, State::default());
            change(index, &mut endpoint);
            endpoint
        };
        Endpoints::new((0..count).map(make).collect())
    }

    fn ids(endpoints: &Endpoints, tried: &[u32]) -> Result<Vec<u32>, Ineligible> {
        let tried: Vec<_> = tried.iter().copied().map(EndpointId).collect();
        let mut out = vec![EndpointId(99)];
        eligible(endpoints, &tried, at(0), &mut out)?;
        Ok(out.into_iter().map(|id| id.0).collect())
    }

    #[test]
    fn each_reason_takes_one_out() {
        let list = endpoints(7, |index, endpoint| match index {
            0 => drop(endpoint.status.set_up(false)),
            1 => endpoint.status.eject(at(1)),
            2 => drop(endpoint.status.set_draining(true)),
            3 => drop(endpoint.status.set_weight(0)),
            4 => {
                endpoint.max_in_flight = Some(1);
                endpoint.load.begin();
            }
            _ => {}
        });
        assert_eq!(ids(&list, &[5]), Ok(vec![6]));
        let reasons: Vec<_> =
            explain(&list, &[EndpointId(5)], at(0)).into_iter().map(|(_, verdict)| verdict).collect();
        let refused = [
            Refusal::Down,
            Refusal::Ejected,
            Refusal::Draining,
            Refusal::Weightless,
            Refusal::Busy,
            Refusal::Tried,
        ];
        assert_eq!(reasons[..6], refused.map(Err));
        assert_eq!(reasons[6], Ok(()));
        let none = ids(&list, &[5, 6]).unwrap_err();
        assert_eq!(none, Ineligible { down: 1, ejected: 1, draining: 1, weightless: 1, busy: 1, tried: 2 });
        assert_eq!(
            none.to_string(),
            "no endpoint is eligible: 2 already tried, 1 draining, 1 weight is 0, 1 down, 1 ejected, 1 at max_in_flight"
        );
    }

    #[test]
    fn backups_wait_until_no_primary_is_eligible() {
        let list = endpoints(3, |index, endpoint| endpoint.backup = index == 2);
        assert_eq!(ids(&list, &[]), Ok(vec![0, 1]));
        assert_eq!(explain(&list, &[], at(0))[2].1, Err(Refusal::HeldBack));
        assert_eq!(ids(&list, &[0]), Ok(vec![1]));
        assert_eq!(ids(&list, &[0, 1]), Ok(vec![2]), "primaries tried already do not hold a backup back");
        let (_, first) = list.iter().next().unwrap();
        first.status.set_up(false);
        assert_eq!(ids(&list, &[]), Ok(vec![1]));
        let (_, second) = list.iter().nth(1).unwrap();
        second.status.set_draining(true);
        assert_eq!(ids(&list, &[]), Ok(vec![2]));
        assert_eq!(explain(&list, &[], at(0))[2].1, Ok(()));
    }

    #[test]
    fn an_ejection_counts_until_it_is_over() {
        let list = endpoints(2, |index, endpoint| {
            if index == 0 {
                endpoint.status.eject(at(30));
            }
        });
        let mut out = Vec::new();
        let mut ids = |now| {
            eligible(&list, &[], now, &mut out).unwrap();
            out.iter().map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!((ids(at(29)), ids(at(30))), (vec![1], vec![0, 1]));
        assert_eq!(explain(&list, &[], at(29))[0].1, Err(Refusal::Ejected));
        assert_eq!(explain(&list, &[], at(30))[0].1, Ok(()));
    }

    #[test]
    fn ejected_endpoints_are_used_when_nobody_else_is_left_in_service() {
        let list = endpoints(4, |index, endpoint| match index {
            0 | 1 => endpoint.status.eject(at(30)),
            2 => endpoint.backup = true,
            _ => drop(endpoint.status.set_up(false)),
        });
        assert_eq!(ids(&list, &[]), Ok(vec![2]));
        let tried = ids(&list, &[2]).unwrap_err();
        let refused = Ineligible { tried: 1, ejected: 2, down: 1, ..Ineligible::default() };
        assert_eq!(tried, refused, "a request that was refused elsewhere is no reason");
        let (_, backup) = list.iter().nth(2).unwrap();
        backup.status.set_draining(true);
        assert_eq!(ids(&list, &[]), Ok(vec![0, 1]));
        assert_eq!(explain(&list, &[], at(0))[0].1, Ok(()));
        assert_eq!(
            ids(&list, &[0, 1]).unwrap_err().to_string(),
            "no endpoint is eligible: 2 already tried, 1 draining, 1 down"
        );
    }

    #[test]
    fn the_answer_names_what_is_wrong() {
        let answer = |counts: Ineligible| counts.rejection();
        let none = Ineligible::default();
        assert_eq!(answer(Ineligible { busy: 1, down: 2, ..none }), Rejection::EndpointsBusy);
        assert_eq!(answer(Ineligible { down: 1, draining: 1, ..none }), Rejection::EndpointsDown);
        assert_eq!(answer(Ineligible { ejected: 1, ..none }), Rejection::EndpointsDown);
        assert_eq!(answer(Ineligible { draining: 1, ..none }), Rejection::EndpointsDrained);
        assert_eq!(answer(Ineligible { weightless: 3, ..none }), Rejection::EndpointsDrained);
        assert_eq!(answer(none), Rejection::EndpointsDown);
        assert_eq!(ids(&Endpoints::default(), &[]).unwrap_err(), none);
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn search_and_explanation_agree(
            list in prop::collection::vec((any::<(bool, bool, bool, bool, bool)>(), 0_u16..2), 0..12),
            tried in prop::collection::vec(0_u32..12, 0..4),
        ) {
            let list = endpoints(list.len(), |index, endpoint| {
                let ((up, ejected, draining, backup, full), weight) = list[index];
                endpoint.status = std::sync::Arc::new(crate::endpoint::Status::new(State { up, ejected, draining, weight }));
                endpoint.backup = backup;
                endpoint.max_in_flight = full.then_some(0);
            });
            let tried_ids: Vec<_> = tried.iter().copied().map(EndpointId).collect();
            let explained: Vec<_> = explain(&list, &tried_ids, at(0))
                .into_iter()
                .filter(|(_, verdict)| verdict.is_ok())
                .map(|(id, _)| id.0)
                .collect();
            prop_assert_eq!(ids(&list, &tried).unwrap_or_default(), explained);
        }
    }
}
