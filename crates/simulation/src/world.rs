//! The world: clients that come whether or not they are answered, a balancer, endpoints that take their time.

use std::collections::VecDeque;
use std::time::Duration;

use evenkeel_policy::balance::{Algorithm, Balance, Balancer, Eligible, Hint};
use evenkeel_policy::eligibility::eligible;
use evenkeel_policy::endpoint::{Endpoint, EndpointId, Endpoints, State};
use evenkeel_policy::latency::{Memory, Moment};
use evenkeel_policy::rng::Rng;

use crate::chance::exponential;
use crate::schedule::{Schedule, nanos, seconds};
use crate::times::Times;

/// How an endpoint works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discipline {
    /// On all it has at once, each as if it were alone.
    Unlimited,
    /// On one after the other, in the order they came.
    Queue,
}

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// At equal distances.
    Even,
    /// As many independent clients send: exponential distances.
    Poisson,
}

/// What is simulated.
pub(crate) struct World<'a> {
    /// How many endpoints there are.
    pub(crate) endpoints: usize,
    /// How each works.
    pub(crate) discipline: Discipline,
    /// How long a request takes, in seconds: for which endpoint, begun when.
    pub(crate) service: &'a dyn Fn(usize, f64, &mut Rng) -> f64,
    /// What picks.
    pub(crate) algorithm: Algorithm,
    /// Requests per second.
    pub(crate) rate: f64,
    /// How they spread.
    pub(crate) arrivals: Arrivals,
    /// For how long they come, in seconds.
    pub(crate) time: f64,
    /// Requests that came before this are not counted.
    pub(crate) warm_up: f64,
    /// Of everything drawn by chance.
    pub(crate) seed: u64,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// From coming to being answered.
    pub(crate) times: Times,
    /// When each request came and which endpoint took it, in order.
    pub(crate) picks: Vec<(f64, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrival,
    Answer { endpoint: u32, came: u64 },
}

/// A run under way.
struct Run<'a> {
    world: &'a World<'a>,
    endpoints: Endpoints,
    balancer: Balancer,
    memory: Option<Memory>,
    rng: Rng,
    schedule: Schedule<Happening>,
    /// Per endpoint, what waits behind the one being worked on: when it came.
    queues: Vec<VecDeque<u64>>,
    outcome: Outcome,
}

impl World<'_> {
    /// Runs it until the last request is answered.
    #[must_use]
    pub(crate) fn run(&self) -> Outcome {
        let endpoints = Endpoints::new(
            (0..self.endpoints).map(|index| Endpoint::new(index as u64, State::default())).collect(),
        );
        let mut run = Run {
            world: self,
            endpoints,
            balancer: Balancer::new(self.algorithm),
            memory: self.algorithm.memory(),
            rng: Rng::new(self.seed),
            schedule: Schedule::default(),
            queues: vec![VecDeque::new(); self.endpoints],
            outcome: Outcome { times: Times::default(), picks: Vec::new() },
        };
        run.plan_arrival(0);
        let mut ids = Vec::new();
        while let Some((now, happening)) = run.schedule.next() {
            match happening {
                Happening::Arrival => run.arrive(now, &mut ids),
                Happening::Answer { endpoint, came } => run.answer(now, endpoint, came),
            }
        }
        run.outcome
    }
}

impl Run<'_> {
    fn plan_arrival(&mut self, now: u64) {
        let gap = 1.0 / self.world.rate;
        let gap = match self.world.arrivals {
            Arrivals::Even => gap,
            Arrivals::Poisson => exponential(&mut self.rng, gap),
        };
        let at = now + nanos(gap);
        if at < nanos(self.world.time) {
            self.schedule.plan(at, Happening::Arrival);
        }
    }

    fn arrive(&mut self, now: u64, ids: &mut Vec<EndpointId>) {
        self.plan_arrival(now);
        if eligible(&self.endpoints, &[], Moment::default(), ids).is_err() {
            return;
        }
        let Some(choice) = Eligible::new(&self.endpoints, ids) else { return };
        let hint = Hint { now: moment(now), ..Hint::default() };
        let picked = self.balancer.pick(&choice, hint, &mut self.rng);
        self.outcome.picks.push((seconds(now), picked.0));
        if let Some(endpoint) = self.endpoints.get(picked) {
            endpoint.load.begin();
            if self.memory.is_some() {
                endpoint.load.latency.begin(moment(now));
            }
        }
        let index = picked.0 as usize;
        match (self.world.discipline, self.queues.get_mut(index)) {
            (Discipline::Queue, Some(queue)) => {
                queue.push_back(now);
                if queue.len() == 1 {
                    self.work(now, picked.0, now);
                }
            }
            _ => self.work(now, picked.0, now),
        }
    }

    fn work(&mut self, now: u64, endpoint: u32, came: u64) {
        let takes = (self.world.service)(endpoint as usize, seconds(now), &mut self.rng);
        self.schedule.plan(now + nanos(takes), Happening::Answer { endpoint, came });
    }

    fn answer(&mut self, now: u64, endpoint: u32, came: u64) {
        if let Some(endpoint) = self.endpoints.get(EndpointId(endpoint)) {
            endpoint.load.end();
            if let Some(memory) = self.memory {
                endpoint.load.latency.see(moment(came), memory, moment(now));
                endpoint.load.latency.end(moment(came));
            }
        }
        if seconds(came) >= self.world.warm_up {
            self.outcome.times.add(seconds(now - came));
        }
        if self.world.discipline == Discipline::Queue
            && let Some(queue) = self.queues.get_mut(endpoint as usize)
        {
            queue.pop_front();
            if let Some(next) = queue.front().copied() {
                self.work(now, endpoint, next);
            }
        }
    }
}

fn moment(nanos: u64) -> Moment {
    Moment::after(Duration::from_nanos(nanos))
}
