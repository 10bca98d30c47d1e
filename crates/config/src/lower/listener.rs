//! Listeners: where clients connect.

use std::ops::Range;
use std::time::Duration;

use super::{Names, Purpose};
use crate::codes;
use crate::collection::Named;
use crate::diagnostic::Problems;
use crate::plan::{Listener, ListenerLimits, ListenerTimeouts, Protocol, Route};
use crate::schema;
use crate::values::word::ListenerProtocol;

/// How long an HTTP connection waits for its next request.
const IDLE: Duration = Duration::from_secs(60);
/// How long nothing may pass through a TCP session: clients keep connections to a database or a cache open for
/// minutes, and a dead one that nobody writes to costs little.
const TCP_IDLE: Duration = Duration::from_secs(600);
/// How long an answer may take to begin to a client that sends nothing more: it may be gone altogether.
const HALF_CLOSE: Duration = Duration::from_secs(1);
/// How long nothing may pass through a session of which one side has ended: less than through a whole one, since most
/// often that side is gone, and more than for an answer, since it is the protocol's to say how long that takes.
const TCP_HALF_CLOSE: Duration = Duration::from_secs(60);

pub(super) fn lower(
    listeners: &Named<schema::Listener>,
    routes: &[Route],
    names: &mut Names,
    problems: &mut Problems,
) -> Vec<Listener> {
    let mut plan = Vec::with_capacity(listeners.entries.len());
    for (index, (name, table)) in listeners.entries.iter().enumerate() {
        let Some(table) = table else { continue };
        let is_tcp = table.speaks_tcp();
        let purpose = if is_tcp { Purpose::Sessions } else { Purpose::Requests };
        let upstream =
            table.upstream.as_ref().and_then(|upstream| names.upstream(upstream, purpose, problems));
        if is_tcp {
            check_tcp(name.get_ref(), name.span(), table, problems);
        }
        let routed = routes.iter().any(|route| route.listener.is_none_or(|listener| listener == index));
        if !is_tcp && table.upstream.is_none() && !routed {
            let message =
                format!("listener `{}` has no upstream and no route: it answers 404", name.get_ref());
            problems
                .warning(codes::NOTHING_ANSWERED, name.span(), message)
                .help("add `upstream = \"NAME\"`, or a [[route]]");
        }
        for network in &table.trusted_proxies.get_ref().items {
            if !is_tcp && network.get_ref().0.prefix_len() == 0 {
                problems
                    .warning(codes::TRUSTS_EVERYONE, network.span(), "everyone's X-Forwarded-* is believed")
                    .help("any client can then claim any address; name the proxies in front of this one");
            }
        }
        if let Some(address) = &table.address {
            plan.push(listener(name.get_ref(), address.get_ref().clone(), upstream, table));
        }
    }
    plan
}

/// What a listener that passes bytes through must have, and what it cannot have.
fn check_tcp(name: &str, at: Range<usize>, table: &schema::Listener, problems: &mut Problems) {
    if table.upstream.is_none() {
        problems
            .error(codes::MISSING_KEY, at, format!("[listener.{name}] has no `upstream`"))
            .help("add it: with protocol = \"tcp\" every connection goes to the listener's upstream");
    }
    let (timeouts, limits) = (&table.timeouts, &table.limits);
    let http_only = [
        ("trusted_proxies", table.trusted_proxies.span()),
        ("timeouts.header", timeouts.header.span()),
        ("timeouts.stall", timeouts.stall.span()),
        ("limits.header_bytes", limits.header_bytes.span()),
        ("limits.body_bytes", limits.body_bytes.span()),
    ];
    // A default has no place in the file.
    for (key, span) in http_only.into_iter().filter(|(_, span)| !span.is_empty()) {
        let message = format!("`{key}` has no effect with protocol = \"tcp\"");
        let help = match key {
            "timeouts.header" | "timeouts.stall" => {
                "remove it; `timeouts.idle` is how long nothing may pass in either direction"
            }
            _ => "remove it: it is about HTTP requests",
        };
        problems.error(codes::NO_EFFECT, span, message).help(help);
    }
}

fn listener(
    name: &str,
    address: crate::plan::ListenAddress,
    upstream: Option<usize>,
    table: &schema::Listener,
) -> Listener {
    let (protocol, idle, half_close) = match table.protocol.get_ref() {
        ListenerProtocol::Http => (Protocol::Http, IDLE, HALF_CLOSE),
        ListenerProtocol::Tcp => (Protocol::Tcp, TCP_IDLE, TCP_HALF_CLOSE),
    };
    let (timeouts, limits) = (&table.timeouts, &table.limits);
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Listener {
        name: name.to_owned(),
        address,
        protocol,
        upstream,
        trusted_proxies: table.trusted_proxies.get_ref().items.iter().map(|net| net.get_ref().0).collect(),
        timeouts: ListenerTimeouts {
            header: timeouts.header.get_ref().0,
            idle: timeouts.idle.as_ref().map_or(idle, |time| time.get_ref().0),
            stall: timeouts.stall.get_ref().0,
            half_close: timeouts.half_close.as_ref().map_or(half_close, |time| time.get_ref().0),
        },
        limits: ListenerLimits {
            connections: count(limits.connections.get_ref().0),
            header_bytes: count(limits.header_bytes.get_ref().0),
            body_bytes: limits.body_bytes.get_ref().most().map(|size| size.0),
        },
    }
}

impl schema::Listener {
    /// Whether it passes bytes through instead of serving requests.
    pub(super) fn speaks_tcp(&self) -> bool {
        *self.protocol.get_ref() == ListenerProtocol::Tcp
    }
}
