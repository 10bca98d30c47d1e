//! Readings of a running cluster: what the proxy counted and decided, as rates of the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use evenkeel_backend::CacheFigures;
use evenkeel_control::{EndpointStatus, Handle};
use evenkeel_telemetry::{EndpointTotals, HistogramSnapshot, Totals};

use crate::demo::cache;
use crate::demo::cluster::{CACHE, Cluster, UPSTREAM};
use crate::demo::life::PartState;
use crate::demo::savings::{self, Savings};
use crate::demo::toy::Toy;

/// Rates and quantiles are of this long.
const WINDOW: Duration = Duration::from_secs(2);
/// Of a shorter time there is no rate worth showing.
const LEAST: Duration = Duration::from_millis(500);
/// Endpoints' rates are remembered once in this time.
const STEP: Duration = Duration::from_secs(1);
/// How many are remembered.
const REMEMBERED: usize = 120;

/// Reads a proxy again and again.
#[derive(Debug)]
pub struct Meter {
    handle: Handle,
    window: VecDeque<Sample>,
    stepped: Instant,
    /// The requests of each endpoint at the last step, and its rates at the steps.
    endpoints: Vec<(u64, VecDeque<f64>)>,
}

/// What was counted until a moment.
#[derive(Debug)]
struct Sample {
    at: Instant,
    totals: Totals,
    cache: CacheFigures,
}

/// A cluster at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What went through the proxy.
    pub traffic: Traffic,
    /// The backends, in the configuration's order.
    pub endpoints: Vec<EndpointReading>,
    /// The cache.
    pub cache: Savings,
}

/// Requests and how they went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// From the start.
    pub requests: u64,
    /// Answered 5xx from the start.
    pub errors: u64,
    /// Tried again at another endpoint from the start.
    pub retries: u64,
    /// Per second, lately.
    pub per_second: f64,
    /// Half of them took less, lately.
    pub p50: Option<Duration>,
    /// 99 of 100 of them.
    pub p99: Option<Duration>,
}

/// An endpoint at one moment.
#[derive(Debug, Clone, Default)]
pub struct EndpointReading {
    /// The toy backend or the cache behind it.
    pub name: String,
    /// Its address.
    pub address: String,
    /// How it is, in a word.
    pub state: &'static str,
    /// The same as a signal.
    pub light: Light,
    /// Why it gets no requests, when it does not; of the cache, what it holds.
    pub note: Option<String>,
    /// Requests in flight.
    pub in_flight: u32,
    /// Its share of the traffic.
    pub traffic: Traffic,
    /// Requests per second over the last seconds, a value each.
    pub history: VecDeque<f64>,
}

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Light {
    /// As it should be.
    #[default]
    Green,
    /// On purpose or not for long.
    Yellow,
    /// Broken.
    Red,
}

impl Meter {
    /// Begins to read.
    pub fn new(cluster: &Cluster) -> Self {
        let handle = cluster.handle();
        let first = Sample::take(&handle, cluster.toys());
        Self { handle, stepped: first.at, window: VecDeque::from([first]), endpoints: Vec::new() }
    }

    /// Reads the cluster that it began with.
    pub fn read(&mut self, cluster: &Cluster) -> Reading {
        let toys = cluster.toys();
        let current = Sample::take(&self.handle, toys);
        let now = current.at;
        while self.window.get(1).is_some_and(|next| now.saturating_duration_since(next.at) >= WINDOW) {
            self.window.pop_front();
        }
        let step = now.saturating_duration_since(self.stepped);
        let steps = step >= STEP;
        if steps {
            self.stepped = now;
        }
        let status = self.handle.status();
        let of = |wanted: &str| {
            let upstream = status.upstreams.iter().find(|upstream| upstream.name == wanted);
            upstream.map_or(&[][..], |upstream| &upstream.endpoints)
        };
        let before = self.window.front().unwrap_or(&current);
        let elapsed = now.saturating_duration_since(before.at);
        let mut endpoints = Vec::new();
        for (index, endpoint) in of(UPSTREAM).iter().enumerate() {
            let counted = current.totals.endpoint(UPSTREAM, &endpoint.address);
            let earlier = before.totals.endpoint(UPSTREAM, &endpoint.address);
            let requests = counted.map_or(0, EndpointTotals::requests);
            if self.endpoints.len() == index {
                self.endpoints.push((requests, VecDeque::new()));
            }
            let Some((until_step, history)) = self.endpoints.get_mut(index) else { continue };
            if steps {
                history.push_back(requests.saturating_sub(*until_step) as f64 / step.as_secs_f64());
                *until_step = requests;
                if history.len() > REMEMBERED {
                    history.pop_front();
                }
            }
            let toy = toys.iter().find(|toy| toy.address().to_string() == endpoint.address);
            let duration = |totals: Option<&EndpointTotals>| {
                totals.map(|totals| totals.duration.clone()).unwrap_or_default()
            };
            let traffic = Traffic {
                errors: counted.map_or(0, EndpointTotals::errors),
                ..traffic(
                    (requests, &duration(counted)),
                    (earlier.map_or(0, EndpointTotals::requests), &duration(earlier)),
                    elapsed,
                )
            };
            let death = toy.and_then(|toy| match toy.state() {
                PartState::Serving => None,
                PartState::Dead { back_at } => Some(savings::death(back_at, now)),
            });
            let name = toy.map_or("", Toy::name);
            endpoints.push(EndpointReading {
                traffic,
                history: history.clone(),
                ..reading(name, endpoint, death)
            });
        }
        let server = of(CACHE).first().map(|endpoint| {
            reading(cache::NAME, endpoint, savings::note(cluster.cache(), endpoint.in_flight, now))
        });
        let states: Vec<_> = toys.iter().filter_map(Toy::cache).collect();
        let cache = Savings::new(
            current.cache,
            &before.cache,
            elapsed.max(LEAST),
            &states,
            server.unwrap_or_default(),
        );
        let upstream = current.totals.upstreams.iter().find(|upstream| &*upstream.upstream == UPSTREAM);
        let retries = upstream.map_or(0, |upstream| upstream.retries.iter().map(|(_, n)| n).sum());
        let (totals, earlier) = (&current.totals, &before.totals);
        let traffic = Traffic {
            errors: totals.errors(),
            retries,
            ..traffic(
                (totals.requests(), &totals.duration()),
                (earlier.requests(), &earlier.duration()),
                elapsed,
            )
        };
        self.window.push_back(current);
        Reading { traffic, endpoints, cache }
    }
}

impl Sample {
    fn take(handle: &Handle, toys: &[Toy]) -> Self {
        Self { at: Instant::now(), totals: handle.totals(), cache: savings::figures(toys) }
    }
}

fn traffic(
    (requests, duration): (u64, &HistogramSnapshot),
    (earlier, earlier_duration): (u64, &HistogramSnapshot),
    elapsed: Duration,
) -> Traffic {
    let lately = duration.since(earlier_duration);
    let per_second = requests.saturating_sub(earlier) as f64 / elapsed.max(LEAST).as_secs_f64();
    Traffic {
        requests,
        per_second,
        p50: lately.quantile(0.5),
        p99: lately.quantile(0.99),
        ..Traffic::default()
    }
}

/// An endpoint as the proxy sees it; what it did is not there yet.
fn reading(name: &str, endpoint: &EndpointStatus, note: Option<String>) -> EndpointReading {
    let (state, light, reason) = judge(endpoint);
    EndpointReading {
        name: name.to_owned(),
        address: endpoint.address.clone(),
        state,
        light,
        note: note.or(reason),
        in_flight: endpoint.in_flight,
        ..EndpointReading::default()
    }
}

/// The state in a word, as a signal, and the reason where there is one.
fn judge(endpoint: &EndpointStatus) -> (&'static str, Light, Option<String>) {
    let reason = || Some(endpoint.reason.clone()).filter(|reason| !reason.is_empty());
    if !endpoint.up {
        ("down", Light::Red, reason())
    } else if endpoint.ejected {
        ("ejected", Light::Red, endpoint.ejection.clone())
    } else if endpoint.draining && endpoint.in_flight > 0 {
        ("draining", Light::Yellow, Some(format!("{} still in flight", endpoint.in_flight)))
    } else if endpoint.draining {
        ("drained", Light::Yellow, Some("no requests until it is undrained".to_owned()))
    } else if !endpoint.eligible {
        ("unused", Light::Yellow, endpoint.refusal.clone())
    } else {
        ("up", Light::Green, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> EndpointStatus {
        EndpointStatus {
            address: "127.0.0.1:9001".into(),
            eligible: true,
            refusal: None,
            up: true,
            reason: "answered 200".into(),
            since_seconds: Some(1),
            draining: false,
            ejected: false,
            ejection: None,
            weight: 1,
            backup: false,
            in_flight: 0,
            max_in_flight: None,
        }
    }

    #[test]
    fn states_are_words_with_reasons() {
        assert_eq!(judge(&endpoint()), ("up", Light::Green, None));
        let down = EndpointStatus { up: false, eligible: false, reason: "refused".into(), ..endpoint() };
        assert_eq!(judge(&down), ("down", Light::Red, Some("refused".into())));
        let why = Some("too many errors in a row, for 9 s more".to_owned());
        let ejected = EndpointStatus { ejected: true, ejection: why.clone(), eligible: false, ..endpoint() };
        assert_eq!(judge(&ejected), ("ejected", Light::Red, why));
        let draining = EndpointStatus { draining: true, eligible: false, in_flight: 2, ..endpoint() };
        assert_eq!(judge(&draining), ("draining", Light::Yellow, Some("2 still in flight".into())));
        assert_eq!(judge(&EndpointStatus { in_flight: 0, ..draining }).0, "drained");
        let full = EndpointStatus { eligible: false, refusal: Some("is full".into()), ..endpoint() };
        assert_eq!(judge(&full), ("unused", Light::Yellow, Some("is full".into())));
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let none = HistogramSnapshot::default();
        let now = traffic((500, &none), (100, &none), Duration::from_secs(2));
        assert_eq!((now.requests, now.per_second, now.p99), (500, 200.0, None));
        assert_eq!(traffic((5, &none), (0, &none), Duration::ZERO).per_second, 10.0);
    }
}
