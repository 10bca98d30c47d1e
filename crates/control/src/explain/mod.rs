//! Why a request goes where it goes: listener, route, upstream and endpoint, with the reasons against the others.
//!
//! Decided by the same code as on the data path: `policy::routing` and `policy::eligibility`.

mod hashing;
mod question;
mod text;

use evenkeel_config::Plan;
use evenkeel_config::plan::{Action, Listener, Protocol, Route, Upstream};
use evenkeel_policy::balance::Algorithm;
use evenkeel_policy::eligibility;
use evenkeel_policy::endpoint::{Endpoint, EndpointId, Endpoints, State};
use evenkeel_policy::hash;
use evenkeel_policy::latency::Moment;
use evenkeel_policy::rejection::Rejection;
use evenkeel_policy::routing::{self, Matcher, RouteId, RouteTable};
use serde::Serialize;

use crate::handle::{EndpointStatus, Status};

pub use question::{BadQuestion, Question};

/// What would become of a request. `Display` is the text for people.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The method asked for.
    pub method: String,
    /// Host and port.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// Whether the endpoints' states are those of a running proxy; otherwise all count as up.
    pub live: bool,
    /// Whether some listener serves it, by an endpoint or by an answer that the configuration gives.
    pub routed: bool,
    /// At each listener where it may arrive.
    pub listeners: Vec<ListenerExplanation>,
}

/// What would become of it at one listener.
#[derive(Debug, Clone, Serialize)]
pub struct ListenerExplanation {
    /// The listener's name.
    pub listener: String,
    /// Where it listens.
    pub address: String,
    /// What it speaks: `http` or `tcp`.
    pub protocol: &'static str,
    /// The route taken; empty when none was and the listener has an upstream of its own.
    pub route: Option<String>,
    /// Why this one.
    pub because: String,
    /// The routes not taken, in order of precedence.
    pub refused: Vec<Candidate>,
    /// What is done with it.
    pub decision: Decision,
}

/// A route not taken.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate {
    /// Its name.
    pub route: String,
    /// Why not.
    pub reason: String,
}

/// What is done with a request.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decision {
    /// It goes to an endpoint of one of these, by weight.
    Forward {
        /// Never empty; with one, all goes there.
        branches: Vec<Branch>,
    },
    /// It is sent elsewhere.
    Redirect {
        /// The status.
        status: u16,
        /// The `Location`.
        location: String,
    },
    /// It is answered as the configuration says.
    Respond {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// It is answered by Evenkeel itself.
    Reject {
        /// With this.
        answer: Answer,
    },
}

/// An upstream that it may go to.
#[derive(Debug, Clone, Serialize)]
pub struct Branch {
    /// The upstream's name.
    pub upstream: String,
    /// Its share among the branches, in percent.
    pub percent: f64,
    /// How an endpoint is picked.
    pub balance: &'static str,
    /// By what part of the request, if that is hashed: `client`, `cookie session`.
    pub hash: Option<String>,
    /// All endpoints, in the configuration's order.
    pub endpoints: Vec<Judged>,
    /// The endpoint it goes to, where that is certain.
    pub takes: Option<String>,
    /// What is answered when nobody may take it.
    pub answer: Option<Answer>,
}

/// An endpoint and whether it may take the request.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// Its address.
    pub address: String,
    /// Whether it may.
    pub eligible: bool,
    /// If not, why.
    pub refusal: Option<String>,
    /// What the last probe found, or why it is ejected; empty where nothing is known.
    pub reason: String,
    /// Its share relative to the others.
    pub weight: u16,
    /// Requests in flight; `None` without a running proxy.
    pub in_flight: Option<u32>,
    /// Whether it serves only when no other can.
    pub backup: bool,
}

/// An answer that Evenkeel makes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The word in log and metrics.
    pub reason: &'static str,
    /// What the client reads.
    pub sentence: &'static str,
    /// More about it; empty when there is no more.
    pub detail: String,
}

/// Explains by a plan alone, or with what a running proxy knows.
pub fn explain(plan: &Plan, question: &Question, status: Option<&Status>) -> Explanation {
    let listeners: Vec<_> = arriving(plan, question, status)
        .into_iter()
        .map(|(index, listener, address)| at_listener(plan, question, status, (index, listener), address))
        .collect();
    Explanation {
        method: question.method.clone(),
        host: question.host.clone(),
        target: question.target.clone(),
        live: status.is_some(),
        routed: listeners.iter().any(|at| at.decision.answer().is_none()),
        listeners,
    }
}

impl Decision {
    /// The answer of Evenkeel's own that a request is bound to get; `None` when it may be served.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Reject { answer } => Some(answer),
            Self::Forward { branches } => {
                let open = branches.iter().any(|branch| branch.answer.is_none() && branch.percent > 0.0);
                if open { None } else { branches.iter().find_map(|branch| branch.answer.as_ref()) }
            }
            Self::Redirect { .. } | Self::Respond { .. } => None,
        }
    }
}

/// The listeners where it may arrive, with their addresses: the one named, else those on the URL's port, else all.
fn arriving<'p>(
    plan: &'p Plan,
    question: &Question,
    status: Option<&Status>,
) -> Vec<(usize, &'p Listener, String)> {
    let all: Vec<_> = plan
        .listeners
        .iter()
        .enumerate()
        .map(|(index, listener)| {
            // Where it really listens, which tells a port that the system chose.
            let open = status.and_then(|status| status.listeners.get(index));
            let address = open.map_or_else(|| listener.address.to_string(), |open| open.address.clone());
            (index, listener, address)
        })
        .collect();
    if let Some(name) = &question.listener {
        return all.into_iter().filter(|(_, listener, _)| listener.name == *name).collect();
    }
    let port = question.port().map(|port| format!(":{port}"));
    let on_port = |address: &str| port.as_ref().is_some_and(|port| address.ends_with(port.as_str()));
    if all.iter().any(|(_, _, address)| on_port(address)) {
        return all.into_iter().filter(|(_, _, address)| on_port(address)).collect();
    }
    all
}

fn at_listener(
    plan: &Plan,
    question: &Question,
    status: Option<&Status>,
    (index, listener): (usize, &Listener),
    address: String,
) -> ListenerExplanation {
    let routes: Vec<&Route> =
        plan.routes.iter().filter(|route| route.listener.is_none_or(|on| on == index)).collect();
    let explained = |route: Option<&Route>, because: String, refused: Vec<Candidate>, decision: Decision| {
        let name = route.map(|route| route.name.clone());
        ListenerExplanation {
            listener: listener.name.clone(),
            address: address.clone(),
            protocol: listener.protocol.name(),
            route: name.or_else(|| matches!(decision, Decision::Forward { .. }).then(String::new)),
            because,
            refused,
            decision,
        }
    };
    if listener.protocol == Protocol::Tcp {
        let because = format!(
            "listener {} passes bytes through (protocol = \"tcp\"): no request is looked at, every connection goes to its upstream",
            listener.name
        );
        let hash = |settings: &Upstream| hashing::of_session(settings, question);
        let branches = listener.upstream.and_then(|upstream| branch(plan, upstream, 100.0, status, hash));
        let decision = Decision::Forward { branches: branches.into_iter().collect() };
        return explained(None, because, Vec::new(), decision);
    }
    if question.method == "CONNECT" {
        let answer = Answer::of(Rejection::UnsupportedMethod, String::new());
        let because = "CONNECT is for forward proxies, and this is none".to_owned();
        return explained(None, because, Vec::new(), Decision::Reject { answer });
    }
    let ids = (0..).map(RouteId);
    let table = RouteTable::new(routes.iter().map(|route| route.matcher.clone()).zip(ids).collect());
    let found = table.explain(&routing::Request {
        host: question.host.as_bytes(),
        path: &routing::normalize_path(question.path().as_bytes()),
        method: question.method.as_bytes(),
        has_header: &|name, value| {
            question.headers.iter().any(|(key, is)| key.eq_ignore_ascii_case(name) && is == value)
        },
    });
    let route = |RouteId(id): RouteId| routes.get(id as usize).copied();
    let refused = found
        .refused
        .iter()
        .filter_map(|(id, reason)| {
            Some(Candidate { route: route(*id)?.name.clone(), reason: reason.to_string() })
        })
        .collect();
    let hash = |settings: &Upstream| hashing::of_request(settings, listener, question);
    let branch = |upstream: usize, percent| branch(plan, upstream, percent, status, hash);
    match (found.taken.and_then(route), listener.upstream) {
        (Some(route), _) => {
            let decision = match &route.action {
                Action::Upstream(upstream) => {
                    Decision::Forward { branches: branch(*upstream, 100.0).into_iter().collect() }
                }
                Action::Split(parts) => {
                    let total = parts.iter().map(|(_, weight)| f64::from(*weight)).sum::<f64>().max(1.0);
                    let percent = |weight: u32| f64::from(weight) * 100.0 / total;
                    let parts = parts.iter().filter_map(|(to, weight)| branch(*to, percent(*weight)));
                    Decision::Forward { branches: parts.collect() }
                }
                Action::Redirect { to, status } => {
                    let location = to.replace("{host}", &question.host).replace("{path}", &question.target);
                    Decision::Redirect { status: *status, location }
                }
                Action::Respond { status, body } => Decision::Respond { status: *status, body: body.clone() },
            };
            explained(Some(route), describe(&route.matcher), refused, decision)
        }
        (None, Some(upstream)) => {
            let because = format!("no route takes it, so the upstream of listener {} does", listener.name);
            let decision = Decision::Forward { branches: branch(upstream, 100.0).into_iter().collect() };
            explained(None, because, refused, decision)
        }
        (None, None) => {
            let because = format!("no route takes it, and listener {} has no upstream", listener.name);
            let answer = Answer::of(Rejection::NoRoute, String::new());
            explained(None, because, refused, Decision::Reject { answer })
        }
    }
}

fn branch(
    plan: &Plan,
    upstream: usize,
    percent: f64,
    status: Option<&Status>,
    hash: impl FnOnce(&Upstream) -> Option<u64>,
) -> Option<Branch> {
    let settings = plan.upstreams.get(upstream)?;
    let known = status.and_then(|status| status.upstreams.get(upstream));
    let known = |index: usize| known.and_then(|known| known.endpoints.get(index));
    let endpoints = Endpoints::new(
        settings
            .endpoints
            .iter()
            .enumerate()
            .map(|(index, endpoint)| {
                let configured = u16::try_from(endpoint.weight).unwrap_or(u16::MAX);
                let state = known(index).map_or(State { weight: configured, ..State::default() }, state);
                let identity = hash::of(endpoint.address.to_string().as_bytes());
                let as_balanced = Endpoint {
                    max_in_flight: endpoint.max_in_flight,
                    backup: endpoint.backup,
                    ..Endpoint::new(identity, state)
                };
                let in_flight = known(index).map_or(0, |known| known.in_flight);
                (0..in_flight).for_each(|_| as_balanced.load.begin());
                as_balanced
            })
            .collect(),
    );
    // Of these, whoever is ejected stays so.
    let now = Moment::default();
    let mut eligible = Vec::new();
    let nobody = eligibility::eligible(&endpoints, &[], now, &mut eligible).err();
    let judged: Vec<_> = eligibility::explain(&endpoints, &[], now)
        .into_iter()
        .zip(endpoints.iter())
        .zip(&settings.endpoints)
        .enumerate()
        .map(|(index, (((_, verdict), (_, endpoint)), settings))| Judged {
            address: settings.address.to_string(),
            eligible: verdict.is_ok(),
            refusal: verdict.err().map(|refusal| refusal.to_string()),
            reason: known(index).map(finding).unwrap_or_default(),
            weight: endpoint.status.weight(),
            in_flight: known(index).map(|known| known.in_flight),
            backup: endpoint.backup,
        })
        .collect();
    let by_hash = || hashing::picked(settings, &endpoints, &eligible, hash(settings)?);
    let at = |id: EndpointId| judged.get(id.0 as usize);
    let takes = certain(settings, &eligible, &judged).or_else(|| by_hash().and_then(at));
    let takes = takes.map(|judged| judged.address.clone());
    Some(Branch {
        upstream: settings.name.clone(),
        percent,
        balance: settings.balance.name(),
        hash: settings.hash.as_ref().map(|hash| hash.key.to_string()),
        takes,
        endpoints: judged,
        answer: nobody.map(|nobody| Answer::of(nobody.rejection(), nobody.to_string())),
    })
}

fn finding(known: &EndpointStatus) -> String {
    known.ejection.as_ref().unwrap_or(&known.reason).clone()
}

fn state(known: &EndpointStatus) -> State {
    State { up: known.up, ejected: known.ejected, draining: known.draining, weight: known.weight }
}

/// The endpoint that must be picked: the only one, or the one that is least busy by itself.
fn certain<'j>(settings: &Upstream, eligible: &[EndpointId], judged: &'j [Judged]) -> Option<&'j Judged> {
    let at = |id: &EndpointId| judged.get(id.0 as usize);
    if let [only] = eligible {
        return at(only);
    }
    if settings.balance != Algorithm::LeastConnections {
        return None;
    }
    // Busyness as balancing has it: requests in flight by weight.
    let busyness = |judged: &Judged| judged.in_flight.map(|n| f64::from(n) / f64::from(judged.weight.max(1)));
    let mut rated: Vec<_> =
        eligible.iter().filter_map(at).filter_map(|judged| Some((busyness(judged)?, judged))).collect();
    rated.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    match rated.as_slice() {
        [(least, taken), (next, _), ..] if least < next => Some(taken),
        _ => None,
    }
}

fn describe(matcher: &Matcher) -> String {
    let mut parts = Vec::new();
    if let Some(host) = &matcher.host {
        parts.push(format!("host {host}"));
    }
    if matcher.path != routing::PathPattern::default() {
        parts.push(format!("path {}", matcher.path));
    }
    if !matcher.methods.is_empty() {
        parts.push(format!("method {}", matcher.methods.join(" or ")));
    }
    parts.extend(matcher.headers.iter().map(|(name, value)| format!("header {name}: {value}")));
    if parts.is_empty() { "takes every request".into() } else { format!("matches {}", parts.join(", ")) }
}

impl Answer {
    fn of(rejection: Rejection, detail: String) -> Self {
        Self { status: rejection.status(), reason: rejection.word(), sentence: rejection.sentence(), detail }
    }
}

#[cfg(test)]
mod tests;
