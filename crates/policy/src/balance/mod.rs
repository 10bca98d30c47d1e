//! Picking one endpoint among those that may take an attempt.
//!
//! To add an algorithm: one file with a type that implements [`Balance`], one variant of
//! [`Algorithm`] and of [`Balancer`]; the compiler names the rest, the law suite tests it.
//!
//! | algorithm | when |
//! |---|---|
//! | `round-robin` | requests cost about the same and endpoints differ only in weight |
//! | `least-connections` | requests differ in cost, or endpoints in speed |
//! | `two-choices` | as `least-connections`, where many proxies must not all run to the same endpoint |
//! | `adaptive` | as `least-connections`, where endpoints may become slow without failing |
//! | `peak-ewma` | endpoints differ in speed, and load matters less than the time of an answer |
//! | `random` | many proxies in front of the same endpoints, nothing shared, nothing remembered |
//! | `maglev` | requests with something in common are served best by one endpoint: its cache, its session |
//! | `ring-hash` | as `maglev`, where keys should move least when the list changes, at the price of less even shares |

mod adaptive;
mod hashing;
mod least_connections;
mod maglev;
mod peak_ewma;
mod random;
mod ring_hash;
mod round_robin;
mod slots;
mod two_choices;

#[cfg(test)]
mod hash_laws;
#[cfg(test)]
mod laws;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::endpoint::{Endpoint, EndpointId, Endpoints};
use crate::latency::{Memory, Moment};
use crate::rng::Rng;

pub use adaptive::Adaptive;
pub use hashing::{BOUND, Hashing, Layout, Member};
pub use least_connections::LeastConnections;
pub use maglev::Maglev;
pub use peak_ewma::PeakEwma;
pub use random::Random;
pub use ring_hash::RingHash;
pub use round_robin::RoundRobin;
pub use two_choices::TwoChoices;

/// Picks one endpoint for one attempt. Load is read, not owned: a rebuild loses nothing.
pub trait Balance {
    /// One of `eligible`, which is never empty: with nothing to choose from the caller rejects instead.
    fn pick(&mut self, eligible: &Eligible<'_>, hint: Hint, rng: &mut Rng) -> EndpointId;

    /// The upstream's list is now `endpoints`; endpoints that stay (same shared status) keep their place.
    fn rebuild(&mut self, endpoints: &Endpoints) {
        let _ = endpoints;
    }
}

/// The endpoints a pick may choose from: at least one, ascending.
#[derive(Debug, Clone, Copy)]
pub struct Eligible<'a> {
    endpoints: &'a Endpoints,
    ids: &'a [EndpointId],
    first: EndpointId,
}

impl<'a> Eligible<'a> {
    /// `ids` of `endpoints`, ascending, as [`crate::eligibility::eligible`] writes them; `None` when there is none.
    #[must_use]
    pub fn new(endpoints: &'a Endpoints, ids: &'a [EndpointId]) -> Option<Self> {
        debug_assert!(ids.is_sorted_by(|a, b| a < b), "ascending and each once: {ids:?}");
        Some(Self { endpoints, ids, first: *ids.first()? })
    }

    /// How many there are, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The first of them.
    #[must_use]
    pub fn first(&self) -> EndpointId {
        self.first
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(&self, id: EndpointId) -> bool {
        self.ids.len() == self.endpoints.len() || self.ids.binary_search(&id).is_ok()
    }

    /// Their indices, ascending.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = EndpointId> + 'a {
        self.ids.iter().copied()
    }

    /// The share of an endpoint relative to the others, at least 1: it may have become 0 since it was
    /// found eligible.
    #[must_use]
    pub fn weight(&self, id: EndpointId) -> u32 {
        self.endpoints.get(id).map_or(1, |endpoint| u32::from(endpoint.status.weight()).max(1))
    }

    /// Who it is ([`crate::endpoint::Endpoint::identity`]).
    #[must_use]
    pub fn identity(&self, id: EndpointId) -> u64 {
        self.endpoints.get(id).map_or(0, |endpoint| endpoint.identity)
    }

    /// Its requests in flight, over all workers.
    #[must_use]
    pub fn in_flight(&self, id: EndpointId) -> u32 {
        self.endpoints.get(id).map_or(0, |endpoint| endpoint.load.in_flight())
    }

    /// How long an answer is expected to take, in seconds; 0 if nothing is known.
    #[must_use]
    pub fn latency(&self, id: EndpointId, memory: Memory, now: Moment) -> f32 {
        self.endpoints.get(id).map_or(0.0, |endpoint| endpoint.load.latency.estimate(memory, now))
    }

    /// The same, if it is above `bound`, which is cheap to see where it is not.
    #[must_use]
    fn latency_above(&self, bound: f32, id: EndpointId, memory: Memory, now: Moment) -> Option<f32> {
        self.endpoints.get(id)?.load.latency.estimate_above(bound, memory, now)
    }

    /// `factor` × (requests in flight + `more`) per weight.
    #[must_use]
    fn scaled(&self, id: EndpointId, factor: f32, more: f32) -> f32 {
        factor * (self.in_flight(id) as f32 + more) / self.weight(id) as f32
    }

    /// How busy it is.
    #[must_use]
    pub fn busyness(&self, id: EndpointId) -> Busyness {
        Busyness { in_flight: self.in_flight(id), weight: self.weight(id) }
    }

    /// The sum of all weights.
    #[must_use]
    pub fn total_weight(&self) -> u32 {
        self.ids().fold(0, |sum: u32, id| sum.saturating_add(self.weight(id)))
    }

    /// What they have in flight and their weights, each summed up.
    fn totals(&self) -> (u64, u64) {
        let add = |(in_flight, weight): (u64, u64), endpoint: &Endpoint| {
            let own = (endpoint.load.in_flight(), endpoint.status.weight().max(1));
            (in_flight + u64::from(own.0), weight + u64::from(own.1))
        };
        if self.ids.len() == self.endpoints.len() {
            return self.endpoints.iter().map(|(_, endpoint)| endpoint).fold((0, 0), add);
        }
        self.ids().filter_map(|id| self.endpoints.get(id)).fold((0, 0), add)
    }

    /// The one whose share contains `ticket`, a number below [`Eligible::total_weight`], with `without` left out.
    fn holder(&self, mut ticket: u32, without: Option<EndpointId>) -> EndpointId {
        let mut last = self.first;
        for id in self.ids().filter(|id| Some(*id) != without) {
            let weight = self.weight(id);
            if ticket < weight {
                return id;
            }
            ticket -= weight;
            last = id;
        }
        // A weight shrank since the total was taken.
        last
    }

    /// The whole list, for algorithms that keep something per endpoint.
    fn endpoints(&self) -> &'a Endpoints {
        self.endpoints
    }
}

/// Requests in flight per weight, ordered without dividing.
#[derive(Debug, Clone, Copy)]
pub struct Busyness {
    in_flight: u32,
    weight: u32,
}

impl Ord for Busyness {
    fn cmp(&self, other: &Self) -> Ordering {
        let scaled = |a: &Self, b: &Self| u64::from(a.in_flight) * u64::from(b.weight);
        scaled(self, other).cmp(&scaled(other, self))
    }
}

impl PartialOrd for Busyness {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Busyness {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Busyness {}

/// What a request brings along for the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// Hash of what should go to the same endpoint each time ([`crate::affinity`]), for algorithms that heed it
    /// ([`Algorithm::heeds_hash`]).
    pub hash: Option<u64>,
    /// When it is made, for algorithms that heed latency ([`Algorithm::memory`]).
    pub now: Moment,
}

/// How an endpoint is picked; `Display` and [`FromStr`] speak the configuration's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// In turn, smoothly by weight. The default, as operators know it.
    #[default]
    RoundRobin,
    /// Fewest requests in flight per weight.
    LeastConnections,
    /// By chance, by weight.
    Random,
    /// Two by chance, of them the one with fewer requests in flight per weight.
    TwoChoices,
    /// Lowest peak latency × (requests in flight + 1) per weight.
    PeakEwma,
    /// Fewest requests in flight per weight, where those slower than most by far count for more.
    Adaptive,
    /// By the request's hash: the next point on a circle.
    RingHash,
    /// By the request's hash: an entry of a table.
    Maglev,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 8] = [
        Self::RoundRobin,
        Self::LeastConnections,
        Self::Random,
        Self::TwoChoices,
        Self::PeakEwma,
        Self::Adaptive,
        Self::RingHash,
        Self::Maglev,
    ];

    /// Their names, in the order of [`Algorithm::ALL`].
    pub const NAMES: [&str; Self::ALL.len()] = {
        let [a, b, c, d, e, f, g, h] = Self::ALL;
        [a.name(), b.name(), c.name(), d.name(), e.name(), f.name(), g.name(), h.name()]
    };

    /// How long it remembers slow answers, if it heeds latency: then it has to be told of each attempt
    /// ([`crate::latency::Latency::begin`]) and of the time of each pick ([`Hint::now`]).
    #[must_use]
    pub const fn memory(self) -> Option<Memory> {
        match self {
            Self::PeakEwma => Some(peak_ewma::MEMORY),
            Self::Adaptive => Some(adaptive::MEMORY),
            Self::RoundRobin | Self::LeastConnections | Self::Random | Self::TwoChoices => None,
            Self::RingHash | Self::Maglev => None,
        }
    }

    /// Whether it picks by [`Hint::hash`].
    #[must_use]
    pub const fn heeds_hash(self) -> bool {
        matches!(self, Self::RingHash | Self::Maglev)
    }

    /// As written in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastConnections => "least-connections",
            Self::Random => "random",
            Self::TwoChoices => "two-choices",
            Self::PeakEwma => "peak-ewma",
            Self::Adaptive => "adaptive",
            Self::RingHash => "ring-hash",
            Self::Maglev => "maglev",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(UnknownAlgorithm)
    }
}

/// Not one of [`Algorithm::NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such balancing algorithm; there are {}", Algorithm::NAMES.join(", "))
    }
}

impl std::error::Error for UnknownAlgorithm {}

/// The algorithm of one upstream with what it remembers.
#[derive(Debug)]
pub enum Balancer {
    /// See [`RoundRobin`].
    RoundRobin(RoundRobin),
    /// See [`LeastConnections`].
    LeastConnections(LeastConnections),
    /// See [`Random`].
    Random(Random),
    /// See [`TwoChoices`].
    TwoChoices(TwoChoices),
    /// See [`PeakEwma`].
    PeakEwma(PeakEwma),
    /// See [`Adaptive`].
    Adaptive(Adaptive),
    /// See [`RingHash`].
    RingHash(RingHash),
    /// See [`Maglev`].
    Maglev(Maglev),
}

impl Balancer {
    /// With nothing remembered yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RoundRobin => Self::RoundRobin(RoundRobin::default()),
            Algorithm::LeastConnections => Self::LeastConnections(LeastConnections),
            Algorithm::Random => Self::Random(Random),
            Algorithm::TwoChoices => Self::TwoChoices(TwoChoices),
            Algorithm::PeakEwma => Self::PeakEwma(PeakEwma),
            Algorithm::Adaptive => Self::Adaptive(Adaptive::default()),
            Algorithm::RingHash => Self::RingHash(RingHash::default()),
            Algorithm::Maglev => Self::Maglev(Maglev::default()),
        }
    }

    /// The same, with this bound on what an endpoint may have in flight, in percent of its share, where the algorithm has
    /// one ([`Hashing::bounded`]).
    #[must_use]
    pub fn bounded(self, bound: Option<u32>) -> Self {
        match self {
            Self::RingHash(algorithm) => Self::RingHash(algorithm.bounded(bound)),
            Self::Maglev(algorithm) => Self::Maglev(algorithm.bounded(bound)),
            unbounded => unbounded,
        }
    }

    /// Which algorithm this is.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::RoundRobin(_) => Algorithm::RoundRobin,
            Self::LeastConnections(_) => Algorithm::LeastConnections,
            Self::Random(_) => Algorithm::Random,
            Self::TwoChoices(_) => Algorithm::TwoChoices,
            Self::PeakEwma(_) => Algorithm::PeakEwma,
            Self::Adaptive(_) => Algorithm::Adaptive,
            Self::RingHash(_) => Algorithm::RingHash,
            Self::Maglev(_) => Algorithm::Maglev,
        }
    }
}

impl Balance for Balancer {
    fn pick(&mut self, eligible: &Eligible<'_>, hint: Hint, rng: &mut Rng) -> EndpointId {
        match self {
            Self::RoundRobin(algorithm) => algorithm.pick(eligible, hint, rng),
            Self::LeastConnections(algorithm) => algorithm.pick(eligible, hint, rng),
            Self::Random(algorithm) => algorithm.pick(eligible, hint, rng),
            Self::TwoChoices(algorithm) => algorithm.pick(eligible, hint, rng),
            Self::PeakEwma(algorithm) => algorithm.pick(eligible, hint, rng),
            Self::Adaptive(algorithm) => algorithm.pick(eligible, hint, rng),
            Self::RingHash(algorithm) => algorithm.pick(eligible, hint, rng),
            Self::Maglev(algorithm) => algorithm.pick(eligible, hint, rng),
        }
    }

    fn rebuild(&mut self, endpoints: &Endpoints) {
        match self {
            Self::RoundRobin(algorithm) => algorithm.rebuild(endpoints),
            Self::LeastConnections(algorithm) => algorithm.rebuild(endpoints),
            Self::Random(algorithm) => algorithm.rebuild(endpoints),
            Self::TwoChoices(algorithm) => algorithm.rebuild(endpoints),
            Self::PeakEwma(algorithm) => algorithm.rebuild(endpoints),
            Self::Adaptive(algorithm) => algorithm.rebuild(endpoints),
            Self::RingHash(algorithm) => algorithm.rebuild(endpoints),
            Self::Maglev(algorithm) => algorithm.rebuild(endpoints),
        }
    }
}
