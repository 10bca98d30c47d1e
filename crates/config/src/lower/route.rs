//! Routes: which requests go where.

use std::collections::HashMap;
use std::ops::Range;

use evenkeel_policy::routing::Matcher;
use toml::Spanned;

use super::{Names, Purpose};
use crate::codes;
use crate::collection::List;
use crate::diagnostic::Problems;
use crate::plan::{Action, Route};
use crate::schema;
use crate::values::name::Name;

pub(super) fn lower(
    routes: Vec<Spanned<schema::Route>>,
    names: &mut Names,
    problems: &mut Problems,
) -> Vec<Route> {
    let mut seen: HashMap<String, Range<usize>> = HashMap::new();
    let mut plan = Vec::with_capacity(routes.len());
    for route in routes {
        let at = route.span();
        let table = route.into_inner();
        if let Some(name) = &table.name {
            let word = &name.get_ref().0;
            if let Some(first) = seen.get(word) {
                problems
                    .error(codes::SAME_ROUTE, name.span(), format!("there are two routes `{word}`"))
                    .note(first.clone(), "the first is here")
                    .help("rename one: the name is the label in metrics and logs");
            } else {
                seen.insert(word.clone(), name.span());
            }
        }
        let listener = table.listener.as_ref().map(|listener| names.listener(listener, problems));
        check_protocol(&table, listener.flatten(), names, at.clone(), problems);
        let named = table.name.as_ref().map(|name| name.get_ref().0.clone());
        let label = named.as_ref().map_or_else(|| "a route".to_owned(), |name| format!("route `{name}`"));
        let place = table.name.as_ref().map_or(at, Spanned::span);
        let action = action(&table, &label, place, names, problems);
        if let (Some(name), Some(action)) = (named, action) {
            plan.push(Route { name, listener: listener.flatten(), matcher: matcher(table.r#match), action });
        }
    }
    plan
}

/// A TCP listener has no requests that a route could take.
fn check_protocol(
    table: &schema::Route,
    listener: Option<usize>,
    names: &Names,
    at: Range<usize>,
    problems: &mut Problems,
) {
    match &table.listener {
        Some(name) if listener.is_some_and(|listener| names.speaks_tcp(listener)) => {
            let name_of = &name.get_ref().0;
            let message = format!("listener `{name_of}` has protocol = \"tcp\": it has no requests to route");
            problems
                .error(codes::WRONG_PROTOCOL, name.span(), message)
                .help(format!("remove the route, and name its upstream in [listener.{name_of}]"));
        }
        None if names.all_speak_tcp() => {
            let place = table.name.as_ref().map_or(at, Spanned::span);
            let message = "no listener speaks HTTP: there are no requests to route".to_owned();
            let help = "remove the route; a listener with protocol = \"tcp\" names its `upstream` itself";
            problems.error(codes::WRONG_PROTOCOL, place, message).help(help);
        }
        _ => {}
    }
}

fn matcher(table: schema::Match) -> Matcher {
    let mut matcher = Matcher::default();
    if let Some(host) = table.host {
        matcher.host = Some(host.into_inner().0);
    }
    if let Some(path) = table.path {
        matcher.path = path.into_inner().0;
    }
    if let Some(method) = table.method {
        matcher.methods = method.into_inner().0.values().map(|method| method.0).collect();
    }
    if let Some(header) = table.header {
        matcher.headers = header.into_inner().0;
    }
    matcher
}

fn action(
    table: &schema::Route,
    label: &str,
    place: Range<usize>,
    names: &mut Names,
    problems: &mut Problems,
) -> Option<Action> {
    let written: Vec<(&str, Range<usize>)> = [
        ("upstream", table.upstream.as_ref().map(Spanned::span)),
        ("split", table.split.as_ref().map(Spanned::span)),
        ("redirect", table.redirect.as_ref().map(Spanned::span)),
        ("respond", table.respond.as_ref().map(Spanned::span)),
    ]
    .into_iter()
    .filter_map(|(key, span)| span.map(|span| (key, span)))
    .collect();
    match written.as_slice() {
        [_] => {}
        [] => {
            problems
                .error(codes::ONE_ACTION, place, format!("{label} does nothing"))
                .help("add one of `upstream`, `split`, `redirect` and `respond`");
        }
        [(first, at), rest @ ..] => {
            let others: Vec<String> = rest.iter().map(|(key, _)| format!("`{key}`")).collect();
            let message = format!("{label} has `{first}` and {}", others.join(" and "));
            let mut details = problems.error(codes::ONE_ACTION, at.clone(), message);
            for (_, span) in rest {
                details = details.note(span.clone(), "and this");
            }
            details.help("keep one of them");
        }
    }
    let upstream = read(&table.upstream).map(|(name, at)| {
        let name = Spanned::new(at, name.clone());
        names.upstream(&name, Purpose::Requests, problems).map(Action::Upstream)
    });
    let split = read(&table.split).map(|(shares, at)| split(shares, at, names, problems));
    let redirect = read(&table.redirect).map(|(redirect, _)| {
        let status = redirect.status.get_ref().0;
        redirect.to.as_ref().map(|to| Action::Redirect { to: to.get_ref().0.clone(), status })
    });
    let respond = read(&table.respond).map(|(respond, _)| respond_with(respond, problems));
    upstream.or(split).or(redirect).or(respond).flatten()
}

/// What a key says, and where, when it is there and good.
fn read<T>(choice: &Option<Spanned<Option<T>>>) -> Option<(&T, Range<usize>)> {
    let choice = choice.as_ref()?;
    choice.get_ref().as_ref().map(|value| (value, choice.span()))
}

fn split(
    shares: &List<schema::Share>,
    at: Range<usize>,
    names: &mut Names,
    problems: &mut Problems,
) -> Option<Action> {
    let mut parts: Vec<(usize, u32)> = Vec::new();
    let mut seen: HashMap<usize, Range<usize>> = HashMap::new();
    for share in &shares.items {
        let Some(name) = &share.get_ref().upstream else { continue };
        let Some(index) = names.upstream(name, Purpose::Requests, problems) else { continue };
        let weight = u32::try_from(share.get_ref().weight.get_ref().0).unwrap_or(u32::MAX);
        if let Some(first) = seen.get(&index) {
            twice(name, first.clone(), problems);
        } else {
            seen.insert(index, name.span());
            parts.push((index, weight));
        }
    }
    if shares.written == 0 {
        problems
            .error(codes::ONE_ACTION, at, "an empty split sends nothing anywhere")
            .help("write [{ upstream = \"NAME\", weight = 9 }, …]");
        return None;
    }
    let all_good = parts.len() == shares.written;
    if all_good && parts.iter().all(|(_, weight)| *weight == 0) {
        problems
            .error(codes::NO_WEIGHT, at, "every weight of the split is 0")
            .help("give at least one a weight above 0");
    }
    Some(Action::Split(parts))
}

fn twice(name: &Spanned<Name>, first: Range<usize>, problems: &mut Problems) {
    let message = format!("upstream `{}` is in the split twice", name.get_ref().0);
    problems
        .error(codes::SAME_ENDPOINT, name.span(), message)
        .note(first, "the first is here")
        .help("keep one, with the sum of the weights");
}

fn respond_with(respond: &schema::Respond, problems: &mut Problems) -> Option<Action> {
    let status = u16::try_from(respond.status.get_ref().0).ok()?;
    let body = respond.body.get_ref().0.clone();
    // RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5: these answers end with their head.
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        problems
            .error(
                codes::NO_EFFECT,
                respond.body.span(),
                format!("an answer with status {status} has no body"),
            )
            .help("remove `body`, or answer 200");
    }
    Some(Action::Respond { status, body })
}
