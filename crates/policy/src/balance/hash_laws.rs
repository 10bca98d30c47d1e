//! Laws that every algorithm keeps that picks by a hash.

use super::*;
use crate::eligibility;
use crate::endpoint::{Endpoint, State};
use crate::generated::cases;
use crate::hash;
use crate::rng::Rng;
use proptest::prelude::*;

fn hashing() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| algorithm.heeds_hash())
}

fn endpoint(index: usize, weight: u16) -> Endpoint {
    let address = format!("10.0.{}.{}:80", index / 250, index % 250);
    Endpoint::new(hash::of(address.as_bytes()), State { weight, ..State::default() })
}

fn endpoints(weights: &[u16]) -> Endpoints {
    Endpoints::new(weights.iter().enumerate().map(|(index, weight)| endpoint(index, *weight)).collect())
}

fn at(endpoints: &Endpoints, index: usize) -> &Endpoint {
    endpoints.get(EndpointId(index as u32)).unwrap()
}

/// The list without one.
fn without(endpoints: &Endpoints, gone: usize) -> Endpoints {
    let stay = endpoints.iter().filter(|(id, _)| id.0 as usize != gone);
    Endpoints::new(stay.map(|(_, endpoint)| endpoint.clone()).collect())
}

fn built(algorithm: Algorithm, endpoints: &Endpoints) -> Balancer {
    let mut balancer = Balancer::new(algorithm);
    balancer.rebuild(endpoints);
    balancer
}

fn pick(balancer: &mut Balancer, endpoints: &Endpoints, key: u64) -> Option<EndpointId> {
    let mut ids = Vec::new();
    eligibility::eligible(endpoints, &[], Moment::default(), &mut ids).ok()?;
    Some(pick_of(balancer, endpoints, &ids, key))
}

fn pick_of(balancer: &mut Balancer, endpoints: &Endpoints, ids: &[EndpointId], key: u64) -> EndpointId {
    let hint = Hint { hash: Some(key), ..Hint::default() };
    let picked = balancer.pick(&Eligible::new(endpoints, ids).unwrap(), hint, &mut Rng::new(1));
    assert!(ids.binary_search(&picked).is_ok(), "{} picked {picked:?} of {ids:?}", balancer.algorithm());
    picked
}

/// Which endpoint each of so many keys goes to, as identities.
fn homes(balancer: &mut Balancer, endpoints: &Endpoints, keys: u64) -> Vec<u64> {
    let identity = |id: EndpointId| endpoints.get(id).unwrap().identity;
    let mut ids = Vec::new();
    eligibility::eligible(endpoints, &[], Moment::default(), &mut ids).unwrap();
    (0..keys).map(|key| identity(pick_of(balancer, endpoints, &ids, hash::mix(key)))).collect()
}

fn homes_built(algorithm: Algorithm, endpoints: &Endpoints, keys: u64) -> Vec<u64> {
    homes(&mut built(algorithm, endpoints), endpoints, keys)
}

#[test]
fn a_key_has_one_endpoint_whoever_asks() {
    for algorithm in hashing() {
        for count in [1, 2, 10, 1000] {
            let weights: Vec<_> = (0..count).map(|index| 1 + index % 3).collect();
            let list = endpoints(&weights);
            let mut backwards: Vec<_> = list.iter().map(|(_, endpoint)| endpoint.clone()).collect();
            backwards.reverse();
            let backwards = Endpoints::new(backwards);
            let first = homes_built(algorithm, &list, 2000);
            assert_eq!(first, homes_built(algorithm, &endpoints(&weights), 2000), "{algorithm} {count}");
            assert_eq!(first, homes_built(algorithm, &backwards, 2000), "{algorithm} {count}");
            assert_eq!(first, homes(&mut Balancer::new(algorithm), &list, 2000), "{algorithm}, never built");
        }
    }
}

#[test]
fn shares_go_by_weight() {
    let keys = 100_000;
    for (algorithm, tolerance) in [(Algorithm::Maglev, 0.05), (Algorithm::RingHash, 0.3)] {
        for weights in [&[1; 10][..], &[5, 1, 1], &[1, 2, 3, 4], &[200, 300], &[1; 20]] {
            let list = endpoints(weights);
            let homes = homes_built(algorithm, &list, keys);
            let total: f64 = weights.iter().copied().map(f64::from).sum();
            for ((_, endpoint), weight) in list.iter().zip(weights) {
                let got = homes.iter().filter(|home| **home == endpoint.identity).count() as f64;
                let share = keys as f64 * f64::from(*weight) / total;
                let of = got / share;
                assert!((of - 1.0).abs() < tolerance, "{algorithm} {weights:?}: {of} of a share");
            }
        }
    }
}

#[test]
fn one_that_leaves_moves_hardly_a_key_but_its_own() {
    let keys = 20_000;
    for algorithm in hashing() {
        // What Maglev moves beyond; the ring nothing.
        let beyond = if algorithm == Algorithm::Maglev { 0.01 } else { 0.0 };
        for count in [2, 10, 100, 1000] {
            let list = endpoints(&vec![1; count]);
            let before = homes_built(algorithm, &list, keys);
            for gone in [0, count / 2, count - 1] {
                let after = homes_built(algorithm, &without(&list, gone), keys);
                let identity = at(&list, gone).identity;
                let (mut moved, mut others) = (0_u32, 0_u32);
                for (before, after) in before.iter().zip(&after) {
                    moved += u32::from(before != after);
                    others += u32::from(before != after && *before != identity);
                }
                let (moved, others) = (f64::from(moved) / keys as f64, f64::from(others) / keys as f64);
                // A ring's shares differ by a few deviations of 8 %, and so many keys are but a sample.
                let share = 1.0 / count as f64;
                let most = 1.3 * share + 5.0 * (share / keys as f64).sqrt() + beyond;
                assert!(
                    moved <= most && others <= beyond,
                    "{algorithm} {count}: {moved}, {others} of others"
                );
            }
        }
    }
}

#[test]
fn one_that_cannot_moves_its_own_keys_alone_and_gets_them_back() {
    for algorithm in hashing() {
        for count in [2, 10, 1000] {
            let list = endpoints(&vec![1; count]);
            let mut balancer = built(algorithm, &list);
            let before = homes(&mut balancer, &list, 5000);
            let status = &at(&list, 1).status;
            status.set_up(false);
            let after = homes(&mut balancer, &list, 5000);
            for (before, after) in before.iter().zip(&after) {
                let was_its_own = *before == at(&list, 1).identity;
                assert_eq!(before != after, was_its_own, "{algorithm} {count}");
            }
            status.set_up(true);
            assert_eq!(before, homes(&mut balancer, &list, 5000), "{algorithm} {count}");
        }
    }
}

#[test]
fn keys_of_many_that_cannot_spread_over_the_rest() {
    for algorithm in hashing() {
        for left in [1, 2, 10] {
            let list = endpoints(&[1; 1000]);
            for index in left..1000 {
                at(&list, index).status.set_draining(true);
            }
            let homes = homes_built(algorithm, &list, 2000);
            for index in 0..left {
                let got = homes.iter().filter(|home| **home == at(&list, index).identity).count();
                assert!(got > 1000 / left && got <= 3000 / left, "{algorithm}: {got} for one of {left}");
            }
            assert_eq!(homes, homes_built(algorithm, &list, 2000), "{algorithm}");
        }
    }
}

#[test]
fn a_popular_key_fills_nobody_beyond_the_bound() {
    for algorithm in hashing() {
        for weights in [&[1; 10][..], &[1, 2, 3, 4], &[1; 100]] {
            let list = endpoints(weights);
            let mut balancer = built(algorithm, &list).bounded(BOUND);
            let total: u32 = weights.iter().copied().map(u32::from).sum();
            for sent in 1..=500_u32 {
                let picked = pick(&mut balancer, &list, 7).unwrap();
                let endpoint = list.get(picked).unwrap();
                endpoint.load.begin();
                let share = f64::from(sent) * f64::from(endpoint.status.weight()) / f64::from(total);
                let most = (1.25 * share).ceil() as u32;
                assert!(
                    endpoint.load.in_flight() <= most,
                    "{algorithm} {weights:?}: more than {most} of {sent}"
                );
            }
            let home =
                pick(&mut built(algorithm, &endpoints(weights)).bounded(BOUND), &endpoints(weights), 7)
                    .unwrap();
            let load = &list.get(home).unwrap().load;
            let share = 500.0 * f64::from(weights[home.0 as usize]) / f64::from(total);
            assert_eq!(load.in_flight(), (1.25 * share).ceil() as u32, "{algorithm} {weights:?}");
            // Those who leave make room at home again.
            (0..500).for_each(|_| load.end());
            assert_eq!(pick(&mut balancer, &list, 7), Some(home), "{algorithm}");
        }
    }
}

#[test]
fn among_a_thousand_the_bound_is_a_few_picks_old() {
    for algorithm in hashing() {
        let list = endpoints(&[1; 1000]);
        let mut balancer = built(algorithm, &list).bounded(BOUND);
        for sent in 1..=5000_u32 {
            let picked = pick(&mut balancer, &list, u64::from(sent % 3) << 60).unwrap();
            let endpoint = list.get(picked).unwrap();
            endpoint.load.begin();
            let most = (1.25 * f64::from(sent) / 1000.0).ceil() as u32;
            assert!(endpoint.load.in_flight() <= most, "{algorithm}: more than {most} of {sent}");
        }
    }
}

#[test]
fn without_a_bound_a_key_stays_whatever_its_endpoint_has() {
    for algorithm in hashing() {
        let list = endpoints(&[1; 10]);
        let mut balancer = Balancer::new(algorithm).bounded(None);
        let home = pick(&mut balancer, &list, 7).unwrap();
        for _ in 0..100 {
            list.get(home).unwrap().load.begin();
            assert_eq!(pick(&mut balancer, &list, 7), Some(home));
        }
        // The tightest there is: nobody has more than his share, and somebody has always room.
        let mut tight = Balancer::new(algorithm).bounded(Some(0));
        for sent in 101..=1000_u32 {
            let picked = pick(&mut tight, &list, 7).unwrap();
            let endpoint = list.get(picked).unwrap();
            endpoint.load.begin();
            assert!(endpoint.load.in_flight() <= sent.div_ceil(10), "{algorithm} {sent}");
        }
    }
}

#[test]
fn weights_that_change_are_laid_out_anew() {
    for algorithm in hashing() {
        let list = endpoints(&[1, 1, 0, 1]);
        let mut balancer = built(algorithm, &list);
        homes(&mut balancer, &list, 10);
        at(&list, 2).status.set_weight(3);
        at(&list, 3).status.set_weight(0);
        homes(&mut balancer, &list, 65);
        let fresh = homes_built(algorithm, &endpoints(&[1, 1, 3, 0]), 5000);
        assert_eq!(homes(&mut balancer, &list, 5000), fresh, "{algorithm}");
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn whoever_is_picked_may_be(
        list in prop::collection::vec((any::<(bool, bool)>(), 0_u16..4, 0_u32..5), 1..40),
        max: Option<u8>, bound in prop_oneof![Just(None), (100_u32..300).prop_map(Some)], keys: [u64; 8],
    ) {
        let make = |(index, ((up, backup), weight, in_flight)): (usize, &((bool, bool), u16, u32))| {
            let mut endpoint = endpoint(index, *weight);
            endpoint.status.set_up(*up);
            endpoint.backup = *backup;
            endpoint.max_in_flight = max.map(|max| u32::from(max % 5));
            (0..*in_flight).for_each(|_| endpoint.load.begin());
            endpoint
        };
        let endpoints = Endpoints::new(list.iter().enumerate().map(make).collect());
        for algorithm in hashing() {
            let mut balancer = Balancer::new(algorithm).bounded(bound);
            for key in keys {
                // Asserts that it is eligible.
                let picked = pick(&mut balancer, &endpoints, key);
                prop_assert_eq!(picked, pick(&mut balancer, &endpoints, key), "{}", algorithm);
            }
        }
    }
}
