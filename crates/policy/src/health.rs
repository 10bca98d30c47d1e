//! Probe results to verdicts: when an endpoint counts as up, and when it is probed next.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::rng::Rng;

/// How many probes change a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thresholds {
    /// Good probes in a row that bring a fallen endpoint back; 0 counts as 1.
    pub rise: u32,
    /// Bad probes in a row that take an endpoint down; 0 counts as 1.
    pub fall: u32,
    /// What holds before the first probe.
    pub start: Start,
}

impl Default for Thresholds {
    /// Rise 2, fall 3, start down.
    fn default() -> Self {
        Self { rise: 2, fall: 3, start: Start::Down }
    }
}

/// What an endpoint is before its first probe has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// It serves at once; if the first probe is bad, it is down.
    Up,
    /// It gets traffic after its first good probe, however many bad ones came before.
    #[default]
    Down,
}

impl Start {
    /// As written in a configuration.
    pub const NAMES: [&str; 2] = ["up", "down"];
}

impl FromStr for Start {
    type Err = UnknownStart;

    fn from_str(name: &str) -> Result<Self, UnknownStart> {
        match name {
            "up" => Ok(Self::Up),
            "down" => Ok(Self::Down),
            _ => Err(UnknownStart),
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// Neither `up` nor `down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownStart;

impl fmt::Display for UnknownStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an endpoint starts \"up\" or \"down\"")
    }
}

impl std::error::Error for UnknownStart {}

/// A verdict that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// From now on it may serve.
    Up,
    /// From now on it may not.
    Down,
}

/// The verdict on one endpoint, fed with its probes.
///
/// The first probe decides: good, and the endpoint is up at once; bad, and it is down. An endpoint
/// that has never been good comes up with its first good probe. After that `rise` and `fall` count.
#[derive(Debug, Clone)]
pub struct Health {
    rise: u32,
    fall: u32,
    up: bool,
    /// Probes in a row that contradict the verdict.
    against: u32,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Never good so far, after this many probes.
    Starting(u32),
    /// It has been good once.
    Known,
}

impl Health {
    /// Probes at the start that are made fast: an endpoint started together with the proxy is
    /// found within a fraction of the interval, one that is really away is not hammered.
    pub const START_PROBES: u32 = 30;

    /// The verdict before any probe.
    #[must_use]
    pub fn new(thresholds: &Thresholds) -> Self {
        Self {
            rise: thresholds.rise.max(1),
            fall: thresholds.fall.max(1),
            up: thresholds.start == Start::Up,
            against: 0,
            phase: Phase::Starting(0),
        }
    }

    /// Whether the endpoint counts as up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether any probe has answered.
    #[must_use]
    pub fn is_probed(&self) -> bool {
        self.phase != Phase::Starting(0)
    }

    /// Takes the result of one probe; `Some` when the verdict changes.
    pub fn observe(&mut self, good: bool) -> Option<Transition> {
        let needed = match self.phase {
            Phase::Starting(_) => 1,
            Phase::Known if self.up => self.fall,
            Phase::Known => self.rise,
        };
        self.phase = match self.phase {
            Phase::Starting(probes) if !good => Phase::Starting(probes.saturating_add(1)),
            _ => Phase::Known,
        };
        if good == self.up {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.up = good;
        Some(if good { Transition::Up } else { Transition::Down })
    }

    /// Whether probes come fast: at the start, and while a change of the verdict is under way.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        match self.phase {
            Phase::Starting(probes) => probes < Self::START_PROBES,
            Phase::Known => self.against > 0,
        }
    }

    /// When to probe again, `now` being the end of the last probe: at once when there was none.
    ///
    /// Decided, after `interval`; undecided, after a tenth of it, at least 20 ms and at most 1 s,
    /// never more than `interval`. Jittered by up to a tenth either way, so that probes of many endpoints spread out.
    #[must_use]
    pub fn next_probe(&self, now: Instant, interval: Duration, rng: &mut Rng) -> Instant {
        if !self.is_probed() {
            return now;
        }
        let wait = if self.is_undecided() { fast(interval) } else { interval };
        now.checked_add(jittered(wait, rng)).unwrap_or(now)
    }
}

impl Health {
    /// An endpoint that was judged before and keeps its verdict, under other thresholds.
    #[must_use]
    pub fn resumed(thresholds: &Thresholds, up: bool) -> Self {
        Self { up, phase: Phase::Known, ..Self::new(thresholds) }
    }

    /// When live traffic that met a failure may have the next probe, `last` being the end of the last one: soon,
    /// but not as often as traffic fails, or a moment's trouble would use up `fall`.
    #[must_use]
    pub fn suspected_probe(&self, last: Instant, interval: Duration) -> Instant {
        let pause = if self.is_undecided() { fast(interval) / 4 } else { fast(interval) };
        last.checked_add(pause).unwrap_or(last)
    }
}

fn fast(interval: Duration) -> Duration {
    (interval / 10).clamp(Duration::from_millis(20), Duration::from_secs(1)).min(interval)
}

fn jittered(wait: Duration, rng: &mut Rng) -> Duration {
    (wait / 1000).saturating_mul(900 + rng.below(201))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::{cases, epoch};
    use crate::rng::Rng;
    use proptest::prelude::*;

    fn observe_all(health: &mut Health, probes: &str) -> Vec<Option<Transition>> {
        probes.chars().map(|probe| health.observe(probe == 'g')).collect()
    }

    const UP: Option<Transition> = Some(Transition::Up);
    const DOWN: Option<Transition> = Some(Transition::Down);

    #[test]
    fn start_down_comes_up_with_the_first_good_probe() {
        let mut health = Health::new(&Thresholds::default());
        assert!(!health.is_up());
        assert_eq!(observe_all(&mut health, "g"), [UP]);
        let mut late = Health::new(&Thresholds::default());
        assert_eq!(observe_all(&mut late, "bbbbg"), [None, None, None, None, UP]);
        assert!(late.is_up());
    }

    #[test]
    fn a_resumed_verdict_needs_its_thresholds_to_change() {
        let thresholds = Thresholds::default();
        let mut health = Health::resumed(&thresholds, true);
        assert_eq!(observe_all(&mut health, "bbb"), [None, None, DOWN]);
        assert_eq!(observe_all(&mut Health::resumed(&thresholds, false), "gg"), [None, UP]);
    }

    #[test]
    fn suspicion_has_a_pace() {
        let (now, interval) = (epoch(), Duration::from_secs(2));
        let mut health = Health::resumed(&Thresholds::default(), true);
        assert_eq!(health.suspected_probe(now, interval), now + Duration::from_millis(200));
        health.observe(false);
        assert_eq!(health.suspected_probe(now, interval), now + Duration::from_millis(50));
    }

    #[test]
    fn start_up_falls_with_a_bad_first_probe_only() {
        let thresholds = Thresholds { start: Start::Up, ..Thresholds::default() };
        let mut health = Health::new(&thresholds);
        assert!(health.is_up());
        assert_eq!(observe_all(&mut health, "bg"), [DOWN, UP]);
        let mut health = Health::new(&thresholds);
        assert_eq!(observe_all(&mut health, "gbbb"), [None, None, None, DOWN]);
    }

    #[test]
    fn after_that_rise_and_fall_count_in_a_row() {
        let mut health = Health::new(&Thresholds::default());
        assert_eq!(
            observe_all(&mut health, "gbbgbbbgbgg"),
            [UP, None, None, None, None, None, DOWN, None, None, None, UP]
        );
    }

    #[test]
    fn zero_thresholds_count_as_one() {
        let mut health = Health::new(&Thresholds { rise: 0, fall: 0, start: Start::Down });
        assert_eq!(observe_all(&mut health, "gbg"), [UP, DOWN, UP]);
    }

    #[test]
    fn the_first_probe_is_at_once_and_a_dead_start_is_not_hammered_for_ever() {
        let (interval, mut rng) = (Duration::from_secs(2), Rng::new(1));
        let mut health = Health::new(&Thresholds::default());
        assert_eq!(health.next_probe(epoch(), interval, &mut rng), epoch());
        for _ in 0..Health::START_PROBES {
            assert!(health.is_undecided());
            health.observe(false);
        }
        assert!(!health.is_undecided());
    }

    #[test]
    fn a_change_under_way_is_probed_fast() {
        let mut health = Health::new(&Thresholds::default());
        health.observe(true);
        assert!(!health.is_undecided());
        health.observe(false);
        assert!(health.is_undecided());
        health.observe(true);
        assert!(!health.is_undecided());
        observe_all(&mut health, "bbb");
        assert!(!health.is_up() && !health.is_undecided());
        health.observe(true);
        assert!(health.is_undecided());
    }

    #[test]
    fn fast_is_a_tenth_within_bounds() {
        let ms = Duration::from_millis;
        assert_eq!(fast(ms(2000)), ms(200));
        assert_eq!(fast(ms(100)), ms(20));
        assert_eq!(fast(ms(10)), ms(10));
        assert_eq!(fast(ms(60_000)), ms(1000));
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn jitter_stays_within_a_tenth(ms in 1_u64..100_000, seed: u64) {
            let interval = Duration::from_millis(ms);
            let mut health = Health::new(&Thresholds::default());
            health.observe(true);
            let next = health.next_probe(epoch(), interval, &mut Rng::new(seed));
            let waited = next.duration_since(epoch()).as_secs_f64() / interval.as_secs_f64();
            prop_assert!((0.899..=1.101).contains(&waited), "{waited}");
        }

        #[test]
        fn transitions_alternate_and_match_the_verdict(
            rise in 0_u32..5, fall in 0_u32..5, start_up: bool, probes: Vec<bool>,
        ) {
            let start = if start_up { Start::Up } else { Start::Down };
            let mut health = Health::new(&Thresholds { rise, fall, start });
            let mut up = start_up;
            for good in probes {
                let change = health.observe(good);
                if let Some(change) = change {
                    prop_assert_eq!(change == Transition::Up, good, "a verdict changes towards the probe");
                    prop_assert_ne!(change == Transition::Up, up);
                    up = !up;
                }
                prop_assert_eq!(health.is_up(), up);
            }
        }
    }
}
