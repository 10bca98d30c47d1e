//! What was used of each thing in a step, and who waited for it: Gregg's USE method (utilisation, saturation; "Systems
//! Performance", 2nd ed., ch. 2.5.9), from what the parts tell. Pure.
//!
//! The utilisation law (Denning and Buzen, "The Operational Analysis of Queueing Network Models", 1978) ties them
//! together: of `n` servers each busy for `S` with a piece of work, `X` pieces a second use the share `X · S / n`. So
//! from what is used and what was done follows how long each piece takes, whoever waits for it.

use std::time::Duration;

use serde::Serialize;

use crate::site::Series;

pub(super) const OF_BACKENDS: &[&str] = &[
    WORKED,
    QUERIES,
    CONNECTIONS,
    POOL_QUEUE,
    PLACES_USED,
    PLACES,
    PLACES_QUEUE,
    THREADS,
    TIME,
    ANSWERS,
    HITS,
    MISSES,
    BYPASSES,
];
pub(super) const OF_CACHE: &[&str] = &[EVICTIONS];

const WORKED: &str = "toy_backend_database_work_seconds_total";
const QUERIES: &str = "toy_backend_database_queries_total";
const CONNECTIONS: &str = "toy_backend_database_connections";
const POOL_QUEUE: &str = "toy_backend_database_waiting";
const PLACES_USED: &str = "toy_backend_capacity_in_use";
const PLACES: &str = "toy_backend_capacity_limit";
const PLACES_QUEUE: &str = "toy_backend_capacity_waiting";
const THREADS: &str = "toy_backend_threads";
const TIME: &str = "toy_backend_request_duration_seconds_sum";
const ANSWERS: &str = "toy_backend_request_duration_seconds_count";
const HITS: &str = "toy_backend_cache_hits_total";
const MISSES: &str = "toy_backend_cache_misses_total";
const BYPASSES: &str = "toy_backend_cache_bypasses_total";
const EVICTIONS: &str = "evenkeel_kv_evictions_total";

/// A kind of thing that can be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Thing {
    /// Database connections of a backend.
    Pool,
    /// Requests that a backend serves at once.
    Places,
    /// Cores of the cache server's threads.
    CacheCpu,
    /// Cores of a backend's threads that serve.
    BackendCpu,
    /// Cores that the proxy may use.
    ProxyCpu,
    /// The core of the thread that sends the load.
    Generator,
    /// All cores, whoever uses them.
    Machine,
}

/// How much of a thing was used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Use {
    pub(super) thing: Thing,
    /// Whose it is.
    pub(super) part: String,
    /// How many there are: connections, places, cores.
    pub(super) there_is: f64,
    /// A share of that, from 0.
    pub(super) used: f64,
    /// How many waited for it: requests at most, threads on average.
    pub(super) queue: Option<f64>,
    /// How long a piece of work keeps one of them, in seconds.
    pub(super) service: Option<f64>,
    /// Of the requests that the backend is serving, the share that is at this pool, waiting or worked on.
    pub(super) share: Option<f64>,
}

/// How long a backend took for a request, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Pace {
    pub(super) part: String,
    pub(super) mean: f64,
}

/// What became of reads, per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct CacheSeen {
    pub(super) hits: f64,
    /// Not answered by the cache, for whatever reason.
    pub(super) misses: f64,
    pub(super) evictions: f64,
}

impl CacheSeen {
    /// Of the reads; `None` of none.
    pub(super) fn hit_share(&self) -> Option<f64> {
        let all = self.hits + self.misses;
        (all > 0.0).then(|| self.hits / all)
    }
}

/// What was seen in one span of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Evidence {
    pub(super) uses: Vec<Use>,
    pub(super) paces: Vec<Pace>,
    pub(super) cache: CacheSeen,
    /// Requests under way, on average, in the backends and outside of them (Little's law).
    pub(super) inside: f64,
    pub(super) outside: f64,
    /// Cores that the parts and their load used together; the rest of the machine's use is somebody else's.
    pub(super) ours: f64,
}

/// What is not told by the parts themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Around {
    /// Cores that the proxy may use, and that there are.
    pub(super) proxy_cores: f64,
    pub(super) cores: f64,
    /// Of the sender, in cores; of the machine, a share.
    pub(super) generator: f64,
    pub(super) machine: f64,
    /// Requests under way for clients, on average: what they waited together per second (Little's law).
    pub(super) under_way: f64,
}

/// A span of time, since the watch began.
pub(super) type Span = (Duration, Duration);

pub(super) fn gather(
    proxy: &Series,
    backends: &[Series],
    cache: &Series,
    around: Around,
    span: Span,
) -> Evidence {
    let mut evidence = Evidence::default();
    for backend in backends {
        let rate = |metric| backend.rate(metric, span).unwrap_or(0.0);
        evidence.uses.extend([pool(backend, span), places(backend, span)].into_iter().flatten());
        let threads = backend.most(THREADS, span).unwrap_or(1.0);
        evidence.uses.extend(processor(Thing::BackendCpu, backend, threads, span));
        evidence.inside += rate(TIME);
        if let Some(mean) = ratio(rate(TIME), rate(ANSWERS)) {
            evidence.paces.push(Pace { part: backend.name.clone(), mean });
        }
        evidence.cache.hits += rate(HITS);
        evidence.cache.misses += rate(MISSES) + rate(BYPASSES);
    }
    evidence.cache.evictions = cache.rate(EVICTIONS, span).unwrap_or(0.0);
    evidence.uses.extend(processor(Thing::CacheCpu, cache, 1.0, span));
    let of_all = backends.iter().chain([proxy, cache]).filter_map(|part| part.cores(span));
    evidence.ours = of_all.sum::<f64>() + around.generator;
    evidence.outside = (around.under_way - evidence.inside).max(0.0);
    let outside = Some(evidence.outside);
    let of_proxy = processor(Thing::ProxyCpu, proxy, around.proxy_cores, span);
    evidence.uses.extend(of_proxy.map(|of_proxy| Use { queue: outside, ..of_proxy }));
    let alone = |thing, there_is, used| Use {
        thing,
        part: String::new(),
        there_is,
        used,
        queue: None,
        service: None,
        share: None,
    };
    evidence.uses.push(alone(Thing::Generator, 1.0, around.generator));
    evidence.uses.push(alone(Thing::Machine, around.cores, around.machine));
    evidence
}

fn pool(backend: &Series, span: Span) -> Option<Use> {
    let there_is = backend.most(CONNECTIONS, span)?;
    let (worked, queries) = (backend.rate(WORKED, span)?, backend.rate(QUERIES, span)?);
    let here = backend.mean(POOL_QUEUE, span).unwrap_or(0.0) + worked;
    Some(Use {
        thing: Thing::Pool,
        part: backend.name.clone(),
        there_is,
        used: ratio(worked, there_is)?,
        queue: backend.most(POOL_QUEUE, span),
        service: ratio(worked, queries),
        share: backend.mean(PLACES_USED, span).and_then(|serving| ratio(here, serving)),
    })
}

/// `None` where there is no limit.
fn places(backend: &Series, span: Span) -> Option<Use> {
    let there_is = backend.most(PLACES, span).filter(|limit| *limit > 0.0)?;
    let taken = backend.mean(PLACES_USED, span)?;
    Some(Use {
        thing: Thing::Places,
        part: backend.name.clone(),
        there_is,
        used: ratio(taken, there_is)?,
        queue: backend.most(PLACES_QUEUE, span),
        service: ratio(taken, backend.rate(ANSWERS, span)?),
        share: None,
    })
}

fn processor(thing: Thing, of: &Series, there_is: f64, span: Span) -> Option<Use> {
    Some(Use {
        thing,
        part: of.name.clone(),
        there_is,
        used: ratio(of.cores(span)?, there_is)?,
        queue: of.cores_waited_for(span),
        service: None,
        share: None,
    })
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{Look, Scheduled};

    /// Looks at 0, 1 and 2 seconds, with these values; half a core is used.
    fn series(name: &str, metrics: &'static [&'static str], values: [Vec<f64>; 3]) -> Series {
        let looks = (0..).zip(values).map(|(n, values)| Look {
            at: Duration::from_secs(n),
            scheduled: Scheduled {
                ran: Duration::from_millis(500 * n),
                waited: Duration::from_millis(250 * n),
            },
            values,
        });
        Series { name: name.to_owned(), metrics, looks: looks.collect() }
    }

    #[test]
    fn what_is_told_becomes_utilisation_queues_and_service_times() {
        // Two connections, 100 queries of 15 ms in each of two seconds; three of ten places taken.
        let backend = |n: f64, waiting: f64| {
            vec![
                1.5 * n,
                100.0 * n,
                2.0,
                waiting,
                3.0,
                10.0,
                0.0,
                1.0,
                3.0 * n,
                200.0 * n,
                90.0 * n,
                25.0 * n,
                5.0 * n,
            ]
        };
        let toy = series("toy", OF_BACKENDS, [backend(0.0, 0.0), backend(1.0, 4.0), backend(2.0, 1.0)]);
        let cache = series("kv", OF_CACHE, [vec![0.0], vec![20.0], vec![40.0]]);
        let proxy = series("proxy", &[], [vec![], vec![], vec![]]);
        let around = Around { proxy_cores: 0.5, cores: 2.0, generator: 0.3, machine: 0.8, under_way: 5.0 };
        let evidence = gather(&proxy, &[toy], &cache, around, (Duration::ZERO, Duration::from_secs(2)));
        let of = |thing| evidence.uses.iter().find(|it| it.thing == thing).unwrap();
        let pool = of(Thing::Pool);
        assert_eq!((pool.used, pool.there_is, pool.queue, pool.service), (0.75, 2.0, Some(4.0), Some(0.015)));
        let at_pool = pool.share.unwrap();
        assert!((at_pool - (5.0 / 3.0 + 1.5) / 3.0).abs() < 1e-9, "{at_pool}");
        let places = of(Thing::Places);
        assert_eq!((places.used, places.queue, places.service), (0.3, Some(0.0), Some(0.015)));
        assert_eq!((of(Thing::BackendCpu).used, of(Thing::BackendCpu).queue), (0.5, Some(0.25)));
        let proxy = of(Thing::ProxyCpu);
        assert_eq!(
            (proxy.used, proxy.queue),
            (1.0, Some(2.0)),
            "five under way, three of them in the backend"
        );
        assert_eq!((of(Thing::Generator).used, of(Thing::Machine).used), (0.3, 0.8));
        assert_eq!(evidence.paces, [Pace { part: "toy".to_owned(), mean: 0.015 }]);
        assert_eq!(evidence.cache, CacheSeen { hits: 90.0, misses: 30.0, evictions: 20.0 });
        assert_eq!(evidence.cache.hit_share(), Some(0.75));
        assert_eq!((evidence.inside, evidence.outside), (3.0, 2.0));
        assert_eq!(evidence.ours, 1.8, "half a core each, and the load's");
    }

    #[test]
    fn what_nobody_told_is_not_made_up() {
        let nothing = Series::default();
        let around = Around { proxy_cores: 2.0, cores: 2.0, generator: 0.0, machine: 0.0, under_way: 0.0 };
        let span = (Duration::ZERO, Duration::from_secs(1));
        let evidence = gather(&nothing, std::slice::from_ref(&nothing), &nothing, around, span);
        let things: Vec<Thing> = evidence.uses.iter().map(|it| it.thing).collect();
        assert_eq!(things, [Thing::Generator, Thing::Machine]);
        assert_eq!((evidence.paces.len(), evidence.cache.hit_share()), (0, None));
    }
}
