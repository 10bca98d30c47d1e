//! Readings of a running cluster: what the proxy counted and decided, as rates of the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use evenkeel_control::{EndpointStatus, Handle};
use evenkeel_telemetry::{EndpointTotals, HistogramSnapshot, Totals};

use crate::toy::{Toy, ToyState};

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
    window: VecDeque<(Instant, Totals)>,
    stepped: Instant,
    /// The requests of each endpoint at the last step, and its rates at the steps.
    endpoints: Vec<(u64, VecDeque<f64>)>,
}

/// A cluster at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What went through the proxy.
    pub traffic: Traffic,
    /// The endpoints, in the configuration's order.
    pub endpoints: Vec<EndpointReading>,
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
#[derive(Debug, Clone)]
pub struct EndpointReading {
    /// The toy backend behind it.
    pub name: String,
    /// Its address.
    pub address: String,
    /// How it is, in a word.
    pub state: &'static str,
    /// The same as a signal.
    pub light: Light,
    /// Why it gets no requests, when it does not.
    pub note: Option<String>,
    /// Requests in flight.
    pub in_flight: u32,
    /// Its share of the traffic.
    pub traffic: Traffic,
    /// Requests per second over the last seconds, a value each.
    pub history: VecDeque<f64>,
}

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Light {
    /// As it should be.
    Green,
    /// On purpose or not for long.
    Yellow,
    /// Broken.
    Red,
}

impl Meter {
    /// Begins to read.
    pub fn new(handle: Handle) -> Self {
        let now = Instant::now();
        let window = VecDeque::from([(now, handle.totals())]);
        Self { handle, window, stepped: now, endpoints: Vec::new() }
    }

    /// Reads. `toys` are the backends behind the endpoints.
    pub fn read(&mut self, toys: &[Toy]) -> Reading {
        let now = Instant::now();
        let totals = self.handle.totals();
        while self.window.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.window.pop_front();
        }
        let step = now.saturating_duration_since(self.stepped);
        let steps = step >= STEP;
        if steps {
            self.stepped = now;
        }
        let status = self.handle.status();
        let all = status.upstreams.iter().flat_map(|upstream| {
            upstream.endpoints.iter().map(|endpoint| (upstream.name.as_str(), endpoint))
        });
        let (since, before) = self.window.front().map_or((now, None), |(at, totals)| (*at, Some(totals)));
        let elapsed = now.saturating_duration_since(since);
        let mut endpoints = Vec::new();
        for (index, (upstream, endpoint)) in all.enumerate() {
            let current = totals.endpoint(upstream, &endpoint.address);
            let earlier = before.and_then(|totals| totals.endpoint(upstream, &endpoint.address));
            let requests = current.map_or(0, EndpointTotals::requests);
            if self.endpoints.len() == index {
                self.endpoints.push((requests, VecDeque::new()));
            }
            let Some((counted, history)) = self.endpoints.get_mut(index) else { continue };
            if steps {
                history.push_back(requests.saturating_sub(*counted) as f64 / step.as_secs_f64());
                *counted = requests;
                if history.len() > REMEMBERED {
                    history.pop_front();
                }
            }
            let toy = toys.iter().find(|toy| toy.address().to_string() == endpoint.address);
            let duration = |totals: Option<&EndpointTotals>| {
                totals.map(|totals| totals.duration.clone()).unwrap_or_default()
            };
            let traffic = Traffic {
                errors: current.map_or(0, EndpointTotals::errors),
                ..traffic(
                    (requests, &duration(current)),
                    (earlier.map_or(0, EndpointTotals::requests), &duration(earlier)),
                    elapsed,
                )
            };
            endpoints.push(reading(endpoint, toy, traffic, history.clone(), now));
        }
        let retries = totals.upstreams.iter().flat_map(|upstream| &upstream.retries).map(|(_, n)| n).sum();
        let earlier = before.map(|totals| (totals.requests(), totals.duration())).unwrap_or_default();
        let traffic = Traffic {
            errors: totals.errors(),
            retries,
            ..traffic((totals.requests(), &totals.duration()), (earlier.0, &earlier.1), elapsed)
        };
        self.window.push_back((now, totals));
        Reading { traffic, endpoints }
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

fn reading(
    endpoint: &EndpointStatus,
    toy: Option<&Toy>,
    traffic: Traffic,
    history: VecDeque<f64>,
    now: Instant,
) -> EndpointReading {
    let (state, light, reason) = judge(endpoint);
    let death = toy.and_then(|toy| match toy.state() {
        ToyState::Serving => None,
        ToyState::Dead { back_at } => {
            let seconds = back_at.saturating_duration_since(now).as_secs_f64().ceil();
            Some(format!("killed, back in {seconds:.0} s"))
        }
    });
    EndpointReading {
        name: toy.map(|toy| toy.name().to_owned()).unwrap_or_default(),
        address: endpoint.address.clone(),
        state,
        light,
        note: death.or(reason),
        in_flight: endpoint.in_flight,
        traffic,
        history,
    }
}

/// The state in a word, as a signal, and the reason where there is one.
fn judge(endpoint: &EndpointStatus) -> (&'static str, Light, Option<String>) {
    let reason = || Some(endpoint.reason.clone()).filter(|reason| !reason.is_empty());
    if !endpoint.up {
        ("down", Light::Red, reason())
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
