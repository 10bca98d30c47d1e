//! A server that more is asked of than it can do: clients that give up and try again, and a proxy that protects it or
//! does not.
//!
//! The server works on what it has accepted whether or not anybody still waits for it, as most do; that is what keeps an
//! overload going when its cause is gone (Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021).

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use evenkeel_policy::queue::{Joined, Queue, Ticket};
use evenkeel_policy::retry::Budget;
use evenkeel_policy::rng::Rng;

use crate::chance::exponential;
use crate::schedule::{Schedule, nanos, seconds};
use crate::times::Times;

/// What is simulated; times in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Overload {
    /// New requests per second, by Poisson.
    pub(crate) rate: f64,
    /// Requests that the server works on at once.
    pub(crate) places: u32,
    /// What it takes for each.
    pub(crate) service: f64,
    /// When it does nothing.
    pub(crate) outage: Range<f64>,
    /// How long a client waits for a try.
    pub(crate) patience: f64,
    /// Whether a failed try is followed by a second one.
    pub(crate) retry: Retry,
    /// What the proxy does about it.
    pub(crate) protection: Option<Protection>,
    /// For how long requests come.
    pub(crate) time: f64,
    pub(crate) seed: u64,
}

/// Who tries a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    Always,
    /// Within a budget of that many percent.
    Budget(u8),
}

/// A cap on what the server has at once, and a queue before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Protection {
    pub(crate) in_flight: u32,
    pub(crate) queue: u32,
}

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Of each request, in the order they came: when, and how long its successful try took.
    pub(crate) requests: Vec<(f64, Option<f64>)>,
    /// When each try was made.
    pub(crate) tries: Vec<f64>,
}

impl Outcome {
    /// Requests that came in that time and were answered in time, per second.
    pub(crate) fn goodput(&self, time: Range<f64>) -> f64 {
        let good = self.requests.iter().filter(|(came, took)| time.contains(came) && took.is_some()).count();
        good as f64 / (time.end - time.start)
    }

    /// The share of those that came in that time.
    pub(crate) fn share(&self, time: Range<f64>) -> f64 {
        let all = self.requests.iter().filter(|(came, _)| time.contains(came)).count();
        self.goodput(time.clone()) * (time.end - time.start) / all as f64
    }

    /// Tries per second in that time.
    pub(crate) fn offered(&self, time: Range<f64>) -> f64 {
        self.tries.iter().filter(|at| time.contains(at)).count() as f64 / (time.end - time.start)
    }

    /// What the tries that succeeded took, of requests that came in that time.
    pub(crate) fn times(&self, time: Range<f64>) -> Times {
        let mut times = Times::default();
        self.requests
            .iter()
            .filter(|(came, _)| time.contains(came))
            .filter_map(|(_, took)| *took)
            .for_each(|took| times.add(took));
        times
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrival,
    /// The server is through with a try.
    Done(usize),
    /// The client of a try has waited long enough.
    GivenUp(usize),
}

#[derive(Debug)]
struct Try {
    request: usize,
    began: u64,
    is_first: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued(Ticket),
    Sent,
    Over,
}

struct Run<'a> {
    settings: &'a Overload,
    epoch: Instant,
    rng: Rng,
    budget: Option<Budget>,
    schedule: Schedule<Happening>,
    tries: Vec<Try>,
    /// The proxy's.
    in_flight: u32,
    queue: Queue<usize>,
    /// The server's.
    working: u32,
    accepted: VecDeque<usize>,
    outcome: Outcome,
}

impl Overload {
    pub(crate) fn run(&self) -> Outcome {
        let epoch = Instant::now();
        let budget = match self.retry {
            Retry::Budget(percent) => Some(Budget::new(Some(percent), epoch)),
            Retry::Never | Retry::Always => None,
        };
        let mut run = Run {
            settings: self,
            epoch,
            rng: Rng::new(self.seed),
            budget,
            schedule: Schedule::default(),
            tries: Vec::new(),
            in_flight: 0,
            queue: Queue::default(),
            working: 0,
            accepted: VecDeque::new(),
            outcome: Outcome::default(),
        };
        run.plan_arrival(0);
        while let Some((now, happening)) = run.schedule.next() {
            match happening {
                Happening::Arrival => run.arrive(now),
                Happening::Done(number) => run.done(now, number),
                Happening::GivenUp(number) => run.give_up(now, number),
            }
        }
        run.outcome
    }
}

impl Run<'_> {
    fn plan_arrival(&mut self, now: u64) {
        let at = now + nanos(exponential(&mut self.rng, 1.0 / self.settings.rate));
        if at < nanos(self.settings.time) {
            self.schedule.plan(at, Happening::Arrival);
        }
    }

    fn instant(&self, now: u64) -> Instant {
        self.epoch + Duration::from_nanos(now)
    }

    fn arrive(&mut self, now: u64) {
        self.plan_arrival(now);
        let request = self.outcome.requests.len();
        self.outcome.requests.push((seconds(now), None));
        let at = self.instant(now);
        if let Some(budget) = &mut self.budget {
            budget.deposit(at);
        }
        self.attempt(now, request, true);
    }

    fn attempt(&mut self, now: u64, request: usize, is_first: bool) {
        self.outcome.tries.push(seconds(now));
        let number = self.tries.len();
        self.tries.push(Try { request, began: now, is_first, state: State::Over });
        let at = self.instant(now);
        match self.settings.protection {
            Some(Protection { in_flight, queue })
                if self.in_flight >= in_flight || !self.queue.is_empty() =>
            {
                match self.queue.join(number, queue, at) {
                    Joined::Full => return self.fail(now, number),
                    Joined::Waits(ticket) => self.set(number, State::Queued(ticket)),
                    Joined::InsteadOf(ticket, oldest) => {
                        self.set(number, State::Queued(ticket));
                        self.fail(now, oldest);
                    }
                }
            }
            _ => self.send(now, number),
        }
        self.schedule.plan(now + nanos(self.settings.patience), Happening::GivenUp(number));
    }

    fn set(&mut self, number: usize, state: State) {
        if let Some(one) = self.tries.get_mut(number) {
            one.state = state;
        }
    }

    fn send(&mut self, now: u64, number: usize) {
        self.set(number, State::Sent);
        self.in_flight += 1;
        if self.working < self.settings.places {
            self.work(now, number);
        } else {
            self.accepted.push_back(number);
        }
    }

    /// The server begins to work on it.
    fn work(&mut self, now: u64, number: usize) {
        self.working += 1;
        let (begin, end) = (nanos(self.settings.outage.start), nanos(self.settings.outage.end));
        let from = if (begin..end).contains(&now) { end } else { now };
        let over = from + nanos(exponential(&mut self.rng, self.settings.service));
        let over = if from < begin && over > begin { over + (end - begin) } else { over };
        self.schedule.plan(over, Happening::Done(number));
    }

    fn done(&mut self, now: u64, number: usize) {
        self.working -= 1;
        if let Some(next) = self.accepted.pop_front() {
            self.work(now, next);
        }
        let Some(one) = self.tries.get(number) else { return };
        if one.state == State::Sent {
            let (request, took) = (one.request, seconds(now - one.began));
            self.set(number, State::Over);
            if let Some((_, answered)) = self.outcome.requests.get_mut(request) {
                *answered = Some(took);
            }
            self.release(now);
        }
    }

    fn give_up(&mut self, now: u64, number: usize) {
        match self.tries.get(number).map(|one| one.state) {
            Some(State::Queued(ticket)) => {
                self.queue.leave(ticket);
                self.fail(now, number);
            }
            Some(State::Sent) => {
                self.set(number, State::Over);
                self.release(now);
                self.fail(now, number);
            }
            Some(State::Over) | None => {}
        }
    }

    /// The proxy has a free place.
    fn release(&mut self, now: u64) {
        self.in_flight -= 1;
        let at = self.instant(now);
        if let Some((_, next)) = self.queue.serve(at) {
            self.send(now, next);
        }
    }

    /// A try has failed.
    fn fail(&mut self, now: u64, number: usize) {
        self.set(number, State::Over);
        let Some(&Try { request, is_first: true, .. }) = self.tries.get(number) else { return };
        let at = self.instant(now);
        let again = match (self.settings.retry, &mut self.budget) {
            (Retry::Always, _) => true,
            (Retry::Budget(_), Some(budget)) => budget.withdraw(at),
            _ => false,
        };
        if again {
            self.attempt(now, request, false);
        }
    }
}
