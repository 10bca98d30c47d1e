//! Bottlenecks of every kind, as they would be seen.

use super::super::evidence::{CacheSeen, Pace};
use super::*;

fn a_use(thing: Thing, part: &str, there_is: f64, used: f64, queue: f64, service: f64) -> Use {
    let service = (service > 0.0).then_some(service);
    Use { thing, part: part.to_owned(), there_is, used, queue: Some(queue), service, share: None }
}

/// Three backends that have enough of everything, and a cache that fits.
fn calm() -> Evidence {
    let mut evidence =
        Evidence { cache: CacheSeen { hits: 95.0, misses: 5.0, evictions: 0.0 }, ..Evidence::default() };
    for part in ["toy-1", "toy-2", "toy-3"] {
        evidence.uses.push(a_use(Thing::Pool, part, 4.0, 0.3, 1.0, 0.04));
        evidence.uses.push(a_use(Thing::Places, part, 24.0, 0.1, 0.0, 0.005));
        evidence.uses.push(a_use(Thing::BackendCpu, part, 1.0, 0.2, 0.1, 0.0));
        evidence.paces.push(Pace { part: part.to_owned(), mean: 0.005 });
    }
    evidence.uses.push(a_use(Thing::CacheCpu, "cache", 1.0, 0.1, 0.0, 0.0));
    evidence.uses.push(a_use(Thing::ProxyCpu, "proxy", 0.5, 0.4, 1.0, 0.0));
    evidence.uses.push(a_use(Thing::Generator, "", 1.0, 0.3, 0.0, 0.0));
    evidence.uses.push(a_use(Thing::Machine, "", 2.0, 0.6, 0.0, 0.0));
    evidence
}

/// The same with one thing of one part (or of all, for `*`) used so much, and so many waiting.
fn with(mut evidence: Evidence, thing: Thing, part: &str, used: f64, queue: f64) -> Evidence {
    let those = evidence.uses.iter_mut().filter(|it| it.thing == thing && (part == "*" || it.part == part));
    those.for_each(|it| (it.used, it.queue) = (used, Some(queue)));
    evidence
}

fn change(mut evidence: Evidence, thing: Thing, part: &str, change: impl Fn(&mut Use)) -> Evidence {
    evidence.uses.iter_mut().filter(|it| it.thing == thing && it.part == part).for_each(change);
    evidence
}

fn find(broken: &Evidence) -> Finding {
    Case { good: Some(&calm()), broken, is_late: false }.find()
}

fn found(broken: &Evidence) -> (Cause, Vec<String>) {
    let finding = find(broken);
    (finding.cause, finding.parts)
}

#[test]
fn a_pool_that_is_smaller_than_the_others() {
    let broken = with(calm(), Thing::Pool, "toy-2", 1.0, 21.0);
    let broken = change(broken, Thing::Pool, "toy-2", |it| it.there_is = 1.0);
    // Whoever waits for the database keeps a place, and others wait for that.
    let broken = with(broken, Thing::Places, "toy-2", 1.0, 80.0);
    let finding = find(&broken);
    assert_eq!(
        (finding.cause, finding.parts.as_slice()),
        (Cause::DatabasePool, ["toy-2".to_owned()].as_slice())
    );
    assert_eq!((finding.used, finding.used_before), (Some(1.0), Some(0.3)));
    assert_eq!((finding.queue, finding.queue_before), (Some(21.0), Some(1.0)));
    assert_eq!(finding.because, "of connections it has 1, the others have 4");
}

#[test]
fn all_pools_of_a_cache_that_fits() {
    let broken = with(calm(), Thing::Pool, "*", 0.99, 18.0);
    assert_eq!(
        found(&broken),
        (Cause::DatabasePool, ["toy-1", "toy-2", "toy-3"].map(str::to_owned).to_vec())
    );
}

#[test]
fn all_pools_behind_a_cache_that_puts_out_what_is_asked_for_next() {
    let mut broken = with(calm(), Thing::Pool, "*", 0.99, 18.0);
    broken.cache = CacheSeen { hits: 40.0, misses: 60.0, evictions: 50.0 };
    let finding = find(&broken);
    assert_eq!((finding.cause, finding.parts.len()), (Cause::CacheTooSmall, 3));
    assert!(finding.because.starts_with("60 % of the reads missed the cache, which put out 50 entries"));
    // Cold is not small: nothing had to go.
    broken.cache.evictions = 0.0;
    assert_eq!(found(&broken).0, Cause::DatabasePool);
    // A few that go, of a cache that answers nearly all, are not to blame.
    broken.cache = CacheSeen { hits: 95.0, misses: 5.0, evictions: 5.0 };
    assert_eq!(found(&broken).0, Cause::DatabasePool);
}

#[test]
fn a_backend_that_keeps_its_places_longer_than_the_others() {
    let good = change(calm(), Thing::Places, "toy-3", |it| it.service = Some(0.125));
    let broken = with(good.clone(), Thing::Places, "toy-3", 1.0, 40.0);
    let finding = Case { good: Some(&good), broken: &broken, is_late: false }.find();
    assert_eq!((finding.cause, finding.parts), (Cause::SlowBackend, vec!["toy-3".to_owned()]));
    assert_eq!(finding.because, "a request keeps its place for 125 ms, at the others for 5.00 ms");
}

#[test]
fn a_backend_whose_queries_take_longer_than_those_of_the_others() {
    let broken = with(calm(), Thing::Pool, "toy-1", 1.0, 20.0);
    let broken = change(broken, Thing::Pool, "toy-1", |it| it.service = Some(0.4));
    assert_eq!(found(&broken), (Cause::SlowBackend, vec!["toy-1".to_owned()]));
}

#[test]
fn places_that_are_too_few_everywhere() {
    let broken = with(calm(), Thing::Places, "*", 0.98, 60.0);
    assert_eq!(found(&broken).0, Cause::BackendConcurrency);
    assert_eq!(found(&broken).1.len(), 3);
}

#[test]
fn a_backend_that_is_slow_though_nothing_is_full() {
    let mut broken = calm();
    broken.paces[1].mean = 0.4;
    let finding = find(&broken);
    assert_eq!((finding.cause, finding.parts), (Cause::SlowBackend, vec!["toy-2".to_owned()]));
}

#[test]
fn processors_of_parts_before_that_of_the_load_and_all_of_the_machine() {
    let mut broken = calm();
    let steps = [
        (Thing::Machine, "", 0.97, Cause::MachineCpu),
        (Thing::Generator, "", 0.95, Cause::LoadGenerator),
        (Thing::ProxyCpu, "proxy", 0.99, Cause::ProxyCpu),
        (Thing::BackendCpu, "toy-1", 0.99, Cause::BackendCpu),
        (Thing::CacheCpu, "cache", 0.99, Cause::CacheCpu),
    ];
    for (thing, part, used, cause) in steps {
        // Each one comes before those that were full already.
        broken = with(broken, thing, part, used, 9.0);
        assert_eq!(found(&broken).0, cause);
    }
    assert!(find(&with(calm(), Thing::Machine, "", 0.97, 0.0)).is_doubtful());
    assert!(!find(&with(calm(), Thing::ProxyCpu, "proxy", 0.97, 0.0)).is_doubtful());
}

#[test]
fn a_machine_that_others_use_is_told_apart() {
    let broken = Evidence { ours: 0.62, ..with(calm(), Thing::Machine, "", 1.0, 0.0) };
    let finding = find(&broken);
    assert_eq!(
        (finding.cause, finding.because.as_str()),
        (Cause::MachineCpu, "of 2 cores this experiment used 0.6")
    );
}

/// Seen on two cores that others had: backends that wait for a core keep their places, and some of what they serve is
/// at the database.
#[test]
fn what_fills_as_everything_takes_longer_is_not_to_blame() {
    let mut broken = with(calm(), Thing::Machine, "", 1.0, 0.0);
    broken = with(broken, Thing::Pool, "toy-2", 0.82, 7.0);
    broken = with(broken, Thing::Places, "toy-2", 0.75, 150.0);
    let starved = change(broken, Thing::Pool, "toy-2", |it| it.share = Some(0.4));
    let starved = change(starved, Thing::Places, "toy-2", |it| it.service = Some(0.03));
    assert_eq!(found(&starved).0, Cause::MachineCpu);
    let steady = change(starved.clone(), Thing::Places, "toy-2", |it| it.service = Some(0.006));
    assert_eq!(found(&steady), (Cause::BackendConcurrency, vec!["toy-2".to_owned()]));
    let at_the_database = change(starved, Thing::Pool, "toy-2", |it| it.share = Some(0.9));
    assert_eq!(found(&at_the_database), (Cause::DatabasePool, vec!["toy-2".to_owned()]));
    let mostly_outside = Evidence { inside: 31.0, outside: 132.0, ..at_the_database.clone() };
    assert_eq!(found(&mostly_outside).0, Cause::MachineCpu);
    let mostly_inside = Evidence { inside: 31.0, outside: 13.0, ..at_the_database };
    assert_eq!(found(&mostly_inside).0, Cause::DatabasePool);
}

#[test]
fn what_is_used_but_not_waited_for_is_not_full() {
    let broken = with(calm(), Thing::Pool, "toy-2", 0.9, 2.0);
    assert_eq!(found(&broken), (Cause::Unknown, Vec::new()), "one waited before as well");
    let broken = with(calm(), Thing::Pool, "toy-2", 0.6, 20.0);
    assert_eq!(found(&broken).0, Cause::Unknown, "a burst");
    assert!(find(&broken).is_doubtful());
}

#[test]
fn a_load_that_sends_late_says_so() {
    let finding = Case { good: None, broken: &calm(), is_late: true }.find();
    assert_eq!(finding.cause, Cause::LoadGenerator);
    let late_but_full = with(calm(), Thing::Pool, "*", 1.0, 20.0);
    let finding = Case { good: None, broken: &late_but_full, is_late: true }.find();
    assert_eq!((finding.cause, finding.used_before), (Cause::DatabasePool, None));
}

#[test]
fn nothing_seen_is_nothing_found() {
    let nothing = Evidence::default();
    assert_eq!(Case { good: None, broken: &nothing, is_late: false }.find().cause, Cause::Unknown);
}
