//! E11, hashing: how even a table is, what moves when an endpoint goes, and whether a bound holds. After Maglev's
//! evaluation (Eisenbud et al., NSDI 2016, §5.3) and "Consistent Hashing with Bounded Loads" (arXiv 1608.01350).

use evenkeel_policy::balance::{Algorithm, BOUND, Balance, Balancer, Eligible, Hint};
use evenkeel_policy::endpoint::{Endpoint, EndpointId, Endpoints, State};
use evenkeel_policy::hash;
use evenkeel_policy::rng::Rng;

use crate::chance::uniform;
use crate::figure::{Bound, Figure};

pub(super) const ABOUT: &str = "Maglev's table of 65537 entries, each looked at once: shares, and what moves when one endpoint goes, the mean of \
    ten of them. Then 200 000 requests that come and go, a third of them for one key, under a bound of 125 %";

/// Entries of the table; a key below that is the entry of its number.
const ENTRIES: u64 = 65_537;
/// How many endpoints are removed, one at a time.
const REMOVED: usize = 10;

/// Idle endpoints, other ones with each seed.
fn endpoints(count: usize, seed: u64) -> Endpoints {
    let identity = |index: usize| hash::of(format!("endpoint {index} of {seed}").as_bytes());
    Endpoints::new((0..count).map(|index| Endpoint::new(identity(index), State::default())).collect())
}

fn without(endpoints: &Endpoints, gone: EndpointId) -> Endpoints {
    let stay = endpoints.iter().filter(|(id, _)| *id != gone);
    Endpoints::new(stay.map(|(_, endpoint)| endpoint.clone()).collect())
}

/// The endpoint of every entry, by its identity.
fn entries(endpoints: &Endpoints) -> Vec<u64> {
    let ids: Vec<_> = endpoints.iter().map(|(id, _)| id).collect();
    let Some(eligible) = Eligible::new(endpoints, &ids) else { return Vec::new() };
    let (mut balancer, mut rng) = (Balancer::new(Algorithm::Maglev), Rng::new(0));
    balancer.rebuild(endpoints);
    let pick = |key| {
        let hint = Hint { hash: Some(key), ..Hint::default() };
        eligible.identity(balancer.pick(&eligible, hint, &mut rng))
    };
    (0..ENTRIES).map(pick).collect()
}

/// The largest share of them by the mean one.
fn unevenness(entries: &[u64], endpoints: &Endpoints) -> f64 {
    let mut sorted = entries.to_vec();
    sorted.sort_unstable();
    let most = sorted.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap_or_default();
    most as f64 * endpoints.len() as f64 / entries.len() as f64
}

/// How many entries change when one endpoint goes, in percent of all.
fn moved(entries_before: &[u64], endpoints: &Endpoints) -> f64 {
    let step = endpoints.len() / REMOVED;
    let moved = |(gone, _): (EndpointId, &Endpoint)| {
        let after = entries(&without(endpoints, gone));
        entries_before.iter().zip(&after).filter(|(before, after)| before != after).count()
    };
    let sum: usize = endpoints.iter().step_by(step.max(1)).map(moved).sum();
    sum as f64 * 100.0 / (REMOVED as f64 * entries_before.len() as f64)
}

/// By how many requests the fullest endpoint exceeds ⌈c · m / n⌉ when it is given one more, over a run of requests that
/// come and go; and how much the fullest has at the end, in shares.
fn crowded(algorithm: Algorithm, bound: Option<u32>, count: usize, seed: u64) -> (f64, f64) {
    let endpoints = endpoints(count, seed);
    let ids: Vec<_> = endpoints.iter().map(|(id, _)| id).collect();
    let Some(eligible) = Eligible::new(&endpoints, &ids) else { return (f64::NAN, f64::NAN) };
    let mut balancer = Balancer::new(algorithm).bounded(bound);
    let mut rng = Rng::new(seed);
    let popular = rng.next_u64();
    let (mut under_way, mut excess) = (Vec::new(), f64::NEG_INFINITY);
    for _ in 0..200_000 {
        // About ten each.
        if uniform(&mut rng) < under_way.len() as f64 / (20 * count) as f64 {
            let leaves = rng.below(under_way.len() as u32) as usize;
            let id: EndpointId = under_way.swap_remove(leaves);
            if let Some(endpoint) = endpoints.get(id) {
                endpoint.load.end();
            }
            continue;
        }
        let key = if rng.below(3) == 0 { popular } else { rng.next_u64() };
        let hint = Hint { hash: Some(key), ..Hint::default() };
        let picked = balancer.pick(&eligible, hint, &mut rng);
        under_way.push(picked);
        if let Some(endpoint) = endpoints.get(picked) {
            endpoint.load.begin();
            let most = (1.25 * under_way.len() as f64 / count as f64).ceil();
            excess = excess.max(f64::from(endpoint.load.in_flight()) - most);
        }
    }
    let most = ids.iter().map(|id| eligible.in_flight(*id)).max().unwrap_or_default();
    (excess, f64::from(most) * count as f64 / under_way.len() as f64)
}

pub(super) fn figures(seed: u64) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (count, known, tolerance) in [(10, 10.2, 0.1), (100, 1.57, 0.1), (1000, 0.68, 0.05)] {
        let endpoints = endpoints(count, seed);
        let entries = entries(&endpoints);
        let what = format!("largest share by the mean, {count} endpoints");
        figures.push(Figure::new(what, unevenness(&entries, &endpoints), Bound::AtMost(1.01), ""));
        let what = format!("entries that move when one of {count} goes");
        figures.push(Figure::new(what, moved(&entries, &endpoints), Bound::Within(known, tolerance), "%"));
    }
    for algorithm in [Algorithm::Maglev, Algorithm::RingHash] {
        for count in [10, 100] {
            let (excess, _) = crowded(algorithm, BOUND, count, seed);
            let what = format!("requests beyond the bound, {algorithm}, {count} endpoints");
            figures.push(Figure::new(what, excess, Bound::AtMost(0.0), ""));
            let (_, most) = crowded(algorithm, None, count, seed);
            // Its third of all, and its share of the rest.
            let what = format!("largest load by the mean without a bound, {algorithm}, {count} endpoints");
            figures.push(Figure::new(what, most, Bound::AtLeast(count as f64 / 3.5), ""));
        }
    }
    figures
}
