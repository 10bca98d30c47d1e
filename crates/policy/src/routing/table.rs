//! The table in front of the routes: a hash on the host, then hashes on the path, never a scan over routes.
//!
//! Wildcards and prefixes are found by their lengths: for each length that occurs, longest first, the
//! part of the request with that length is looked up. The work follows the configuration's variety of lengths,
//! not what a client sends. Only routes that share host and path pattern are tried one after another.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use super::host::Lowered;
use super::{HostPattern, Matcher, PathPattern, Request, RouteId};

/// Routes, indexed. Compiled once per configuration, then only read.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    exact: Index<Paths>,
    wildcards: Index<Paths>,
    /// Lengths of the wildcards' suffixes, longest first.
    wildcard_lengths: Box<[usize]>,
    any: Paths,
    /// As given, for explanations.
    pub(super) routes: Box<[(Matcher, RouteId)]>,
}

/// Keyed by bytes of the configuration; a fixed hasher will do, since clients add no keys.
type Index<T> = HashMap<Box<[u8]>, T, BuildHasherDefault<DefaultHasher>>;

/// The routes of one host pattern.
#[derive(Debug, Clone, Default)]
struct Paths {
    exact: Index<Vec<Place>>,
    prefixes: Index<Vec<Place>>,
    /// Lengths of the prefixes, longest first.
    prefix_lengths: Box<[usize]>,
    /// For every path: the empty prefix, so common that it is not worth a hash.
    every: Vec<Place>,
}

/// Place in [`RouteTable::routes`] of a route whose host and path fit.
type Place = usize;

impl RouteTable {
    /// Routes in file order.
    #[must_use]
    pub fn new(routes: Vec<(Matcher, RouteId)>) -> Self {
        let mut table = Self::default();
        for (place, (matcher, _)) in routes.iter().enumerate() {
            let paths = match &matcher.host {
                None => &mut table.any,
                Some(HostPattern::Exact(name)) => table.exact.entry(lowered(name)).or_default(),
                Some(HostPattern::Wildcard(suffix)) => table.wildcards.entry(lowered(suffix)).or_default(),
            };
            paths.insert(&matcher.path, place);
        }
        for paths in table.exact.values_mut().chain(table.wildcards.values_mut()).chain([&mut table.any]) {
            paths.sort(&routes);
        }
        table.wildcard_lengths = lengths(&table.wildcards);
        table.routes = routes.into();
        table
    }

    /// The route this request takes; `None` when no route takes it.
    #[must_use]
    pub fn route(&self, request: &Request<'_>) -> Option<RouteId> {
        self.named(request).or_else(|| self.first(&self.any, request))
    }

    /// How many routes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The route of a host pattern.
    fn named(&self, request: &Request<'_>) -> Option<RouteId> {
        if self.exact.is_empty() && self.wildcards.is_empty() {
            return None;
        }
        let mut buffer = Lowered::default();
        let host = buffer.lower(request.host)?;
        let exact = self.exact.get(host);
        exact.into_iter().chain(self.wildcards(host)).find_map(|paths| self.first(paths, request))
    }

    /// What wildcards have for a host, the longest first.
    fn wildcards(&self, host: &[u8]) -> impl Iterator<Item = &Paths> {
        self.wildcard_lengths.iter().filter_map(|length| {
            let (labels, suffix) = host.split_at_checked(host.len().checked_sub(*length)?)?;
            let ends_at_label = labels.len() > 1 && labels.last() == Some(&b'.');
            if ends_at_label { self.wildcards.get(suffix) } else { None }
        })
    }

    fn first(&self, paths: &Paths, request: &Request<'_>) -> Option<RouteId> {
        paths.places(request.path).filter_map(|place| self.routes.get(place)).find_map(|(matcher, route)| {
            let takes = matcher.takes_method(request.method) && matcher.missing_header(request).is_none();
            takes.then_some(*route)
        })
    }
}

impl Paths {
    fn insert(&mut self, pattern: &PathPattern, place: Place) {
        let places = match pattern {
            PathPattern::Exact(path) => self.exact.entry(path.as_bytes().into()).or_default(),
            PathPattern::Prefix(path) if path.is_empty() => &mut self.every,
            PathPattern::Prefix(path) => self.prefixes.entry(path.as_bytes().into()).or_default(),
        };
        places.push(place);
    }

    fn sort(&mut self, routes: &[(Matcher, RouteId)]) {
        let rank = |place: &Place| {
            let matcher = routes.get(*place).map(|(matcher, _)| matcher);
            Reverse(matcher.map(|matcher| (!matcher.methods.is_empty(), matcher.headers.len())))
        };
        let named = self.exact.values_mut().chain(self.prefixes.values_mut());
        for places in named.chain([&mut self.every]) {
            // Stable: what is left equal keeps file order.
            places.sort_by_key(rank);
        }
        self.prefix_lengths = lengths(&self.prefixes);
    }

    /// The candidates for a path, the most specific first.
    fn places(&self, path: &[u8]) -> impl Iterator<Item = Place> {
        let exact = self.exact.get(path);
        let prefixes = self.prefix_lengths.iter().filter_map(|length| {
            let (prefix, rest) = path.split_at_checked(*length)?;
            let ends_at_segment = rest.first().is_none_or(|next| *next == b'/');
            if ends_at_segment { self.prefixes.get(prefix) } else { None }
        });
        exact.into_iter().chain(prefixes).chain([&self.every]).flatten().copied()
    }
}

fn lengths<T>(index: &Index<T>) -> Box<[usize]> {
    let mut lengths: Vec<_> = index.keys().map(|key| key.len()).collect();
    lengths.sort_unstable_by_key(|length| Reverse(*length));
    lengths.dedup();
    lengths.into()
}

fn lowered(host: &str) -> Box<[u8]> {
    host.to_ascii_lowercase().into_bytes().into()
}

#[cfg(test)]
mod tests;
