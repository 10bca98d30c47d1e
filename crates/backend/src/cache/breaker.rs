//! The breaker before the cache: when it is not asked any more, and when it is tried again. Pure: time and chance
//! are arguments.

use std::time::{Duration, Instant};

/// Failures in a row that open it.
const FAILURES: u32 = 3;
/// Pause before the first probe, doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The pause grows no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Closed for less than this, it opens with the pause it had reached: a cache that comes and goes is not tried
/// twenty times a second.
const STABLE: Duration = Duration::from_secs(10);

/// Closed while the cache answers. Open, nobody asks it until a pause is over; then one probe decides.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// What the next opening waits.
    pause: Duration,
    closed_at: Instant,
}

/// What a breaker lets pass; the number is that of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Every request, after so many failures in a row.
    Closed { failures: u32 },
    /// None, until that time.
    Open { probe_at: Instant },
    /// The one probe that is on its way.
    Probing,
}

impl Breaker {
    /// Open, and to be probed at once.
    pub(super) fn new(now: Instant) -> Breaker {
        Breaker { state: State::Open { probe_at: now }, pause: FIRST_PAUSE, closed_at: now }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// A request that was let pass went well.
    pub(super) fn succeeded(&mut self) {
        if let State::Closed { failures } = &mut self.state {
            *failures = 0;
        }
    }

    /// A request that was let pass failed. Returns whether that opened the breaker. `chance`, in `[0, 1)`, spreads
    /// the probes of several processes.
    pub(super) fn failed(&mut self, now: Instant, chance: f64) -> bool {
        match &mut self.state {
            State::Closed { failures } => {
                *failures += 1;
                *failures >= FAILURES && self.broke(now, chance)
            }
            _ => false,
        }
    }

    /// Nothing can pass any more, whatever was counted. Returns whether that opened the breaker.
    pub(super) fn broke(&mut self, now: Instant, chance: f64) -> bool {
        let opens = matches!(self.state, State::Closed { .. });
        if opens {
            if now.saturating_duration_since(self.closed_at) >= STABLE {
                self.pause = FIRST_PAUSE;
            }
            self.open(now, chance);
        }
        opens
    }

    /// Begins the probe if its time has come.
    pub(super) fn probe(&mut self, now: Instant) -> bool {
        let begins = matches!(self.state, State::Open { probe_at } if probe_at <= now);
        if begins {
            self.state = State::Probing;
        }
        begins
    }

    /// The probe went well.
    pub(super) fn probe_succeeded(&mut self, now: Instant) {
        self.state = State::Closed { failures: 0 };
        self.closed_at = now;
    }

    /// The probe failed: the next one waits longer.
    pub(super) fn probe_failed(&mut self, now: Instant, chance: f64) {
        self.open(now, chance);
    }

    fn open(&mut self, now: Instant, chance: f64) {
        let pause = self.pause.mul_f64(0.75 + chance / 2.0);
        self.state = State::Open { probe_at: now + pause };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

impl State {
    /// 0 closed, 1 open, 2 probing.
    pub(super) fn number(self) -> u64 {
        match self {
            State::Closed { .. } => 0,
            State::Open { .. } => 1,
            State::Probing => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No spread: a pause is exactly what it is called.
    const EVEN: f64 = 0.5;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn closed(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(now);
        assert!(breaker.probe(now));
        breaker.probe_succeeded(now);
        breaker
    }

    #[test]
    fn three_failures_in_a_row_open_and_a_success_forgives() {
        let now = Instant::now();
        let mut breaker = closed(now);
        for _ in 0..5 {
            assert!(!breaker.failed(now, EVEN) && !breaker.failed(now, EVEN));
            breaker.succeeded();
        }
        assert_eq!(breaker.state(), State::Closed { failures: 0 });
        assert!(!breaker.failed(now, EVEN) && !breaker.failed(now, EVEN) && breaker.failed(now, EVEN));
        assert_eq!(breaker.state(), State::Open { probe_at: now + ms(50) });
        assert!(!breaker.failed(now, EVEN), "those still on their way change nothing");
        breaker.succeeded();
        assert_eq!(breaker.state().number(), 1);
    }

    #[test]
    fn one_probe_at_a_time_and_not_before_its_time() {
        let now = Instant::now();
        let mut breaker = closed(now);
        assert!(breaker.broke(now, EVEN) && !breaker.broke(now, EVEN));
        assert!(!breaker.probe(now + ms(49)));
        assert!(breaker.probe(now + ms(50)));
        assert!(!breaker.probe(now + ms(50)), "the one is on its way");
        assert_eq!(breaker.state().number(), 2);
        breaker.probe_succeeded(now + ms(60));
        assert_eq!(breaker.state(), State::Closed { failures: 0 });
    }

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let mut now = Instant::now();
        let mut breaker = closed(now);
        breaker.broke(now, EVEN);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let State::Open { probe_at } = breaker.state() else { panic!("{breaker:?}") };
            pauses.push((probe_at - now).as_millis());
            now = probe_at;
            assert!(breaker.probe(now));
            breaker.probe_failed(now, EVEN);
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    }

    #[test]
    fn a_short_recovery_keeps_the_pause_and_a_long_one_forgets_it() {
        let start = Instant::now();
        let mut breaker = closed(start);
        breaker.broke(start, EVEN);
        assert!(breaker.probe(start + ms(50)));
        breaker.probe_succeeded(start + ms(50));
        let soon = start + ms(60);
        breaker.broke(soon, EVEN);
        assert_eq!(breaker.state(), State::Open { probe_at: soon + ms(100) });
        assert!(breaker.probe(soon + ms(100)));
        breaker.probe_succeeded(soon + ms(100));
        let late = soon + ms(100) + STABLE;
        breaker.broke(late, EVEN);
        assert_eq!(breaker.state(), State::Open { probe_at: late + ms(50) });
    }

    #[test]
    fn chance_spreads_a_pause_by_a_quarter_each_way() {
        let now = Instant::now();
        for (chance, pause) in [(0.0, 37_500), (EVEN, 50_000), (1.0, 62_500)] {
            let mut breaker = closed(now);
            breaker.broke(now, chance);
            assert_eq!(breaker.state(), State::Open { probe_at: now + Duration::from_micros(pause) });
        }
    }
}
