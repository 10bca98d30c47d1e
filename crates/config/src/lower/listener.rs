//! Listeners: where clients connect.

use super::Names;
use crate::codes;
use crate::collection::Named;
use crate::diagnostic::Problems;
use crate::plan::{Listener, ListenerLimits, ListenerTimeouts, Route};
use crate::schema;
use crate::values::word::ListenerProtocol;

pub(super) fn lower(
    listeners: &Named<schema::Listener>,
    routes: &[Route],
    names: &mut Names,
    problems: &mut Problems,
) -> Vec<Listener> {
    let mut plan = Vec::with_capacity(listeners.entries.len());
    for (index, (name, table)) in listeners.entries.iter().enumerate() {
        let Some(table) = table else { continue };
        let upstream = table.upstream.as_ref().and_then(|upstream| names.upstream(upstream, problems));
        let routed = routes.iter().any(|route| route.listener.is_none_or(|listener| listener == index));
        if table.upstream.is_none() && !routed {
            let message =
                format!("listener `{}` has no upstream and no route: it answers 404", name.get_ref());
            problems
                .warning(codes::NOTHING_ANSWERED, name.span(), message)
                .help("add `upstream = \"NAME\"`, or a [[route]]");
        }
        for network in &table.trusted_proxies.get_ref().items {
            if network.get_ref().0.prefix_len() == 0 {
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

fn listener(
    name: &str,
    address: crate::plan::ListenAddress,
    upstream: Option<usize>,
    table: &schema::Listener,
) -> Listener {
    let ListenerProtocol::Http = table.protocol.get_ref();
    let (timeouts, limits) = (&table.timeouts, &table.limits);
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Listener {
        name: name.to_owned(),
        address,
        upstream,
        trusted_proxies: table.trusted_proxies.get_ref().items.iter().map(|net| net.get_ref().0).collect(),
        timeouts: ListenerTimeouts {
            header: timeouts.header.get_ref().0,
            idle: timeouts.idle.get_ref().0,
            stall: timeouts.stall.get_ref().0,
            half_close: timeouts.half_close.get_ref().0,
        },
        limits: ListenerLimits {
            connections: count(limits.connections.get_ref().0),
            header_bytes: count(limits.header_bytes.get_ref().0),
            body_bytes: limits.body_bytes.get_ref().most().map(|size| size.0),
        },
    }
}
