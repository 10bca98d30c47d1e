//! Outlier detection in virtual time, alone and from several threads at once.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::endpoint::{Endpoint, State};
use crate::generated::cases;

const REFUSED: Failure = Failure::Connect;
const FAILED: Failure = Failure::Status(500);

/// An upstream, and the ejections told so far.
struct World {
    rules: OutlierRules,
    detector: Detector,
    endpoints: Endpoints,
    told: Vec<(u32, Ejection)>,
}

fn at(seconds: u64) -> Moment {
    Moment::after(Duration::from_secs(seconds))
}

impl World {
    fn new(endpoints: usize, rules: OutlierRules) -> Self {
        let endpoints = (0..endpoints).map(|index| Endpoint::new(index as u64, State::default())).collect();
        Self { rules, detector: Detector::default(), endpoints: Endpoints::new(endpoints), told: Vec::new() }
    }

    fn outliers(&self) -> Outliers<'_> {
        Outliers { rules: &self.rules, detector: &self.detector, endpoints: &self.endpoints }
    }

    /// One attempt that took no time; the ejections that came of it.
    fn attempt(&mut self, id: u32, now: Moment, failure: Option<Failure>) -> Vec<u32> {
        self.long_attempt(id, now, now, failure)
    }

    fn long_attempt(&mut self, id: u32, began: Moment, ended: Moment, failure: Option<Failure>) -> Vec<u32> {
        let mut told = Vec::new();
        let attempt = Attempt { endpoint: EndpointId(id), began, ended };
        let tell = &mut |id: EndpointId, ejection| told.push((id.0, ejection));
        match failure {
            Some(failure) => self.outliers().failed(attempt, failure, tell),
            None => self.outliers().answered(attempt, tell),
        }
        self.told.extend(&told);
        told.into_iter().map(|(id, _)| id).collect()
    }

    /// So many failures at one moment; how many ejections came of them.
    fn fail(&mut self, id: u32, now: Moment, times: usize, failure: Failure) -> usize {
        (0..times).map(|_| self.attempt(id, now, Some(failure)).len()).sum()
    }

    fn ejected(&self, now: Moment) -> Vec<u32> {
        let all = self.endpoints.iter();
        all.filter(|(_, endpoint)| endpoint.status.is_ejected(now)).map(|(id, _)| id.0).collect()
    }

    /// How long the latest ejection lasts, and which one in a row it is.
    fn latest(&self, now: Moment) -> (u64, u16) {
        let (_, ejection) = self.told.last().unwrap();
        (ejection.until.since(now).as_secs(), ejection.times)
    }
}

#[test]
fn errors_in_a_row_eject_and_a_good_answer_starts_anew() {
    let mut world = World::new(3, OutlierRules::default());
    assert_eq!(world.fail(0, at(1), 4, FAILED), 0);
    assert_eq!(world.attempt(0, at(1), None), []);
    assert_eq!(world.fail(0, at(2), 4, Failure::AttemptTimeout), 0);
    assert_eq!(world.attempt(1, at(2), Some(Failure::Reset)), [], "each has its own row");
    assert_eq!(world.attempt(0, at(2), Some(Failure::Reset)), [0]);
    let reason = Reason::ConsecutiveErrors;
    assert_eq!(world.told, [(0, Ejection { reason, is_on_trial: false, times: 1, until: at(32) })]);
    assert_eq!((world.ejected(at(31)), world.ejected(at(32))), (vec![0], vec![]));
}

#[test]
fn failed_connects_in_a_row_eject_sooner() {
    let mut world = World::new(3, OutlierRules::default());
    assert_eq!(world.fail(0, at(1), 2, REFUSED), 0);
    assert_eq!(world.attempt(0, at(1), Some(FAILED)), [], "it could be connected to");
    assert_eq!(world.fail(1, at(1), 3, Failure::ConnectTimeout), 1);
    assert_eq!(world.told.last().unwrap().1.reason, Reason::ConnectFailures);
    let only_errors = OutlierRules { consecutive_connect_failures: None, ..OutlierRules::default() };
    let mut world = World::new(3, only_errors);
    assert_eq!(world.fail(0, at(1), 4, REFUSED), 0);
    assert_eq!(world.attempt(0, at(1), Some(REFUSED)), [0]);
    assert_eq!(world.told[0].1.reason, Reason::ConsecutiveErrors);
}

#[test]
fn rules_that_are_off_eject_nobody() {
    let off = OutlierRules { consecutive_errors: None, ..OutlierRules::default() };
    let mut world = World::new(2, off);
    assert_eq!(world.fail(0, at(1), 1000, FAILED), 0);
    assert_eq!(world.fail(0, at(1), 3, REFUSED), 1);
    assert_eq!(world.fail(0, at(40), 1000, FAILED), 0, "what is off is no trial either");
    assert_eq!(world.fail(0, at(40), 1, REFUSED), 1);
}

#[test]
fn who_returns_is_on_trial() {
    let mut world = World::new(3, OutlierRules::default());
    world.fail(0, at(0), 5, FAILED);
    assert_eq!(world.attempt(0, at(30), Some(FAILED)), [0], "its first error");
    assert!(world.told[1].1.is_on_trial);
    assert_eq!(world.latest(at(30)), (60, 2));
    for _ in 0..4 {
        assert_eq!(world.attempt(0, at(90), None), []);
    }
    assert_eq!(world.attempt(0, at(90), Some(REFUSED)), [0]);
    assert_eq!(world.told[2].1.reason, Reason::ConnectFailures);
    assert_eq!(world.latest(at(90)), (90, 3));
    for _ in 0..5 {
        assert_eq!(world.attempt(0, at(180), None), []);
    }
    assert_eq!(world.fail(0, at(180), 4, FAILED), 0, "the trial is over");
    assert_eq!(world.fail(0, at(180), 1, FAILED), 1);
}

#[test]
fn ejections_grow_up_to_a_limit_and_are_forgotten_in_peace() {
    let mut world = World::new(3, OutlierRules::default());
    let mut now = at(0);
    world.fail(0, now, 5, FAILED);
    let mut lengths = Vec::new();
    for _ in 0..12 {
        let (_, ejection) = *world.told.last().unwrap();
        lengths.push(ejection.until.since(now).as_secs());
        now = ejection.until;
        assert_eq!(world.attempt(0, now, Some(FAILED)), [0]);
    }
    assert_eq!(lengths, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
    // Its next one, 300 s, begins now. It then rests for 4.5 of the 30 seconds that forget one each.
    let rested = now.later(Duration::from_secs(300 + 135));
    assert_eq!(world.attempt(0, rested, Some(FAILED)), [0]);
    assert_eq!(world.latest(rested), (210, 7), "10 less 4, and this one");
    let long_after = rested.later(Duration::from_secs(210 + 3600));
    assert_eq!(world.attempt(0, long_after, Some(FAILED)), [0]);
    assert_eq!(world.latest(long_after), (30, 1));
}

#[test]
fn no_more_than_the_share_are_ejected_at_once() {
    for (count, max_ejected, most) in
        [(1, 100, 0), (2, 0, 1), (2, 50, 1), (2, 100, 1), (3, 50, 1), (4, 50, 2), (4, 100, 3), (10, 30, 3)]
    {
        let rules = OutlierRules { max_ejected, ..OutlierRules::default() };
        let mut world = World::new(count, rules);
        for id in 0..count {
            world.fail(id as u32, at(1), 50, FAILED);
        }
        assert_eq!(world.ejected(at(2)).len(), most, "{max_ejected} % of {count}");
        // Whoever failed too often follows with its next error once there is room.
        let last = count as u32 - 1;
        assert_eq!(world.attempt(last, at(31), Some(FAILED)), if most > 0 { vec![last] } else { vec![] });
    }
}

#[test]
fn the_last_endpoint_in_service_is_not_ejected() {
    let take_out: [fn(&Endpoint); 3] = [
        |endpoint| {
            endpoint.status.set_up(false);
        },
        |endpoint| {
            endpoint.status.set_draining(true);
        },
        |endpoint| {
            endpoint.status.set_weight(0);
        },
    ];
    for take_out in take_out {
        let mut world = World::new(3, OutlierRules::default());
        for id in [1, 2] {
            take_out(world.endpoints.get(EndpointId(id)).unwrap());
        }
        assert_eq!(world.fail(0, at(1), 50, FAILED), 0);
        world.endpoints.get(EndpointId(2)).unwrap().status.set_up(true);
        world.endpoints.get(EndpointId(2)).unwrap().status.set_draining(false);
        world.endpoints.get(EndpointId(2)).unwrap().status.set_weight(1);
        assert_eq!(world.fail(0, at(1), 1, FAILED), 1);
        assert_eq!(world.fail(2, at(1), 50, FAILED), 0);
    }
}

#[test]
fn attempts_from_before_the_return_say_nothing() {
    let mut world = World::new(3, OutlierRules::default());
    world.fail(0, at(0), 5, FAILED);
    assert_eq!(world.long_attempt(0, at(0), at(29), Some(FAILED)), []);
    assert_eq!(world.long_attempt(0, at(29), at(31), Some(FAILED)), [], "begun before it returned");
    for _ in 0..50 {
        world.long_attempt(0, at(29), at(31), None);
    }
    assert_eq!(world.long_attempt(0, at(30), at(31), Some(FAILED)), [0], "it is still on trial");
}

#[test]
fn where_all_is_well_answers_need_not_be_told() {
    let mut world = World::new(2, OutlierRules::default());
    assert!(!world.outliers().heeds_answers(EndpointId(0)));
    world.attempt(0, at(0), Some(FAILED));
    assert!(world.outliers().heeds_answers(EndpointId(0)) && !world.outliers().heeds_answers(EndpointId(1)));
    world.attempt(0, at(0), None);
    assert!(!world.outliers().heeds_answers(EndpointId(0)));
    world.rules.latency = Some(3);
    assert!(world.outliers().heeds_answers(EndpointId(0)));
}

#[test]
fn rules_that_go_end_every_ejection() {
    let mut world = World::new(4, OutlierRules::default());
    world.fail(0, at(0), 5, FAILED);
    world.fail(1, at(0), 4, FAILED);
    {
        let _turn = world.detector.take_turn().unwrap();
        assert!(!world.detector.close(&world.endpoints), "somebody decides");
    }
    assert!(world.detector.close(&world.endpoints));
    assert_eq!(world.ejected(at(1)), []);
    assert_eq!(world.fail(2, at(1), 50, FAILED), 0, "an attempt from before has no say");
    // With rules again, nothing is held against anybody.
    world.detector = Detector::default();
    assert_eq!(world.fail(0, at(2), 4, FAILED) + world.fail(1, at(2), 4, FAILED), 0);
    assert_eq!(world.attempt(0, at(2), Some(FAILED)), [0]);
    assert_eq!(world.latest(at(2)), (30, 1));
}

#[test]
fn a_decision_under_way_is_not_waited_for() {
    let mut world = World::new(4, OutlierRules::default());
    world.fail(0, at(0), 4, FAILED);
    let attempt = Attempt { endpoint: EndpointId(0), began: at(0), ended: at(0) };
    {
        let _turn = world.detector.take_turn().unwrap();
        world.outliers().failed(attempt, FAILED, &mut |_, _| panic!("somebody else decides"));
    }
    assert_eq!(world.attempt(0, at(0), Some(FAILED)), [0], "the next error asks again");
}

#[test]
fn endpoints_are_compared_once_an_interval() {
    let rules = OutlierRules { error_ratio: Some(20), latency: Some(3), ..OutlierRules::default() };
    let mut world = World::new(4, rules);
    let mut ejected = Vec::new();
    // Every third attempt at endpoint 1 fails, which is never five in a row; endpoint 2 takes 200 ms.
    for second in 0..30 {
        for id in 0..4 {
            for n in 0..9 {
                let failure = (id == 1 && n % 3 == 0).then_some(FAILED);
                let took = Duration::from_millis(if id == 2 { 200 } else { 20 });
                let told = world.long_attempt(id, at(second), at(second).later(took), failure);
                ejected.extend(told.into_iter().map(|id| (second, id)));
            }
        }
    }
    assert_eq!(ejected, [(10, 1), (10, 2)]);
    let reasons: Vec<_> = world.told.iter().map(|(_, ejection)| ejection.reason).collect();
    assert_eq!(reasons, [Reason::ErrorRatio, Reason::Latency]);
}

#[test]
fn what_was_counted_long_ago_is_not_compared() {
    let rules = OutlierRules { consecutive_errors: None, error_ratio: Some(20), ..OutlierRules::default() };
    let mut world = World::new(3, rules);
    let round = |world: &mut World, now: Moment| -> usize {
        (0..30).map(|_| world.fail(0, now, 1, FAILED) + world.attempt(1, now, None).len()).sum()
    };
    assert_eq!(round(&mut world, at(100)), 0);
    assert_eq!(round(&mut world, at(105)), 0);
    assert_eq!(world.attempt(1, at(500), None), [], "nothing was asked for in between");
    assert_eq!(round(&mut world, at(505)), 0);
    assert_eq!(round(&mut world, at(511)), 1);
}

#[test]
fn an_endpoint_is_ejected_once_however_many_find_it_bad_at_once() {
    for _ in 0..200 {
        let world = World::new(4, OutlierRules::default());
        let told = AtomicUsize::new(0);
        let attempt = Attempt { endpoint: EndpointId(0), began: at(1), ended: at(1) };
        let fail = || {
            for _ in 0..20 {
                world.outliers().failed(attempt, FAILED, &mut |_, _| {
                    told.fetch_add(1, SeqCst);
                });
            }
        };
        thread::scope(|scope| [(); 4].map(|()| scope.spawn(fail)).map(|thread| thread.join().unwrap()));
        assert_eq!(told.into_inner(), 1);
    }
}

#[test]
fn the_bounds_hold_whoever_decides_at_once() {
    for round in 0..200_u64 {
        let rules = OutlierRules { max_ejected: 40, ..OutlierRules::default() };
        let world = World::new(6, rules);
        let now = at(round);
        let ejected = || world.ejected(now).len();
        let fail = |first: u32| {
            for n in 0..200 {
                let attempt = Attempt { endpoint: EndpointId((first + n) % 6), began: now, ended: now };
                world.outliers().failed(attempt, FAILED, &mut |_, _| assert!(ejected() <= 2));
                assert!(ejected() <= 2);
            }
        };
        thread::scope(|scope| {
            [0, 2, 4].map(|first| scope.spawn(move || fail(first))).map(|thread| thread.join().unwrap())
        });
        assert_eq!(ejected(), 2);
    }
}

/// What happens next in a random sequence.
#[derive(Debug, Clone)]
enum Step {
    Attempt { id: u32, failure: Option<Failure>, took: u64 },
    Passes(u64),
    Up(u32, bool),
    Drain(u32, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let failure = prop_oneof![
        2 => Just(None),
        2 => Just(Some(FAILED)),
        1 => Just(Some(REFUSED)),
        1 => Just(Some(Failure::Reset)),
    ];
    let attempt =
        (0_u32..8, failure, 0_u64..40).prop_map(|(id, failure, took)| Step::Attempt { id, failure, took });
    let step = prop_oneof![
        20 => attempt,
        2 => (0_u64..50).prop_map(Step::Passes),
        1 => (0_u32..8, any::<bool>()).prop_map(|(id, up)| Step::Up(id, up)),
        1 => (0_u32..8, any::<bool>()).prop_map(|(id, on)| Step::Drain(id, on)),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn whatever_happens_the_bounds_hold(
        count in 1_usize..8,
        max_ejected in 0_u8..=100,
        compares in any::<bool>(),
        steps in steps(),
    ) {
        let rules = OutlierRules {
            max_ejected,
            consecutive_errors: Some(3),
            consecutive_connect_failures: Some(2),
            error_ratio: compares.then_some(30),
            latency: compares.then_some(2),
            ..OutlierRules::default()
        };
        let most = rules.most_ejected(count);
        let mut world = World::new(count, rules);
        let mut now = at(1000);
        let mut times = vec![0_u16; count];
        for step in steps {
            match step {
                Step::Passes(seconds) => now = now.later(Duration::from_secs(seconds)),
                Step::Up(id, up) => {
                    if let Some(endpoint) = world.endpoints.get(EndpointId(id)) {
                        endpoint.status.set_up(up);
                    }
                }
                Step::Drain(id, on) => {
                    if let Some(endpoint) = world.endpoints.get(EndpointId(id)) {
                        endpoint.status.set_draining(on);
                    }
                }
                Step::Attempt { id, failure, took } => {
                    let before = world.ejected(now);
                    let began = Moment::from_micros(now.micros() - took * 1_000_000);
                    for ejected in world.long_attempt(id, began, now, failure) {
                        let (_, ejection) = *world.told.iter().rfind(|(id, _)| *id == ejected).unwrap();
                        prop_assert!(!before.contains(&ejected), "ejected twice at once");
                        let lasts = ejection.until.since(now);
                        prop_assert!(lasts >= Duration::from_secs(30) && lasts <= Duration::from_secs(300));
                        let earlier = std::mem::replace(&mut times[ejected as usize], ejection.times);
                        prop_assert!(ejection.times >= 1 && ejection.times <= earlier + 1);
                        let others = world.endpoints.iter().filter(|(id, _)| id.0 != ejected);
                        let in_service = others.filter(|(_, other)| other.status.accepts_new(now)).count();
                        prop_assert!(in_service > 0, "the last one in service was ejected");
                    }
                }
            }
            let ejected = world.ejected(now);
            prop_assert!(ejected.len() <= most, "{ejected:?} of {count}");
        }
        prop_assert!(count > 1 || world.told.is_empty(), "the only endpoint was ejected");
    }
}
