//! Laws that every algorithm keeps, checked for each of [`Algorithm::ALL`].

use super::*;
use crate::eligibility;
use crate::endpoint::{Endpoint, State};
use crate::generated::cases;
use crate::rng::Rng;
use proptest::prelude::*;

/// Whether it is bound to prefer the less busy. Exhaustive, so that a new algorithm has to say.
fn is_least(algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::LeastConnections | Algorithm::TwoChoices => true,
        // With nothing known of latency they are.
        Algorithm::PeakEwma | Algorithm::Adaptive => true,
        Algorithm::RoundRobin | Algorithm::Random => false,
        // Their own laws are in `hash_laws.rs`; these here see them without a hash.
        Algorithm::RingHash | Algorithm::Maglev => false,
    }
}

/// Endpoints with these weights and requests in flight.
fn endpoints(list: &[(u16, u32)]) -> Endpoints {
    let make = |(index, &(weight, in_flight)): (u64, &(u16, u32))| {
        let endpoint = Endpoint::new(index, State { weight, ..State::default() });
        (0..in_flight).for_each(|_| endpoint.load.begin());
        endpoint
    };
    Endpoints::new((0..).zip(list).map(make).collect())
}

fn idle(weights: &[u16]) -> Endpoints {
    endpoints(&weights.iter().map(|weight| (*weight, 0)).collect::<Vec<_>>())
}

/// One pick among whoever is eligible now.
fn pick(balancer: &mut Balancer, endpoints: &Endpoints, rng: &mut Rng) -> Option<EndpointId> {
    let mut ids = Vec::new();
    eligibility::eligible(endpoints, &[], Moment::default(), &mut ids).ok()?;
    let picked = balancer.pick(&Eligible::new(endpoints, &ids)?, Hint::default(), rng);
    assert!(ids.contains(&picked), "{:?} picked {picked:?} of {ids:?}", balancer.algorithm());
    Some(picked)
}

/// How often each is picked.
fn counts(balancer: &mut Balancer, endpoints: &Endpoints, picks: u32, rng: &mut Rng) -> Vec<u32> {
    let mut counts = vec![0; endpoints.len()];
    for _ in 0..picks {
        counts[pick(balancer, endpoints, rng).unwrap().0 as usize] += 1;
    }
    counts
}

/// The largest distance between a count and its share, in standard deviations of a fair draw.
fn unfairness(counts: &[u32], weights: &[u16]) -> f64 {
    let picks = f64::from(counts.iter().sum::<u32>());
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let deviation = |(count, weight): (&u32, &u16)| {
        let share = f64::from(*weight) / total;
        let spread = (picks * share * (1.0 - share)).sqrt().max(1.0);
        (f64::from(*count) - picks * share).abs() / spread
    };
    counts.iter().zip(weights).map(deviation).fold(0.0, f64::max)
}

#[test]
fn one_to_a_thousand_endpoints() {
    let mut rng = Rng::new(1);
    for algorithm in Algorithm::ALL {
        for count in 1..=1000_u32 {
            let list: Vec<_> = (0..count).map(|_| (rng.below(65_536) as u16, rng.below(3))).collect();
            let endpoints = endpoints(&list);
            let mut balancer = Balancer::new(algorithm);
            for _ in 0..3 {
                let picked = pick(&mut balancer, &endpoints, &mut rng);
                assert_eq!(picked.is_none(), list.iter().all(|(weight, _)| *weight == 0));
            }
        }
    }
}

#[test]
fn idle_endpoints_are_shared_by_weight() {
    for algorithm in Algorithm::ALL {
        for weights in
            [&[1, 1, 1][..], &[5, 1, 1], &[1, 2, 3, 4], &[100, 1], &[1; 40], &[65_535, 65_535, 32_768]]
        {
            let mut balancer = Balancer::new(algorithm);
            let counts = counts(&mut balancer, &idle(weights), 20_000, &mut Rng::new(2));
            let unfairness = unfairness(&counts, weights);
            assert!(unfairness < 4.5, "{algorithm} {weights:?}: {counts:?}");
        }
    }
}

#[test]
fn held_requests_spread_by_weight_for_the_least_kinds() {
    let weights = [1, 2, 3, 4];
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| is_least(*algorithm)) {
        let endpoints = idle(&weights);
        let (mut balancer, mut rng) = (Balancer::new(algorithm), Rng::new(3));
        for _ in 0..1000 {
            let picked = pick(&mut balancer, &endpoints, &mut rng).unwrap();
            endpoints.get(picked).unwrap().load.begin();
        }
        for (id, endpoint) in endpoints.iter() {
            let share = 100 * u32::from(weights[id.0 as usize]);
            let held = endpoint.load.in_flight();
            let bound = if algorithm == Algorithm::LeastConnections { 2 } else { 20 };
            assert!(held.abs_diff(share) <= bound, "{algorithm} {id:?}: {held}, share {share}");
        }
    }
}

#[test]
fn the_least_kinds_avoid_a_slow_endpoint() {
    // Three endpoints; the first takes ten times as long. By count it would hold ten times the requests.
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| is_least(*algorithm)) {
        let endpoints = idle(&[1, 1, 1]);
        let (mut balancer, mut rng) = (Balancer::new(algorithm), Rng::new(4));
        let (mut picks, mut ends) = ([0_u32; 3], Vec::new());
        for tick in 0..6000_u32 {
            ends.retain(|(end, id)| {
                let over = *end <= tick;
                if over {
                    endpoints.get(*id).unwrap().load.end();
                }
                !over
            });
            let picked = pick(&mut balancer, &endpoints, &mut rng).unwrap();
            endpoints.get(picked).unwrap().load.begin();
            picks[picked.0 as usize] += 1;
            ends.push((tick + if picked.0 == 0 { 60 } else { 6 }, picked));
        }
        assert!(picks[0] < 1000 && picks[1].abs_diff(picks[2]) < 300, "{algorithm}: {picks:?}");
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for (algorithm, name) in Algorithm::ALL.into_iter().zip(Algorithm::NAMES) {
        assert_eq!(algorithm.to_string(), name);
        assert_eq!(name.parse(), Ok(algorithm));
        assert_eq!(Balancer::new(algorithm).algorithm(), algorithm);
    }
    let unknown = "Round-Robin".parse::<Algorithm>().unwrap_err();
    assert!(unknown.to_string().ends_with("two-choices, peak-ewma, adaptive, ring-hash, maglev"));
}

/// What can happen to a list between picks.
#[derive(Debug, Clone)]
enum Change {
    Up(usize, bool),
    Draining(usize, bool),
    Weight(usize, u16),
    Begin(usize),
    End(usize),
    Pick,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let index = 0_usize..20;
    let change = prop_oneof![
        1 => (index.clone(), any::<bool>()).prop_map(|(index, up)| Change::Up(index, up)),
        1 => (index.clone(), any::<bool>()).prop_map(|(index, draining)| Change::Draining(index, draining)),
        1 => (index.clone(), any::<u16>()).prop_map(|(index, weight)| Change::Weight(index, weight)),
        1 => index.clone().prop_map(Change::Begin),
        1 => index.prop_map(Change::End),
        4 => Just(Change::Pick),
    ];
    prop::collection::vec(change, 0..60)
}

/// The picks made while `changes` happen.
fn replay(algorithm: Algorithm, count: usize, changes: &[Change], seed: u64) -> Vec<Option<EndpointId>> {
    let endpoints = idle(&vec![1; count]);
    let (mut balancer, mut rng) = (Balancer::new(algorithm), Rng::new(seed));
    let at = |index: usize| endpoints.get(EndpointId((index % count) as u32)).unwrap();
    let mut picks = Vec::new();
    for change in changes {
        match *change {
            Change::Up(index, up) => drop(at(index).status.set_up(up)),
            Change::Draining(index, draining) => drop(at(index).status.set_draining(draining)),
            Change::Weight(index, weight) => drop(at(index).status.set_weight(weight)),
            Change::Begin(index) => at(index).load.begin(),
            Change::End(index) => at(index).load.end(),
            Change::Pick => picks.push(pick(&mut balancer, &endpoints, &mut rng)),
        }
    }
    picks
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn same_seed_same_picks_whatever_changes_between(count in 1_usize..20, changes in changes(), seed: u64) {
        for algorithm in Algorithm::ALL {
            prop_assert_eq!(
                replay(algorithm, count, &changes, seed),
                replay(algorithm, count, &changes, seed)
            );
        }
    }

    #[test]
    fn a_least_kind_never_picks_the_worse_of_two(
        a in (1_u16.., 0_u32..50), b in (1_u16.., 0_u32..50), seed: u64,
    ) {
        let busyness = |(weight, in_flight): (u16, u32)| f64::from(in_flight) / f64::from(weight);
        let endpoints = endpoints(&[a, b]);
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| is_least(*algorithm)) {
            let picked = pick(&mut Balancer::new(algorithm), &endpoints, &mut Rng::new(seed)).unwrap();
            let (taken, left) = if picked.0 == 0 { (a, b) } else { (b, a) };
            prop_assert!(busyness(taken) <= busyness(left), "{algorithm} took {taken:?} and left {left:?}");
        }
    }

    #[test]
    fn least_connections_picks_the_least_of_all(list in prop::collection::vec((1_u16..9, 0_u32..9), 1..30), seed: u64) {
        let endpoints = endpoints(&list);
        let picked = pick(&mut Balancer::new(Algorithm::LeastConnections), &endpoints, &mut Rng::new(seed)).unwrap();
        let busyness = |(weight, in_flight): (u16, u32)| f64::from(in_flight) / f64::from(weight);
        let least = list.iter().copied().map(busyness).fold(f64::INFINITY, f64::min);
        prop_assert!(busyness(list[picked.0 as usize]) <= least);
    }

    #[test]
    fn a_race_for_weight_zero_is_harmless(list in prop::collection::vec((0_u16..3, 0_u32..3), 1..30), seed: u64) {
        // The weights became 0 after the ids were found eligible.
        let endpoints = endpoints(&list);
        let ids: Vec<_> = endpoints.iter().map(|(id, _)| id).collect();
        let eligible = Eligible::new(&endpoints, &ids).unwrap();
        for algorithm in Algorithm::ALL {
            let picked = Balancer::new(algorithm).pick(&eligible, Hint::default(), &mut Rng::new(seed));
            prop_assert!(ids.contains(&picked));
        }
    }

    #[test]
    fn a_rebuild_never_loses_an_endpoint(before in 1_usize..20, after in 1_usize..20, seed: u64) {
        for algorithm in Algorithm::ALL {
            let (old, new) = (idle(&vec![1; before]), idle(&vec![1; after]));
            let (mut balancer, mut rng) = (Balancer::new(algorithm), Rng::new(seed));
            counts(&mut balancer, &old, 30, &mut rng);
            balancer.rebuild(&new);
            let counts = counts(&mut balancer, &new, 40 * after as u32, &mut rng);
            prop_assert!(counts.iter().all(|count| *count > 0), "{algorithm}: {counts:?}");
        }
    }
}
