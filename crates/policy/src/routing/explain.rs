//! Why a request takes the route it takes: the precedence rules said plainly, one route at a time.
//!
//! Slow and simple on purpose. The table must always agree with it; a property test holds them together.

use std::cmp::Reverse;
use std::fmt;

use super::{Matcher, Request, RouteId, RouteTable};

/// What became of every route for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The route taken.
    pub taken: Option<RouteId>,
    /// The others in order of precedence, with the reason.
    pub refused: Vec<(RouteId, Unmatched)>,
}

/// Why a route was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmatched {
    /// The host is another.
    Host,
    /// The path is another.
    Path,
    /// The method is not listed.
    Method,
    /// This header is missing or has another value.
    Header(String),
    /// It fits, but the taken route is more specific or stands before it.
    Outranked,
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host does not match"),
            Self::Path => f.write_str("path does not match"),
            Self::Method => f.write_str("method is not listed"),
            Self::Header(name) => write!(f, "header `{name}` is missing or has another value"),
            Self::Outranked => f.write_str("matches, but a more specific or earlier route does too"),
        }
    }
}

impl RouteTable {
    /// The route this request takes, as [`RouteTable::route`] finds it, and why not the others.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let mut ordered: Vec<_> = self.routes.iter().collect();
        // Stable: what is left equal keeps file order.
        ordered.sort_by_key(|(matcher, _)| Reverse(precedence(matcher)));
        let mut explanation = Explanation { taken: None, refused: Vec::new() };
        for (matcher, route) in ordered {
            match mismatch(matcher, request) {
                None if explanation.taken.is_none() => explanation.taken = Some(*route),
                None => explanation.refused.push((*route, Unmatched::Outranked)),
                Some(reason) => explanation.refused.push((*route, reason)),
            }
        }
        explanation
    }
}

/// Greater goes first.
fn precedence(matcher: &Matcher) -> impl Ord + use<> {
    let host = matcher.host.as_ref().map(super::HostPattern::rank);
    (host, matcher.path.rank(), !matcher.methods.is_empty(), matcher.headers.len())
}

fn mismatch(matcher: &Matcher, request: &Request<'_>) -> Option<Unmatched> {
    if matcher.host.as_ref().is_some_and(|host| !host.takes(request.host)) {
        return Some(Unmatched::Host);
    }
    if !matcher.path.takes(request.path) {
        return Some(Unmatched::Path);
    }
    if !matcher.takes_method(request.method) {
        return Some(Unmatched::Method);
    }
    matcher.missing_header(request).map(|(name, _)| Unmatched::Header(name.clone()))
}
