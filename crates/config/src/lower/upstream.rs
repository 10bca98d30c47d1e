//! Upstreams: groups of endpoints, how they are probed, retried and waited for.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use evenkeel_policy::health::Thresholds;
use evenkeel_policy::queue::QueueRules;
use evenkeel_policy::retry::{RetryOn, RetryRules};
use toml::Spanned;

use super::{Uses, hash, outliers};
use crate::codes;
use crate::collection::{Limit, Named};
use crate::diagnostic::Problems;
use crate::plan::{
    Endpoint, EndpointAddress, Health, OnDown, Pool, ProbeKind, Secret, Upstream, UpstreamTimeouts,
};
use crate::schema;
use crate::values::duration::show;
use crate::values::status::RetryWord;
use crate::values::word::{Probe, UpstreamProtocol};

pub(super) fn lower(
    upstreams: Named<schema::Upstream>,
    uses: &[Uses],
    problems: &mut Problems,
) -> Vec<Upstream> {
    let mut plan = Vec::with_capacity(upstreams.entries.len());
    for ((name, table), uses) in upstreams.entries.into_iter().zip(uses) {
        let Some(table) = table else { continue };
        check_effects(name.get_ref(), &table, *uses, problems);
        let endpoints = endpoints(&name, &table, problems);
        let hash = hash::lower(name.get_ref(), &table, *uses, problems);
        let timeouts = timeouts(&table.timeouts, problems);
        let health = table.health.map(|health| health_of(health.into_inner(), *uses, problems));
        let outliers = table.outliers.map(|table| outliers::lower(table, &name, endpoints.len(), problems));
        plan.push(Upstream {
            name: name.into_inner(),
            balance: *table.balance.get_ref(),
            hash,
            endpoints,
            health,
            on_down: table.on_down.map_or(OnDown::Keep, Spanned::into_inner),
            outliers,
            retry: retry(table.retry),
            timeouts,
            queue: table.queue.map(|queue| queue_of(queue.into_inner())),
            pool: Pool {
                idle_connections: usize::try_from(table.pool.idle_connections.into_inner().0)
                    .unwrap_or(usize::MAX),
                idle: table.pool.idle.into_inner().0,
            },
        });
    }
    plan
}

impl schema::Upstream {
    /// Whether it is said to be for TCP sessions only.
    pub(super) fn speaks_tcp(&self) -> bool {
        *self.protocol.get_ref() == UpstreamProtocol::Tcp
    }
}

/// What is written for requests where only sessions go, and for sessions where only requests go.
fn check_effects(name: &str, table: &schema::Upstream, uses: Uses, problems: &mut Problems) {
    if let Some(on_down) = table.on_down.as_ref().filter(|_| !uses.has_sessions()) {
        let message =
            format!("`on_down` has no effect: no listener with protocol = \"tcp\" has upstream {name:?}");
        problems.error(codes::NO_EFFECT, on_down.span(), message).help("remove it");
    } else if let (Some(on_down), None) = (&table.on_down, &table.health)
        && *on_down.get_ref() == OnDown::Close
    {
        let message = "`on_down` has no effect without `health`: only probes find an endpoint down";
        let help = format!("add [upstream.{name}.health], or remove it");
        problems.error(codes::NO_EFFECT, on_down.span(), message).help(help);
    }
    if let Some(queue) = &table.queue {
        let endpoints = table.endpoints.iter().flat_map(|list| &list.get_ref().items);
        let is_capped = |item: &Spanned<schema::Endpoint>| match item.get_ref() {
            schema::Endpoint::Address(_) => false,
            schema::Endpoint::Table(table) => table.max_in_flight.is_some(),
        };
        let mut capped = endpoints.map(is_capped);
        if uses.only_sessions() {
            let message = format!("`queue` has no effect: upstream `{name}` has TCP sessions, no requests");
            problems.error(codes::NO_EFFECT, queue.span(), message).help("remove it: sessions do not wait");
        } else if !capped.any(|is_capped| is_capped) {
            let message =
                "`queue` has no effect: each endpoint may have any number of requests, so nobody waits";
            let help = format!(
                "give the endpoints of `{name}` a max_in_flight: {{ address = \"…\", max_in_flight = 100 }}"
            );
            problems.error(codes::NO_EFFECT, queue.span(), message).help(help);
        }
    }
    if !uses.only_sessions() {
        return;
    }
    let (timeouts, pool) = (&table.timeouts, &table.pool);
    let written = [
        ("timeouts.response".to_owned(), timeouts.response.span()),
        ("timeouts.attempt".to_owned(), timeouts.attempt.as_ref().map_or(0..0, Spanned::span)),
        ("timeouts.stall".to_owned(), timeouts.stall.span()),
        ("pool.idle_connections".to_owned(), pool.idle_connections.span()),
        ("pool.idle".to_owned(), pool.idle.span()),
    ];
    let words = &table.retry.on.get_ref().items;
    let words = words.iter().filter_map(|word| match word.get_ref() {
        RetryWord::Connect => None,
        RetryWord::Reset => Some(("\"reset\"".to_owned(), word.span())),
        RetryWord::Status(status) => Some((format!("\"{status}\""), word.span())),
    });
    // A default has no place in the file.
    for (key, span) in written.into_iter().chain(words).filter(|(_, span)| !span.is_empty()) {
        let message = format!("`{key}` has no effect: upstream `{name}` has TCP sessions, no requests");
        let help = match key.as_str() {
            key if key.starts_with('"') => "remove it: of a session, only \"connect\" can be tried again",
            key if key.starts_with("pool") => "remove it: a session has a connection of its own",
            _ => "remove it; `timeouts.idle` of the listener is how long nothing may pass",
        };
        problems.error(codes::NO_EFFECT, span, message).help(help);
    }
}

fn endpoints(name: &Spanned<String>, table: &schema::Upstream, problems: &mut Problems) -> Vec<Endpoint> {
    let Some(list) = &table.endpoints else { return Vec::new() };
    if list.get_ref().written == 0 {
        problems
            .error(
                codes::NO_ENDPOINTS,
                list.span(),
                format!("upstream `{}` has no endpoints", name.get_ref()),
            )
            .help("name at least one, such as \"127.0.0.1:9001\"");
        return Vec::new();
    }
    let mut seen: HashMap<EndpointAddress, Range<usize>> = HashMap::new();
    let mut good = Vec::with_capacity(list.get_ref().items.len());
    for item in &list.get_ref().items {
        let Some((endpoint, at)) = endpoint(item) else { continue };
        if let Some(first) = seen.get(&endpoint.address) {
            let message = format!("upstream `{}` has {} twice", name.get_ref(), endpoint.address);
            problems
                .error(codes::SAME_ENDPOINT, at, message)
                .note(first.clone(), "the first is here")
                .help("keep one; a `weight` of 2 gives it twice the traffic");
            continue;
        }
        seen.insert(endpoint.address.clone(), at);
        good.push(endpoint);
    }
    let all_read = good.len() == list.get_ref().written;
    if all_read && good.iter().all(|endpoint| endpoint.weight == 0) {
        let message = format!("every endpoint of upstream `{}` has weight 0", name.get_ref());
        problems
            .warning(codes::NO_TRAFFIC, list.span(), message)
            .help("requests to it are answered 503 until a weight is raised");
    }
    good
}

fn endpoint(item: &Spanned<schema::Endpoint>) -> Option<(Endpoint, Range<usize>)> {
    match item.get_ref() {
        schema::Endpoint::Address(address) => {
            let address = address.clone();
            Some((Endpoint { address, weight: 1, max_in_flight: None, backup: false }, item.span()))
        }
        schema::Endpoint::Table(table) => {
            let address = table.address.as_ref()?;
            let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            let endpoint = Endpoint {
                address: address.get_ref().clone(),
                weight: number(table.weight.get_ref().0),
                max_in_flight: table.max_in_flight.as_ref().map(|most| number(most.get_ref().0)),
                backup: *table.backup.get_ref(),
            };
            Some((endpoint, address.span()))
        }
    }
}

fn retry(table: schema::Retry) -> RetryRules {
    let mut on = RetryOn { connect: false, reset: false, statuses: Vec::new() };
    for word in table.on.into_inner().values() {
        match word {
            RetryWord::Connect => on.connect = true,
            RetryWord::Reset => on.reset = true,
            RetryWord::Status(status) if on.statuses.contains(&status) => {}
            RetryWord::Status(status) => on.statuses.push(status),
        }
    }
    RetryRules {
        attempts: u32::try_from(table.attempts.into_inner().0).unwrap_or(u32::MAX),
        on,
        budget: match table.budget.into_inner() {
            Limit::To(percent) => Some(percent.0),
            Limit::Unlimited => None,
        },
    }
}

fn queue_of(table: schema::Queue) -> QueueRules {
    QueueRules {
        size: u32::try_from(table.size.into_inner().0).unwrap_or(u32::MAX),
        timeout: table.timeout.into_inner().0,
    }
}

fn timeouts(table: &schema::UpstreamTimeouts, problems: &mut Problems) -> UpstreamTimeouts {
    let connect = (table.connect.get_ref().0, table.connect.span());
    let response = (table.response.get_ref().0, table.response.span());
    let attempt = table.attempt.as_ref().map(|time| (time.get_ref().0, time.span()));
    if let Some(attempt) = &attempt {
        never_reached("attempt", attempt, "response", &response, problems);
    }
    if !connect.1.is_empty() {
        never_reached("connect", &connect, "response", &response, problems);
    }
    UpstreamTimeouts {
        connect: connect.0,
        response: response.0,
        attempt: attempt.map(|(time, _)| time),
        stall: table.stall.get_ref().0,
    }
}

fn never_reached(
    longer: &str,
    (time, span): &(Duration, Range<usize>),
    shorter: &str,
    (limit, limit_span): &(Duration, Range<usize>),
    problems: &mut Problems,
) {
    if time <= limit {
        return;
    }
    let message =
        format!("`{longer}` ({}) is never reached: `{shorter}` ({}) ends sooner", show(*time), show(*limit));
    // A default has no place in the file; at least one of the two was written.
    let place = if span.is_empty() { limit_span } else { span };
    let help = format!("make `{longer}` shorter, or `{shorter}` longer");
    problems.warning(codes::NEVER_REACHED, place.clone(), message).help(help);
}

fn health_of(table: schema::Health, uses: Uses, problems: &mut Problems) -> Health {
    let kind = table.kind.as_ref().map(|kind| *kind.get_ref());
    let kind = kind.unwrap_or(if uses.only_sessions() { Probe::Tcp } else { Probe::Http });
    check_probe(kind, &table, problems);
    let kind = match kind {
        Probe::Http => ProbeKind::Http {
            path: table.path.map_or_else(|| "/".to_owned(), |path| path.into_inner().0),
            host: table.host.map(|host| host.into_inner().0),
            expect: match table.expect {
                Some(statuses) => statuses.into_inner().0.values().map(|s| (s.0, s.1)).collect(),
                None => vec![(200, 399)],
            },
            body: table.body.map(|body| body.into_inner().0),
        },
        Probe::Tcp => ProbeKind::Tcp,
        Probe::Redis => {
            ProbeKind::Redis { password: table.password.map(|password| Secret::new(password.into_inner().0)) }
        }
    };
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Health {
        kind,
        interval: table.interval.into_inner().0,
        timeout: table.timeout.into_inner().0,
        thresholds: Thresholds {
            rise: number(table.rise.into_inner().0),
            fall: number(table.fall.into_inner().0),
            start: table.start.into_inner(),
        },
    }
}

/// Keys that another kind of probe has.
fn check_probe(kind: Probe, table: &schema::Health, problems: &mut Problems) {
    let keys = [
        ("path", "http", table.path.as_ref().map(Spanned::span)),
        ("host", "http", table.host.as_ref().map(Spanned::span)),
        ("expect", "http", table.expect.as_ref().map(Spanned::span)),
        ("body", "http", table.body.as_ref().map(Spanned::span)),
        ("password", "redis", table.password.as_ref().map(Spanned::span)),
    ];
    let kind = match kind {
        Probe::Http => "http",
        Probe::Tcp => "tcp",
        Probe::Redis => "redis",
    };
    for (key, of, span) in keys {
        if let Some(span) = span.filter(|_| of != kind) {
            problems
                .error(codes::NO_EFFECT, span, format!("`{key}` has no effect with kind = {kind:?}"))
                .help(format!("remove it, or write kind = {of:?}"));
        }
    }
}
