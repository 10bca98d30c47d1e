//! From the schema to the plan: names become indices, and what only the whole file can tell is checked.
//!
//! With an error among the problems the plan is incomplete and must not be used.

mod address;
mod hash;
mod listener;
mod outliers;
mod route;
mod upstream;

use std::collections::HashMap;

use toml::Spanned;

use crate::codes;
use crate::collection::Named;
use crate::diagnostic::Problems;
use crate::plan::{Admin, Log, Plan, Server};
use crate::schema;
use crate::setting::{nearest, ticked};
use crate::values::name::Name;

/// Makes the plan, and reports what is wrong between the parts.
pub(crate) fn lower(file: schema::File, problems: &mut Problems) -> Plan {
    let bad_listeners = file.listener.as_ref().is_some_and(|written| written.get_ref().is_none());
    let listeners = file.listener.and_then(Spanned::into_inner).unwrap_or_default();
    let upstreams = file.upstream.and_then(Spanned::into_inner).unwrap_or_default();
    let routes = file.route.map(|list| list.into_inner().items).unwrap_or_default();
    if listeners.entries.is_empty() && !bad_listeners {
        problems
            .whole(codes::NOTHING_SERVED, "there is no [listener.NAME]: nothing would be served")
            .help("the smallest file has a [listener.web] with `address` and `upstream`, and that [upstream.NAME] with `endpoints`");
    }
    let admin = address::admin(&file.admin);
    address::check(&listeners, &file.admin, &upstreams, problems);

    let mut names = Names::new(&listeners, &upstreams);
    let routes = route::lower(routes, &mut names, problems);
    let listeners = listener::lower(&listeners, &routes, &mut names, problems);
    names.report_unused(&upstreams, problems);
    Plan {
        server: Server {
            workers: file
                .server
                .workers
                .and_then(|w| usize::try_from(w.into_inner().0).ok()?.try_into().ok()),
            shutdown_timeout: file.server.shutdown_timeout.into_inner().0,
        },
        admin: admin.map(|address| Admin {
            address,
            hosts: file.admin.hosts.into_inner().values().map(|host| host.0).collect(),
        }),
        log: Log {
            level: file.log.level.into_inner().0,
            format: file.log.format.into_inner(),
            access: file.log.access.into_inner(),
        },
        listeners,
        routes,
        upstreams: upstream::lower(upstreams, names.uses(), problems),
    }
}

/// Finds listeners and upstreams by name, and remembers what upstreams were asked for.
pub(crate) struct Names {
    listeners: HashMap<String, usize>,
    upstreams: HashMap<String, usize>,
    /// Whether each listener speaks TCP.
    speaks_tcp: Vec<bool>,
    uses: Vec<Uses>,
}

/// What an upstream is named for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Requests,
    Sessions,
}

/// What is known of how an upstream is used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Uses {
    /// Its `protocol` is `"tcp"`.
    is_tcp: bool,
    requests: bool,
    sessions: bool,
}

impl Uses {
    /// Whether sessions of TCP listeners go there.
    pub(crate) fn has_sessions(self) -> bool {
        self.is_tcp || self.sessions
    }

    /// Whether nothing but sessions goes there, so that what is for requests has no effect.
    pub(crate) fn only_sessions(self) -> bool {
        self.is_tcp || (self.sessions && !self.requests)
    }
}

impl Names {
    fn new(listeners: &Named<schema::Listener>, upstreams: &Named<schema::Upstream>) -> Self {
        Self {
            listeners: positions(listeners),
            upstreams: positions(upstreams),
            speaks_tcp: listeners
                .entries
                .iter()
                .map(|(_, table)| table.as_ref().is_some_and(schema::Listener::speaks_tcp))
                .collect(),
            uses: upstreams
                .entries
                .iter()
                .map(|(_, table)| Uses {
                    is_tcp: table.as_ref().is_some_and(schema::Upstream::speaks_tcp),
                    ..Uses::default()
                })
                .collect(),
        }
    }

    /// The index of an upstream; an unknown one is reported, and one that is not for this purpose.
    pub(crate) fn upstream(
        &mut self,
        name: &Spanned<Name>,
        purpose: Purpose,
        problems: &mut Problems,
    ) -> Option<usize> {
        let found = self.upstreams.get(&name.get_ref().0).copied();
        match found {
            Some(index) => {
                let Some(uses) = self.uses.get_mut(index) else { return found };
                match purpose {
                    Purpose::Requests => uses.requests = true,
                    Purpose::Sessions => uses.sessions = true,
                }
                if uses.is_tcp && uses.requests {
                    let name_of = &name.get_ref().0;
                    let message =
                        format!("upstream `{name_of}` has protocol = \"tcp\": it takes no HTTP requests");
                    problems.error(codes::WRONG_PROTOCOL, name.span(), message).help(format!(
                        "remove `protocol` from [upstream.{name_of}], or name it in a listener with protocol = \"tcp\""
                    ));
                }
            }
            None => unknown(codes::UNKNOWN_UPSTREAM, "upstream", name, &self.upstreams, problems),
        }
        found
    }

    /// The index of a listener; an unknown one is reported.
    pub(crate) fn listener(&self, name: &Spanned<Name>, problems: &mut Problems) -> Option<usize> {
        let found = self.listeners.get(&name.get_ref().0).copied();
        if found.is_none() {
            unknown(codes::UNKNOWN_LISTENER, "listener", name, &self.listeners, problems);
        }
        found
    }

    /// Whether a listener speaks TCP.
    pub(crate) fn speaks_tcp(&self, listener: usize) -> bool {
        self.speaks_tcp.get(listener).copied().unwrap_or(false)
    }

    /// Whether there are listeners, and all of them speak TCP.
    pub(crate) fn all_speak_tcp(&self) -> bool {
        !self.speaks_tcp.is_empty() && self.speaks_tcp.iter().all(|speaks| *speaks)
    }

    /// How each upstream is used, in file order.
    pub(crate) fn uses(&self) -> &[Uses] {
        &self.uses
    }

    fn report_unused(&self, upstreams: &Named<schema::Upstream>, problems: &mut Problems) {
        for ((name, _), uses) in upstreams.entries.iter().zip(&self.uses) {
            if !uses.requests && !uses.sessions {
                let message = format!("nothing sends to upstream `{}`", name.get_ref());
                let help = format!("name it in a listener or route: upstream = {:?}", name.get_ref());
                problems.warning(codes::UNUSED_UPSTREAM, name.span(), message).help(help);
            }
        }
    }
}

fn positions<T>(named: &Named<T>) -> HashMap<String, usize> {
    named.names().enumerate().map(|(index, name)| (name.to_owned(), index)).collect()
}

fn unknown(
    code: &'static str,
    kind: &str,
    name: &Spanned<Name>,
    known: &HashMap<String, usize>,
    problems: &mut Problems,
) {
    let written = &name.get_ref().0;
    let mut words: Vec<(&usize, &str)> = known.iter().map(|(word, at)| (at, word.as_str())).collect();
    words.sort_unstable();
    let words = words.into_iter().map(|(_, word)| word);
    let help = match nearest(written, words.clone()) {
        Some(near) => format!("did you mean {near:?}?"),
        None if known.is_empty() => format!("add [{kind}.{written}]"),
        None => format!("add [{kind}.{written}]; there are {}", ticked(words.take(20))),
    };
    problems.error(code, name.span(), format!("there is no {kind} `{written}`")).help(help);
}
